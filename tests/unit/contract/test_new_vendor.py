"""A vendor is one row: its credential is safe under any name, because its type says what it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TABLE = Path("reconciler", "contract", "agora", "tts.py")
VALUE = "plain-words-of-a-newcomer"
ROW = """
        vendor(
            "newcomer",
            "A newcomer",
            "its page",
            {"zyxomma": API_KEY, "speaker": VOICE},
            needs="params.zyxomma",
        ),"""
FLEET = """\
fleet: acme
channels:
  - channel: lobby
    agents:
      - name: desk
        properties:
          remote_rtc_uids: ["*"]
          llm: {{url: "https://a.example/v1", api_key: ref+env://LLM, params: {{model: m}}}}
          tts: {{vendor: newcomer, params: {{zyxomma: {key}, speaker: anna}}}}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The package with one more row, and the service's side with one more word."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "reconciler", tmp_path / "reconciler", ignore=ignored)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    table = tmp_path / TABLE
    text = table.read_text(encoding="utf-8")
    begin = "    _COMMON,\n    ("
    assert text.count(begin) == 1
    table.write_text(text.replace(begin, begin + ROW), encoding="utf-8")
    served = tmp_path / "schemas" / "agora" / "join.json"
    words = served.read_text(encoding="utf-8")
    served.write_text(words.replace('"humeai"', '"humeai", "newcomer"'), encoding="utf-8")
    return tmp_path


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "LLM": "another-value-entirely",
        "ZAP": VALUE,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def write(tree: Path, key: str) -> None:
    (tree / "fleet").mkdir(exist_ok=True)
    (tree / "fleet" / "fleet.yaml").write_text(FLEET.format(key=key), encoding="utf-8")


def test_a_new_vendors_credential_is_one_everywhere(tree: Path) -> None:
    write(tree, VALUE)
    for command in (
        ["validate"],
        ["validate", "--format", "json"],
        ["plan"],
        ["render"],
        ["apply", "--auto-approve"],
    ):
        done = run(tree, *command, *(["fleet"]))
        assert done.returncode == 1, command
        assert "literal-secret" in done.stdout + done.stderr, command
        assert VALUE not in done.stdout + done.stderr, command
    write(tree, "ref+env://ZAP")
    assert run(tree, "validate", "fleet").returncode == 0
    formats = [[], ["--format", "json"], ["--format", "markdown"]]
    for command in (["render"], *(["plan", *each] for each in formats)):
        done = run(tree, *command, "fleet")
        assert done.returncode == 0, done.stderr
        assert VALUE not in done.stdout + done.stderr, command
    assert "ref+env://ZAP" in run(tree, "render", "fleet").stdout
    assert "ref+env://ZAP" in run(tree, "plan", "--format", "json", "fleet").stdout
    done = run(tree, "apply", "--auto-approve", "fleet")
    assert done.returncode == 0, done.stdout + done.stderr
    kept = [path for path in tree.rglob("*") if path.is_file() and ".reconciler" in path.as_posix()]
    assert kept, "the state is somewhere"
    assert all(VALUE.encode() not in path.read_bytes() for path in kept)


def test_without_the_row_the_key_alone_says_nothing(tree: Path) -> None:
    shutil.copy(ROOT / TABLE, tree / TABLE)
    write(tree, VALUE)
    assert "literal-secret" not in run(tree, "validate", "fleet").stdout
