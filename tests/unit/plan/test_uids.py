"""A replacement that needs the uid of an agent which stays is held: it would hang up, and could not join."""

from __future__ import annotations

import pytest

from reconciler.model.spec import ReplaceOrder
from reconciler.plan.build import Plan
from reconciler.plan.change import Because, Hold, Replace
from reconciler.plan.selection import Selection
from tests.unit.report.plans import World, properties


def world(uids: str, *, protected: str = "", **lifecycle: object) -> World:
    """The agents a, b, c … of one channel, each of which is to have the uid of the next one, the last that of the first."""
    made = World()
    for number, name in enumerate(uids):
        wanted = properties(agent_rtc_uid=str((number + 1) % len(uids) + 1))
        made.wants(f"lobby/{name}", wanted, protect=name == protected, **lifecycle)
        made.runs(
            f"lobby/{name}", properties(agent_rtc_uid=str(number + 1)), protect=name == protected or None
        )
    return made


def kinds(plan: Plan) -> dict[str, object]:
    return {
        each.address.name: each.reason.because if isinstance(each, Hold) else type(each)
        for each in plan.changes
    }


def test_uids_that_are_exchanged_are_replaced() -> None:
    assert kinds(world("abc").plan()) == {"a": Replace, "b": Replace, "c": Replace}


@pytest.mark.parametrize("order", list(ReplaceOrder))
def test_all_that_wait_for_an_agent_that_stays_are_held_with_it(order: ReplaceOrder) -> None:
    plan = world("abcd", protected="c", replace=order).plan()
    assert kinds(plan) == {
        "a": Because.SEAT_TAKEN,
        "b": Because.SEAT_TAKEN,
        "c": Because.PROTECTED,
        "d": Because.SEAT_TAKEN,
    }
    held = next(each for each in plan.changes if each.address.name == "b")
    assert (
        "uid 3 of channel lobby belongs to the agent of lobby/c, which this run does not end"
        in held.reason.text
    )


def test_what_is_not_selected_stays_too() -> None:
    found = kinds(world("ab").plan(Selection(targets=("lobby/a",))))
    assert found == {"a": Because.SEAT_TAKEN}


def test_an_agent_that_has_ended_has_no_uid() -> None:
    made = world("ab", protected="b")
    made.live = [each for each in made.live if each.agent_id != "A002"]
    assert kinds(made.plan())["a"] is Replace


def test_an_agent_of_another_channel_has_another_uid() -> None:
    made = world("ab")
    made.wants("bar/x", properties(agent_rtc_uid="2")).runs("bar/x", properties(agent_rtc_uid="2"))
    assert kinds(made.plan()) == {"a": Replace, "b": Replace, "x": made.plan().changes[0].__class__}
