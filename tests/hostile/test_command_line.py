"""The command line among broken pipes, odd encodings, missing directories, wrong settings and nonsense."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.commands import COMMANDS
from tests.hostile.bench import EXIT_CODES, LONG, Bench
from tests.hostile.test_plan_files import FILES

ARGUMENTS = 20_000 if LONG else 1_000
ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202e\u200b\r::error::owned"


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    home = tmp_path / "demo"
    home.mkdir()
    (home / "fleet.yaml").write_text(FILES, encoding="utf-8")
    return home


def shell(script: str, *, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A real process, since what is tested is what a shell does to one. `$R` is the command."""
    env = {**os.environ, "R": f"{sys.executable} -m reconciler", **environment}
    return subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        cwd=cwd,
        env=env,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def quiet(answer: subprocess.CompletedProcess[bytes]) -> bytes:
    said = answer.stdout + answer.stderr
    assert b"Traceback" not in said, said
    assert b"Exception ignored" not in said, said
    assert b"[internal]" not in said, said
    return said


# --- streams ------------------------------------------------------------------------------------------------------


def test_a_reader_that_goes_away_does_not_stop_an_apply(demo: Path) -> None:
    answer = shell("$R apply demo --auto-approve 2>&1 >&3 3>&- | cat; exit ${PIPESTATUS[0]}", cwd=demo.parent)
    quiet(answer)
    done = shell(
        "set -o pipefail; $R apply demo --auto-approve --replace '*' | head -c 1 >/dev/null; echo code ${PIPESTATUS[0]}",
        cwd=demo.parent,
    )
    assert b"code 0" in quiet(done)
    assert shell("$R plan demo --detailed-exitcode", cwd=demo.parent).returncode == 0


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams(demo: Path, redirection: str) -> None:
    answer = shell(f"$R plan demo --detailed-exitcode {redirection}", cwd=demo.parent)
    quiet(answer)
    assert answer.returncode == 2


def test_results_that_are_lost_are_no_success(demo: Path) -> None:
    answer = shell("$R plan demo > /dev/full", cwd=demo.parent)
    assert answer.returncode == 1
    assert b"not all results could be written" in quiet(answer)


def test_any_encoding_will_do(demo: Path) -> None:
    text = (
        (demo / "fleet.yaml")
        .read_text(encoding="utf-8")
        .replace("greeting: hello", 'greeting: "grüße — 你好 ✅"')
    )
    (demo / "fleet.yaml").write_text(text, encoding="utf-8")
    for encoding in ("ascii", "latin-1:strict"):
        answer = shell(
            "$R plan demo && $R plan demo --format markdown",
            cwd=demo.parent,
            PYTHONIOENCODING=encoding,
            LANG="C",
            LC_ALL="C",
        )
        assert answer.returncode == 0, answer.stderr
        assert b"2 to join" in quiet(answer)
    answer = shell("$R plan $'\\xff\\xfe'; $R plan demo --target $'\\xff'", cwd=demo.parent)
    assert answer.returncode == 1
    quiet(answer)


def test_a_narrow_terminal(bench: Bench, demo: Path) -> None:
    for width in ("1", "0", "-3", "x", "100000"):
        for words in (["--help"], ["apply", "--help"], ["plan", demo]):
            assert bench.run(*words, COLUMNS=width).code == 0


# --- places -------------------------------------------------------------------------------------------------------


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    for words in ("plan", "apply --auto-approve", "init", "init x", "validate", "render", "status"):
        answer = shell(
            f"cd gone && rm -r ../gone && $R {words}; code=$?; mkdir -p ../gone; exit $code", cwd=tmp_path
        )
        assert answer.returncode == 1, words
        quiet(answer)
        (tmp_path / "gone").mkdir(exist_ok=True)


def test_things_that_are_not_what_their_names_say(bench: Bench, demo: Path) -> None:
    (demo / "fleet.yaml").unlink()
    (demo / "fleet.yaml").mkdir()
    for words in (["plan"], ["validate"], ["render"], ["apply", "--auto-approve"]):
        assert bench.run(words[0], demo, *words[1:]).code == 1
    for place in ("/dev/null", "/proc/self/mem", "/nowhere/at/all", "x" * 5000, "a\x01b", ""):
        for name in ("plan", "validate"):
            assert bench.run(name, place).code == 1, place
    os.mkfifo(bench.home / "pipe")
    assert bench.run("plan", bench.home / "pipe").code == 1


def test_a_state_directory_that_cannot_be_one_is_found_before_anything_is_asked(
    bench: Bench, demo: Path
) -> None:
    (demo / ".reconciler").write_text("in the way", encoding="utf-8")
    answer = bench.run("apply", demo, "--auto-approve")
    assert answer.code == 1
    assert "join" not in answer.out
    assert ".reconciler" in answer.err


