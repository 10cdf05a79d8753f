"""`state migrate`: a state goes from the file to a Git ref and back, and nobody is hung up on, whatever dies on the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.main import run
from reconciler.git import Git
from tests.fakes.fleets import TWO_AGENTS
from tests.hostile.bench import Answer, Bench

THERE = ("state", "migrate", "--from", "local", "--to", "git:origin")
BACK = ("state", "migrate", "--from", "git:origin", "--to", "local")
GIT = ("--state", "git:origin")
REF, LEASE = "refs/reconciler/demo.-", "refs/reconciler-lease/demo.-"


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A remote, and a clone of it with a fleet of two agents that run; their state is local."""
    home = tmp_path_factory.mktemp("applied")
    Git(home).run("init", "--quiet", "--bare", "remote.git")
    Git(home).run("init", "--quiet", "clone")
    Git(home / "clone").run("remote", "add", "origin", "../remote.git")
    (home / "clone" / "fleet.yaml").write_text(f"fleet: demo\n{TWO_AGENTS}", encoding="utf-8")
    assert run(["apply", str(home / "clone"), "--auto-approve"]) == 0
    return home


@pytest.fixture
def bench(
    applied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Bench:
    """Such a clone in the present directory."""
    shutil.copytree(applied, tmp_path / "home")
    home = tmp_path / "home" / "clone"
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "seen"))
    return Bench(capsys, monkeypatch, home)


def running(bench: Bench) -> set[str]:
    """The ids of all agents that run, as the service has them."""
    told = json.loads(bench.run("status", "--format", "json", *state_of(bench)).out)
    return {each["agent_id"] for each in told["agents"]}


def state_of(bench: Bench) -> tuple[str, ...]:
    """What names the backend that holds the state now, and is not refused."""
    return () if bench.run("plan").code == 0 else GIT


