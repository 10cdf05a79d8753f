"""What an observation proves of an open intent: each operation with each thing that may have become of it."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.observed import AgentStatus
from reconciler.model.record import Intent, Operation
from reconciler.model.spec import AgentSpec
from reconciler.model.writes import DropIntent, DropRecord
from tests.fakes.fleets import OWNER, agent
from tests.unit.plan.parts import (
    CERTAIN_AFTER,
    LATE_COPY,
    NOW,
    Basis,
    basis,
    name_of,
    record,
    running,
    settle,
)

DESK = agent("lobby/desk")


def join_of(spec: AgentSpec = DESK, *, generation: int = 1, **changes: object) -> Intent:
    made = Intent(
        Operation.JOIN,
        spec.address,
        name_of(spec, generation),
        NOW - 60,
        generation=generation,
        uid=spec.uid(OWNER),
        body=spec.body,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the fields of an intent


def of_agent(operation: Operation, agent_id: str = "A1") -> Intent:
    return Intent(operation, DESK.address, name_of(DESK), NOW - 60, agent_id=agent_id)


def settled(before: Basis) -> Basis:
    """The basis after settling; its writes say the same as its state."""
    after, writes = settle(before, CERTAIN_AFTER)
    assert bool(writes) is (after is not before), "a write for each change, and none without"
    return after


# --- joins ----------------------------------------------------------------------------------------------------


def test_a_join_whose_agent_runs_is_its_record() -> None:
    after = settled(basis(live=[running(DESK, "A7")], intents=[join_of()]))
    found = after.state.records[DESK.address]
    assert (found.agent_id, found.name, found.uid, found.body) == (
        "A7",
        name_of(DESK),
        DESK.uid(OWNER),
        DESK.body,
    )
    assert found.unsent, "what an earlier attempt sent is not known"
    assert found.token_expires_at is None, "nor is its token"
    assert after.state.intents == ()


def test_a_join_that_nobody_has_seen_stays_open_however_old() -> None:
    before = basis(intents=[join_of(created_at=NOW - 10 * CERTAIN_AFTER)])
    assert settled(before) is before


def test_a_join_whose_agent_is_already_stopping_stays_open() -> None:
    before = basis(live=[running(DESK, status=AgentStatus.STOPPING)], intents=[join_of()])
    assert settled(before) is before


def test_a_join_that_was_sent_again_leaves_its_late_copy_behind() -> None:
    intent = join_of(attempt=2, unknown_since=NOW - 30)
    after = settled(basis(live=[running(DESK)], intents=[intent]))
    (left,) = after.state.intents
    assert (left.operation, left.name, left.in_doubt_since) == (LATE_COPY, intent.name, NOW - 30)
    assert after.state.records[DESK.address].agent_id == "A1"


def test_of_two_agents_of_one_name_the_oldest_is_recorded() -> None:
    live = [running(DESK, "young", started_at=NOW - 5), running(DESK, "old", started_at=NOW - 50)]
    assert settled(basis(live=live, intents=[join_of()])).state.records[DESK.address].agent_id == "old"


def test_a_join_is_not_settled_by_the_agent_of_another_address_or_one_that_was_released() -> None:
    other = agent("lobby/other")
    theirs = basis([record(other, "A9")], [running(DESK, "A9")], [join_of()])
    assert settled(theirs) is theirs
    released = basis(live=[running(DESK, "A9")], intents=[join_of()], released=["A9"])
    assert settled(released) is released


def test_join_first_the_predecessor_that_still_runs_is_remembered_by_a_leave() -> None:
    old = record(DESK, "A1")
    live = [running(DESK, "A1"), running(DESK, "A2", generation=2)]
    after = settled(basis([old], live, [join_of(generation=2)]))
    assert after.state.records[DESK.address].agent_id == "A2"
    (left,) = after.state.intents
    assert (left.operation, left.agent_id, left.uid) == (Operation.LEAVE, "A1", old.uid)


def test_a_predecessor_that_is_gone_needs_no_leave() -> None:
    after = settled(basis([record(DESK, "A1")], [running(DESK, "A2", generation=2)], [join_of(generation=2)]))
    assert after.state.records[DESK.address].agent_id == "A2"
    assert after.state.intents == ()


# --- late copies ----------------------------------------------------------------------------------------------


def late(since: float) -> Intent:
    return join_of(operation=LATE_COPY, created_at=since, unknown_since=since)


def test_a_late_copy_is_over_exactly_when_nothing_can_turn_up_any_more() -> None:
    assert settled(basis(intents=[late(NOW - CERTAIN_AFTER)])).state.intents == ()
    before = basis(intents=[late(NOW - CERTAIN_AFTER + 1)])
    assert settled(before) is before


def test_a_late_copy_is_kept_beside_the_agent_that_bears_its_name_by_right() -> None:
    before = basis([record(DESK)], [running(DESK)], [late(NOW - 1)])
    assert settled(before) is before


def test_a_late_copy_that_was_executed_is_the_agent_of_an_address_that_lost_its_own() -> None:
    after = settled(basis(live=[running(DESK, "A8")], intents=[late(NOW - 1)]))
    assert after.state.records[DESK.address].agent_id == "A8"
    assert after.state.records[DESK.address].unsent
    assert after.state.intents == ()


def test_a_late_copy_that_was_executed_beside_a_running_agent_takes_no_record_and_stays_known() -> None:
    own = record(DESK, "A1", name=name_of(DESK, 2), generation=2)
    live = [running(DESK, "A1", generation=2), running(DESK, "A8")]
    before = basis([own], live, [late(NOW - 10 * CERTAIN_AFTER)])
    assert settled(before) is before


# --- updates and leaves ---------------------------------------------------------------------------------------


def test_an_update_of_unknown_outcome_is_sent_again() -> None:
    after = settled(basis([record(DESK)], [running(DESK)], [of_agent(Operation.UPDATE)]))
    found = after.state.records[DESK.address]
    assert found.unsent
    assert found.token_expires_at is None
    assert after.state.intents == ()


def test_an_update_of_an_agent_that_has_no_record_any_more_is_dropped() -> None:
    kept = record(DESK, "A2")
    after, writes = settle(basis([kept], intents=[of_agent(Operation.UPDATE, "A1")]), CERTAIN_AFTER)
    assert after.state.records[DESK.address] == kept
    assert [type(each) for each in writes] == [DropIntent]


def test_a_leave_whose_agent_is_gone_takes_its_record_along() -> None:
    after, writes = settle(basis([record(DESK)], intents=[of_agent(Operation.LEAVE)]), CERTAIN_AFTER)
    assert after.state.records == {}
    assert [type(each) for each in writes] == [DropRecord, DropIntent]


def test_a_leave_whose_agent_runs_or_is_stopping_stays_open() -> None:
    for status in (AgentStatus.RUNNING, AgentStatus.STOPPING, AgentStatus.UNKNOWN):
        before = basis([record(DESK)], [running(DESK, status=status)], [of_agent(Operation.LEAVE)])
        assert settled(before) is before


def test_a_leave_for_a_successor_keeps_the_record_so_that_the_address_is_known_to_have_lost_its_agent() -> (
    None
):
    gone = record(DESK, replacing=True)
    after = settled(basis([gone], intents=[of_agent(Operation.LEAVE)]))
    assert after.state.records == {DESK.address: gone}
    assert after.state.intents == ()


def test_the_leave_of_a_predecessor_does_not_take_the_successors_record() -> None:
    new = record(DESK, "A2", generation=2, name=name_of(DESK, 2))
    after = settled(basis([new], [running(DESK, "A2", generation=2)], [of_agent(Operation.LEAVE, "A1")]))
    assert after.state.records == {DESK.address: new}
    assert after.state.intents == ()


def test_nothing_open_changes_nothing() -> None:
    before = basis([record(DESK)], [running(DESK)])
    assert settle(before, CERTAIN_AFTER) == (before, ())
