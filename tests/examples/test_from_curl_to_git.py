"""From curl to Git: every command of the page, in a shell, against a served simulator."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .harness import EXAMPLES, SERVICE, blocks, copied, environment, live, served

HERE = EXAMPLES / "from-curl-to-git"
KEYS = ("the-deepgram-key", "the-openai-key", "the-azure-key", "the-gateway-key")
GIT = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "somebody"), ("EMAIL", "somebody@example.com"))
}

pytestmark = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("git") is None, reason="the page uses curl and git"
)


def _lines() -> Iterator[str]:
    """The commands of the second terminal."""
    for block in blocks(HERE / "README.md", "sh"):
        for line in block.splitlines():
            if not line.startswith("reconciler simulator"):
                yield line


def _script(url: str) -> str:
    said = (f"printf '%s\\n' {shlex.quote(f'$ {line}')}\n{line}; echo '# exit' $?" for line in _lines())
    return "\n".join(said).replace("http://127.0.0.1:8080", url)


def test_every_command_of_the_page(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    copied(HERE.name, tmp_path)
    with served("rtc_token=ignored", credentials=SERVICE | {"AGORA_CUSTOMER_SECRET": "secret"}) as url:
        done = subprocess.run(
            ["bash", "-c", _script(url)],
            cwd=tmp_path,
            env=environment(**GIT, GIT_CONFIG_GLOBAL="/dev/null", CI="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
            timeout=110,
        )
        assert sorted(live(url)) == ["barista", "lobby-greeter", "night desk"], "nobody was hung up on"
    text = done.stdout.replace(url, "http://127.0.0.1:8080")
    assert re.findall(r"^# exit (?!0$).*", text, re.MULTILINE) == [], text
    for path in (tmp_path / "voice-fleet").rglob("*"):
        if path.is_file():
            assert not any(key.encode() in path.read_bytes() for key in KEYS), path
    assert text.count("3 to adopt") == 3  # the plan twice, and the apply
    assert "lobby-greeter will be updated in place (the conversation goes on)" in text
    assert "replaced" not in text
    assert text.count("No changes. 3 agents run as the files say.") == 2
    golden(str(HERE / "recording.txt"), _recording(text))


# What an apply says of agents that change at the same time, in the order in which they are done.
_DONE = re.compile(r"(?m)(?:^\S+/\S+: \w+ \(agent \w+\)\n)+")


def _recording(text: str) -> str:
    """What does not differ from run to run."""
    text = re.sub(
        r"(?m)^(?:# exit 0|(?:waiting|retrying|reading)\b.*)\n", "", text
    )  # a busy machine says more
    text = _DONE.sub(lambda found: "".join(sorted(found[0].splitlines(keepends=True))), text)
    text = text.replace(", STARTING\n", ", RUNNING\n")
    text = re.sub(r'"create_ts":\d+', '"create_ts":1795851892', text)
    return re.sub(r"(?:STARTING|RUNNING)  (?:\d+[hms])+", "RUNNING  1s", text)


def test_what_happens_at_the_same_time_has_one_order() -> None:
    begun, done = "$ apply\n", "Apply complete: 2 adopted.\n"
    one, other = "a/x: adopted (agent A)\n", "b/x: adopted (agent B)\n"
    assert _recording(begun + other + one + done) == begun + one + other + done


def test_the_page_quotes_what_is_printed() -> None:
    recording = (HERE / "recording.txt").read_text(encoding="utf-8")
    for block in blocks(HERE / "README.md", "text"):
        for line in block.splitlines():
            assert line in recording, line