def test_init_writes_through_no_link(bench: Bench) -> None:
    home = bench.home / "new"
    home.mkdir()
    for name in ("fleet.yaml", ".gitignore"):
        (home / name).symlink_to(bench.home / f"elsewhere-{name}")
    assert bench.run("init", home).code == 1
    (home / "fleet.yaml").unlink()
    assert bench.run("init", home).code == 0
    assert not list(bench.home.glob("elsewhere-*"))


# --- settings -----------------------------------------------------------------------------------------------------


def test_an_interpreter_without_assertions_applies_nothing(demo: Path) -> None:
    for script in ("$R apply demo --auto-approve", "$R destroy demo --auto-approve"):
        answer = shell(script, cwd=demo.parent, PYTHONOPTIMIZE="1")
        assert answer.returncode == 1
        assert b"PYTHONOPTIMIZE" in quiet(answer)
    assert not (demo / ".reconciler").exists()


GOOD = {
    "AGORA_APP_ID": "0123456789abcdef0123456789abcdef",
    "AGORA_APP_CERTIFICATE": "fedcba9876543210fedcba9876543210",
    "AGORA_CUSTOMER_ID": "customer",
    "AGORA_CUSTOMER_SECRET": "customer-secret",
    "AGORA_AGENTS_API_BASE_URL": "http://127.0.0.1:9",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("AGORA_APP_ID", value)
            for value in ("", "x", "0" * 31, "0" * 33, "g" * 32, "0" * 31 + "\n", "../" * 10 + "00")
        ),
        *(("AGORA_APP_CERTIFICATE", value) for value in ("", "0" * 31, "z" * 32, " " + "0" * 32)),
        *(("AGORA_CUSTOMER_ID", value) for value in ("", "a:b", "a b", "a\r\nX-Evil: 1", "é")),
        *(("AGORA_CUSTOMER_SECRET", value) for value in ("", "a\nb", "tab\t")),
        *(
            ("AGORA_AGENTS_API_BASE_URL", value)
            for value in (
                *(
                    "http://example.com",
                    "https://user:pw@example.com",
                    "ftp://example.com",
                    "https://",
                    "http://127.0.0.1.evil.com",
                ),
                *(
                    "http://localhost@evil.com",
                    "https://x/?a=b",
                    "https://x/#y",
                    "file:///etc/passwd",
                    "http://0.0.0.0:1",
                    "//x",
                    "http://[::1",
                ),
                *(
                    "http://2130706433.evil.example",
                    "javascript:1",
                    "https://x:99999",
                    "http://169.254.169.254",
                ),
            )
        ),
    ],
)
def test_settings_of_the_service_that_cannot_be(bench: Bench, demo: Path, name: str, value: str) -> None:
    text = FILES.replace("fleet: demo\n", "fleet: demo\nservice: {kind: agora}\n")
    (demo / "fleet.yaml").write_text(text, encoding="utf-8")
    answer = bench.run("apply", demo, "--auto-approve", **{**GOOD, name: value})
    assert answer.code == 1
    assert name in answer.err
    if len(value) > 8 and name != "AGORA_APP_ID":
        assert value.strip() not in answer.said


def test_nothing_in_the_files_redirects_credentials(bench: Bench, demo: Path) -> None:
    for line in (
        "service: {kind: agora, base_url: https://evil.example}",
        "service: {kind: agora, area: evil}",
        "service: {kind: agora, proxy: x}",
    ):
        (demo / "fleet.yaml").write_text(
            FILES.replace("fleet: demo\n", f"fleet: demo\n{line}\n"), encoding="utf-8"
        )
        assert bench.run("plan", demo, **GOOD).code == 1


@pytest.mark.parametrize(
    "value",
    [
        "sk-proj-Aq7Zx3Wv9Tr5Yn1Mb8Kd2Lp6Aq7Zx3Wv9Tr5",
        "ghp_Aq7Zx3Wv9Tr5Yn1Mb8Kd2Lp6Aq7Zx3Wv9Tr5",
        "AKIAIOSFODNN7EXAMPLE",
    ],
)
def test_a_credential_on_the_command_line_is_refused_and_not_repeated(
    bench: Bench, demo: Path, value: str
) -> None:
    answer = bench.run("apply", demo, "--auto-approve", "--var", f"greeting={value}")
    assert answer.code == 1
    assert "greeting" in answer.err
    assert value not in answer.said


# --- foreign words ------------------------------------------------------------------------------------------------


