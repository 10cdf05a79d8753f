"""`history` on a fleet that keeps its transcripts, through the command line and the embedded service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli
from reconciler.errors import UsageError

FLEET = """
fleet: desk
archive: {directory: transcripts, required: true}
defaults:
  properties:
    remote_rtc_uids: ["*"]
    llm: {url: "https://api.openai.com/v1/chat/completions", api_key: ref+env://LLM_KEY, params: {model: gpt-4o-mini}}
    tts: {vendor: microsoft, params: {key: ref+env://TTS_KEY, region: eastus, voice_name: VOICE}}
channels:
  - channel: "lobby 1"
    agents: [{name: greeter}]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "fleet.yaml").write_text(FLEET.replace("VOICE", "en-US-AvaNeural"))
    assert run(tmp_path, "apply", "--auto-approve", ".").exit_code == 0
    assert run(tmp_path, "speak", "-C", ".", "lobby 1/greeter", "Good morning").exit_code == 0
    return tmp_path


def run(home: Path, *words: str) -> Result:
    runner = CliRunner()
    here = [str(home) if each == "." else each for each in words]
    return runner.invoke(cli, here)


def test_the_plan_counts_the_transcripts_and_history_reads_them(home: Path) -> None:
    (home / "fleet.yaml").write_text(FLEET.replace("VOICE", "en-US-EmmaNeural"))
    planned = run(home, "plan", ".")
    assert "1 running conversation ends: 1 to replace. 1 transcript is archived first." in planned.output
    assert run(home, "apply", "--auto-approve", "--allow", "hang_ups=1", ".").exit_code == 0
    found = run(home, "history", "-C", ".", "lobby 1/greeter", "--all", "--format", "json")
    assert found.exit_code == 0, found.output
    (session,) = json.loads(found.stdout)["sessions"]
    assert [each["content"] for each in session["contents"]] == ["Good morning"]
    assert session["cause"]
    assert session["ended"] >= session["started"]
    (path,) = (home / "transcripts").glob("*/*/*.jsonl")
    assert path.parent.parent.name == "lobby%201"
    one = run(home, "history", "-C", ".", "--agent", session["agent_id"], "--format", "json")
    assert json.loads(one.stdout) == session
    again = run(home, "history", "-C", ".", "lobby 1/greeter", "--format", "json")
    assert json.loads(again.stdout)["contents"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--agent", "A42"), "has no session of A42"),
        (("nobody/here", "--all"), "has no session of nobody/here"),
        ((), "name an address, or an agent with --agent ID"),
        (("lobby 1/greeter", "--all", "--follow"), "--follow is for what runs"),
    ],
)
def test_what_is_not_there_is_said(home: Path, words: tuple[str, ...], said: str) -> None:
    found = run(home, "history", "-C", ".", *words)
    assert found.exit_code != 0
    assert said in found.output + str(found.exception)


def test_a_fleet_that_keeps_none_says_how_to(home: Path) -> None:
    (home / "fleet.yaml").write_text(
        FLEET.replace("archive:", "x-archive:").replace("VOICE", "en-US-AvaNeural")
    )
    found = run(home, "history", "-C", ".", "lobby 1/greeter", "--all")
    assert isinstance(found.exception, UsageError)
    assert "archive: {directory: transcripts}" in str(found.exception.hint)
