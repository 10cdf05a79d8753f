"""When a controller counts as stuck, how old a roll may be, and how long it waits after failures; to the second."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.apply.events import Finished, Ledger, Result
from reconciler.controller import turn as turns
from reconciler.controller.health import Health
from reconciler.controller.loop import FleetLoop, RoundBegan, RoundEnded, Woken, answer_at
from reconciler.controller.roll import Roll
from reconciler.controller.turn import Turned, TurnResult
from reconciler.errors import AuthenticationFailed, Refused, ServiceError, StateError, UsageError
from reconciler.model.fleet import Archive, Service
from reconciler.observe import ForeignMemory
from reconciler.plan.build import build_plan
from reconciler.plan.change import Action, Because
from reconciler.plan.due import Due
from reconciler.plan.end_classes import EndClass
from reconciler.ports import Emit
from reconciler.workflow.job import Job
from tests.fakes.fleets import agent, fleet
from tests.fakes.virtual import START, Virtual
from tests.unit.apply.by_hand import DESK, DOOR, HERE, live
from tests.unit.apply.by_hand import Service as World
from tests.unit.plan.parts import ABLE, NOW, basis, record

# --- health --------------------------------------------------------------------------------------------------------


def test_a_loop_is_stuck_when_it_sleeps_or_works_too_long() -> None:
    health = Health()
    health.begin("b", 0.0)
    health.begin("a", 0.0)
    assert (health.stuck(180.0), health.stuck(180.1)) == ([], ["a", "b"])
    health.note("a", RoundEnded(None, ready=False), 100.0)
    assert (health.stuck(110.0), health.stuck(110.1)) == ([], ["a"])
    health.note("a", RoundBegan(), 200.0)
    assert health.stuck(380.0) == ["b"]
    health.note("b", "anything else", 380.0)
    assert health.stuck(380.0) == ["b"]


def test_a_loop_is_ready_once_and_for_all() -> None:
    health = Health()
    health.begin("b", 0.0)
    health.begin("a", 0.0)
    assert health.unready() == ["a", "b"]
    health.note("a", RoundEnded(None, ready=False), 1.0)
    assert health.unready() == ["a", "b"]
    health.note("a", RoundEnded(None, ready=True), 2.0)
    health.note("a", RoundEnded(None, ready=False), 3.0)
    assert health.unready() == ["b"]


# --- the roll ------------------------------------------------------------------------------------------------------


def called(roll: Roll, run: Virtual, world: World) -> int:
    run.run(roll.call(world))
    return roll.made


def test_a_roll_serves_all_who_ask_within_twenty_seconds_unless_the_next_is_due() -> None:
    run, world = Virtual(), World({"A1": live()})
    roll = Roll(interval=100.0)
    assert called(roll, run, world) == 1
    assert (roll.made_at, roll.next_at) == (START, START + 100.0)  # by chance 0.5: the interval itself
    run.now = START + 19.9
    assert called(roll, run, world) == 1
    run.now = START + 20.0
    assert called(roll, run, world) == 2
    roll.next_at = run.now
    assert called(roll, run, world) == 3
    run.share = 0.0
    roll.next_at = 0.0
    called(roll, run, world)
    assert roll.next_at - run.now == pytest.approx(80.0)
    run.share = 1.0
    roll.next_at = 0.0
    called(roll, run, world)
    assert roll.next_at - run.now == pytest.approx(120.0)


def test_who_asks_while_a_listing_is_under_way_waits_for_it() -> None:
    run, world, roll = Virtual(), World(), Roll(interval=100.0)
    roll._is_under_way = True
    run.at(1.0, lambda: setattr(roll, "_is_under_way", False))
    called(roll, run, world)
    assert run.now >= START + 1.0

    def fails(channel: str | None = None, parallelism: int = 1) -> Any:
        yield from ()
        raise ServiceError("away")

    world.live_agents = fails  # type: ignore[method-assign, assignment]
    roll.next_at = 0.0
    with pytest.raises(ServiceError):
        run.run(roll.call(world))
    assert not roll._is_under_way


def failed(roll: Roll, problem: Any, share: float = 1.0) -> float:
    run = Virtual()
    run.share = share
    run.run(roll.fail(problem))
    assert roll.next_at == roll.blocked_until
    return roll.blocked_until - START


def again_in(seconds: float) -> ServiceError:
    problem = ServiceError("x")
    problem.again_in = seconds
    return problem


def test_pauses_after_failures_double_up_to_the_interval_and_after_refused_credentials_up_to_minutes() -> (
    None
):
    roll = Roll(interval=10.0)
    assert [failed(roll, ServiceError("x")) for _ in range(5)] == [2, 4, 8, 10, 10]
    roll.succeed()
    assert failed(roll, ServiceError("x")) == 2
    roll = Roll(interval=10.0)
    assert [failed(roll, AuthenticationFailed("x")) for _ in range(11)] == [
        2,
        4,
        8,
        16,
        32,
        64,
        128,
        256,
        300,
        300,
        300,
    ]
    assert failed(Roll(), StateError("x"), share=0.0) == 1.0
    assert failed(Roll(), StateError("x"), share=0.5) == 1.5
    roll = Roll()
    assert [failed(roll, StateError("x")) for _ in range(12)][-2:] == [1024, 1024]


def test_a_pause_that_the_service_names_is_kept_and_counts_as_no_failure() -> None:
    roll = Roll(interval=10.0)
    assert [failed(roll, again_in(40.0)), failed(roll, again_in(0.2)), failed(roll, ServiceError("x"))] == [
        40.0,
        1.0,
        2.0,
    ]


def test_what_is_learned_of_foreign_agents_is_kept_for_all_fleets() -> None:
    roll, learned = Roll(), ForeignMemory(searched=frozenset({"lobby"}))

    def steps() -> Any:
        yield Emit("anything")
        yield Emit(learned)
        return 7

    assert Virtual().run(roll.noting(steps())) == 7
    assert roll.memory is learned


# --- what a turn leaves --------------------------------------------------------------------------------------------


def row(result: Result, until: float | None = None, address: Any = HERE) -> Finished:
    return Finished(address, Action.JOIN, result, until=until)


@pytest.mark.parametrize(
    ("rows", "at"),
    [
        ([], None),
        ([row(Result.DONE)], NOW + 2),
        ([row(Result.HELD), row(Result.FAILED, address=DOOR.address)], None),
        ([row(Result.DEFERRED, NOW + 60)], NOW + 60),
        ([row(Result.DEFERRED, NOW + 60), row(Result.UNKNOWN, address=DOOR.address)], NOW + 2),
        ([row(Result.DEFERRED, NOW + 1), row(Result.DONE, address=DOOR.address)], NOW + 1),
    ],
)
def test_when_to_look_again_after_changes(rows: list[Finished], at: float | None) -> None:
    ledger = Ledger()
    for each in rows:
        ledger.note(each)
    found = turns._due_after(basis(), ledger)
    assert (None if found is None else (found.at, found.why)) == (
        None if at is None else (at, Because.UNFINISHED)
    )


@pytest.mark.parametrize(
    ("rows", "result"),
    [
        ([], TurnResult.DONE),
        ([row(Result.DONE), row(Result.HELD)], TurnResult.DONE),
        ([row(Result.DONE), row(Result.FAILED)], TurnResult.INCOMPLETE),
        ([row(Result.DEFERRED)], TurnResult.INCOMPLETE),
        ([row(Result.SKIPPED)], TurnResult.INCOMPLETE),
    ],
)
def test_what_is_open_after_a_turn(rows: list[Finished], result: TurnResult) -> None:
    assert turns._result(rows, TurnResult.DONE) is result


@pytest.mark.parametrize(
    ("records", "rows", "kinds"),
    [
        ([record(DESK)], [row(Result.DONE)], [EndClass.FAILED]),
        ([record(DESK, started_at=NOW - 73 * 3600)], [row(Result.DONE)], [EndClass.LIFETIME]),
        ([record(DESK)], [row(Result.FAILED)], []),
        ([record(DESK)], [], []),
        ([record(DESK, replacing=True)], [row(Result.DONE)], []),
        ([], [row(Result.DONE)], []),
    ],
)
def test_an_end_is_reported_once_its_agent_was_joined_again(
    records: Any, rows: list[Finished], kinds: list[EndClass]
) -> None:
    seen = basis(records)
    plan, ledger = build_plan(fleet(DESK), seen, ABLE), Ledger()
    for each in rows:
        ledger.note(each)
    found = list(turns._ends(seen, World(), plan, ledger))  # type: ignore[arg-type]
    assert [each.kind for each in found] == kinds
    assert all((each.address, each.agent_id) == (HERE, "A1") for each in found)


# --- the loop ------------------------------------------------------------------------------------------------------


def loop(wanted: Any = None, **settings: Any) -> FleetLoop:
    made = FleetLoop(Job(wanted or fleet(DESK, DOOR)), World(), Roll(interval=30.0), **settings)  # type: ignore[arg-type]
    # The provider of a test knows the service's time.
    made.provider.clock_skew = None  # type: ignore[misc]
    made._leads, made._is_woken = True, False
    return made


def pause(made: FleetLoop) -> float:
    return Virtual().run(made._pause())


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 5.0),
        ({"next_at": START + 3}, 3.0),
        ({"next_at": START - 3}, 0.05),
        ({"next_at": START + 4, "_due": Due(START + 2, HERE, Because.AGE)}, 2.0),
        ({"next_at": START + 4, "_due": Due(START + 9, HERE, Because.AGE)}, 4.0),
        ({"_is_woken": True}, 0.05),
        ({"_is_woken": True, "_not_before": START + 2}, 2.0),
        ({"_is_woken": True, "blocked_until": START + 3}, 3.0),
        ({"_is_woken": True, "_leads": False}, 5.0),
    ],
)
def test_how_long_the_loop_sleeps(changes: dict[str, Any], seconds: float) -> None:
    made = loop()
    made.roll.next_at = START + 100
    for name, value in changes.items():
        setattr(made.roll if hasattr(made.roll, name) else made, name, value)
    assert pause(made) == pytest.approx(seconds)


def test_it_wakes_up_for_the_transcript_that_waits_longest() -> None:
    made = loop(replace(fleet(DESK, DOOR), archive=Archive("kept", every=60.0)))
    made.roll.next_at = START + 100
    made._kept = {HERE: START - 57, DOOR.address: START - 20}
    assert pause(made) == pytest.approx(3.0)
    del made._kept[HERE]
    assert pause(made) == 0.05, "one was never kept"


def test_which_transcripts_are_due() -> None:
    made = loop(
        replace(
            fleet(*(agent(f"lobby/n{each:02}") for each in range(25))), archive=Archive("kept", every=60.0)
        )
    )
    everyone = sorted(made.job.fleet.agents)
    assert made._transcripts_due(START) == tuple(everyone[:20])
    made._kept = dict.fromkeys(everyone, START)
    made._kept[everyone[7]] = START - 1
    assert made._transcripts_due(START + 59) == (everyone[7],)
    assert made._transcripts_due(START + 60)[:2] == (everyone[7], everyone[0])
    made.roll.blocked_until = START + 61
    assert made._transcripts_due(START + 60) == ()
    assert loop()._transcripts_due(START) == ()


@pytest.mark.parametrize(
    ("changes", "is_due"),
    [
        ({}, False),
        ({"_is_woken": True}, True),
        ({"_is_woken": True, "_not_before": START + 1}, False),
        ({"_is_woken": True, "blocked_until": START + 1}, False),
        ({"_roll_seen": -2}, True),
        ({"next_at": START}, True),
        ({"_due": Due(START, HERE, Because.AGE)}, True),
        ({"_due": Due(START + 1, HERE, Because.AGE)}, False),
    ],
)
def test_when_a_turn_is_due(changes: dict[str, Any], is_due: bool) -> None:
    made = loop()
    made.roll.next_at, made._roll_seen = START + 9, made.roll.made
    for name, value in changes.items():
        setattr(made.roll if hasattr(made.roll, name) else made, name, value)
    assert Virtual().run(made._is_due(START)) is is_due


@pytest.mark.parametrize(
    ("turned", "not_before", "blocked", "ready", "woken"),
    [
        (Turned(TurnResult.LOCKED), 1.0, 0.0, False, True),
        (Turned(TurnResult.FAILED, problem=StateError("x")), 10.0, 0.0, False, False),
        (Turned(TurnResult.FAILED, problem=ServiceError("x")), 0.0, 1.5, False, False),
        (Turned(TurnResult.REFUSED, problem=Refused("x")), 0.0, 0.0, True, False),
        (Turned(TurnResult.UNCHANGED), 0.0, 0.0, True, False),
        (Turned(TurnResult.INCOMPLETE), 0.0, 0.0, True, False),
    ],
)
def test_when_the_next_turn_may_begin(
    turned: Turned, not_before: float, blocked: float, ready: bool, woken: bool
) -> None:
    made = loop()
    made.roll._failures = 0
    Virtual().run(made._after(turned, START))
    assert made._not_before == (START + not_before if not_before else 0.0)
    assert made.roll.blocked_until == (START + blocked if blocked else 0.0)
    assert (made._is_ready, made._is_woken) == (ready, woken)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (fleet(DESK), None),
        (fleet(), "the files declare no agent at all"),
        (fleet(DESK, owner=replace(fleet().owner, fleet="other")), "the files are those of other"),
        (replace(fleet(DESK), service=Service("sim")), "on sim now"),
    ],
)
def test_files_of_another_fleet_or_service_are_not_kept(changed: Any, said: str | None) -> None:
    made = loop()
    if said is None:
        made._check_same(changed)
        return
    with pytest.raises(UsageError, match=said):
        made._check_same(changed)


def test_each_source_of_a_wake_up_is_told_and_the_next_listing_is_fresh() -> None:
    made, run = loop(), Virtual()
    run.run(made._answer({"b": 2, "a": 1}))
    assert run.events == [Woken("a", 1), Woken("b", 2)]
    assert (made._is_woken, made.roll.next_at, made._woken) == (True, 0.0, {START: 3})
    assert made._answered_at == answer_at({START: 3}, 0.0)
