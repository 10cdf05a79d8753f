"""A leave is done when the agent's end is proven, and not before; a refused one changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.spec import Lifecycle, ReplaceOrder
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from reconciler.ports import HttpRequest
from tests.fakes.fleets import agent, fleet
from tests.unit.apply.scene import DESK, GRACE, LATE_COPY, Operation, Result, Scene, desk

PAUSED = desk(lifecycle=Lifecycle(paused=True))
EDITED = desk(idle_timeout=60)
JOIN_FIRST = Lifecycle(replace=ReplaceOrder.JOIN_FIRST)
REFUSED = {"on": "leave", "count": 0, "fate": "refuse", "status": 400}


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.apply(desk())
    return made


def test_a_refused_leave_keeps_the_agent_and_its_record(scene: Scene) -> None:
    before, agent = scene.record(), scene.running().agent_id
    scene.script(REFUSED)
    assert scene.result(PAUSED) is Result.FAILED
    assert (scene.running().agent_id, scene.record()) == (agent, before)
    scene.script()
    assert scene.apply(PAUSED).is_complete
    assert (scene.live(), scene.record()) == ([], None)


def test_a_replacement_whose_leave_is_refused_starts_nothing(scene: Scene) -> None:
    before = scene.record()
    scene.script(REFUSED)
    assert scene.result(EDITED) is Result.FAILED
    assert scene.sent["join"] == 1
    assert scene.record() == before, "nor is the agent marked as one that makes room"
    assert scene.running().properties["idle_timeout"] == 0


def test_a_service_that_knows_nobody_any_more_in_the_middle_ends_the_run_and_not_one_agent() -> None:
    scene, three = Scene(), [agent(f"room-{number}/desk") for number in range(3)]
    scene.apply(fleet(*three))
    scene.script({"on": "query", "count": 0, "fate": "refuse", "status": 401})
    paused = Lifecycle(paused=True)
    ledger = scene.apply(fleet(*(replace(each, lifecycle=paused) for each in three)))
    assert sorted(each.result for each in ledger.finished) == [
        Result.FAILED,
        Result.SKIPPED,
        Result.SKIPPED,
    ]
    assert len(scene.live()) == 3


@pytest.mark.parametrize("fate", ["drop_request", "lose_response"])
def test_without_an_answer_a_query_decides(scene: Scene, fate: str) -> None:
    scene.script({"on": "leave", "fate": fate})
    assert scene.apply(PAUSED).is_complete
    assert (scene.live(), scene.record(), scene.intents()) == ([], None, {})
    assert scene.sent["leave"] == (2 if fate == "drop_request" else 1)


def test_an_agent_that_takes_too_long_to_end_is_no_agent_that_has_ended(scene: Scene) -> None:
    scene.service.set_switches(stop_seconds=1000.0)
    before = scene.record()
    assert scene.result(PAUSED) is Result.UNKNOWN
    assert scene.record() == before
    assert scene.intents().keys() == {Operation.LEAVE}
    scene.now += 1000
    scene.apply(PAUSED)
    assert (scene.live(), scene.record(), scene.intents()) == ([], None, {})


def test_the_generation_outlives_the_record(scene: Scene) -> None:
    scene.apply(PAUSED)
    assert scene.state.read().generations[DESK] == 1
    scene.apply(desk())
    record = scene.record()
    assert record is not None
    assert record.generation == 2


def test_an_agent_of_a_leave_that_nobody_wants_any_more_stays_where_it_has_not_left(scene: Scene) -> None:
    scene.dies_before("leave", PAUSED)
    agent = scene.running().agent_id
    assert scene.apply(desk()).is_complete
    assert scene.running().agent_id == agent
    record = scene.record()
    assert record is not None
    assert record.agent_id == agent


def test_a_leave_that_nobody_wants_any_more_is_remembered_until_no_copy_of_it_can_be_executed(
    scene: Scene,
) -> None:
    scene.dies_before("leave", PAUSED)
    agent, sent_at = scene.running().agent_id, scene.intents()[Operation.LEAVE].created_at
    for at, remembered in ((sent_at + GRACE - 20, {Operation.LEAVE}), (sent_at + GRACE + 20, set())):
        scene.now = at
        assert scene.apply(desk()).is_complete
        assert scene.intents().keys() == remembered
    assert scene.running().agent_id == agent
    record = scene.record()
    assert record is not None
    assert record.agent_id == agent


# --- a list that lags behind ----------------------------------------------------------------------------------


def test_a_list_that_lags_does_not_bring_back_an_agent_that_was_told_to_leave(scene: Scene) -> None:
    scene.now += 300
    scene.dies_after("leave", PAUSED)
    scene.service.set_switches(list_lag_seconds=200.0)
    scene.now += 30
    assert scene.apply(desk()).is_complete
    record = scene.record()
    assert record is not None
    assert scene.running().agent_id == record.agent_id
    assert scene.intents() == {}


def test_a_list_that_lags_does_not_bring_back_an_agent_that_has_made_room(scene: Scene) -> None:
    scene.now += 300
    scene.dies_before("join", EDITED)
    assert scene.live() == []
    scene.service.set_switches(list_lag_seconds=200.0)
    scene.now += 30
    assert scene.result(desk()) is Result.DEFERRED, "the edit was taken back, and its join may be on its way"
    scene.now += 2 * GRACE
    assert scene.apply(desk()).is_complete
    assert scene.running().properties["idle_timeout"] == 0


def ends_after_it_was_seen(scene: Scene) -> str:
    """The running agent, which ends just before the second query for it."""
    agent = scene.running().agent_id
    asked: list[str] = []

    def end(request: HttpRequest) -> None:
        if request.method == "GET" and agent in request.url:
            if asked:
                scene.service.end(agent)
            asked.append(request.url)

    scene.on_request = end
    return agent


def test_an_agent_that_ends_late_by_an_earlier_leave_is_not_called_done(scene: Scene) -> None:
    scene.dies_before("leave", PAUSED)
    agent = ends_after_it_was_seen(scene)
    assert scene.result(desk()) is Result.UNKNOWN
    scene.on_request = None
    assert scene.apply(desk()).is_complete
    assert scene.running().agent_id != agent


def test_an_agent_that_ends_by_a_leave_that_is_now_held_takes_its_record_along(scene: Scene) -> None:
    """Nobody wants the agent; the run does not leave, and its last look sees that the earlier leave was executed."""
    scene.dies_before("leave", PAUSED)
    ends_after_it_was_seen(scene)
    ledger = scene.apply(PAUSED, policy=Policy(only=frozenset({Action.JOIN})))
    assert scene.live() == []
    assert (scene.record(), scene.intents()) == (None, {})
    assert {each.result for each in ledger.finished} <= {Result.HELD}, "nothing is to be joined again"


# --- join-first -----------------------------------------------------------------------------------------------


@pytest.fixture
def overlapping() -> Scene:
    made = Scene()
    made.apply(desk(lifecycle=JOIN_FIRST))
    return made


def test_join_first_the_old_agent_leaves_when_the_new_one_runs(overlapping: Scene) -> None:
    first = overlapping.running()
    counts: list[int] = []
    overlapping.on_request = lambda request: (
        counts.append(len(overlapping.live())) if request.url.endswith("leave") else None
    )
    assert overlapping.apply(desk(lifecycle=JOIN_FIRST, idle_timeout=60)).is_complete
    overlapping.on_request = None
    assert counts == [2]
    second = overlapping.running()
    assert (second.properties["idle_timeout"], second.uid == first.uid) == (60, False)
    assert overlapping.intents() == {}


def test_a_successor_that_ends_at_once_puts_the_predecessor_back(overlapping: Scene) -> None:
    first, before = overlapping.running().agent_id, overlapping.record()
    overlapping.script({"on": "join", "count": 0, "fate": "doom", "seconds": 0.0})
    assert overlapping.result(desk(lifecycle=JOIN_FIRST, idle_timeout=60)) is Result.FAILED
    kept = overlapping.record()
    assert before is not None
    assert kept is not None
    assert (kept.agent_id, kept.name, kept.body, kept.failures) == (first, before.name, before.body, 1)
    assert overlapping.running().agent_id == first
    assert overlapping.intents() == {}, "the predecessor is not one that is to leave"
    assert overlapping.state.read().generations[DESK] == 2, "the name of the failed one is spent"


def test_a_process_that_dies_beside_both_agents_loses_neither(overlapping: Scene) -> None:
    first, wanted = overlapping.running().agent_id, desk(lifecycle=JOIN_FIRST, idle_timeout=60)
    overlapping.dies_before("leave", wanted)
    assert len(overlapping.live()) == 2
    state = overlapping.state.read()
    known = {each.agent_id for each in state.records.values()} | {each.agent_id for each in state.intents}
    assert {each.agent_id for each in overlapping.live()} <= known
    overlapping.apply(wanted)
    overlapping.now += 10
    overlapping.apply(wanted)
    assert overlapping.running().agent_id != first
    assert overlapping.running().properties["idle_timeout"] == 60
    assert not overlapping.plan(wanted).pending
    assert LATE_COPY not in overlapping.intents()
