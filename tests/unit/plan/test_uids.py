"""A replacement that needs the uid of an agent which stays is held: it would hang up, and could not join."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.address import Address
from reconciler.model.spec import HOUR, ReplaceOrder
from reconciler.plan.build import Plan
from reconciler.plan.change import Because, Hold, Join, Leave, Replace, Rotate
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


def test_a_rotation_that_would_find_its_new_uid_taken_is_held_too() -> None:
    old = {"rotate_after": 48 * HOUR, "rotate_spread": 0.0}
    made = World()
    for name, uid, wanted in (("a", "1", "2"), ("b", "2", "3")):
        made.wants(f"lobby/{name}", properties(agent_rtc_uid=wanted), **old)
        made.runs(f"lobby/{name}", properties(agent_rtc_uid=uid), age=61.0)
    assert kinds(made.plan()) == {"a": Rotate, "b": Rotate}
    assert kinds(made.plan(Selection(targets=("lobby/a",)))) == {"a": Because.SEAT_TAKEN}


@pytest.mark.parametrize(("age", "kind"), [(1.0, Replace), (61.0, Rotate)])
def test_an_address_without_a_uid_in_the_files_has_a_second_one_and_waits_for_nobody(
    age: float, kind: type
) -> None:
    made = World().wants("lobby/b").runs("lobby/b")  # renamed from lobby/a, whose uid it keeps
    made.wants("lobby/a", properties(asr__language="de-DE"), rotate_after=48 * HOUR, rotate_spread=0.0)
    made.runs("lobby/a", age=age)
    first, second = (Address("lobby", each) for each in ("a", "b"))
    made.records[second] = replace(made.records[second], uid=made.records[first].uid)
    spec = made.agents[first]
    made.records[first] = replace(made.records[first], uid=spec.uid(made.owner, shifted=True))
    assert kinds(made.plan())["a"] is kind


def test_a_join_for_which_there_would_be_no_uid_is_held() -> None:
    """The files have given the uid of an agent that stays, since it is protected, to a new address."""
    made = World().runs("lobby/old", properties(agent_rtc_uid="5"), protect=True)
    made.wants("lobby/new", properties(agent_rtc_uid="5"))
    assert kinds(made.plan()) == {"new": Because.SEAT_TAKEN, "old": Because.PROTECTED}
    made.records = {where: replace(each, protect=False) for where, each in made.records.items()}
    assert kinds(made.plan()) == {"new": Join, "old": Leave}


def test_a_renamed_agent_whose_new_uid_is_taken_is_held() -> None:
    made = (
        World()
        .runs("lobby/old", properties(agent_rtc_uid="1"))
        .runs("lobby/b", properties(agent_rtc_uid="2"))
    )
    made.wants("lobby/b", properties(agent_rtc_uid="3"), protect=True)
    made.wants("lobby/new", properties(agent_rtc_uid="2"))
    spec = made.agents[Address("lobby", "new")]
    made.agents[spec.address] = replace(spec, previously=(Address("lobby", "old"),))
    assert kinds(made.plan()) == {"new": Because.SEAT_TAKEN, "b": Because.PROTECTED}
