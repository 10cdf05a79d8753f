"""The state in a Git ref, as a team meets it: clones of one bare remote, and everything that may become of the ref."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.cli.options import ManyFlags
from reconciler.cli.output import Output
from reconciler.cli.several_fleets import report_each
from reconciler.driver.loop import Driver, NoService
from reconciler.errors import ReconcilerError, StateError, StateLocked, UsageError
from reconciler.git import Git
from reconciler.model.address import Owner
from reconciler.model.record import Pins
from reconciler.model.writes import PutGeneration, PutPins
from reconciler.ports import Lock, Steps, Unlock
from reconciler.report.formats import ReportKind, named
from reconciler.simulator import Credentials, Simulator, run_in_thread
from reconciler.state.blocking import behind_ports
from reconciler.state.condition import troubles
from reconciler.state.log.drawer import Creation
from reconciler.state.log.git_ref import GitDrawer
from reconciler.state.log.ref_door import RefDoor
from reconciler.state.log.ref_lease import RefLease
from reconciler.state.log.snapshots import at, latest, ref_of
from reconciler.state.log.store import LogStore
from reconciler.state.memory import MemoryStore
from reconciler.state.opening import open_state
from tests.contracts.state_store import ADDRESS
from tests.fakes.stores import acquire
from tests.real.git_server import serving
from tests.real.kill9 import APP, CERTIFICATE, FLEET, environment_of

OWNER = Owner("kill-nine")
REF = ref_of(OWNER)
AGENTS = """\
channels:
  - channel: "desk-{{ n }}"
    for_each: "{{ range(20) | list }}"
    as: n
    agents:
      - name: one
        properties:
          llm: {url: "https://llm.example.com/v1", api_key: ref+env://LLM_KEY}
"""


def git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass(frozen=True)
class Team:
    """A bare remote, and clones of it with the same fleet, each on its own machine."""

    place: Path

    @property
    def remote(self) -> Path:
        return self.place / "remote.git"

    def clone(self, name: str) -> Path:
        directory = self.place / name / "checkout"
        directory.parent.mkdir()
        git(self.place, "clone", "--quiet", str(self.remote), str(directory))
        return directory

    def open(self, checkout: Path, **variables: str) -> LogStore:
        known = {"XDG_STATE_HOME": str(checkout.parent / "seen"), **variables}
        store = open_state("git:origin", checkout, None, OWNER, known)
        assert isinstance(store, LogStore)
        return store

    def commit(self, checkout: Path, *numbers: int) -> None:
        """One commit of the state for each number."""
        store = self.open(checkout)
        acquire(store, "a test", 0.0)
        for number in numbers:
            store.commit([PutGeneration(ADDRESS, number)], expected=store.read().serial)
        store.close()

    def tip(self) -> str:
        return git(self.remote, "rev-parse", REF)


@pytest.fixture
def team(tmp_path: Path) -> Team:
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    first = Team(tmp_path).clone("first")
    (first / "fleet.yaml").write_text(FLEET)
    (first / "agents").mkdir()
    (first / "agents" / "all.yaml").write_text(AGENTS)
    git(first, "add", ".")
    git(first, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "The fleet")
    git(first, "push", "--quiet", "origin", "HEAD")
    return Team(tmp_path)


@pytest.fixture
def first(team: Team) -> Path:
    return team.place / "first" / "checkout"


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator(credentials=Credentials(APP, CERTIFICATE, "customer", "secret"))
    simulator.set_switches({"quota": 100, "latency_seconds": 0.02})
    return simulator


@pytest.fixture
def service(simulator: Simulator) -> Iterator[dict[str, str]]:
    """The environment of whoever talks to a service; no identity of Git, and no configuration, is in it."""
    with run_in_thread(simulator) as url:
        yield {**environment_of(url), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def reconciler(
    checkout: Path, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    known = {**environment, "HOME": str(checkout.parent), "XDG_STATE_HOME": str(checkout.parent / "seen")}
    command = [sys.executable, "-m", "reconciler", *arguments]
    return subprocess.run(command, cwd=checkout, env=known, capture_output=True, text=True, check=False)


# --- the whole way --------------------------------------------------------------------------------------------


def test_what_one_clone_applies_another_one_finds(team: Team, first: Path, service: dict[str, str]) -> None:
    state = ("--state", "git:origin")
    branches = git(first, "for-each-ref", "refs/heads", "refs/remotes")
    applied = reconciler(first, service, "apply", "--auto-approve", *state)
    assert applied.returncode == 0, applied.stderr
    assert applied.stderr.count("RECONCILER_KEY is not set") == 1
    # Two waves of ten: the pins, then the intents of a wave, and what came of them with the next wave's intents.
    entries = git(team.remote, "log", "--reverse", "--format=%s", REF).split()
    assert entries == [f"log/{serial:012}" for serial in range(1, len(entries) + 1)]
    # Each by itself would be 41; how many share one depends on how long a push takes.
    assert len(entries) <= 30
    assert git(first, "status", "--porcelain") == ""
    assert git(first, "for-each-ref", "refs/heads", "refs/remotes") == branches
    second = team.clone("second")
    # By the environment instead of the flag, and from another machine: nothing to do, and nothing written.
    before = team.tip()
    planned = reconciler(second, {**service, "RECONCILER_STATE": "git:origin"}, "plan", "--detailed-exitcode")
    assert planned.returncode == 0, planned.stderr
    assert team.tip() == before
    assert git(second, "status", "--porcelain") == ""
    shown = reconciler(second, service, "show", "desk-7/one", *state)
    assert shown.returncode == 0, shown.stderr
    assert "join" in shown.stdout
    # Without the service: the ref that was fetched, for whoever has no credentials.
    nobody = {name: value for name, value in service.items() if not name.startswith("AGORA_")}
    offline = reconciler(second, nobody, "plan", "--offline", "--detailed-exitcode", *state)
    assert offline.returncode == 0, offline.stderr


def test_an_entry_is_json_that_anybody_can_read(team: Team, first: Path) -> None:
    team.commit(first, 1)
    entry = json.loads(git(team.remote, "show", f"{REF}:log/000000000001"))
    assert sorted(entry) == ["format", "lineage", "nonce", "serial", "texts", "writer", "writes"]
    assert (entry["serial"], entry["writer"], entry["writes"]) == (
        1,
        "a test",
        [{"put_generation": [str(ADDRESS), 1]}],
    )
    assert git(team.remote, "log", "--format=%an %ae", REF) == "reconciler reconciler@localhost"


# --- snapshots and history ------------------------------------------------------------------------------------


def test_the_tree_stays_short_and_the_history_whole(team: Team, first: Path) -> None:
    drawer = GitDrawer(Git(first), str(team.remote), REF)
    keys = ["log/000000000001", "log/000000000002", "snapshot/000000000002", "log/000000000003"]
    assert [drawer.create(key, key.encode()) for key in keys] == [Creation.MADE] * 4
    assert git(team.remote, "ls-tree", "-r", "--name-only", REF).split() == [keys[3], keys[2]]
    other = GitDrawer(Git(team.clone("second")), str(team.remote), REF)
    assert other.list("") == [keys[3], keys[2]]
    assert [other.get(key) for key in keys] == [key.encode() for key in keys]
    assert other.get("log/000000000004") is None
    # What a snapshot has taken the place of is there nevertheless: nobody makes it a second time.
    assert other.create(keys[0], b"another") is Creation.EXISTS
    assert drawer.create("log/000000000004", b"4") is Creation.MADE
    assert other.get("log/000000000004") == b"4"


def test_an_offline_plan_can_be_had_of_any_commit_of_the_state(team: Team, first: Path) -> None:
    team.commit(first, 1)
    old = latest(first, REF)
    team.commit(first, 2)
    assert latest(first, REF).state.generations == {ADDRESS: 2}
    assert at(first, REF, old.commit) == old
    for commit in ("0" * 40, git(first, "rev-parse", "HEAD"), REF, "", old.commit[:12], "--all"):
        with pytest.raises(UsageError, match="no commit in the history of refs/reconciler/"):
            at(first, REF, commit)
    with pytest.raises(UsageError, match="has no state refs/reconciler/other") as told:
        latest(first, ref_of(Owner("other")))
    assert "git fetch origin '+refs/reconciler/*:refs/reconciler/*'" in (told.value.hint or "")


# --- pushes that end badly ------------------------------------------------------------------------------------


def test_a_push_whose_answer_is_lost_makes_no_second_entry(team: Team, first: Path) -> None:
    git(team.remote, "config", "http.receivepack", "true")
    with serving(team.place) as host:
        git(first, "remote", "set-url", "origin", f"{host.url}/remote.git")
        store = team.open(first)
        acquire(store, "a test", 0.0)
        host.losing = 1
        assert store.commit([PutGeneration(ADDRESS, 1)], expected=0, nonce="mine") == 1
        assert store.commit([PutGeneration(ADDRESS, 2)], expected=1) == 2
        assert store.read().generations == {ADDRESS: 2}
        store.close()
    assert git(team.remote, "log", "--format=%s", REF).split() == ["log/000000000002", "log/000000000001"]


def test_of_two_writers_the_second_writes_nothing(team: Team, first: Path) -> None:
    team.commit(first, 1)
    late = team.open(team.clone("second"))
    late.read()
    team.commit(first, 2)
    with pytest.raises(StateLocked, match="a test"):
        late.commit([PutGeneration(ADDRESS, 9)], expected=1)
    assert late.read().generations == {ADDRESS: 2}


def test_a_remote_that_is_gone_in_the_middle_is_an_error_and_comes_back(team: Team, first: Path) -> None:
    store = team.open(first)
    acquire(store, "a test", 0.0)
    store.commit([PutGeneration(ADDRESS, 1)], expected=0)
    away = team.remote.rename(team.place / "away.git")
    with pytest.raises(StateError, match="cannot be read"):
        store.commit([PutGeneration(ADDRESS, 2)], expected=1, nonce="mine")
    with pytest.raises(StateError):
        store.renew()
    away.rename(team.remote)
    store.renew()
    assert store.commit([PutGeneration(ADDRESS, 2)], expected=1, nonce="mine") == 2
    store.close()


def test_a_remote_that_takes_no_push_says_why(team: Team, first: Path) -> None:
    hook = team.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(StateError, match=r"does not take refs/reconciler-lease/.*hook declined"):
        acquire(team.open(first), "a test", 0.0)


def test_what_an_apply_needs_of_the_remote_is_found_out_before(team: Team, first: Path) -> None:
    store = team.open(first)
    assert troubles(store) == []
    assert git(team.remote, "for-each-ref", "refs/reconciler*") == ""
    acquire(store, "a test", 0.0)
    (held,) = troubles(team.open(first))
    assert "held by a test" in held.message
    store.close()
    with serving(team.place) as host:  # which is read by all, and lets nobody push until it is told to
        git(team.remote, "config", "http.receivepack", "false")
        git(first, "remote", "set-url", "origin", f"{host.url}/remote.git")
        (closed,) = troubles(team.open(first))
    assert "cannot be written" in closed.message


# --- the lease ------------------------------------------------------------------------------------------------


def lease(team: Team, checkout: Path, seconds: float = 30.0) -> RefLease:
    return RefLease(Git(checkout), str(team.remote), "refs/reconciler-lease/x.-", seconds)


def test_a_lease_without_a_sign_of_life_is_taken_over_by_ones_own_clock(team: Team, first: Path) -> None:
    dead, other = lease(team, first, 0.5), lease(team, team.clone("second"), 0.5)
    dead.take("the dead one")
    assert other.holder() == "the dead one"
    with pytest.raises(StateLocked, match="the dead one"):
        other.take("the next one")
    other.take("the next one")  # a second later, and no sign meanwhile
    with pytest.raises(StateLocked, match="taken over"):
        dead.renew()
    with pytest.raises(StateLocked, match="taken over"):
        dead.check()
    dead.release()
    assert dead.holder() == "the next one"
    other.release()
    assert other.holder() is None


def test_a_sign_of_life_whose_answer_was_lost_is_no_take_over(team: Team, first: Path) -> None:
    git(team.remote, "config", "http.receivepack", "true")
    with serving(team.place) as host:
        mine = RefLease(Git(first), f"{host.url}/remote.git", "refs/reconciler-lease/x.-")
        mine.take("we")
        host.losing = 1
        mine.renew()
        mine.renew()
        mine.check()
        assert lease(team, first).holder() == "we"


def test_no_environment_has_the_refs_of_another_one(team: Team, first: Path) -> None:
    """An environment may be called like another one and `-controller`."""
    places: list[str] = []
    for environment in ("prod", "prod-controller", "prod-knock"):
        store = open_state("git:origin", first, None, Owner("kill-nine", environment), {})
        assert isinstance(store, LogStore)
        store.take("a run")
        assert isinstance(store.controllers, RefLease)
        store.controllers.take("a controller")
        assert isinstance(store.door, RefDoor)
        store.door.knock()
    places = git(team.remote, "for-each-ref", "--format=%(refname)").splitlines()
    assert len([each for each in places if "kill-nine" in each]) == 9


# --- the door -------------------------------------------------------------------------------------------------


KNOCK = "refs/reconciler-knock/x.-"


def door(team: Team, checkout: Path, heard: float = 60.0) -> RefDoor:
    return RefDoor(Git(checkout), str(team.remote), KNOCK, look=0.0, heard=heard)


def test_who_knocks_is_heard_until_the_last_one_leaves(team: Team, first: Path) -> None:
    listening, one, other = door(team, first), door(team, team.clone("one")), door(team, team.clone("other"))
    assert not listening.is_knocked()
    one.knock()
    one.knock()
    assert listening.is_knocked()
    other.knock()
    one.leave()
    assert listening.is_knocked(), "the other one still waits"
    other.leave()
    other.leave()
    assert not listening.is_knocked()


def test_a_knock_of_one_who_died_is_heard_no_longer_by_ones_own_clock(team: Team, first: Path) -> None:
    door(team, team.clone("dead")).knock()
    listening = door(team, first, heard=0.5)
    assert listening.is_knocked()
    deadline = time.monotonic() + 30
    while listening.is_knocked():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_listening_costs_one_question_however_often_one_asks_and_a_remote_that_is_away_is_no_knock(
    team: Team, first: Path
) -> None:
    door(team, first).knock()
    with serving(team.place) as host:
        listening = RefDoor(Git(first), f"{host.url}/remote.git", KNOCK, look=600.0)
        assert all(listening.is_knocked() for _ in range(50))
        once = host.requests
        assert once <= 2, "the protocol asks what the server can do, and then for the ref"
    away = RefDoor(Git(first), f"{host.url}/remote.git", KNOCK, look=0.0)
    assert not away.is_knocked()
    with pytest.raises(StateError):
        away.knock()
    away.leave()


def test_a_remote_that_takes_no_knock_keeps_nobody_from_waiting(team: Team, first: Path) -> None:
    hook = team.remote / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase "$1" in refs/reconciler-knock/*) exit 1;; esac\n', encoding="utf-8")
    hook.chmod(0o755)
    holder = team.open(team.clone("holder"))
    holder.take("the holder")
    waiting = Driver(NoService(), store=behind_ports(team.open(first)), holder="the next one")

    def steps() -> Steps[str]:
        yield Lock(60.0)
        yield Unlock()
        return "had it"

    async def both() -> str:
        waits = asyncio.ensure_future(waiting.run(steps()))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(holder.release)
        return await waits

    assert asyncio.run(both()) == "had it"


def test_a_door_that_answers_slowly_holds_up_nobody_and_is_asked_once_at_a_time() -> None:
    answers = threading.Event()
    asked: list[float] = []

    class Slow:
        def knock(self) -> None: ...
        def leave(self) -> None: ...
        def is_knocked(self) -> bool:
            asked.append(time.monotonic())
            answers.wait(60)
            return True

    class Store(MemoryStore):
        door, controllers = Slow(), None

    async def ask() -> tuple[list[bool], bool]:
        found = behind_ports(Store()).door
        assert found is not None
        before = [await found.is_knocked() for _ in range(5)]
        answers.set()
        while not await found.is_knocked():
            await asyncio.sleep(0.01)
        return before, await found.is_knocked()

    assert asyncio.run(ask()) == ([False] * 5, True)
    assert len(asked) < 10


# --- refs that cannot be trusted ------------------------------------------------------------------------------


def refused(action: Callable[[], object], *words: str) -> None:
    with pytest.raises(ReconcilerError) as told:
        action()
    assert told.value.exit_code == 1
    for word in words:
        assert word in f"{told.value.message} {told.value.hint}"
    assert told.value.hint


def test_a_ref_that_was_rewound_is_refused_and_not_written_over(team: Team, first: Path) -> None:
    team.commit(first, 1)
    old = team.tip()
    team.commit(first, 2)
    git(team.remote, "update-ref", REF, old)
    refused(team.open(first).read, REF, "rewound", "git push origin")
    refused(lambda: team.commit(first, 3), REF, "rewound")
    # Also where the checkout was told to take the older one: this machine has seen more.
    git(first, "fetch", "--quiet", "origin", "+refs/reconciler/*:refs/reconciler/*")
    refused(team.open(first).read, REF, "rewound", "seen 2")
    refused(lambda: team.commit(first, 3), REF)
    assert team.tip() == old


def test_a_ref_that_was_rewound_during_a_run_is_not_written_over(team: Team, first: Path) -> None:
    team.commit(first, 1)
    old = team.tip()
    store = team.open(first)
    acquire(store, "a test", 0.0)
    store.commit([PutGeneration(ADDRESS, 2)], expected=1)
    git(team.remote, "update-ref", REF, old)
    refused(lambda: store.commit([PutGeneration(ADDRESS, 3)], expected=2), REF, "rewound")
    assert team.tip() == old


def test_a_ref_that_is_gone_or_another_one_is_refused(team: Team, first: Path) -> None:
    team.commit(first, 1)
    old = team.tip()
    git(team.remote, "update-ref", "-d", REF)
    refused(team.open(first).read, REF, "rewound or replaced")
    other = team.clone("second")
    team.commit(other, 7)
    refused(team.open(first).read, REF, "rewound or replaced")
    git(first, "update-ref", "-d", REF)
    refused(team.open(first).read, REF, "not the one that this machine has seen")
    assert team.tip() != old


def planted(team: Team, checkout: Path, files: dict[str, str]) -> None:
    """Put a commit with these files in the place of the state."""
    lines = []
    for path, text in files.items():
        done = Git(checkout).run("hash-object", "-w", "--stdin", data=text.encode())
        lines.append(f"100644,{done.text},{path}")
    index = {"GIT_INDEX_FILE": str(checkout.parent / "index")}
    for line in lines:
        Git(checkout).run("update-index", "--add", "--cacheinfo", line, environment=index)
    tree = Git(checkout).run("write-tree", environment=index).text
    who = {f"GIT_{each}_{what}": "x" for each in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    commit = Git(checkout).run("commit-tree", tree, "-m", "x", environment=who).text
    git(checkout, "push", "--quiet", "--force", "origin", f"{commit}:{REF}")


ENTRY = {"format": 2, "lineage": "l", "nonce": "n", "serial": 1, "texts": {}, "writer": "w", "writes": []}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"README.md": "a branch"}, ("is no commit of a state", "README.md")),
        ({"log/000000000001": "<<<<<<< HEAD\n"}, ("damaged", "is not JSON")),
        ({"log/000000000001": "[]"}, ("damaged", "is no entry of a state")),
        ({"log/000000000001": json.dumps(ENTRY)[:-20]}, ("damaged", "is not JSON")),
        (
            {"log/000000000002": json.dumps({**ENTRY, "serial": 2})},
            ("damaged", "log/000000000001 is missing"),
        ),
        ({"log/000000000001": json.dumps({**ENTRY, "format": 3})}, ("has format 3", "upgrade")),
        ({"log/000000000001": json.dumps({**ENTRY, "writes": [{"launch": 1}]})}, ("'launch'",)),
        ({"log/000000000001": json.dumps({**ENTRY, "writes": [{"put_foreign": 7}]})}, ("put_foreign",)),
        (
            {"log/000000000001": json.dumps({**ENTRY, "writes": [{"put_record": {}}]})},
            ("not of this format",),
        ),
        ({"log/000000000001": json.dumps({**ENTRY, "lineage": ""})}, ("which state",)),
        (
            {
                "log/000000000001": json.dumps(ENTRY),
                "log/000000000002": json.dumps({**ENTRY, "serial": 2, "lineage": "m"}),
            },
            ("another state",),
        ),
        ({"snapshot/000000000100": json.dumps(ENTRY)}, ("snapshot/000000000100 is not of this state",)),
    ],
)
def test_a_ref_that_is_no_state_is_refused_and_not_written_over(
    team: Team, first: Path, files: dict[str, str], words: tuple[str, ...]
) -> None:
    planted(team, first, files)
    before = team.tip()
    refused(team.open(first).read, REF, *words)
    refused(lambda: team.commit(first, 1), *words)
    git(first, "fetch", "--quiet", "origin", f"+{REF}:{REF}")
    refused(lambda: latest(first, REF), REF, *words)
    assert team.tip() == before


def test_the_state_of_another_fleet_is_refused_and_nothing_is_sent(
    team: Team, first: Path, simulator: Simulator, service: dict[str, str]
) -> None:
    store = team.open(first)
    acquire(store, "a test", 0.0)
    store.commit([PutPins(Pins("another", None, "agora", None))], expected=0)
    store.close()
    applied = reconciler(first, service, "apply", "--auto-approve", "--state", "git:origin")
    assert applied.returncode == 1, applied.stdout
    assert "another" in applied.stderr
    assert simulator.world.live() == ()


# --- places that have no such state ---------------------------------------------------------------------------


def test_places_without_git_or_a_remote_are_messages(
    team: Team, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(url: str, directory: Path = first) -> Callable[[], object]:
        return lambda: open_state(url, directory, None, OWNER, {}).read()

    outside = tmp_path / "no checkout"
    outside.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    refused(opened("git:origin", outside), "in no Git checkout")
    refused(opened("git:upstream"), "no remote 'upstream'", "it has origin")
    refused(opened("git:"), "names no remote")
    refused(opened("git:--upload-pack=/x"), "no remote")
    refused(opened("git:https://user:hunter2@127.0.0.1:9/x.git"), "cannot be read", "//127.0.0.1:9/x.git")
    with pytest.raises(StateError) as told:
        opened("git:https://user:hunter2@127.0.0.1:9/x.git")()
    assert "hunter2" not in f"{told.value.message} {told.value.hint}"
    refused(opened("s3://bucket/x"), "names no state")
    refused(opened(""), "names no state")
    refused(lambda: team.open(first, RECONCILER_KEY="short"), "RECONCILER_KEY", "16")
    refused(lambda: open_state("git:origin", first, "lock", Owner("demo", "lock"), {}), "demo.lock")
    monkeypatch.setenv("PATH", str(outside))
    refused(opened("git:origin"), "git is needed")


def test_a_shallow_clone_has_the_whole_state(team: Team, first: Path) -> None:
    team.commit(first, 1, 2)
    shallow = team.place / "shallow"
    git(team.place, "clone", "--quiet", "--depth", "1", team.remote.as_uri(), str(shallow))
    git(shallow, "fetch", "--quiet", "--depth", "1", "origin", f"{REF}:{REF}")
    assert latest(shallow, REF).state.generations == {ADDRESS: 2}
    store = open_state("git:origin", shallow, None, OWNER, {})
    acquire(store, "a test", 0.0)
    assert store.commit([PutGeneration(ADDRESS, 3)], expected=2) == 3
    store.close()


def test_a_partial_clone_is_told_what_to_fetch_and_works_live(team: Team, first: Path) -> None:
    team.commit(first, 1, 2)
    git(team.remote, "config", "uploadpack.allowFilter", "true")
    partial = team.place / "partial"
    git(team.place, "clone", "--quiet", "--filter=blob:none", team.remote.as_uri(), str(partial))
    git(partial, "fetch", "--quiet", "origin", f"{REF}:{REF}")
    refused(lambda: latest(partial, REF), "partial clone", "git fetch --refetch --no-filter")
    store = open_state("git:origin", partial, None, OWNER, {})
    assert store.read().generations == {ADDRESS: 2}
    assert latest(partial, REF).state.generations == {ADDRESS: 2}


def test_a_hook_of_another_repository_does_not_lead_astray(
    team: Team, first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/index")
    store = open_state("git:origin", first / "agents", None, OWNER, {})
    acquire(store, "a test", 0.0)
    assert store.commit([PutGeneration(ADDRESS, 1)], expected=0) == 1
    store.close()


def test_several_fleets_share_no_file(tmp_path: Path) -> None:
    several = ManyFlags((str(tmp_path), str(tmp_path)), None, (), "one.state")
    with pytest.raises(UsageError, match="one fleet and one environment"):
        report_each(
            several, Output("never"), named("text"), ReportKind.STATUS, lambda _: pytest.fail("looked")
        )


def test_a_key_of_the_environment_makes_digests_and_none_makes_none(team: Team, first: Path) -> None:
    one = team.open(first, RECONCILER_KEY="0123456789abcdef").read_key()
    other = team.open(first, RECONCILER_KEY="0123456789abcdeF").read_key()
    assert len(one) == 32
    assert one != other
    assert team.open(first).read_key() == b""
