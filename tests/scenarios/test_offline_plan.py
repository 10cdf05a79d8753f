"""Plans that ask no service: against the state, and against another revision of the files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler import workflow
from reconciler.cli.revisions import files_at
from reconciler.errors import StateError, UsageError
from reconciler.model.address import Address, Owner
from reconciler.model.fleet import DesiredFleet
from reconciler.model.spec import HOUR
from reconciler.plan.build import Plan
from reconciler.plan.change import action_of
from tests.fakes.fleets import agent, fleet
from tests.fakes.virtual import Virtual
from tests.unit.plan.cases import ABLE


def offline(virtual: Virtual, wanted: DesiredFleet) -> Plan:
    return workflow.offline_plan(virtual.job(wanted), virtual.state.read(), ABLE, against="the state")


def rows(plan: Plan) -> list[tuple[str, str]]:
    return [(action_of(each).value, str(each.address)) for each in plan.pending]


def test_it_is_the_plan_that_the_service_would_give_when_nothing_else_has_changed() -> None:
    virtual = Virtual()
    before = fleet(agent("a/x"), agent("b/x"), agent("c/x"))
    virtual.run(workflow.apply(virtual.job(before), virtual.provider()))
    after = fleet(agent("a/x", idle_timeout=60), agent("b/x"), agent("d/x"))
    live = virtual.run(workflow.plan(virtual.job(after), virtual.provider()))
    assert rows(offline(virtual, after)) == rows(live)
    assert offline(virtual, after).digest == live.digest
    assert rows(offline(virtual, before)) == []


def test_it_goes_by_no_clock() -> None:
    virtual = Virtual()
    wanted = fleet(agent("a/x"), agent("b/x"))
    virtual.run(workflow.apply(virtual.job(wanted), virtual.provider()))
    virtual.now += 65 * HOUR
    assert rows(offline(virtual, wanted)) == []


def test_a_pause_after_failed_joins_is_over_by_the_time_of_the_latest_start() -> None:
    virtual = Virtual()
    virtual.run(workflow.apply(virtual.job(fleet(agent("a/x"))), virtual.provider()))
    virtual.now += 1000
    virtual.run(workflow.apply(virtual.job(fleet(agent("a/x"), agent("b/x"))), virtual.provider()))
    state = virtual.state.read()
    first = state.records[Address("a", "x")]
    edited = fleet(agent("a/x", idle_timeout=60), agent("b/x"))
    for pause, planned in ((120.0, "replace"), (2000.0, "hold")):
        failed = replace(first, failures=3, retry_at=first.started_at + pause)
        held = replace(state, records={**state.records, first.address: failed})
        plan = workflow.offline_plan(virtual.job(edited), held, ABLE, against="the state")
        assert rows(plan) == [(planned, "a/x")]


def test_the_state_of_another_fleet_is_refused_and_that_of_another_project_is_not() -> None:
    virtual = Virtual()
    wanted = fleet(agent("a/x"))
    virtual.run(workflow.apply(virtual.job(wanted), virtual.provider()))
    no_project = replace(virtual.job(wanted), app_id=None)
    assert workflow.offline_plan(no_project, virtual.state.read(), ABLE, against="").pending == ()
    with pytest.raises(StateError, match="fleet"):
        offline(virtual, fleet(agent("a/x"), owner=Owner("another")))


def test_against_another_revision_of_the_files() -> None:
    before = fleet(agent("a/x"), agent("b/x"))
    after = fleet(agent("a/x", idle_timeout=60), agent("c/x"))
    job = Virtual().job(after)
    found = workflow.offline_plan(job, workflow.state_of(before), ABLE, against="main")
    assert sorted(rows(found)) == [("join", "c/x"), ("leave", "b/x"), ("replace", "a/x")]
    assert (
        workflow.offline_plan(Virtual().job(before), workflow.state_of(before), ABLE, against="").pending
        == ()
    )


# --- the files of a commit ------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    fleet_directory = root / "fleets" / "desk"
    fleet_directory.mkdir(parents=True)

    def git(*words: str) -> None:
        name = ["-c", "user.name=n", "-c", "user.email=e@example.com"]
        subprocess.run(["git", *name, *words], cwd=root, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    (root / "other.txt").write_text("of nobody's fleet")
    git("add", ".")
    git("commit", "-q", "-m", "before the fleet")
    (fleet_directory / "fleet.yaml").write_text("fleet: old\n")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    (fleet_directory / "fleet.yaml").write_text("fleet: new\n")
    git("commit", "-q", "-a", "-m", "two")
    return fleet_directory


def test_the_files_of_a_commit_are_those_of_the_fleets_directory_alone(repository: Path) -> None:
    with files_at(repository, "HEAD~1") as place:
        assert (place / "fleet.yaml").read_text() == "fleet: old\n"
        assert [each.name for each in place.iterdir()] == ["fleet.yaml"]
    assert not place.exists()


def test_a_commit_without_the_directory_has_no_files(repository: Path) -> None:
    with files_at(repository, "HEAD~2") as place:
        assert list(place.iterdir()) == []


@pytest.mark.parametrize("revision", ["nowhere", "--help", "", "HEAD~9"])
def test_what_is_no_commit_is_said(repository: Path, revision: str) -> None:
    with pytest.raises(UsageError, match="git knows no commit"), files_at(repository, revision):
        pass


def test_no_checkout_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="git knows no commit"), files_at(tmp_path, "main"):
        pass


# --- the command ----------------------------------------------------------------------------------------------

FLEET = """\
fleet: desk
service: {kind: agora}
defaults:
  properties:
    remote_rtc_uids: ["*"]
    llm: {url: "https://api.openai.com/v1/chat/completions", api_key: ref+env://LLM_KEY, params: {model: MODEL}}
    tts: {vendor: microsoft, params: {key: ref+env://TTS_KEY, region: eastus, voice_name: en-US-AvaNeural}}
channels: [{channel: lobby, agents: [{name: greeter, properties: {agent_rtc_uid: "7"}}]}]
"""

# Runs the command with every socket and every look at a variable of the service refused.
_GUARDED = """
import os, sys
class Environment(type(os.environ)):
    def __getitem__(self, key):
        if key.startswith("AGORA_"):
            raise SystemExit(f"it reads {key}")
        return super().__getitem__(key)
    def clear(self):  # the process that renders templates begins with an empty environment
        self._data.clear()
os.environ.__class__ = Environment
def watch(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"):
        os.write(2, f"it opens a socket: {event} {arguments}".encode())
        os._exit(99)
sys.addaudithook(watch)
from reconciler.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def guarded(directory: Path, *words: str, inside: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AGORA_APP_ID": "not to be read", "NO_COLOR": "1"}
    command = [*inside, sys.executable, "-c", _GUARDED, "plan", str(directory), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_command_compares_with_a_commit_and_asks_nobody(repository: Path) -> None:
    def git(*words: str) -> None:
        name = ["-c", "user.name=n", "-c", "user.email=e@example.com"]
        subprocess.run(["git", *name, *words], cwd=repository, check=True, capture_output=True)

    file = repository / "fleet.yaml"
    file.write_text(FLEET.replace("MODEL", "gpt-4o-mini"))
    git("commit", "-q", "-a", "-m", "a fleet")
    file.write_text(FLEET.replace("MODEL", "gpt-4o"))
    shown = guarded(repository, "--base", "HEAD", "--detailed-exitcode")
    assert shown.returncode == 2, shown.stderr
    assert "Compared with the files of HEAD" in shown.stdout
    assert 'llm.params.model = "gpt-4o-mini" -> "gpt-4o"' in shown.stdout
    git("commit", "-q", "-a", "-m", "as it is")
    assert (
        "No changes against the files of HEAD: 1 agent as before."
        in guarded(repository, "--base", "HEAD").stdout
    )
    everything = guarded(repository, "--base", "HEAD~4", "--format", "json")
    assert json.loads(everything.stdout)["summary"]["join"] == 1
    assert guarded(repository, "--base", "HEAD", "--format", "json").stdout == (
        guarded(repository, "--base", "HEAD", "--format", "json").stdout
    )


def test_a_commit_whose_files_do_not_load_is_said_with_the_first_place(repository: Path) -> None:
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.com", "commit", "-q", "-a", "-m", "broken"]
    (repository / "fleet.yaml").write_text("fleet: [\n")
    subprocess.run(git, cwd=repository, check=True, capture_output=True)
    (repository / "fleet.yaml").write_text(FLEET.replace("MODEL", "gpt-4o"))
    shown = guarded(repository, "--base", "HEAD")
    assert shown.returncode == 1
    assert "the files of HEAD do not load: fleet.yaml:" in shown.stderr


def test_the_command_compares_with_the_state_and_asks_nobody(repository: Path) -> None:
    (repository / "fleet.yaml").write_text(FLEET.replace("MODEL", "gpt-4o-mini"))
    shown = guarded(repository, "--offline")
    assert shown.returncode == 0, shown.stderr
    assert "lobby/greeter will join" in shown.stdout
    assert "Compared with the state" in shown.stdout
    assert not (repository / ".reconciler").exists()


@pytest.mark.parametrize(
    "words", [["--offline", "--base", "HEAD"], ["--offline", "--out", "p"], ["--base", ""]]
)
def test_what_makes_no_sense_together_is_refused(repository: Path, words: list[str]) -> None:
    (repository / "fleet.yaml").write_text(FLEET.replace("MODEL", "gpt-4o-mini"))
    assert guarded(repository, *words).returncode == 1
