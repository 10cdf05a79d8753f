"""What each step of a change does, what its failure means for the rest of the change, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.apply import executor
from reconciler.apply.context import ChangeDeferred, ChangeFailed, ChangeHeld, ChangeSkipped
from reconciler.apply.events import Finished, Progress, Result, Started
from reconciler.errors import AuthenticationFailed, ReadAbandoned, ReconcilerError, ServiceError, StateError
from reconciler.model.observed import AgentStatus
from reconciler.model.record import Operation, Record
from reconciler.model.spec import HOUR, Lifecycle
from reconciler.plan.approval import Review
from reconciler.plan.build import Plan
from reconciler.plan.change import (
    Action,
    Adopt,
    Because,
    Change,
    Forget,
    Hold,
    Join,
    Leave,
    Reason,
    Renew,
    Replace,
    Rotate,
    Target,
    Update,
)
from reconciler.plan.guard import Cost, Policy
from reconciler.plan.steps import AwaitGone, CallJoin, CallLeave, DropMemory, Remember, Step
from reconciler.ports import Conflict, Declined, Scope
from tests.fakes.fleets import OWNER, agent
from tests.fakes.virtual import START
from tests.unit.apply.by_hand import DESK, DOOR, EXPIRES, HERE, TURN, ByHand, join_of, live
from tests.unit.plan.parts import name_of
from tests.unit.plan.parts import record as recorded

WHY = Reason(Because.FIELDS, "x")
# A record whose token is not due.
A1 = recorded(DESK, uid=DESK.uid(OWNER), token_expires_at=START + 20 * HOUR)
TARGET = Target(live(), A1, A1.uid)
JOIN = Join(HERE, DESK, WHY)
REPLACE, ROTATE = Replace(HERE, DESK, WHY, TARGET), Rotate(HERE, DESK, WHY, TARGET)
LEAVE, RENEW = Leave(HERE, WHY, TARGET), Renew(HERE, DESK, WHY, TARGET)
UPDATE = Update(HERE, DESK, WHY, TARGET, {})
ADOPT = Adopt(HERE, DESK, Reason(Because.RENAMED, "x"), TARGET, {})


def executed(run: ByHand, *changes: Change) -> list[tuple[str, Result, str]]:
    """The outcome of each change of a plan."""
    plan = Plan(OWNER, changes, "", Cost(0, 0, 0.1, quota=99))
    run.run(executor.execute(run.context, plan))
    return [(each.action.value, each.result, each.detail) for each in run.context.ledger.finished]


def standing(**context: Any) -> ByHand:
    return ByHand([A1], [live()], **context)


# --- changes as a whole --------------------------------------------------------------------------------------------


def test_each_kind_of_change_is_done() -> None:
    run = ByHand()
    assert executed(run, JOIN) == [("join", Result.DONE, "")]
    assert run.world.changes() == [f"join {name_of(DESK)}"]
    run = standing()
    assert executed(run, LEAVE) == [("leave", Result.DONE, "")]
    assert (run.world.changes(), run.record()) == (["leave A1"], None)
    run = standing()
    assert executed(run, RENEW) == [("renew", Result.DONE, "")]
    record = run.record()
    assert record is not None and record.token_expires_at == EXPIRES
    run = standing()
    assert executed(run, replace(UPDATE, values={("llm",): {}})) == [("update", Result.DONE, "")]
    assert run.world.changes() == ["update A1"]
    run = ByHand([A1])
    assert executed(run, Forget(HERE, WHY, A1)) == [("forget", Result.DONE, "")]
    assert (run.record(), run.state.read().generations) == (None, {HERE: 1})


def test_a_replacement_ends_one_agent_and_starts_the_next_generation() -> None:
    for change in (REPLACE, ROTATE):
        run = standing()
        assert [each[1] for each in executed(run, change)] == [Result.DONE]
        assert run.world.changes() == ["leave A1", f"join {name_of(DESK, 2)}"]
        record = run.record()
        assert record is not None and record.generation == 2
        (finished,) = run.context.ledger.finished
        assert (finished.agent_id, finished.previous_agent_id) == (record.agent_id, "A1")
    run = standing()
    executed(run, LEAVE)
    (finished,) = run.context.ledger.finished
    assert (finished.agent_id, finished.previous_agent_id) == ("A1", "")


@pytest.mark.parametrize(
    ("because", "result"), [(Because.DEFERRED, Result.DEFERRED), (Because.PROTECTED, Result.HELD)]
)
def test_what_is_held_is_told(because: Because, result: Result) -> None:
    run = standing()
    executed(run, Hold(LEAVE, Reason(because, "why"), until=7.0))
    (finished,) = run.context.ledger.finished
    assert (finished.action, finished.result, finished.detail, finished.until) == (
        Action.HOLD,
        result,
        "why",
        7.0,
    )
    assert run.world.calls == []


def test_what_is_told_of_a_change_in_its_order() -> None:
    run = standing()
    executed(run, REPLACE)
    told = [each for each in run.events if isinstance(each, (Started, Progress, Finished))]
    assert told[:3] == [
        Started(HERE, Action.REPLACE),
        Progress(HERE, "asking agent A1 to leave"),
        Progress(HERE, f"joining as {name_of(DESK, 2)}"),
    ]
    assert isinstance(told[3], Finished) and len(told) == 4


@pytest.mark.parametrize(
    ("problem", "result", "detail", "halted"),
    [
        (ChangeSkipped("s"), Result.SKIPPED, "s", None),
        (ChangeHeld("h", hint="do"), Result.HELD, "h (do)", None),
        (ChangeDeferred("d", 9.0), Result.DEFERRED, "d", None),
        (ChangeFailed("f"), Result.FAILED, "f", None),
        (ChangeFailed("f", unknown=True, hint="do"), Result.UNKNOWN, "f (do)", None),
        (AuthenticationFailed("a", hint="do"), Result.FAILED, "a (do)", "a"),
        (ReadAbandoned("r"), Result.UNKNOWN, "r", None),
        (ServiceError("e", hint="do"), Result.FAILED, "e (do)", None),
    ],
)
def test_what_a_failure_of_a_step_means(
    problem: ReconcilerError, result: Result, detail: str, halted: str | None
) -> None:
    run = standing()
    run.world.answers["leave"] = [problem]
    assert executed(run, LEAVE) == [("leave", result, detail)]
    assert run.context.halted == halted
    (finished,) = run.context.ledger.finished
    assert finished.until == (9.0 if isinstance(problem, ChangeDeferred) else None)


def test_a_state_that_fails_halts_the_run_and_is_raised() -> None:
    run = standing()
    run.world.answers["leave"] = [StateError("the disk is full")]
    with pytest.raises(StateError):
        executed(run, LEAVE)
    assert run.context.halted == "the disk is full"
    assert [each.result for each in run.context.ledger.finished] == [Result.UNKNOWN]


def test_a_run_that_is_halted_begins_nothing() -> None:
    run = standing(halted="stop")
    assert executed(run, LEAVE) == [("leave", Result.SKIPPED, "stop")]
    assert run.world.calls == []


def test_a_replacement_whose_leave_failed_joins_nothing_and_the_others_go_on() -> None:
    """Two that exchange their uids leave first, each as a task of its own."""
    one, two = agent("lobby/a", agent_rtc_uid="2"), agent("lobby/b", agent_rtc_uid="1")
    records = [recorded(one, "A1", uid="1"), recorded(two, "B1", uid="2")]
    run = ByHand(records, [live("A1", one), live("B1", two)])
    run.world.answers["leave"] = [Declined(Scope.ADDRESS, "no")]
    changes = [
        Replace(spec.address, spec, WHY, Target(live(each.agent_id, spec), each, each.uid))
        for spec, each in zip((one, two), records, strict=True)
    ]
    executed(run, *changes)
    results = {str(each.address): each.result for each in run.context.ledger.finished}
    assert results["lobby/a"] is Result.FAILED
    assert [each for each in run.world.changes() if name_of(one, 2) in each] == []
    started = [each.address for each in run.events if isinstance(each, Started)]
    assert sorted(map(str, started)) == ["lobby/a", "lobby/b"], "each begins once"


# --- steps ---------------------------------------------------------------------------------------------------------


def perform(run: ByHand, change: Change, step: Step) -> None:
    run.run(executor._perform(run.context, change, step))


def test_a_turn_does_not_wait_for_an_agent_that_is_stopping_before_a_join() -> None:
    stopping = live(status=AgentStatus.STOPPING)
    run = ByHand([A1], [stopping], settings=TURN)
    problem = run.raised(executor._perform(run.context, JOIN, AwaitGone("A1")))
    assert isinstance(problem, ChangeDeferred) and problem.message == "not yet: agent A1 is stopping"
    assert run.world.calls == [], "the next turn sees how it has ended"
    other = ByHand([A1], [stopping], settings=TURN)
    assert (
        "was told to leave" in other.raised(executor._perform(other.context, LEAVE, AwaitGone("A1"))).message
    )


NOTE = join_of(operation=Operation.LATE_COPY, created_at=START - 10)


@pytest.mark.parametrize(
    ("change", "note", "waits"),
    [
        (REPLACE, NOTE, True),
        (ROTATE, NOTE, True),
        (LEAVE, NOTE, False),
        (REPLACE, replace(NOTE, created_at=START - 300), False),
    ],
)
def test_a_bearer_of_a_name_that_may_be_sent_again_is_not_ended_for_a_successor(
    change: Any, note: Any, waits: bool
) -> None:
    run = ByHand([A1], [live()], [note])
    steps = executor._perform(run.context, change, CallLeave(TARGET))
    if waits:
        assert isinstance(run.raised(steps), ChangeDeferred)
        assert run.world.changes() == []
    else:
        run.run(steps)
        assert run.world.changes() == ["leave A1"]


def test_what_would_fail_after_a_leave_fails_before_it() -> None:
    run = standing(joins_halted="the quota is used up")
    assert isinstance(run.raised(executor._perform(run.context, REPLACE, CallLeave(TARGET))), ChangeSkipped)
    assert run.world.changes() == []
    perform(run, LEAVE, CallLeave(TARGET))
    assert run.world.changes() == ["leave A1"]
    record = run.record()
    assert record is not None and not record.replacing
    making_room = standing()
    perform(making_room, REPLACE, CallLeave(TARGET))
    record = making_room.record()
    assert record is not None and record.replacing
    moved = ByHand([recorded(DOOR, "A1")], [live("A1", DOOR)])
    target = Target(live("A1", DOOR), recorded(DOOR, "A1"), "7")
    perform(moved, replace(REPLACE, target=target), CallLeave(target))
    kept = moved.record(DOOR.address)
    assert kept is not None and not kept.replacing, "it counts at its own address alone"


@pytest.mark.parametrize(
    ("change", "other_uid", "is_skipped"),
    [(JOIN, False, True), (REPLACE, False, False), (ROTATE, False, False), (REPLACE, True, True)],
)
def test_without_a_quota_only_who_made_room_joins(change: Any, other_uid: bool, is_skipped: bool) -> None:
    run = ByHand(joins_halted="the quota is used up")
    steps = executor._perform(run.context, change, CallJoin(other_uid=other_uid))
    if is_skipped:
        assert isinstance(run.raised(steps), ChangeSkipped)
    else:
        run.run(steps)
        assert len(run.context.joined) == 1


def test_a_join_takes_the_record_of_its_earlier_address_away() -> None:
    run = ByHand([recorded(DOOR, "A0", generation=4)])
    perform(run, replace(JOIN, formerly=DOOR.address), CallJoin())
    state = run.state.read()
    assert list(state.records) == [HERE]
    assert state.generations[DOOR.address] == 4
    assert run.context.joined[state.records[HERE].agent_id] == (HERE, Action.JOIN)


def test_a_record_is_dropped_once() -> None:
    run = ByHand([A1])
    for _ in range(2):
        perform(run, Forget(HERE, WHY, A1), DropMemory())
    assert (run.record(), run.state.read().serial) == (None, run.before + 1)


# --- agents that are taken back ------------------------------------------------------------------------------------


OTHER_BODY = agent("lobby/desk", idle_timeout=9).body


def test_an_agent_of_an_earlier_attempt_is_brought_up_to_date() -> None:
    run = standing()
    found: Record = replace(A1, unsent=True, token_expires_at=None)
    run.run(executor._bring_up_to_date(run.context, DESK, found))
    assert run.world.changes() == ["update A1"]
    fresh = standing()
    fresh.run(executor._bring_up_to_date(fresh.context, DESK, A1))
    assert fresh.world.changes() == []
    old = replace(A1, started_at=START - 71 * HOUR)
    aged = ByHand([old], [live(started_at=START - 71 * HOUR)])
    aged.run(executor._bring_up_to_date(aged.context, DESK, old))
    assert aged.world.changes() == [], "a rotation is for the next run"


def test_an_agent_of_other_fields_is_replaced_where_a_review_lets_it() -> None:
    found = replace(A1, body=OTHER_BODY)
    for review, is_held in (
        (None, False),
        (Review(), True),
        (Review({HERE: frozenset({Action.REPLACE})}), False),
    ):
        run = ByHand([found], [live()], policy=Policy(review=review))
        steps = executor._bring_up_to_date(run.context, DESK, found)
        if is_held:
            assert isinstance(run.raised(steps), ChangeHeld)
            assert run.world.changes() == []
        else:
            run.run(steps)
            assert run.world.changes()[0] == "leave A1"
    protected = replace(DESK, lifecycle=Lifecycle(protect=True))
    run = ByHand([found], [live()])
    run.run(executor._bring_up_to_date(run.context, protected, replace(found, protect=True)))
    assert run.world.changes() == []


# --- updates and records -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "rejoins"), [(RENEW, True), (replace(RENEW, rejoins=False), False), (UPDATE, True)]
)
def test_an_agent_that_is_gone_is_started_again_where_the_files_want_it(change: Any, rejoins: bool) -> None:
    run = ByHand([replace(A1, generation=3)])
    run.run(executor._update(run.context, change, {}, token=False))
    assert run.state.read().generations[HERE] == (4 if rejoins else 3)
    assert run.world.changes() == ([f"join {name_of(DESK, 4)}"] if rejoins else [])
    assert (run.record() is not None) is rejoins
    said = [each.text for each in run.events if isinstance(each, Progress)]
    assert ("its agent is gone; starting another" in said) is rejoins


@pytest.mark.parametrize(
    ("changes", "token", "is_sent"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"unsent": True}, False, True),
        ({"token_expires_at": None}, False, True),
        ({"token_expires_at": START + 60}, False, True),
    ],
)
def test_when_an_update_sends_a_token(changes: Any, token: bool, is_sent: bool) -> None:
    record = replace(A1, **changes)
    run = ByHand([record], [live()])
    run.run(executor._update(run.context, UPDATE, {}, token=token))
    found = run.record()
    assert found is not None
    assert (found.token_expires_at == EXPIRES) is is_sent


def test_a_renewal_changes_nothing_but_the_token() -> None:
    before = replace(A1, body=OTHER_BODY, unsent=True, protect=True)
    run = ByHand([before], [live()])
    run.run(executor._update(run.context, RENEW, {}, token=True))
    assert run.record() == replace(before, token_expires_at=EXPIRES)
    other = ByHand([before], [live()])
    other.run(executor._update(other.context, UPDATE, {}, token=True))
    assert other.record() == replace(
        before, body=DESK.body, unsent=False, protect=False, token_expires_at=EXPIRES
    )


@pytest.mark.parametrize(
    ("expires", "sent"), [(START + 20 * HOUR, []), (START + 60, ["update A1"]), (None, ["update A1"])]
)
def test_a_token_that_is_due_is_renewed_with_the_record(expires: float | None, sent: list[str]) -> None:
    before = replace(A1, token_expires_at=expires)
    change = replace(ADOPT, target=replace(TARGET, record=before))
    run = ByHand([before], [live()])
    perform(run, change, Remember())
    assert run.world.changes() == sent


def test_a_renamed_agent_takes_its_record_generation_and_note_along() -> None:
    before = recorded(DOOR, "A1", generation=6, token_expires_at=START + 20 * HOUR)
    note = join_of(DOOR, operation=Operation.LATE_COPY)
    run = ByHand([before], [live("A1", DOOR)], [note])
    change = replace(ADOPT, target=Target(live("A1", DOOR), before, "7"))
    perform(run, change, Remember())
    state = run.state.read()
    assert state.records == {HERE: replace(before, address=HERE)}
    assert state.generations[HERE] == 6
    assert [each.address for each in state.intents] == [HERE]
    again = ByHand([A1], [live()])
    perform(again, ADOPT, Remember())
    assert again.state.read().generations == {}, "nothing was moved"


def test_an_agent_found_by_its_name_is_recorded_unless_it_has_ended() -> None:
    change = replace(ADOPT, target=Target(live(), None, "7"))
    run = ByHand([], [live(generation=5)])
    perform(run, change, Remember())
    record = run.record()
    assert record is not None
    assert (record.agent_id, record.generation, record.uid, record.unsent) == ("A1", 5, "7", True)
    assert run.world.changes() == [], "its token comes with the update that follows"
    problem = ByHand().raised(executor._perform(ByHand().context, change, Remember()))
    assert isinstance(problem, ChangeFailed) and problem.message == "its agent ended meanwhile"


def test_ended_agents_may_use_up_three_names_in_one_run() -> None:
    run = ByHand()
    run.world.answers["join"] = [Conflict("A9", "taken")] * 3
    problem = run.raised(executor._perform(run.context, JOIN, CallJoin()))
    assert problem.message == "ended agents have used up its next names"
    assert len(set(run.world.changes())) == 3
    two = ByHand()
    two.world.answers["join"] = [Conflict("A9", "taken")] * 2
    perform(two, JOIN, CallJoin())
    assert two.record() is not None
