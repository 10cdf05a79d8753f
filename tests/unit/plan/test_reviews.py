"""What a review covers, and what it holds: each kind of act against each reviewed one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.spec import UID, Lifecycle, ReplaceOrder
from reconciler.model.tree import Path
from reconciler.plan.approval import Review, hold_unreviewed, review_of
from reconciler.plan.change import (
    Act,
    Action,
    Adopt,
    Because,
    Change,
    Forget,
    Hold,
    Join,
    Keep,
    Leave,
    Reason,
    Renew,
    Replace,
    Rotate,
    Target,
    Update,
    action_of,
)
from reconciler.plan.diff import FieldDiff
from reconciler.plan.steps import (
    AwaitGone,
    AwaitRunning,
    CallJoin,
    CallLeave,
    CallUpdate,
    DropMemory,
    Remember,
    Step,
    steps_of,
)
from tests.fakes.fleets import agent
from tests.unit.plan.parts import record, running

DESK = agent("lobby/desk")
HERE, DOOR = DESK.address, agent("lobby/door").address
WHY = Reason(Because.FIELDS, "x")
TARGET = Target(running(DESK), record(DESK), "7")
FATAL: Path = ("properties", "idle_timeout")
FINE: Path = ("properties", "llm", "params")


def diffs(*paths: Path) -> tuple[FieldDiff, ...]:
    return tuple(FieldDiff(each, 1, 2, forces_replacement=each == FATAL) for each in paths)


JOIN = Join(HERE, DESK, WHY)
UPDATE = Update(HERE, DESK, WHY, TARGET, {FINE: 1}, diffs(FINE))
RENEW = Renew(HERE, DESK, WHY, TARGET)
REPLACE = Replace(HERE, DESK, WHY, TARGET, diffs(FATAL, FINE))
ROTATE = Rotate(HERE, DESK, WHY, TARGET)
LEAVE = Leave(HERE, WHY, TARGET)
ADOPT = Adopt(HERE, DESK, WHY, TARGET, {})
FORGET = Forget(HERE, WHY, record(DESK))
ALL: tuple[Act, ...] = (JOIN, UPDATE, RENEW, REPLACE, ROTATE, LEAVE, ADOPT, FORGET)
ALWAYS = {Action.RENEW, Action.ROTATE, Action.ADOPT}


@pytest.mark.parametrize(
    ("reviewed", "covered"),
    [
        ((), set()),
        ((JOIN,), {Action.JOIN, Action.UPDATE}),
        ((UPDATE,), {Action.UPDATE}),
        ((RENEW,), set()),
        ((REPLACE,), {Action.REPLACE, Action.JOIN, Action.UPDATE, Action.LEAVE}),
        ((ROTATE,), set()),
        ((LEAVE,), {Action.LEAVE, Action.FORGET}),
        ((ADOPT,), {Action.ADOPT, Action.JOIN, Action.UPDATE}),
        ((FORGET,), {Action.FORGET}),
        ((LEAVE, JOIN), {Action.LEAVE, Action.FORGET, Action.JOIN, Action.UPDATE}),
        ((Hold(LEAVE, WHY),), set()),
        ((Hold(LEAVE, WHY, until=5.0),), {Action.LEAVE, Action.FORGET}),
        ((Keep(HERE, DESK, WHY, TARGET),), set()),
        ((replace(LEAVE, address=DOOR),), set()),
    ],
)
def test_what_a_reviewed_act_may_have_become(reviewed: tuple[Change, ...], covered: set[Action]) -> None:
    review = review_of(reviewed)
    assert {action_of(each) for each in ALL if review.covers(each, ())} == covered | ALWAYS


@pytest.mark.parametrize(
    ("act", "ran", "is_covered"),
    [
        (JOIN, (), False),
        (JOIN, (DOOR,), False),
        (JOIN, (HERE,), True),  # an agent of it has ended since
        (replace(JOIN, formerly=DOOR), (), True),
        (replace(UPDATE, reason=Reason(Because.UNSENT, "x"), diffs=()), (), True),
        (replace(UPDATE, reason=Reason(Because.UNSENT, "x")), (), False),
        (replace(UPDATE, diffs=()), (), False),
        (FORGET, (HERE,), False),
    ],
)
def test_what_is_covered_without_a_review_of_the_address(act: Act, ran: Any, is_covered: bool) -> None:
    assert Review().covers(act, ran) is is_covered


@pytest.mark.parametrize(
    ("reviewed", "act", "is_covered"),
    [
        (REPLACE, REPLACE, True),
        (REPLACE, replace(REPLACE, diffs=diffs(FATAL, ("properties", "labels"))), True),  # changes in place
        (replace(REPLACE, diffs=diffs(FINE)), REPLACE, False),
        # By force: only for the fields that were reviewed.
        (REPLACE, replace(REPLACE, reason=Reason(Because.FORCED, "x")), True),
        (REPLACE, replace(REPLACE, reason=Reason(Because.FORCED, "x"), diffs=diffs(FINE)), False),
        (REPLACE, replace(REPLACE, diffs=()), True),
        (UPDATE, replace(UPDATE, diffs=diffs(FINE, FATAL)), False),
        (UPDATE, replace(UPDATE, diffs=()), True),
        (JOIN, replace(UPDATE, diffs=diffs(FATAL)), True),  # a join shows the whole agent
        (ADOPT, replace(UPDATE, diffs=diffs(FATAL)), True),
        (REPLACE, replace(UPDATE, diffs=diffs(FATAL)), True),
        (REPLACE, replace(UPDATE, diffs=diffs(("preset",))), False),
    ],
)
def test_an_act_may_change_no_field_that_the_review_did_not_show(
    reviewed: Act, act: Act, is_covered: bool
) -> None:
    assert review_of([reviewed]).covers(act, ()) is is_covered


def test_all_paths_and_acts_of_an_address_are_collected() -> None:
    found = review_of([LEAVE, UPDATE, Hold(REPLACE, WHY, until=1.0)], [("ref", "host")])
    assert found.acts == {HERE: frozenset({Action.LEAVE, Action.UPDATE, Action.REPLACE})}
    assert found.paths == {HERE: frozenset({FATAL, FINE})}
    assert found.secrets == {("ref", "host")}
    assert review_of([Keep(HERE, DESK, WHY, TARGET), Hold(JOIN, WHY)]) == Review()


def test_where_one_change_is_not_covered_all_of_its_address_are_held_but_renewals_and_rotations() -> None:
    held = Hold(LEAVE, WHY)
    keep = Keep(HERE, DESK, WHY, TARGET)
    changes = (JOIN, RENEW, ROTATE, held, keep, ADOPT)
    assert hold_unreviewed(changes, None, ()) == changes
    assert hold_unreviewed(changes, Review(), (HERE,)) == changes
    first, *others, last = hold_unreviewed(changes, Review(), ())
    assert others == [RENEW, ROTATE, held, keep]
    for found, act in ((first, JOIN), (last, ADOPT)):
        assert isinstance(found, Hold)
        assert (found.change, found.reason.because, found.until) == (act, Because.UNREVIEWED, None)
    assert isinstance(first, Hold)
    assert "nobody has reviewed this change (join)" in first.reason.text


# --- the steps of each act -----------------------------------------------------------------------------------------

FIRST = replace(DESK, lifecycle=Lifecycle(replace=ReplaceOrder.JOIN_FIRST))
WITH_UID = replace(agent("lobby/desk", agent_rtc_uid="7"), lifecycle=FIRST.lifecycle)
UNRECORDED = Target(running(DESK))
ENDS = (CallLeave(TARGET), AwaitGone("A1"))


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        (JOIN, (CallJoin(),)),
        (replace(JOIN, awaits=("A2", "A3")), (AwaitGone("A2"), AwaitGone("A3"), CallJoin())),
        (REPLACE, (*ENDS, CallJoin())),
        (ROTATE, (*ENDS, CallJoin())),
        (LEAVE, ENDS),
        (UPDATE, (CallUpdate({FINE: 1}),)),
        (replace(UPDATE, values={}), (Remember(),)),
        (replace(UPDATE, values={}, reason=Reason(Because.UNSENT, "x")), (CallUpdate({}),)),
        (RENEW, (CallUpdate({}, token=True),)),
        (ADOPT, (Remember(),)),
        (replace(ADOPT, target=UNRECORDED, values={FINE: 1}), (Remember(), CallUpdate({FINE: 1}, token=True))),
        (FORGET, (DropMemory(),)),
        (Hold(LEAVE, WHY), ()),
        (Keep(HERE, DESK, WHY, TARGET), ()),
        # One agent before the other, where their uids can differ and the record proves whose it is.
        (replace(REPLACE, spec=FIRST), (CallJoin(other_uid=True), AwaitRunning(), *ENDS)),
        (replace(ROTATE, spec=FIRST), (CallJoin(other_uid=True), AwaitRunning(), *ENDS)),
        (replace(REPLACE, spec=WITH_UID), (*ENDS, CallJoin())),
        (replace(REPLACE, spec=WITH_UID, diffs=diffs(("properties", *UID))), (CallJoin(other_uid=True), AwaitRunning(), *ENDS)),
        (replace(REPLACE, spec=FIRST, target=UNRECORDED), (CallLeave(UNRECORDED), AwaitGone("A1"), CallJoin())),
    ],
)  # fmt: skip
def test_the_steps_of_each_change(change: Change, steps: tuple[Step, ...]) -> None:
    assert steps_of(change) == steps


def test_an_adopted_agent_is_never_overlapped() -> None:
    adopted = Target(running(DESK), record(DESK, declared=True), "7")
    assert steps_of(replace(REPLACE, spec=FIRST, target=adopted))[0] == CallLeave(adopted)
