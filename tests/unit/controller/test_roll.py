"""The listing that fleets share: how old it may be, when it is made anew, and how long a service that fails is left alone."""

from __future__ import annotations

import math

import pytest

from reconciler import workflow
from reconciler.controller.health import Health
from reconciler.controller.loop import LeadChanged, RoundBegan, RoundEnded
from reconciler.controller.roll import Roll
from reconciler.errors import ReconcilerError, ServiceError
from reconciler.observe import ForeignMemory
from reconciler.ports import Emit, Steps
from tests.fakes.fleets import agent, fleet
from tests.fakes.virtual import Virtual


@pytest.fixture
def world() -> Virtual:
    made = Virtual()
    made.run(workflow.apply(made.job(fleet(agent("lobby/desk"))), made.provider()))
    return made


@pytest.mark.parametrize(("interval", "until"), [(math.inf, 20.0), (60.0, 20.0), (5.0, 5.0)])
def test_it_is_made_anew_when_its_time_has_come_or_it_is_twenty_seconds_old(
    world: Virtual, interval: float, until: float
) -> None:
    roll = Roll(interval=interval)
    began = world.now
    rows = world.run(roll.call(world.provider()))
    assert (len(rows), roll.made, roll.made_at) == (1, 1, began)
    world.service.end(world.live()[0].agent_id)
    world.now = began + until - 0.1
    assert (world.run(roll.call(world.provider())), roll.made) == (rows, 1)
    world.now = began + until
    assert (world.run(roll.call(world.provider())), roll.made) == ((), 2)


def test_a_listing_that_fails_is_none(world: Virtual) -> None:
    roll = Roll(interval=60.0)
    world.service.set_script([{"on": "list", "count": 0, "fate": "refuse", "status": 500}])
    with pytest.raises(ServiceError):
        world.run(roll.call(world.provider()))
    assert (roll.made, roll.made_at) == (0, None)
    world.service.set_script([])
    assert len(world.run(roll.call(world.provider()))) == 1


def test_a_service_that_fails_is_left_alone_for_longer_and_longer(world: Virtual) -> None:
    """The dice say one half here: half of the way from a second to the longest pause."""
    roll, pauses, away = Roll(interval=20.0), [], ServiceError("away")
    for _ in range(6):
        world.run(roll.fail(away))
        assert roll.blocked_until == roll.next_at
        pauses.append(roll.blocked_until - world.now)
    assert pauses == pytest.approx([1.5, 2.5, 4.5, 8.5, 10.5, 10.5])
    roll.succeed()
    world.run(roll.fail(away))
    assert roll.blocked_until - world.now == pytest.approx(1.5)
    away.again_in = 0.1
    world.run(roll.fail(away))
    assert roll.blocked_until - world.now == pytest.approx(1.0), "never less than a second"


def test_what_a_look_learns_of_foreign_agents_is_kept_for_all_also_where_the_rest_fails(
    world: Virtual,
) -> None:
    roll, learned = Roll(), ForeignMemory(searched=frozenset({"lobby"}))

    def steps() -> Steps[str]:
        yield Emit("something else")
        yield Emit(learned)
        try:
            yield from world.provider().live_agents()
        except ReconcilerError as problem:
            return f"caught {type(problem).__name__}"
        return "listed"

    assert world.run(roll.noting(steps())) == "listed"
    assert roll.memory is learned
    world.service.set_script([{"on": "list", "count": 0, "fate": "refuse", "status": 500}])
    assert world.run(roll.noting(steps())).startswith("caught ")


def test_a_loop_that_sleeps_or_works_for_too_long_is_stuck_and_is_ready_once_and_for_all() -> None:
    health = Health()
    health.begin("b", 0.0)
    health.begin("a", 0.0)
    assert (health.stuck(180.0), health.stuck(180.1)) == ([], ["a", "b"])
    health.note("a", RoundEnded(None, ready=False), 100.0)
    health.note("b", LeadChanged(leads=True), 100.0)
    assert (health.stuck(110.0), health.stuck(110.1)) == ([], ["a"])
    assert health.unready() == ["a", "b"]
    health.note("a", RoundEnded(None, ready=True), 120.0)
    assert health.unready() == ["b"]
    health.note("a", RoundBegan(), 125.0)
    assert (health.stuck(140.0), health.stuck(305.1)) == ([], ["a", "b"])
    health.note("a", RoundEnded(None, ready=False), 130.0)
    assert health.unready() == ["b"]
