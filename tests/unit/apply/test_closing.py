"""The end of an apply: waiting for agents, duplicates, and each call that an earlier run has left open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.apply import afterwards
from reconciler.apply.context import ChangeSkipped, Settings
from reconciler.apply.events import Result
from reconciler.instants import clock
from reconciler.model.observed import AgentStatus, ListedAgent, ObservedAgent
from reconciler.model.record import Intent, Operation
from reconciler.plan.approval import Review
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from tests.fakes.virtual import START
from tests.unit.apply.by_hand import DESK, DOOR, HERE, ByHand, join_of, leave_of, live
from tests.unit.plan.parts import record as recorded

A1 = recorded(DESK, started_at=START)
GRACE = Settings().grace
NEW = live(started_at=START)
OLD_ENOUGH = live(started_at=START - 5)
STARTING = live(status=AgentStatus.STARTING, started_at=START)


def waiting(*agents: ObservedAgent, settings: Settings = Settings(), **changes: Any) -> ByHand:
    """A run that has just joined the desk."""
    run = ByHand([A1], agents, settings=settings, **changes)
    run.context.joined["A1"] = (HERE, Action.JOIN)
    return run


# --- waiting for agents --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "proven_after", "seconds"), [(NEW, 5.0, 5.0), (NEW, 0.0, 0.0), (OLD_ENOUGH, 5.0, 5.0)]
)
def test_an_agent_is_proven_by_one_list_after_it_has_run_for_a_while(
    seen: ObservedAgent, proven_after: float, seconds: float
) -> None:
    run = waiting(seen, settings=Settings(proven_after=proven_after))
    rows = run.run(afterwards.await_started(run.context))
    assert [each.agent_id for each in rows] == ["A1"]
    assert (run.now - START, run.results(), run.world.calls) == (seconds, [], [])


def test_an_agent_that_has_run_for_a_while_is_waited_for_so_much_less() -> None:
    for age, seconds in ((3.0, 2.0), (5.0, 0.0), (9.0, 0.0)):
        run = ByHand([replace(A1, started_at=START - age)], [live(started_at=START - age)])
        run.context.joined["A1"] = (HERE, Action.JOIN)
        run.run(afterwards.await_started(run.context))
        assert run.now - START == seconds


def test_no_sleep_is_longer_than_what_is_left_to_wait() -> None:
    run = waiting(NEW, settings=Settings(wait=2.0))
    run.run(afterwards.await_started(run.context))
    assert run.now - START == 2.0
    # A clock that has stepped back: the agent seems to start in an hour.
    late = ByHand([replace(A1, started_at=START + 3600)], [NEW], settings=Settings(wait=60.0))
    late.context.joined["A1"] = (HERE, Action.JOIN)
    late.run(afterwards.await_started(late.context))
    assert late.now - START == 5.0


def test_who_does_not_come_up_in_its_time_is_unknown() -> None:
    run = waiting(STARTING, settings=Settings(wait=20.0))
    run.run(afterwards.await_started(run.context))
    assert run.results() == [("lobby/desk", Result.UNKNOWN, "joined, but not seen running for 5s after 20s")]
    # Pauses of 0.25 s, half as long again each time, up to three seconds.
    assert 20 <= run.now - START < 23
    assert run.context.ledger.finished[0].agent_id == "A1"


def test_a_run_that_is_told_to_stop_does_not_wait() -> None:
    run = waiting(STARTING)
    run.ends_at = START
    run.run(afterwards.await_started(run.context))
    assert run.notices() == ["1 agent was joined and not yet seen running for 5s"]
    assert run.results() == []
    assert run.now - START == 5.0, "but for the one list"
    proven = waiting(OLD_ENOUGH)
    proven.ends_at = START
    proven.run(afterwards.await_started(proven.context))
    assert proven.notices() == []


@pytest.mark.parametrize(
    ("seen", "cause", "said"),
    [
        (live(status=AgentStatus.FAILED, message="RTC connection error"), "RTC connection error",
         "its agent ended at once: RTC connection error (check the certificate)"),
        (live(status=AgentStatus.STOPPED, message="odd"), "odd", "its agent ended at once: odd"),
        (live(status=AgentStatus.FAILED), "", "its agent ended at once: FAILED"),
        (None, "", "its agent ended at once: the service does not know it any more"),
    ],
)  # fmt: skip
def test_an_agent_that_ends_at_once_is_a_failure_of_its_join(
    seen: ObservedAgent | None, cause: str, said: str
) -> None:
    run = waiting(*([] if seen is None else [seen]))
    run.run(afterwards.await_started(run.context))
    assert run.results() == [("lobby/desk", Result.FAILED, said)]
    record = run.record()
    assert record is not None
    assert (record.failures, record.failed_cause, record.failed_agent) == (1, cause, "A1")
    assert run.history() == [("join", "failed", "A1")]


def test_the_failure_of_an_agent_that_is_recorded_no_more_is_only_said() -> None:
    run = ByHand([replace(A1, agent_id="A9")])
    run.context.joined["A1"] = (HERE, Action.JOIN)
    run.run(afterwards.await_started(run.context))
    assert [each[1] for each in run.results()] == [Result.FAILED]
    assert run.history() == []


def test_an_agent_that_the_list_does_not_show_yet_is_asked_for() -> None:
    run = waiting(OLD_ENOUGH)
    run.world.channels["A1"] = "elsewhere"
    unlisted = run.world.live_agents
    run.world.live_agents = lambda channel=None, parallelism=1: unlisted(channel="lobby")  # type: ignore[method-assign, assignment]
    run.run(afterwards.await_started(run.context))
    assert (run.results(), run.world.calls) == ([], ["query A1"])


# --- duplicates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "known", "listed", "is_double"),
    [
        ({}, (), {}, True),
        ({}, ("B1",), {}, False),
        ({}, (), {"status": AgentStatus.STOPPING}, False),
        ({"status": AgentStatus.STOPPING}, (), {}, False),
        ({"status": AgentStatus.STOPPED}, (), {}, False),
        ({"name": "theirs"}, (), {}, False),
        ({"name": None}, (), {}, False),
        ({"name": live(spec=DOOR).name}, (), {}, False),  # of an address that has no record
        (None, (), {}, False),
    ],
)
def test_which_agents_are_duplicates(
    changes: dict[str, Any] | None, known: tuple[str, ...], listed: dict[str, Any], is_double: bool
) -> None:
    twin = live("B1", generation=2)
    agents = [live()] if changes is None else [live(), replace(twin, **changes)]
    run = ByHand([A1], agents)
    row = ListedAgent("B1", AgentStatus.RUNNING, START)
    run.run(afterwards.sweep(run.context, frozenset(known), (ListedAgent("A1", AgentStatus.RUNNING, START), replace(row, **listed))))  # fmt: skip
    assert run.results() == (
        [("lobby/desk", Result.UNKNOWN, "another agent of ours runs beside it: B1; the next plan leaves it")]
        if is_double
        else []
    )


def test_several_duplicates_of_one_address_are_one_line() -> None:
    run = ByHand([A1], [live(), live("C1"), live("B1")])
    rows = run.run(run.world.live_agents())
    run.run(afterwards.sweep(run.context, frozenset(), rows))
    ((_, _, said),) = run.results()
    assert "runs beside it: B1, C1;" in said


# --- joins that nobody wants any more ------------------------------------------------------------------------------

NOTE = join_of(operation=Operation.LATE_COPY, created_at=START - 2 * GRACE)
OVER = join_of(created_at=START - 2 * GRACE)


def closed(run: ByHand, *wanted: Any) -> ByHand:
    run.run(afterwards.close_unwanted(run.context, frozenset(wanted)))
    return run


def test_a_join_that_is_wanted_is_left_to_the_plan() -> None:
    run = closed(ByHand(intents=[OVER], live=[live()]), HERE)
    assert (run.open_intents(), run.world.calls) == ({"join": OVER}, [])


def test_a_join_that_was_never_executed_is_dropped() -> None:
    run = closed(ByHand(intents=[OVER]))
    assert (run.open_intents(), run.history(), run.results()) == ({}, [("join", "dropped", "")], [])


def test_a_join_that_may_still_be_executed_keeps_its_name_in_a_note() -> None:
    run = closed(ByHand(intents=[join_of()]))
    (note,) = run.open_intents().values()
    assert (note.operation, note.name, note.unknown_since) == (
        Operation.LATE_COPY,
        join_of().name,
        START - 60,
    )
    until = START - 60 + 2 * GRACE
    ((_, result, said),) = run.results()
    assert result is Result.DEFERRED
    assert f"deferred until {clock(until)}" in said
    assert run.context.ledger.finished[0].until == until
    # The note itself stays as it is.
    before = run.open_intents()
    closed(run)
    assert run.open_intents() == before


@pytest.mark.parametrize("intent", [OVER, NOTE])
def test_the_agent_of_an_unwanted_join_is_told_to_leave(intent: Intent) -> None:
    run = closed(ByHand(intents=[intent], live=[live()]))
    assert run.world.changes() == ["leave A1"]
    assert (run.record(), run.open_intents()) == (None, {})
    assert run.notices() == [f"left {intent.name}: an interrupted join that is not wanted any more"]


def test_a_note_beside_a_record_is_left_to_the_plan_and_a_join_is_not() -> None:
    other = replace(A1, agent_id="A9", name="another")
    run = closed(ByHand([other], [live()], [NOTE]))
    assert (run.world.changes(), run.open_intents()) == ([], {"echo": NOTE})
    run = closed(ByHand([other], [live()], [OVER]))
    assert "leave A1" in run.world.changes()


def test_a_protected_agent_that_an_unwanted_join_has_started_stays() -> None:
    run = closed(ByHand(intents=[replace(OVER, protect=True)], live=[live()]))
    assert run.world.changes() == []
    record = run.record()
    assert record is not None
    assert run.notices() == [f"{record.name} was found, and stays: lobby/desk is protected"]


def test_nobody_hangs_up_on_an_agent_whose_end_was_not_reviewed() -> None:
    run = closed(ByHand(intents=[OVER], live=[live()], policy=Policy(review=Review())))
    assert run.world.changes() == []
    assert run.results() == [
        ("lobby/desk", Result.HELD, "an interrupted join has started it, and nobody has reviewed its end")
    ]
    reviewed = Review({HERE: frozenset({Action.LEAVE})})
    assert closed(ByHand(intents=[OVER], live=[live()], policy=Policy(review=reviewed))).world.changes() == [
        "leave A1"
    ]


def test_a_run_that_is_stopping_looks_for_nothing() -> None:
    run = ByHand(intents=[OVER, join_of(DOOR, created_at=START - 2 * GRACE)], live=[live()])
    run.context.halted = "stop"
    closed(run)
    assert run.world.calls == []
    assert run.results() == [("lobby/desk", Result.UNKNOWN, "stop"), ("lobby/door", Result.UNKNOWN, "stop")]
    assert isinstance(run.raised(run.context.check_open()), ChangeSkipped)


# --- leaves of earlier runs ----------------------------------------------------------------------------------------

RUNNING, ENDED = live(), live(status=AgentStatus.STOPPED, stopped_at=START - 9)
LONG_AGO = leave_of(created_at=START - GRACE)


@pytest.mark.parametrize(
    ("seen", "records", "intent", "wanted", "is_open", "history"),
    [
        # It has ended: done, with its record; where it is wanted again, the next plan shows the end first.
        (ENDED, [A1], leave_of(), (), False, [("leave", "done", "A1")]),
        (None, [A1], leave_of(), (), False, [("leave", "done", "A1")]),
        (ENDED, [A1], leave_of(), (HERE,), True, []),
        (ENDED, [], leave_of(), (HERE,), False, [("leave", "done", "A1")]),
        (ENDED, [replace(A1, agent_id="A9")], leave_of(), (HERE,), False, [("leave", "done", "A1")]),
        # It runs on: the call may still be executed, until the grace is over.
        (RUNNING, [A1], leave_of(), (), True, []),
        (RUNNING, [A1], LONG_AGO, (), False, [("leave", "dropped", "A1")]),
        (RUNNING, [A1], replace(LONG_AGO, created_at=START - GRACE + 1), (), True, []),
        # Only the intent knows its id.
        (RUNNING, [], LONG_AGO, (), True, []),
        (RUNNING, [replace(A1, agent_id="A9")], LONG_AGO, (), True, []),
    ],
)  # fmt: skip
def test_what_becomes_of_an_open_leave(
    seen: Any, records: Any, intent: Intent, wanted: Any, is_open: bool, history: Any
) -> None:
    run = closed(ByHand(records, [] if seen is None else [seen], [intent]), *wanted)
    assert run.world.changes() == []
    assert ("leave" in run.open_intents()) is is_open
    assert run.history() == history
    waits = is_open and bool(wanted)
    assert [each[1] for each in run.results()] == ([Result.UNKNOWN] if waits else [])
    dropped = history == [("leave", "done", "A1")] and records == [A1]
    assert (run.record() is None) is (dropped or not records)


def test_other_open_calls_are_not_closed_here() -> None:
    update = Intent(Operation.UPDATE, HERE, A1.name, START - 2 * GRACE, agent_id="A1")
    run = closed(ByHand([A1], [live()], [update]))
    assert (run.open_intents(), run.world.calls) == ({"update": update}, [])