def pulled(bench: Bench, *where: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(bench.run("state", "pull", *where).out)
    return {
        key: each for key, each in found.items() if key not in ("checksum", "serial", "key", "records")
    } | {
        "agents": {key: each["agent_id"] for key, each in found["records"].items()}  # type: ignore[attr-defined]
    }


def serials(bench: Bench) -> list[int]:
    """The serials of the entries in the remote's history, oldest first."""
    told = Git(bench.home.parent / "remote.git").run("log", "--reverse", "--format=%s", REF)
    keys = told.out.decode().split()
    return [int(each.removeprefix("log/")) for each in keys if each.startswith("log/")]


def refused(answer: Answer, *words: str) -> bool:
    return answer.code == 1 and answer.out == "" and all(each in answer.err for each in words)


# --- there and back -----------------------------------------------------------------------------------------------


def test_there_and_back_with_an_empty_plan_each_time(bench: Bench) -> None:
    agents, content = running(bench), pulled(bench)
    history = bench.run("state", "show", "lobby/desk").out.partition("history:")[2]
    for command, now, before in ((THERE, GIT, ()), (BACK, (), GIT), (THERE, GIT, ())):
        moved = bench.run(*command)
        assert moved.code == 0, moved
        assert "2 agents recorded" in moved.out
        assert bench.run("plan", "--detailed-exitcode", *now).code == 0
        assert running(bench) == agents
        assert pulled(bench, *now) == content
        assert bench.run("state", "show", "lobby/desk", *now).out.partition("history:")[2] == history
        for verb in (
            ("plan",),
            ("apply", "--auto-approve"),
            ("drift",),
            ("forget", "lobby/desk"),
            ("destroy", "--auto-approve"),
        ):
            assert refused(bench.run(*verb, *before), "has moved to", "nothing was done"), verb
    assert serials(bench) == [1, 2, 3]


def test_what_was_done_meanwhile_goes_along(bench: Bench) -> None:
    assert bench.run(*THERE).code == 0
    text = Path("fleet.yaml").read_text(encoding="utf-8")
    Path("fleet.yaml").write_text(text.replace("greeting: hello", "greeting: good day"), encoding="utf-8")
    assert bench.run("apply", "--auto-approve", *GIT).code == 0
    assert bench.run(*BACK).code == 0
    assert bench.run("plan", "--detailed-exitcode").code == 0
    assert "update done" in bench.run("state", "show", "lobby/desk").out
    Path("fleet.yaml").write_text(text, encoding="utf-8")
    assert bench.run("apply", "--auto-approve").code == 0
    assert bench.run(*THERE).code == 0
    assert bench.run("plan", "--detailed-exitcode", *GIT).code == 0
    assert serials(bench) == list(range(1, len(serials(bench)) + 1))
    # One version follows the other, whichever backend holds it.
    versions = [
        json.loads(bench.run("state", "list", "--format", "json", *each).out)["serial"] for each in ((), GIT)
    ]
    assert versions[0] + 1 == versions[1]


def test_moving_twice_is_no_error_and_changes_nothing(bench: Bench) -> None:
    assert bench.run(*THERE).code == 0
    again = bench.run(*THERE)
    assert (again.code, "already" in again.out) == (0, True)
    assert serials(bench) == [1]


def test_another_clone_works_with_what_has_arrived(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench.run(*THERE).code == 0
    other = bench.home.parent / "other"
    shutil.copytree(bench.home, other)
    shutil.rmtree(other / ".git")
    for each in (other / ".reconciler").glob("default.state*"):
        each.unlink()
    Git(other).run("init", "--quiet")
    Git(other).run("remote", "add", "origin", "../remote.git")
    monkeypatch.chdir(other)
    assert bench.run("plan", "--detailed-exitcode", *GIT).code == 0


# --- what is refused ----------------------------------------------------------------------------------------------


def test_two_states_of_different_lineages_are_never_made_one(bench: Bench) -> None:
    assert bench.run("apply", "--auto-approve", *GIT).code == 0
    before = (pulled(bench), pulled(bench, *GIT))
    for command in (THERE, BACK):
        assert refused(bench.run(*command), "both hold a state", "nothing was done")
    assert (pulled(bench), pulled(bench, *GIT)) == before
    # What the message says helps.
    text = bench.run("state", "pull").out
    Path("copy.json").write_text(text, encoding="utf-8")
    assert bench.run("state", "push", "--force-lineage", "copy.json", *GIT).code == 0
    assert bench.run("plan", "--detailed-exitcode", *GIT).code == 0
    assert pulled(bench, *GIT) == before[0]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (BACK, "there is no state"),
        ((*THERE[:-1], "local"), "are both"),
        ((*THERE[:-1], "git:nowhere"), "no remote"),
        ((*THERE[:-1], "s3://bucket"), "names no state"),
        ((*THERE, "-e", "test"), "there is no state"),
    ],
    ids=["nothing to move", "to itself", "an unknown remote", "an unknown backend", "another environment"],
)
def test_what_cannot_be_moved_is_refused(bench: Bench, command: tuple[str, ...], words: str) -> None:
    before = bench.run("state", "pull").out
    assert refused(bench.run(*command), words)
    assert bench.run("state", "pull").out == before
    assert sorted(each.name for each in Path(".reconciler").glob("*.state")) == ["default.state"]
    assert bench.run("plan", "--detailed-exitcode").code == 0


def test_a_local_copy_from_before_the_move_is_not_taken_for_newer(bench: Bench) -> None:
    copy = bench.home.parent / "copy"
    shutil.copytree(bench.home / ".reconciler", copy)
    assert bench.run(*THERE).code == 0
    shutil.rmtree(bench.home / ".reconciler")
    shutil.copytree(copy, bench.home / ".reconciler")
    shutil.rmtree(bench.home.parents[1] / "seen")
    assert refused(bench.run(*THERE), "a later version", "nothing was done")