def test_nobodys_words_move_a_cursor(bench: Bench, demo: Path) -> None:
    words = [
        ["plan", demo, "--target", ESCAPE],
        ["plan", demo, "--var", f"greeting={ESCAPE}"],
        ["plan", demo, "--var", f"{ESCAPE}=x"],
        ["plan", demo, "-e", ESCAPE],
        ["plan", demo, "--format", ESCAPE],
        ["plan", demo, f"--{ESCAPE}"],
        ["plan", bench.home / ESCAPE.replace("/", "")],
        [ESCAPE],
        ["show", ESCAPE, "-C", demo],
        ["show", f"lobby/{ESCAPE}", "-C", demo],
        ["adopt", "lobby/desk", ESCAPE, "-C", demo],
        ["apply", demo, "--auto-approve", "--allow", f"leave={ESCAPE}"],
        ["apply", demo, "--auto-approve", "--only", ESCAPE],
        ["apply", demo, "--auto-approve", "--wait", ESCAPE],
        ["apply", demo, "--plan", ESCAPE],
        ["plan", demo, "--out", bench.home / f"x{ESCAPE}"],
        ["validate", bench.home / ESCAPE],
        ["init", bench.home / f"y{ESCAPE}"],
    ]
    for each in words:
        said = bench.run(*each).said
        assert not {"\x1b", "\x07", "\u202e", "\u200b", "\r"} & set(said), (each, said)


def test_a_prompt_gives_no_commands_to_the_runner_of_a_workflow(bench: Bench, demo: Path) -> None:
    """A line of a prompt that the runner obeys could mask the word "leave" in every plan that is shown."""
    prompt = "|\n            Be kind.\n            ::add-mask::leave\n            x ##[add-mask]leave\n            {{ greeting }}"
    text = FILES.replace(
        'system_messages: [{role: system, content: "{{ greeting }}"}]',
        f"system_messages:\n        - role: system\n          content: {prompt}",
    )
    (demo / "fleet.yaml").write_text(text, encoding="utf-8")
    actions = {"GITHUB_ACTIONS": "true"}
    assert bench.run("apply", demo, "--auto-approve", **actions).code == 0
    for words in (
        ["plan", demo, "--var", "greeting=bye"],
        ["show", "lobby/desk", "-C", demo],
        ["render", demo],
    ):
        answer = bench.run(*words, **actions)
        assert answer.code == 0
        assert "add-mask" in answer.out
        for line in answer.said.splitlines():
            assert not line.lstrip().startswith("::"), line
            assert "##[" not in line, line
    (demo / "fleet.yaml").write_text(text.replace("vendor: microsoft", "vendor: microsofd"), encoding="utf-8")
    assert bench.run("validate", demo, "--format", "github", **actions).out.startswith("::")


# --- nonsense -----------------------------------------------------------------------------------------------------

_FLAGS = [
    *(
        "-e",
        "--env",
        "--var",
        "--format",
        "--no-color",
        "-q",
        "-v",
        "--debug",
        "--target",
        "--exclude",
        "--replace",
        "--allow",
        "--only",
    ),
    *(
        "--prune-unrecorded",
        "--parallelism",
        "--lock-timeout",
        "--wait",
        "--auto-approve",
        "--plan",
        "--out",
        "--detailed-exitcode",
    ),
    *(
        "--explain",
        "--check-secrets",
        "--trace",
        "-C",
        "--priority",
        "--help",
        "--version",
        "--",
        "-",
        "--list-switches",
    ),
]
_VALUES = [
    *(
        "",
        " ",
        "*",
        "x",
        "lobby/desk",
        "json",
        "text",
        "markdown",
        "yaml",
        "leave=5",
        "a=b",
        "=",
        "1s",
        "-1",
        "0",
        "1e9",
        "nan",
        "\x00",
    ),
    *(
        "test",
        "prod",
        ".",
        "..",
        "/",
        "~",
        "%s",
        "{x}",
        "{{ x }}",
        "é" * 300,
        "\udcff",
        "x" * 10_000,
        "$(id)",
        "ref+env://HOME",
        "@x",
    ),
]


def test_a_command_prints_as_it_was_asked_to_and_not_as_the_one_before(bench: Bench, demo: Path) -> None:
    log = bench.home / "log"
    assert bench.run("plan", bench.home / "nowhere", "--debug", "--log-file", log).code == 1
    before = log.read_text(encoding="utf-8")
    assert bench.run("init", demo).code == 1  # has neither option; `run` refuses a traceback
    assert log.read_text(encoding="utf-8") == before != ""


def test_no_arguments_make_it_stumble(bench: Bench, demo: Path) -> None:
    chance = random.Random(20_261_122)
    names = [each.name for each in COMMANDS if each.name != "simulator"]
    pool = [*_FLAGS, *_VALUES, str(demo), *names]
    for _ in range(ARGUMENTS):
        words = [chance.choice([*names, *names, *_FLAGS, *_VALUES])]
        words += chance.choices(pool, k=chance.randrange(6))
        words = [each.replace("\x00", "") for each in words]
        if words[0] == "init" or ("--watch" in words):
            words[1:] = [str(demo)]
        answer = bench.run(*words)
        assert answer.code in EXIT_CODES, words
