"""A saved plan is data from somebody else: whatever is done to the file, what was approved is done, or nothing."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from reconciler import workflow
from reconciler.errors import ReconcilerError, StalePlan, UsageError
from reconciler.model.fingerprint import digest
from reconciler.model.fleet import DesiredFleet, Limits
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from reconciler.plan.planfile import SavedPlan, load, save
from reconciler.plan.selection import Selection
from reconciler.ports import HttpRequest
from reconciler.state.memory import MemoryStore
from tests.fakes.fleets import TWO_AGENTS, agent, fleet
from tests.fakes.virtual import Virtual
from tests.hostile.bench import LONG, Bench

MUTANTS = 10_000 if LONG else 2_000

FILES = "fleet: demo\nlimits: {hang_ups: 100%, leave: 100%, quota: 500}\n" + TWO_AGENTS


def planned(virtual: Virtual, wanted: DesiredFleet, policy: Policy = Policy()) -> bytes:
    plan = virtual.run(workflow.plan(virtual.job(wanted, policy=policy), virtual.provider()))
    return save(plan, Selection(), policy)


def apply(virtual: Virtual, wanted: DesiredFleet, saved: SavedPlan) -> None:
    saved.check_owner(wanted.owner)
    job = virtual.job(wanted, selection=saved.selection, policy=saved.policy)
    approved = workflow.Approved(saved.digest, saved.files, saved.rows)
    virtual.run(workflow.apply(job, virtual.provider(), approved=approved))


def mutants(data: bytes, chance: random.Random, count: int) -> list[bytes]:
    """Bytes changed, dropped, doubled, swapped and cut, every place of the file in its turn."""
    found = []
    for number in range(count):
        at = number % len(data)
        match number // len(data) % 5 if count > len(data) else chance.randrange(5):
            case 0:
                found.append(data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :])
            case 1:
                found.append(data[:at] + data[at + 1 :])
            case 2:
                found.append(data[:at] + bytes([chance.randrange(256)]) + data[at:])
            case 3:
                found.append(data[:at] + data[at : at + 3][::-1] + data[at + 3 :])
            case _:
                found.append(data[:at] + data[chance.randrange(len(data)) :])
    return found


def test_no_byte_of_a_plan_can_be_changed_unnoticed() -> None:
    virtual = Virtual()
    wanted = fleet(agent("lobby/greeter"), agent("bar/waiter"), limits=Limits(quota=1))
    data = planned(virtual, wanted, Policy(only=frozenset({Action.JOIN})))
    original = load(data)
    refused = 0
    for mutant in mutants(data, random.Random(1), MUTANTS):
        try:
            saved = load(mutant)
        except UsageError:
            refused += 1
            continue
        assert saved == original, mutant
    assert refused > MUTANTS * 0.8
    assert virtual.sent == {}


def resealed(data: bytes, change: Callable[[dict[str, object]], object]) -> bytes:
    """A plan file that somebody has edited who also knows how the checksum is made."""
    from reconciler.plan import planfile

    tree = orjson.loads(data)
    change(tree)
    document = planfile._PlanDocument.model_validate(tree)
    tree["check"] = planfile._check(document)
    return orjson.dumps(tree)


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "0" * 64},
        {"fleet": "other"},
        {"environment": "prod"},
        {"selection": {"targets": ["lobby/*"], "excludes": [], "replaces": []}},
        {"selection": {"targets": [], "excludes": ["bar/*"], "replaces": []}},
        {"selection": {"targets": [], "excludes": [], "replaces": ["no/such"]}},
        {"policy": {"only": ["leave"], "prune_unrecorded": False}},
        {"policy": {"only": ["forget"], "prune_unrecorded": True}},
    ],
    ids=lambda change: "-".join(change),
)
def test_a_plan_edited_with_its_checksum_does_what_was_approved_or_nothing(change: dict[str, object]) -> None:
    virtual = Virtual()
    wanted = fleet(agent("lobby/greeter"), agent("bar/waiter"))
    saved = load(resealed(planned(virtual, wanted), lambda tree: tree.update(change)))
    with pytest.raises((StalePlan, UsageError)):
        apply(virtual, wanted, saved)
    assert virtual.sent == {}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"PK\x03\x04" + b"\x00" * 100,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"format": "reconciler-plan-2"}',
        b"\xff\xfe{\x00}\x00",
        b'{"digest": ' + b"9" * 100_000 + b"}",
        b'{"policy": NaN}',
        b"\x00" * 1_000,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_no_plan_is_a_message(data: bytes) -> None:
    with pytest.raises(UsageError, match="plan file"):
        load(data)


def test_an_interrupted_plan_goes_on_by_the_same_command_wherever_it_was_cut() -> None:
    """The process dies at each mutating call in turn; the same plan ends what it began, and is stale then."""

    class Dies(BaseException):
        pass

    for fatal in range(1, 6):
        virtual = Virtual()
        start = fleet(agent("lobby/greeter"), agent("bar/waiter"), agent("pool/guard"))
        virtual.run(workflow.apply(virtual.job(start), virtual.provider()))
        wanted = fleet(agent("lobby/greeter", idle_timeout=5), agent("bar/waiter"), agent("spa/host"))
        saved = load(planned(virtual, wanted))
        virtual.sent.clear()

        def cut(request: HttpRequest, at: int = fatal) -> None:
            if request.method == "POST" and sum(virtual.sent.values()) + 1 == at:
                raise Dies

        virtual.on_request = cut
        try:
            apply(virtual, wanted, saved)
        except Dies:
            assert fatal <= 4
        virtual.on_request = None
        virtual.state.release()
        if virtual.state.read().applying is not None:
            apply(virtual, wanted, saved)
        assert sorted(each.channel for each in virtual.live()) == ["bar", "lobby", "spa"]
        calls = dict(virtual.sent)
        with pytest.raises(StalePlan):
            apply(virtual, wanted, saved)
        assert virtual.sent == calls


def test_an_interrupted_plan_is_not_resumed_for_other_files() -> None:
    virtual = Virtual()
    wanted = fleet(agent("lobby/greeter"), agent("bar/waiter"))
    saved = load(planned(virtual, wanted))
    virtual.service.set_script([{"on": "join", "channel": "lobby", "fate": "refuse", "status": 400}])
    apply(virtual, wanted, saved)
    assert virtual.state.read().applying is not None
    moved = fleet(agent("lobby/greeter", idle_timeout=9), agent("bar/waiter"))
    before = dict(virtual.sent)
    with pytest.raises(StalePlan):
        apply(virtual, moved, saved)
    assert virtual.sent == before


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree["selection"].update(excludes=["bar/*"]),
        lambda tree: tree["selection"].update(replaces=["*"]),
        lambda tree: tree["rows"].append({"action": "leave", "address": "spa/host"}),
        lambda tree: tree["policy"].update(only=["join"]),
    ],
    ids=["selection", "replaces", "rows", "policy"],
)
def test_an_interrupted_plan_that_was_edited_since_is_not_gone_on_with(
    change: Callable[[dict[str, object]], object],
) -> None:
    virtual = Virtual()
    wanted = fleet(agent("lobby/greeter"), agent("bar/waiter"))
    data = planned(virtual, wanted)
    virtual.service.set_script([{"on": "join", "channel": "lobby", "fate": "refuse", "status": 400}])
    apply(virtual, wanted, load(data))
    virtual.service.set_script([])
    before = dict(virtual.sent)
    with pytest.raises((StalePlan, UsageError)):
        apply(virtual, wanted, load(resealed(data, change)))
    assert virtual.sent == before
    apply(virtual, wanted, load(data))
    assert len(virtual.live()) == 2


def test_a_plan_older_than_the_states_progress_is_stale() -> None:
    virtual = Virtual()
    wanted = fleet(agent("lobby/greeter"), agent("bar/waiter"))
    saved = load(planned(virtual, wanted))
    virtual.run(workflow.apply(virtual.job(fleet(agent("lobby/greeter"))), virtual.provider()))
    with pytest.raises(StalePlan):
        apply(virtual, wanted, saved)
    lost = load(planned(virtual, wanted))
    virtual.state = MemoryStore()
    with pytest.raises((StalePlan, ReconcilerError)):
        apply(virtual, wanted, lost)


# --- at the command line --------------------------------------------------------------------------------------


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    home = tmp_path / "demo"
    home.mkdir()
    (home / "fleet.yaml").write_text(FILES, encoding="utf-8")
    return home


def edit(home: Path, old: str, new: str) -> None:
    path = home / "fleet.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def test_exit_codes_of_plans_that_do_not_fit(bench: Bench, demo: Path) -> None:
    saved = bench.home / "saved.plan"
    assert bench.run("plan", demo, "--out", saved).code == 0
    assert bench.run("apply", demo, "-e", "test", "--plan", saved).code == 3
    assert bench.run("apply", demo, "--var", "greeting=bye", "--plan", saved).code == 3
    for flags in (
        ["--target", "*"],
        ["--exclude", "x"],
        ["--replace", "*"],
        ["--only", "join"],
        ["--prune-unrecorded"],
    ):
        answer = bench.run("apply", demo, "--plan", saved, *flags)
        assert answer.code == 1, flags
    edit(demo, "idle_timeout: 0", "idle_timeout: 7")
    assert bench.run("apply", demo, "--plan", saved).code == 3
    edit(demo, "idle_timeout: 7", "idle_timeout: 0")
    assert bench.run("apply", demo, "--plan", saved).code == 0
    assert bench.run("apply", demo, "--plan", saved).code == 3
    assert bench.run("plan", demo, "--detailed-exitcode").code == 0


def test_a_limit_raised_in_the_file_raises_nothing(bench: Bench, demo: Path) -> None:
    edit(demo, "quota: 500", "quota: 500, join: 1")
    saved = bench.home / "saved.plan"
    bench.run("plan", demo, "--out", saved)
    assert bench.run("apply", demo, "--plan", saved).code == 5
    good = saved.read_bytes()
    for change in (
        lambda tree: tree["policy"].update(allow={"join": 99}),
        lambda tree: tree["policy"].update(allow_hosts=["evil.example"]),
        lambda tree: tree.update(allow={"join": 99}),
    ):
        for made in (resealed_anyhow(good, change), json.dumps(changed(good, change)).encode()):
            saved.write_bytes(made)
            assert bench.run("apply", demo, "--plan", saved).code == 1
    assert bench.run("plan", demo, "--detailed-exitcode").code == 2
    saved.write_bytes(good)
    assert bench.run("apply", demo, "--plan", saved, "--allow", "join=1").code == 5
    assert bench.run("apply", demo, "--plan", saved, "--allow", "join=2").code == 0


def test_a_plan_made_with_an_allowance_holds_none(bench: Bench, demo: Path) -> None:
    edit(demo, "quota: 500", "quota: 500, join: 1")
    saved = bench.home / "saved.plan"
    bench.run("plan", demo, "--out", saved, "--allow", "join=9", "--allow", "secret-host=x.example")
    assert "x.example" not in saved.read_text(encoding="utf-8")
    assert bench.run("apply", demo, "--plan", saved).code == 5
    assert bench.run("apply", demo, "--plan", saved, "--allow", "join=9").code == 0


def changed(data: bytes, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(data)
    change(tree)
    return tree


def resealed_anyhow(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """With a checksum over whatever it now says, of this format or not."""
    tree = changed(data, change)
    body = {key: each for key, each in tree.items() if key != "check"}
    return json.dumps({**body, "check": digest(body, size=16)}).encode()


def test_a_plan_that_never_ends_is_refused(bench: Bench, demo: Path) -> None:
    link = bench.home / "endless.plan"
    link.symlink_to("/dev/zero")
    assert bench.run("apply", demo, "--plan", link).code == 1
    big = bench.home / "big.plan"
    with big.open("wb") as file:
        os.truncate(file.fileno(), 70 * 1024 * 1024)
    assert "too large" in bench.run("apply", demo, "--plan", big).err
