"""What is counted of joins that fail and of agents that end, to the second, and when each count begins anew."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.capabilities import EndKind, EndMeaning
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Intent, Operation, Record
from reconciler.model.spec import body_digest
from reconciler.model.writes import PutIntent
from reconciler.plan import intents, predecessors
from reconciler.plan.end_classes import EndClass, class_of_record, end_class, lived
from tests.fakes.fleets import agent
from tests.unit.plan.parts import ABLE, NOW, basis, record, running, settle

DESK = agent("lobby/desk")
OTHER_BODY = agent("lobby/desk", idle_timeout=9).body
TOLD = replace(
    ABLE,
    ends=(
        EndMeaning("limit", EndKind.LIFETIME),
        EndMeaning("idle", EndKind.IDLE),
        EndMeaning("asked", EndKind.ASKED),
        EndMeaning("no start", EndKind.NO_START),
        EndMeaning("no entry", EndKind.NO_ENTRY),
    ),
)


def ended(
    message: str = "", *, after: float | None = 1000.0, status: AgentStatus = AgentStatus.STOPPED
) -> ObservedAgent:
    """An agent that started at NOW - 5000 and ended so many seconds later; None: the service does not say when."""
    started = NOW - 5000
    return ObservedAgent("A1", status, started, "n", None if after is None else started + after, message)


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        (ended("asked", after=1), EndClass.STOPPED),  # however early
        (ended("no start"), EndClass.NEVER_STARTED),  # however late
        (ended("limit", after=59.9), EndClass.NEVER_STARTED),
        (ended("limit", after=60), EndClass.LIFETIME),
        (ended("limit", after=None), EndClass.LIFETIME),
        (ended("idle"), EndClass.IDLE),
        (ended("no entry"), EndClass.FAILED),
        (ended("anything"), EndClass.FAILED),
        (ended(""), EndClass.STOPPED),
        (ended("", status=AgentStatus.FAILED), EndClass.FAILED),
        (ended("anything", status=AgentStatus.FAILED), EndClass.FAILED),
        (ended("", after=1), EndClass.NEVER_STARTED),
    ],
)  # fmt: skip
def test_the_class_of_an_end(agent: ObservedAgent, kind: EndClass) -> None:
    assert end_class(TOLD, agent) is kind
    assert class_of_record(TOLD, record(DESK), agent, NOW) is kind


@pytest.mark.parametrize(
    ("age", "kind"), [(0.0, EndClass.LIFETIME), (-1.0, EndClass.FAILED), (1.0, EndClass.LIFETIME)]
)
def test_an_end_that_the_service_forgot_is_judged_by_age(age: float, kind: EndClass) -> None:
    old = record(DESK, started_at=NOW - ABLE.max_lifetime - age)
    assert class_of_record(ABLE, old, None, NOW) is kind


def test_how_long_an_agent_has_lived() -> None:
    assert lived(ended(after=7)) == 7
    assert lived(ended(after=-7)) == 0
    assert lived(ended(after=None)) == math.inf


# --- failures ------------------------------------------------------------------------------------------------------


def test_the_third_failure_of_one_cause_waits_and_each_further_one_twice_as_long() -> None:
    found, pauses = record(DESK), []
    for _ in range(9):
        found = intents.failed_again(found, NOW, "x")
        pauses.append(found.retry_at - NOW if found.retry_at else 0.0)
    assert pauses == [0, 0, 120, 240, 480, 960, 1920, 3600, 3600]
    assert (found.failures, found.failed_cause, found.failed_agent) == (9, "x", "A1")
    assert found.failed_digest == body_digest(DESK.body)
    for _ in range(40):  # no power grows without a bound
        found = intents.failed_again(found, NOW, "x")
    assert found.retry_at == NOW + 3600


def test_another_cause_or_body_starts_a_new_count() -> None:
    found = record(DESK)
    for _ in range(3):
        found = intents.failed_again(found, NOW, "x")
    assert intents.failed_again(found, NOW, "y").failures == 1
    assert intents.failed_again(replace(found, body=OTHER_BODY), NOW, "x").failures == 1
    anew = intents.failed_again(found, NOW, "y")
    assert (anew.retry_at, anew.failed_cause) == (0.0, "y")


def test_stops_within_an_hour_are_counted_together() -> None:
    found = replace(record(DESK), stops=(NOW - 3600, NOW - 3599.5, NOW - 5))
    assert intents.stopped_again(found, NOW).stops == (NOW - 3599.5, NOW - 5, NOW)
    assert intents.stopped_again(found, NOW).stopped_agent == "A1"


def refused(attempt: int, **changes: Any) -> Intent:
    made = Intent(Operation.REFUSED, DESK.address, "", NOW, body=DESK.body, attempt=attempt, sent_at=NOW)
    return replace(made, **changes)


def join(**changes: Any) -> Intent:
    made = Intent(Operation.JOIN, DESK.address, "n", NOW - 9, generation=1, uid="7", body=DESK.body)
    return replace(made, **changes)


def test_refusals_of_one_body_are_counted_and_those_of_another_begin_anew() -> None:
    def attempt(earlier: Intent | None, **changes: Any) -> int:
        write = intents.refused_again(join(**changes), earlier, NOW + 5)
        assert isinstance(write, PutIntent)
        assert (write.intent.operation, write.intent.sent_at, write.intent.created_at) == (Operation.REFUSED, NOW + 5, NOW + 5)  # fmt: skip
        return write.intent.attempt

    assert attempt(None) == 1
    assert attempt(refused(1)) == 2
    assert attempt(refused(2)) == 3
    assert attempt(refused(2), body=OTHER_BODY) == 1


@pytest.mark.parametrize(("attempt", "pause"), [(1, 0), (2, 0), (3, 120), (4, 240), (20, 3600)])
def test_when_a_refused_join_is_sent_again(attempt: int, pause: float) -> None:
    assert intents.refused_until(refused(attempt)) == NOW + pause
    assert intents.refused_until(refused(attempt, sent_at=None, created_at=NOW - 7)) == NOW - 7 + pause


@pytest.mark.parametrize(("later", "is_over"), [(3600.0 + 120, True), (3600.0 + 119, False), (0.0, False)])
def test_a_note_of_refusals_is_dropped_an_hour_after_its_pause(later: float, is_over: bool) -> None:
    note = refused(3, sent_at=NOW - later)
    after, _ = settle(basis(intents=[note]), ABLE)
    assert (after.state.intents == ()) is is_over


def test_a_note_of_refusals_is_dropped_once_an_agent_runs() -> None:
    assert settle(basis([record(DESK)], [running(DESK)], [refused(3)]), ABLE)[0].state.intents == ()
    gone = basis([record(DESK)], [], [refused(3)], ended={"A1": ended("limit")})
    assert settle(gone, ABLE)[0].state.intents == (refused(3),)


# --- what a new record takes over ----------------------------------------------------------------------------------


def failed(**changes: Any) -> Record:
    return replace(
        record(DESK, "A0"),
        failures=4,
        retry_at=NOW + 9,
        failed_digest=body_digest(DESK.body),
        failed_cause="x",
        failed_agent="A0",
        stops=(NOW - 3,),
        **changes,
    )


@pytest.mark.parametrize(
    ("earlier", "failures", "stops"),
    [
        (None, 0, ()),
        (record(DESK, "A0"), 0, ()),
        (failed(), 4, (NOW - 3,)),
        (failed(body=OTHER_BODY), 4, ()),  # the failures name their body themselves
        (replace(failed(), failed_digest="another"), 0, (NOW - 3,)),
        (replace(failed(), failures=0), 0, (NOW - 3,)),
        (replace(failed(), stops=()), 4, ()),
    ],
)
def test_the_counts_of_the_earlier_record_go_on_for_the_same_body(
    earlier: Record | None, failures: int, stops: tuple[float, ...]
) -> None:
    found = intents.with_failures_of(record(DESK, "A1"), earlier)
    assert (found.failures, found.stops, found.retry_at) == (failures, stops, 0.0)
    taken = (found.failed_digest, found.failed_cause, found.failed_agent)
    assert taken == ((body_digest(DESK.body), "x", "A0") if failures else ("", "", ""))


# --- what an observation does to a record --------------------------------------------------------------------------


def judged(found: Record, **end: Any) -> Record:
    """The record of the desk after a look: its agent runs, or has ended so."""
    if end:
        seen = basis([found], ended={found.agent_id: ended(**end)})
    else:
        seen = basis([found], [running(DESK, found.agent_id)])
    return settle(seen, TOLD)[0].state.records[DESK.address]


def test_an_early_end_is_a_failure_and_is_counted_once() -> None:
    once = judged(record(DESK), message="no start")
    assert (once.failures, once.failed_cause, once.failed_agent) == (1, "no start", "A1")
    assert judged(once, message="no start") == once
    third = judged(replace(once, failures=2, failed_agent="A0"), message="no start", after=70)
    assert third.retry_at == NOW - 5000 + 70 + 120
    unknown = judged(replace(once, failures=2, failed_agent="A0"), message="no start", after=None)
    assert unknown.retry_at == NOW + 120


def test_a_stop_is_counted_once() -> None:
    once = judged(record(DESK), message="asked")
    assert (once.stops, once.stopped_agent, once.failures) == ((NOW - 4000,), "A1", 0)
    assert judged(once, message="asked") == once
    assert judged(record(DESK), message="asked", after=None).stops == (NOW,)


@pytest.mark.parametrize("message", ["limit", "idle", "anything"])
def test_any_other_end_is_no_failure(message: str) -> None:
    assert judged(record(DESK), message=message) == record(DESK)


OF_ITS_BODY = {
    "failures": 2,
    "failed_digest": body_digest(DESK.body),
    "failed_cause": "x",
    "failed_agent": "A0",
}


@pytest.mark.parametrize(
    ("changes", "end", "failures"),
    [
        ({"started_at": NOW - 600}, {}, 0),
        ({"started_at": NOW - 599}, {}, 2),
        ({"started_at": NOW - 600, "failed_agent": "A1"}, {}, 2),  # it is the one that failed
        ({"started_at": NOW - 600, "failed_digest": "another"}, {}, 2),
        # It has ended since: how long it lived decides.
        ({}, {"message": "limit", "after": 600}, 0),
        ({}, {"message": "limit", "after": 599}, 2),
        ({}, {"message": "limit", "after": None}, 2),
    ],
)
def test_ten_good_minutes_end_the_count(changes: dict[str, Any], end: dict[str, Any], failures: int) -> None:
    found = judged(replace(record(DESK), **{**OF_ITS_BODY, "retry_at": NOW, **changes}), **end)
    assert found.failures == failures
    if not failures:
        assert (found.retry_at, found.failed_cause, found.failed_digest, found.failed_agent) == (
            0.0,
            "",
            "",
            "",
        )


def test_an_agent_that_nobody_knows_any_more_proves_nothing() -> None:
    before = basis([replace(record(DESK), **OF_ITS_BODY)], ended={"A1": None})
    assert settle(before, TOLD)[0] is before


def test_the_end_of_an_agent_with_an_open_call_or_a_successor_is_no_failure() -> None:
    leave = Intent(Operation.LEAVE, DESK.address, "n", NOW - 9, agent_id="A1")
    busy = basis([record(DESK, replacing=True)], ended={"A1": ended("no start")})
    assert settle(busy, TOLD)[0] is busy
    told = basis([record(DESK)], [running(DESK)], [leave], ended={"A1": ended("no start")})
    assert settle(told, TOLD)[0].state.records[DESK.address].failures == 0


# --- late copies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempts", "answered", "is_noted"), [(1, 0, False), (2, 1, False), (2, 0, True), (3, 1, True)]
)
def test_a_repeated_join_leaves_a_note_where_two_attempts_were_not_answered(
    attempts: int, answered: int, is_noted: bool
) -> None:
    writes = intents.late_copy_of_repeated(join(attempt=attempts, answered=answered, unknown_since=NOW - 3))
    assert bool(writes) is is_noted
    for write in writes:
        assert isinstance(write, PutIntent)
        note = write.intent
        assert (note.operation, note.unknown_since, note.answered) == (
            Operation.LATE_COPY,
            NOW - 3,
            answered + 1,
        )


@pytest.mark.parametrize(
    ("generation", "known", "name", "is_one"),
    [
        (1, {DESK.address: 2}, DESK, True),
        (2, {DESK.address: 2}, DESK, False),
        (1, {}, DESK, False),
        (1, {DESK.address: 2}, agent("lobby/door"), False),  # a name of an earlier address
    ],
)
def test_which_notes_have_had_a_successor(
    generation: int, known: dict[Any, int], name: Any, is_one: bool
) -> None:
    note = join(operation=Operation.LATE_COPY, generation=generation, name=record(name).name)
    assert intents.is_superseded(note, known) is is_one


def test_a_leave_is_noted_for_the_predecessor_alone() -> None:
    assert predecessors.leave_intent_for(None, record(DESK), NOW) == []
    assert predecessors.leave_intent_for(record(DESK), record(DESK), NOW) == []
    assert len(predecessors.leave_intent_for(record(DESK, "A0"), record(DESK), NOW)) == 1


@pytest.mark.parametrize("sent", [True, False])
def test_the_record_of_a_join(sent: bool) -> None:
    found = intents.joined_record(
        join(protect=True), "A9", NOW, sent=sent, token_expires_at=NOW + 5, secrets={"ref+env://K": "aa"}
    )
    assert (found.unsent, found.token_expires_at) == (not sent, NOW + 5 if sent else None)
    assert (found.agent_id, found.uid, found.generation, found.protect) == ("A9", "7", 1, True)
    assert found.secrets == {"ref+env://K": "aa"}


def test_of_several_open_calls_only_those_that_are_proven_are_closed() -> None:
    other = agent("lobby/door")
    open_join = join(address=other.address, name=record(other).name)
    update = Intent(Operation.UPDATE, DESK.address, "n", NOW - 9, agent_id="A1")
    after, writes = settle(basis([record(DESK)], [running(DESK)], [open_join, update]), ABLE)
    assert after.state.intents == (open_join,)
    assert after.state.records[DESK.address].unsent
    assert len(writes) == 2


def test_an_update_of_an_agent_that_is_recorded_no_more_is_over() -> None:
    update = Intent(Operation.UPDATE, DESK.address, "n", NOW - 9, agent_id="A1")
    for records in ([], [record(DESK, "A2")]):
        seen = basis(records, [running(DESK, "A2")] if records else [], [update])
        after, _ = settle(seen, ABLE)
        assert after.state.intents == ()
        assert dict(after.state.records) == {each.address: each for each in records}


def test_a_late_copy_that_runs_is_taken_over_only_where_nobody_else_has_the_address() -> None:
    note = join(operation=Operation.LATE_COPY, name=record(DESK).name, created_at=NOW - 9)
    copy = running(DESK, "C1")
    for records, live, taken in (
        ([], [copy], True),
        ([record(DESK, "A0", name="x")], [copy], True),  # its agent has ended
        ([record(DESK, "A0", name="x")], [copy, running(DESK, "A0", name="x")], False),
        ([record(DESK, "C1")], [copy], False),
    ):
        after, _ = settle(basis(records, live, [note]), ABLE)
        assert (after.state.intents == ()) is taken
        assert (after.state.records[DESK.address].agent_id == "C1") is (taken or records[0].agent_id == "C1")


def test_the_name_of_an_address_is_told_by_its_digest() -> None:
    assert intents.is_name_of(join(name=record(DESK).name), DESK.address)
    assert not intents.is_name_of(join(name=record(DESK).name), agent("lobby/door").address)
    assert not intents.is_name_of(join(name="any"), DESK.address)
