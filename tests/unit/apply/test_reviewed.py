"""What an apply of a review does with agents that turn up on the way: none is ended that nobody has reviewed."""

from __future__ import annotations

import pytest

from reconciler import workflow
from reconciler.apply.events import Ledger, Result
from reconciler.model.address import Address
from reconciler.model.fleet import DesiredFleet
from reconciler.plan.approval import Review
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from reconciler.ports import HttpRequest
from tests.fakes.fleets import agent, fleet
from tests.unit.apply.scene import CERTAIN_AFTER, DESK, Scene, desk


def reviewed(scene: Scene, wanted: DesiredFleet, *acts: Action, also: Address | None = None) -> Ledger:
    """An apply of a review that saw these acts at the desk, and a join of another address."""
    seen = {DESK: frozenset(acts)} | ({also: frozenset({Action.JOIN})} if also else {})
    policy = Policy(review=Review(seen, {DESK: frozenset({("properties", "idle_timeout")})}))
    return scene.run(workflow.apply(scene.job(wanted, policy=policy), scene.provider()))


@pytest.mark.parametrize(("acts", "idle"), [((), 0), ((Action.REPLACE,), 60)])
def test_an_agent_that_an_earlier_run_meant_to_join_is_replaced_where_that_was_reviewed(
    acts: tuple[Action, ...], idle: int
) -> None:
    scene = Scene()
    scene.apply(desk())
    scene.service.end(scene.running().agent_id)
    scene.dies_before("join", desk())
    for _ in range(3):
        ledger = reviewed(scene, desk(idle_timeout=60), *acts)
        scene.now += CERTAIN_AFTER
    assert scene.running().properties["idle_timeout"] == idle
    assert ledger.is_complete is bool(acts)
    assert not acts or ledger.rows == {}


@pytest.mark.parametrize(("acts", "left"), [((), ["desk", "other"]), ((Action.LEAVE,), ["other"])])
def test_an_unwanted_join_that_turns_up_late_is_left_where_that_was_reviewed(
    acts: tuple[Action, ...], left: list[str]
) -> None:
    scene = Scene()
    late: list[HttpRequest] = []

    def is_join(request: HttpRequest) -> bool:
        if request.url.endswith("/join"):
            late.append(request)
        return bool(late)

    scene.dies(desk(), is_join)

    def arrive(request: HttpRequest) -> None:
        if request.url.endswith("/join") and len(late) == 1:
            late.append(request)
            scene._send(late[0])  # the plan stands already, and knows nothing of it

    scene.on_request = arrive
    ledger = reviewed(scene, fleet(agent("lobby/other")), *acts, also=Address("lobby", "other"))
    assert sorted(each.name.split(".")[2].split("-")[-1] for each in scene.live()) == left
    assert {each.result for each in ledger.finished} == {Result.DONE} | ({Result.HELD} if not acts else set())


KEEP_ALIVE = Policy(only=frozenset({Action.RENEW, Action.ROTATE, Action.JOIN, Action.ADOPT, Action.FORGET}))


@pytest.mark.parametrize("now_wanted", [desk(idle_timeout=60), fleet(agent("lobby/other"))])
def test_a_run_that_keeps_agents_alive_ends_none_that_an_earlier_join_has_started(
    now_wanted: DesiredFleet,
) -> None:
    """The list shows the agent only after the plan was made: it is replaced, or left, by a run that may do that."""
    scene = Scene()
    scene.service.set_switches(list_lag_seconds=200)
    scene.dies_after("join", desk())
    running = scene.running()
    scene.on_request = lambda request: (
        scene.service.set_switches(list_lag_seconds=0) if request.method == "POST" else None
    )
    ledger = scene.run(workflow.apply(scene.job(now_wanted, policy=KEEP_ALIVE), scene.provider()))
    assert running.agent_id in {each.agent_id for each in scene.live()}
    (held,) = (each for each in ledger.finished if each.result is Result.HELD)
    assert held.address == DESK and "--only leaves" in held.detail
    scene.on_request = None
    assert scene.apply(now_wanted).is_complete
    assert running.agent_id not in {each.agent_id for each in scene.live()}
