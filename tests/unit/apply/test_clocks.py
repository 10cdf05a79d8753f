"""Times in the state are the service's: machines whose clocks differ read each other's notes."""

from __future__ import annotations

import pytest

from reconciler.model.spec import HOUR, Lifecycle, ReplaceOrder
from tests.unit.apply.scene import Scene, desk

FIRST_PAUSE = 120.0
# The service tells its time in whole seconds, and the run goes on for some.
ABOUT = 10.0
# By a clock that is further off no token is minted.
CLOCKS = (-250.0, 250.0)


@pytest.mark.parametrize("ahead", CLOCKS)
def test_a_successor_that_failed_is_tried_again_when_the_service_says_that_the_pause_is_over(
    ahead: float,
) -> None:
    scene, edited = Scene(), desk(lifecycle=Lifecycle(replace=ReplaceOrder.JOIN_FIRST), idle_timeout=60)
    scene.apply(desk(lifecycle=Lifecycle(replace=ReplaceOrder.JOIN_FIRST)))
    scene.script({"on": "join", "count": 0, "fate": "doom", "seconds": 0.0})
    for _ in range(2):
        scene.apply(edited)
    scene.ahead = ahead
    scene.apply(edited)
    record = scene.record()
    assert record is not None
    assert record.failures == 3
    assert record.retry_at == pytest.approx(scene.now + FIRST_PAUSE, abs=ABOUT)


@pytest.mark.parametrize("ahead", CLOCKS)
@pytest.mark.parametrize("left", [-60.0, 60.0])
def test_a_token_goes_with_an_update_from_the_instant_on_that_a_plan_names(ahead: float, left: float) -> None:
    scene = Scene()
    scene.apply(desk())
    before = scene.record()
    assert before is not None
    assert before.token_expires_at is not None
    scene.now = before.token_expires_at - Lifecycle().renews_at(before.share) - left
    scene.ahead = ahead
    scene.apply(desk(llm={"params": {"temperature": 0.9}}))
    after = scene.record()
    assert after is not None
    assert after.token_expires_at is not None
    assert (after.token_expires_at > before.token_expires_at + HOUR) is (left < 0)
