"""States that are pushed and moved: what is accepted, what would lose something, and which version goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import StateError
from reconciler.model.record import Entry, Intent, Operation, Pins, State
from reconciler.model.writes import Append, PutMoved, SetLineage
from reconciler.plan.basis import Basis
from reconciler.workflow.job import _check_times, check_pins
from reconciler.workflow.transfers import Move, goes_on, pushed_writes
from tests.fakes.fleets import OWNER, agent
from tests.unit.plan.parts import name_of, record

PINS = Pins("demo", None, "agora", "app")
DESK = agent("lobby/desk")
A1 = record(DESK, secrets={"ref+env://K": "aa"})
EMPTY = State("", 0, b"k")
HERE = State("l", 5, b"k", pins=PINS, records={DESK.address: A1})


def lineage_of(writes: Any) -> SetLineage:
    (found,) = [each for each in writes if isinstance(each, SetLineage)]
    return found


# --- pushed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("current", "pushed", "force", "said"),
    [
        (HERE, replace(HERE, serial=6), False, None),
        (HERE, replace(HERE, serial=5), False, "its serial is 5, and here it is 5"),
        (HERE, replace(HERE, serial=5, offset=1), False, None),
        (replace(HERE, offset=2), replace(HERE, serial=7), False, "its serial is 7, and here it is 7"),
        (HERE, replace(HERE, serial=5), True, None),
        (HERE, replace(HERE, serial=6, lineage="m"), False, r"has another lineage \(m\) than the state here \(l\)"),
        (HERE, replace(HERE, serial=6, lineage="m"), True, None),
        (replace(HERE, moved_to="there"), replace(HERE, serial=6), False, "this state has moved to there"),
        (replace(HERE, moved_to="there"), replace(HERE, serial=6), True, None),
        (EMPTY, replace(HERE, serial=1), False, None),
        (HERE, replace(HERE, serial=6, pins=replace(PINS, fleet="other")), True, "what is pushed is refused"),
        (HERE, replace(HERE, serial=6, pins=replace(PINS, app_id="x")), True, "belongs to App ID x"),
        (EMPTY, replace(HERE, serial=6, pins=replace(PINS, app_id="x")), False, None),  # the state says which one
        (HERE, replace(HERE, serial=6, pins=None), False, None),
        (HERE, replace(HERE, serial=6, moved_to="there"), True, "this state has moved"),
    ],
)  # fmt: skip
def test_what_may_be_pushed(current: State, pushed: State, force: bool, said: str | None) -> None:
    if said is None:
        assert pushed_writes(current, pushed, PINS, force=force)
        return
    with pytest.raises(StateError, match=said):
        pushed_writes(current, pushed, PINS, force=force)


@pytest.mark.parametrize(
    ("current", "other", "offset"),
    [
        (State("l", 5, b""), State("m", 9, b""), 3),  # version 9 at serial 6
        (State("l", 5, b""), State("m", 2, b""), 0),
        (State("l", 5, b"", offset=4), State("m", 2, b""), 4),
        (State("", 0, b""), State("m", 7, b""), 6),
        (State("l", 5, b""), State("m", 5, b"", offset=10), 9),
    ],
)
def test_the_version_goes_on_after_both(current: State, other: State, offset: int) -> None:
    assert lineage_of(goes_on(current, other)) == SetLineage("m", offset)


# --- moved ---------------------------------------------------------------------------------------------------------

LEFT = replace(HERE, moved_to="b")


def move(leaving: State = HERE, arriving: State = EMPTY) -> Move:
    return Move("a", "b", leaving, arriving)


@pytest.mark.parametrize(
    ("leaving", "arriving", "is_done", "is_taken_back"),
    [
        (LEFT, replace(HERE, serial=6), True, False),
        (LEFT, replace(HERE, serial=5), False, False),
        (LEFT, replace(HERE, serial=6, lineage="m"), False, False),
        (LEFT, replace(HERE, serial=6, moved_to="c"), False, False),
        (HERE, replace(HERE, serial=6), False, False),
        (replace(HERE, moved_to="c"), replace(HERE, serial=6), False, False),
        (EMPTY, replace(HERE, moved_to="a"), False, True),
        (EMPTY, replace(HERE, moved_to="c"), False, False),
        (HERE, replace(HERE, moved_to="a"), False, False),
    ],
)
def test_how_far_a_move_is(leaving: State, arriving: State, is_done: bool, is_taken_back: bool) -> None:
    found = move(leaving, arriving)
    assert (found.is_done, found.is_taken_back) == (is_done, is_taken_back)


@pytest.mark.parametrize(
    ("leaving", "arriving", "said"),
    [
        (HERE, EMPTY, None),
        (LEFT, EMPTY, None),  # it was interrupted
        (LEFT, replace(HERE, serial=6), None),
        (EMPTY, replace(HERE, moved_to="a"), None),
        (EMPTY, EMPTY, "there is no state in a"),
        (replace(HERE, moved_to="c"), EMPTY, "this state has moved to c"),
        (replace(HERE, pins=replace(PINS, fleet="other")), EMPTY, "the state belongs to fleet other"),
        (replace(HERE, pins=replace(PINS, app_id="x")), EMPTY, None),
        (HERE, replace(HERE, serial=4), None),
        (HERE, replace(HERE, serial=5), r"b holds a later version of this state \(serial 5\) than a \(5\)"),
        (HERE, replace(HERE, serial=4, lineage="m"), "a and b both hold a state, of different lineages"),
    ],
)
def test_what_a_move_would_lose(leaving: State, arriving: State, said: str | None) -> None:
    if said is None:
        move(leaving, arriving).check(PINS)
        return
    with pytest.raises(StateError, match=said):
        move(leaving, arriving).check(PINS)


def test_what_a_move_writes() -> None:
    history = [Entry(2.0, DESK.address, "join", "done"), Entry(1.0, DESK.address, "leave", "done")]
    writes = move(LEFT, replace(EMPTY, secret_key=b"k")).writes(6, history)
    # Version 7 at serial 1: one more than the mark in the source.
    assert lineage_of(writes) == SetLineage("l", 6)
    assert [each.entry for each in writes if isinstance(each, Append)] == history[::-1]
    assert not [each for each in writes if isinstance(each, PutMoved) and each.place]
    assert move(EMPTY, replace(HERE, moved_to="a")).taken_back() == [SetLineage("l", 0), PutMoved("b")]


# --- whose state it is ---------------------------------------------------------------------------------------------


def join(**changes: Any) -> Intent:
    made = Intent(Operation.JOIN, DESK.address, name_of(DESK), 1.0, generation=1, uid="7", body=DESK.body)
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"moved_to": "there"}, "this state has moved to there"),
        ({"pins": None}, None),
        ({"pins": replace(PINS, fleet="x")}, r"belongs to fleet x, and this run is for demo"),
        ({"pins": replace(PINS, environment="x")}, r"belongs to environment x, and this run is for \(none\)"),
        ({"pins": replace(PINS, service="x")}, r"belongs to service x, and this run is for agora"),
        ({"pins": replace(PINS, app_id=None)}, r"belongs to App ID \(none\), and this run is for app"),
        ({"intents": (join(),)}, None),
        ({"intents": (join(name="any"),)}, "which is no name of demo"),
        ({"intents": (join(name=name_of(DESK).replace("demo", "other")),)}, "which is no name of demo"),
        ({"intents": (join(operation=Operation.LATE_COPY, name="any"),)}, "which is no name of demo"),
        ({"intents": (join(operation=Operation.LEAVE, name="any"),)}, None),
        ({"intents": (join(name="any"),), "pins": None}, "which is no name of demo"),
    ],
)
def test_a_state_of_somebody_else_is_refused(changes: dict[str, Any], said: str | None) -> None:
    if said is None:
        check_pins(replace(HERE, **changes), PINS)
        return
    with pytest.raises(StateError, match=said):
        check_pins(replace(HERE, **changes), PINS)


@pytest.mark.parametrize(
    ("changes", "is_fine"),
    [
        ({"created_at": 3600.0}, True),
        ({"created_at": 3601.0}, False),
        ({"unknown_since": 3601.0}, False),
        ({"sent_at": 3601.0}, False),
        ({"refused_since": 9999.0}, True),
        ({"unknown_since": 3600.0, "sent_at": 3600.0}, True),
    ],
)
def test_a_call_of_the_future_is_refused(changes: dict[str, Any], is_fine: bool) -> None:
    basis = Basis(OWNER, replace(HERE, intents=(join(**{"created_at": 0.0, **changes}),)), (), 0.0)
    if is_fine:
        _check_times(basis)
        return
    with pytest.raises(StateError, match="the state means to join lobby/desk since a time 1h in the future"):
        _check_times(basis)