def test_a_remote_that_does_not_take_it_leaves_a_state_that_can_be_taken_back(bench: Bench) -> None:
    agents = running(bench)
    hook(bench, "pre-receive", "echo no >&2; exit 1")
    lost = bench.run(*THERE)
    assert refused(lost, "may not have arrived", "nothing is lost", "run the same command again")
    assert refused(bench.run("plan"), "has moved to git:origin")
    unhook(bench)
    back = bench.run(*BACK)
    assert back.code == 0, back
    assert "is the state again" in back.out
    # Whatever was still on its way has lost the place that it would have taken.
    assert refused(bench.run("plan", *GIT), "has moved to local")
    assert bench.run("plan", "--detailed-exitcode").code == 0
    assert bench.run(*THERE).code == 0
    assert bench.run("plan", "--detailed-exitcode", *GIT).code == 0
    assert running(bench) == agents


def test_a_state_whose_new_place_is_lost_is_pushed_back(bench: Bench) -> None:
    agents = running(bench)
    assert bench.run(*THERE).code == 0
    shutil.rmtree(bench.home.parent / "remote.git")
    assert bench.run("plan", *GIT).code == 1
    Path("copy.json").write_text(bench.run("state", "pull").out, encoding="utf-8")
    assert refused(bench.run("state", "push", "copy.json"), "has moved to git:origin")
    assert bench.run("state", "push", "--force-lineage", "copy.json").code == 0
    assert bench.run("plan", "--detailed-exitcode").code == 0
    assert running(bench) == agents


# --- what dies on the way -----------------------------------------------------------------------------------------


def hook(bench: Bench, name: str, script: str) -> None:
    """Let the remote do something when the state's ref is pushed; pushes of the lease are left alone."""
    path = bench.home.parent / "remote.git" / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\ngrep -q ' {REF}$' || exit 0\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def unhook(bench: Bench) -> None:
    shutil.rmtree(bench.home.parent / "remote.git" / "hooks")


def killed(bench: Bench, command: tuple[str, ...]) -> None:
    """Run a command that a hook kills; whoever it held is let go, as a lease ends."""
    pid = bench.home.parent / "pid"
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    fresh = pid.with_suffix(".new")
    fresh.write_text(str(process.pid), encoding="utf-8")
    os.replace(fresh, pid)
    assert process.wait(timeout=60) == -9
    subprocess.run(
        ["git", "update-ref", "-d", LEASE],
        cwd=bench.home.parent / "remote.git",
        check=True,
        capture_output=True,
    )
    unhook(bench)


_KILL = "while [ ! -s ../pid ]; do sleep 0.05; done; kill -9 $(cat ../pid)"
# Before and after the effect of the push that the command dies in.
DEATHS = {"before": ("pre-receive", f"{_KILL}; exit 1"), "after": ("post-receive", _KILL)}


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("way", ["there", "back"])
def test_a_move_that_was_killed_goes_on(bench: Bench, death: str, way: str) -> None:
    """There, it dies between the mark and the state's arrival; back, while the mark is made."""
    agents = running(bench)
    if way == "back":
        assert bench.run(*THERE).code == 0
    hook(bench, *DEATHS[death])
    command = THERE if way == "there" else BACK
    killed(bench, command)
    # At most one of the two is worked with, and neither would hang up on anybody.
    plans = [bench.run("plan", "--format", "json", *each) for each in ((), GIT)]
    usable = [json.loads(each.out)["summary"] for each in plans if each.code != 1]
    assert all("has moved to" in each.err for each in plans if each.code == 1)
    assert len(usable) <= 1 or death == "before"
    assert all(each.get("leave", 0) == each.get("replace", 0) == 0 for each in usable)
    again = bench.run(*command)
    assert again.code == 0, again
    now, before = (GIT, ()) if way == "there" else ((), GIT)
    assert bench.run("plan", "--detailed-exitcode", *now).code == 0
    assert refused(bench.run("plan", *before), "has moved to")
    assert running(bench) == agents
    assert serials(bench) == list(range(1, len(serials(bench)) + 1))
