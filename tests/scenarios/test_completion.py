"""What the shell offers: addresses, environments and kinds of change, and nothing where files are broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHAIN = Path(__file__).parents[2] / "examples" / "hotel-chain"
RUN = "import sys; sys.argv[0] = 'reconciler'; from reconciler.cli.main import main; main()"


def complete(home: Path, *words: str) -> list[str]:
    """What bash would offer for the last of some words; nothing may be said besides."""
    line = {"COMP_WORDS": "\n".join(("reconciler", *words)), "COMP_CWORD": str(len(words))}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=home,
        env={**os.environ, **line, "_RECONCILER_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return [each.partition(",")[2] for each in done.stdout.splitlines() if each]


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    shutil.copytree(CHAIN, tmp_path / "fleet", ignore=shutil.ignore_patterns(".reconciler"))
    return tmp_path / "fleet"


@pytest.mark.parametrize(
    "words",
    [
        *(("plan", f"--{each}") for each in ("target", "exclude", "replace")),
        ("apply", ".", "--target"),
        ("state", "show"),
        *((each,) for each in ("show", "history", "turns", "speak", "interrupt", "think", "adopt", "forget")),
    ],
    ids=" ".join,
)
def test_addresses_are_offered_wherever_one_is_asked_for(fleet: Path, words: tuple[str, ...]) -> None:
    offered = complete(fleet, *words, "p")
    assert offered
    assert all(each.startswith("p") and each.endswith("/concierge") for each in offered)
    assert len(complete(fleet, *words, "")) == 12


def test_the_commands_of_a_group_are_offered(fleet: Path) -> None:
    assert complete(fleet, "state", "p") == ["pull", "push"]


def test_the_fleet_is_the_one_of_the_line(fleet: Path) -> None:
    away = fleet.parent
    assert complete(away, "show", "") == []
    assert len(complete(away, "show", "-C", "fleet", "")) == 12
    assert len(complete(away, "plan", "fleet", "--target", "")) == 12
    assert complete(away, "plan", "fleet", "-e", "") == ["staging", "prod"]


def test_addresses_are_those_of_the_environment_and_the_variables(fleet: Path) -> None:
    text = (
        "fleet: a\nvariables: {floor: one}\nenvironments: {prod: {variables: {floor: two}}}\ndefaults:\n"
        "  properties: {remote_rtc_uids: ['*'], tts: {vendor: microsoft, params: {key: ref+env://T, region: r,"
        " voice_name: v}}, llm: {url: 'https://a.example', api_key: ref+env://L, params: {model: m}}}\n"
        "channels: [{channel: 'lobby-{{ floor }}', agents: [{name: desk}]}]\n"
    )
    (fleet / "fleet.yaml").write_text(text)
    shutil.rmtree(fleet / "agents")
    assert complete(fleet, "show", "") == ["lobby-one/desk"]
    assert complete(fleet, "show", "-e", "prod", "") == ["lobby-two/desk"]
    assert complete(fleet, "plan", "-e", "prod", "--target", "") == ["lobby-two/desk"]
    assert complete(fleet.parent, "plan", "-e", "prod", "fleet", "--target", "") == ["lobby-two/desk"]
    assert complete(fleet, "show", "--var", "floor=three", "") == ["lobby-three/desk"]


def test_words_of_a_list_are_offered_one_after_the_other(fleet: Path) -> None:
    assert "renew" in complete(fleet, "apply", "--only", "")
    assert complete(fleet, "apply", "--only", "ro") == ["rotate"]
    assert complete(fleet, "apply", "--only", "renew,ro") == ["renew,rotate"]
    assert "renew,renew" not in complete(fleet, "apply", "--only", "renew,")
    assert complete(fleet, "plan", "-e", "pr") == ["prod"]


@pytest.mark.parametrize(
    "text", ["", "fleet: [", "fleet: a\nchannels: [{channel: '{{ nobody }}'}]\n", "\x00", "a: &a [*a, *a]"]
)
def test_broken_files_are_met_with_silence(fleet: Path, text: str) -> None:
    (fleet / "fleet.yaml").write_text(text)
    assert complete(fleet, "show", "") == []
    assert complete(fleet, "plan", "--target", "x") == []
    assert complete(fleet, "plan", "-e", "") == []
    (fleet / "fleet.yaml").unlink()
    assert complete(fleet, "show", "") == complete(fleet, "plan", "-e", "") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_offers_it_with_the_script_that_is_printed(fleet: Path) -> None:
    bin = fleet.parent / "bin"
    bin.mkdir()
    (bin / "reconciler").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n')
    (bin / "reconciler").chmod(0o755)
    script = (
        'eval "$(reconciler completion bash)"\nCOMP_WORDS=(reconciler show rome); COMP_CWORD=2\n'
        '_reconciler_completion reconciler\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=fleet,
        env={**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.stderr) == (["rome-front-desk/concierge"], "")


def test_nothing_is_imported_that_only_a_call_needs(fleet: Path) -> None:
    program = (
        "import sys; from reconciler.cli.main import cli; from click.shell_completion import ShellComplete\n"
        "found = ShellComplete(cli, {}, 'reconciler', '').get_completions(sys.argv[1:-1], sys.argv[-1])\n"
        "assert found; print(*{each.partition('.')[0] for each in sys.modules})"
    )

    def imported(*words: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", program, *words], cwd=fleet, capture_output=True, text=True, check=True
        )
        return set(done.stdout.split())

    heavy = {"asyncio", "deepdiff", "httpx", "rich", "sqlite3", "ssl", "uvicorn"}
    assert imported("show", "r") & heavy == set()
    assert imported("plan", "-e", "p") & heavy == set()
    assert imported("plan", "--") & {*heavy, "jinja2", "pydantic", "yaml"} == set()
