"""What each change lowers to, and in which order: who makes room goes first, and only where room is needed."""

from __future__ import annotations

import pytest

from reconciler.model.fleet import Limit, Limits
from reconciler.model.spec import AgentSpec, Lifecycle, ReplaceOrder
from reconciler.plan.build import Plan, build_plan
from reconciler.plan.selection import Selection
from reconciler.plan.steps import (
    AwaitGone,
    CallJoin,
    CallLeave,
    CallUpdate,
    steps_of,
    waves,
)
from tests.fakes.fleets import agent, fleet
from tests.unit.plan.parts import ABLE, Basis, basis, record, running

DESK = agent("lobby/desk")
JOIN_FIRST = Lifecycle(replace=ReplaceOrder.JOIN_FIRST)


def standing(*specs: AgentSpec) -> Basis:
    """Everything recorded and running, as the agents A0, A1, ..."""
    return basis(
        [record(each, f"A{n}") for n, each in enumerate(specs)],
        [running(each, f"A{n}") for n, each in enumerate(specs)],
    )


def lowered(plan: Plan) -> list[str]:
    """The steps of the only change of a plan, by their names."""
    (change,) = plan.changes
    return [type(each).__name__ for each in steps_of(change)]


def order(plan: Plan) -> list[list[list[str]]]:
    """Waves of programs of tasks, each as `Kind address`."""
    return [
        [[f"{type(task.change).__name__} {task.change.address}" for task in program] for program in wave]
        for wave in waves(plan)
    ]


def test_a_replacement_leaves_first() -> None:
    plan = build_plan(fleet(agent("lobby/desk", idle_timeout=60)), standing(DESK), ABLE)
    assert lowered(plan) == ["CallLeave", "AwaitGone", "CallJoin"]


def test_join_first_starts_the_successor_waits_for_it_and_then_leaves() -> None:
    plan = build_plan(fleet(agent("lobby/desk", lifecycle=JOIN_FIRST, idle_timeout=60)), standing(DESK), ABLE)
    assert lowered(plan) == ["CallJoin", "AwaitRunning", "CallLeave", "AwaitGone"]
    (change,) = plan.changes
    assert steps_of(change)[0] == CallJoin(other_uid=True)


@pytest.mark.parametrize("declared", [False, True])
def test_join_first_is_not_possible_with_one_written_uid_or_for_an_adopted_agent(declared: bool) -> None:
    uid = {} if declared else {"agent_rtc_uid": "1001"}
    old, new = agent("lobby/desk", **uid), agent("lobby/desk", lifecycle=JOIN_FIRST, idle_timeout=60, **uid)
    known = basis([record(old, declared=declared)], [running(old)])
    assert lowered(build_plan(fleet(new), known, ABLE)) == ["CallLeave", "AwaitGone", "CallJoin"]


def test_the_other_changes() -> None:
    gone = basis([record(DESK)])
    assert lowered(build_plan(fleet(DESK), basis(), ABLE)) == ["CallJoin"]
    assert lowered(build_plan(fleet(), gone, ABLE, allow_empty=True)) == ["DropMemory"]
    assert lowered(build_plan(fleet(), standing(DESK), ABLE, allow_empty=True)) == ["CallLeave", "AwaitGone"]
    assert lowered(build_plan(fleet(DESK), basis(live=[running(DESK)]), ABLE)) == ["Remember", "CallUpdate"]
    assert lowered(build_plan(fleet(DESK), standing(DESK), ABLE)) == []
    protected = agent("lobby/desk", lifecycle=Lifecycle(protect=True))
    assert lowered(build_plan(fleet(protected), standing(DESK), ABLE)) == ["Remember"]
    prompt = agent("lobby/desk", llm={"params": {"temperature": 0.9}})
    assert lowered(build_plan(fleet(prompt), standing(DESK), ABLE)) == ["CallUpdate"]
    due = basis([record(DESK, token_expires_at=0.0)], [running(DESK)])
    (renewal,) = build_plan(fleet(DESK), due, ABLE).changes
    assert steps_of(renewal) == (CallUpdate({}, token=True),)


def test_an_update_without_values_is_sent_where_what_the_agent_has_is_not_known() -> None:
    bare = agent("lobby/desk", llm=None)
    (change,) = build_plan(fleet(bare), basis([record(bare, unsent=True)], [running(bare)]), ABLE).changes
    assert steps_of(change) == (CallUpdate({}),)


# --- order ----------------------------------------------------------------------------------------------------


def leaving_and_joining(quota: int | None) -> Plan:
    """One agent of the bar leaves, one of the lobby joins."""
    limits = Limits(leave=Limit(percent=100), quota=quota)
    return build_plan(fleet(DESK, limits=limits), standing(agent("bar/waiter")), ABLE)


def test_without_a_known_quota_whoever_leaves_makes_room_first() -> None:
    assert order(leaving_and_joining(None)) == [[["Leave bar/waiter"]], [["Join lobby/desk"]]]


def test_a_quota_with_room_for_both_lets_nobody_wait() -> None:
    assert order(leaving_and_joining(2)) == [[["Leave bar/waiter"], ["Join lobby/desk"]]]
    assert order(leaving_and_joining(1)) == [[["Leave bar/waiter"]], [["Join lobby/desk"]]]


def test_inside_a_channel_leaves_come_first_then_replacements_joins_and_what_touches_no_uid() -> None:
    old = [agent("lobby/a"), agent("lobby/b"), agent("lobby/c")]
    new = [
        agent("lobby/b", idle_timeout=60),
        agent("lobby/c", llm={"params": {"temperature": 0.9}}),
        agent("lobby/d"),
    ]
    limits = Limits(leave=Limit(percent=100), quota=100)
    plan = build_plan(fleet(*new, limits=limits), standing(*old), ABLE)
    assert order(plan) == [[["Leave lobby/a", "Replace lobby/b", "Join lobby/d", "Update lobby/c"]]]


def test_two_agents_that_swap_their_uids_both_leave_before_either_joins() -> None:
    old = [agent("lobby/a", agent_rtc_uid="1"), agent("lobby/b", agent_rtc_uid="2")]
    new = [agent("lobby/a", agent_rtc_uid="2"), agent("lobby/b", agent_rtc_uid="1")]
    known = basis(
        [record(each, f"A{n}", uid=each.body.uid) for n, each in enumerate(old)],
        [running(each, f"A{n}") for n, each in enumerate(old)],
    )
    ((program,),) = waves(build_plan(fleet(*new), known, ABLE))
    kinds = [type(step) for task in program for step in task.steps]
    assert kinds == [CallLeave, AwaitGone, CallLeave, AwaitGone, CallJoin, CallJoin]


def test_a_hold_and_an_agent_in_sync_are_in_no_wave() -> None:
    plan = build_plan(
        fleet(DESK, agent("lobby/door")),
        standing(DESK),
        ABLE,
        selection=Selection(targets=("lobby/desk",)),
    )
    assert waves(plan) == ()
