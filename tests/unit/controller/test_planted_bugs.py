"""Three bugs that the tests of the controller must notice, each planted and noticed by the test that guards it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reconciler.apply.context import Context
from reconciler.controller import turn as turn_module
from reconciler.plan import intents
from tests.unit.controller import test_standing as tests
from tests.unit.controller.test_standing import World


def holds_the_lock_over_a_wait(patch: pytest.MonkeyPatch) -> None:
    real = turn_module._of_a_turn

    def patient(job: Any) -> Any:
        return replace(job, settings=replace(real(job).settings, turn=None, wait=120.0, farewell=150.0))

    patch.setattr(turn_module, "_of_a_turn", patient)


def ignores_a_knock(patch: pytest.MonkeyPatch) -> None:
    def deaf(self: Context, seconds: float) -> Any:
        return
        yield

    patch.setattr(Context, "_check_turn", deaf)


def forgets_the_stops_when_it_is_started_anew(patch: pytest.MonkeyPatch) -> None:
    seen: dict[object, Any] = {}
    worlds: list[float] = []

    def counted_in_memory(record: Any, at: float) -> Any:
        if worlds and at - worlds[-1] > 740:
            seen.clear()  # this process has not been there before
        worlds.append(at)
        seen[record.address] = (*seen.get(record.address, ()), at)
        return replace(record, stops=seen[record.address], stopped_agent=record.agent_id)

    patch.setattr(intents, "stopped_again", counted_in_memory)


@pytest.mark.parametrize(
    ("plant", "guard"),
    [
        (holds_the_lock_over_a_wait, tests.test_the_lock_is_not_held_while_an_agent_says_farewell),
        (
            ignores_a_knock,
            tests.test_who_knocks_is_let_in_in_the_middle_of_a_turn_and_the_rest_is_done_afterwards,
        ),
        (
            forgets_the_stops_when_it_is_started_anew,
            tests.test_what_somebody_ends_twice_in_an_hour_is_held_also_by_a_controller_that_was_started_anew,
        ),
    ],
    ids=lambda each: each.__name__,
)
def test_it_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
    guard: Callable[[World], None],
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        guard(World())
