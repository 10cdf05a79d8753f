"""A join through its ways of going wrong: refused, lost, in conflict with itself or with others, failed at once."""

from __future__ import annotations

import pytest

from reconciler.model.address import AgentName
from reconciler.plan.change import Action, Because
from reconciler.state.memory import MemoryStore
from tests.fakes.fleets import agent
from tests.unit.apply.scene import (
    CERTAIN_AFTER,
    DESK,
    GRACE,
    LATE_COPY,
    Operation,
    Result,
    Scene,
    desk,
    failed_again,
)
from tests.unit.plan.parts import record as record_of

REFUSED = {"on": "join", "count": 0, "fate": "refuse", "status": 400}
NOT_SENT = {"on": "join", "fate": "drop_request"}


def generation(scene: Scene) -> int:
    name = AgentName.parse(scene.running().name)
    assert name is not None
    return name.generation


# --- refused --------------------------------------------------------------------------------------------------


def test_a_refused_join_is_closed_and_nothing_is_left_open() -> None:
    scene = Scene()
    scene.script(REFUSED)
    assert scene.result(desk()) is Result.FAILED
    assert (scene.live(), scene.record(), scene.intents()) == ([], None, {})
    assert scene.sent["join"] == 1


def test_a_refusal_after_an_unanswered_attempt_is_not_the_last_word() -> None:
    scene = Scene()
    scene.script(NOT_SENT, REFUSED)
    assert scene.result(desk()) is Result.FAILED
    open_join = scene.intents()[Operation.JOIN]
    assert open_join.unknown_since is not None, "the first attempt may still be executed"
    scene.script()
    assert scene.apply(desk()).is_complete
    assert scene.running().name == open_join.name


def test_a_late_execution_after_a_refusal_is_taken_back_and_none_is_started_beside_it() -> None:
    scene = Scene()
    scene.script({"on": "join", "fate": "late", "seconds": 60.0}, REFUSED)
    assert scene.result(desk()) is Result.FAILED
    scene.now += 90
    started = scene.running().agent_id
    scene.script()
    assert scene.apply(desk()).is_complete
    assert scene.running().agent_id == started


def test_after_the_grace_a_refusal_is_the_last_word() -> None:
    scene = Scene()
    scene.script(NOT_SENT, REFUSED)
    scene.apply(desk())
    scene.now += CERTAIN_AFTER + 1
    assert scene.result(desk()) is Result.FAILED
    assert scene.intents() == {}


# --- without an answer ----------------------------------------------------------------------------------------


def test_a_join_whose_answer_is_lost_is_found_by_its_name_and_not_sent_again() -> None:
    scene = Scene()
    scene.script({"on": "join", "fate": "lose_response"})
    assert scene.apply(desk()).is_complete
    assert scene.sent["join"] == 1
    record = scene.record()
    assert record is not None
    assert record.agent_id == scene.running().agent_id


def test_a_join_that_did_not_arrive_is_sent_again_under_its_name_and_its_copy_is_remembered() -> None:
    scene = Scene()
    scene.script(NOT_SENT)
    assert scene.apply(desk()).is_complete
    assert scene.sent["join"] == 2
    assert generation(scene) == 1
    assert scene.intents()[LATE_COPY].name == scene.running().name
    scene.now += CERTAIN_AFTER + 1
    scene.apply(desk())
    assert scene.intents() == {}


def test_a_join_that_never_gets_an_answer_stays_open_and_the_next_run_ends_it() -> None:
    scene = Scene()
    scene.script({**NOT_SENT, "count": 0})
    assert scene.result(desk()) is Result.UNKNOWN
    assert scene.intents().keys() == {Operation.JOIN}
    scene.script()
    assert scene.apply(desk()).is_complete
    assert generation(scene) == 1


def test_a_replacement_waits_until_no_copy_of_the_old_name_can_be_executed() -> None:
    scene = Scene()
    scene.script(NOT_SENT)
    scene.apply(desk())
    sent_at = scene.intents()[LATE_COPY].in_doubt_since
    scene.script()
    assert scene.apply(desk(idle_timeout=60)).is_complete
    assert scene.now >= sent_at + GRACE
    assert scene.running().properties["idle_timeout"] == 60


# --- conflicts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", ["none", "agent_id", "task_id"])
def test_a_conflict_with_a_copy_of_the_same_call_is_its_agent(told: str) -> None:
    scene = Scene()
    scene.service.set_switches(conflict_body=told)
    scene.script({"on": "join", "fate": "twice", "seconds": 0.0, "answer": "second"})
    assert scene.apply(desk()).is_complete
    assert scene.sent["join"] == 1
    record = scene.record()
    assert record is not None
    assert record.agent_id == scene.running().agent_id
    assert not scene.plan(desk()).pending


def test_a_spent_name_is_given_up_for_one_of_a_later_generation() -> None:
    scene = Scene()
    scene.service.set_switches(name_reuse="never")
    scene.apply(desk())
    first = scene.running().name
    scene.service.end(scene.running().agent_id)
    scene.state = MemoryStore()
    assert scene.apply(desk()).is_complete
    assert scene.running().name != first
    assert generation(scene) > 1
    assert scene.state.read().generations[DESK] == generation(scene)


def test_a_conflict_with_nobody_is_held_for_a_second_look_and_the_name_is_given_up_after_the_grace() -> None:
    scene = Scene()
    scene.script({"on": "join", "count": 1, "fate": "refuse", "status": 409, "reason": "TaskConflict"})
    assert scene.result(desk()) is Result.FAILED
    assert scene.intents()[Operation.JOIN].refused_since is not None
    assert scene.result(desk()) is Result.FAILED
    assert scene.sent["join"] == 1, "the name is not sent again before the second look"
    scene.now += GRACE + 2  # the service tells its time in whole seconds
    assert scene.apply(desk()).is_complete
    assert generation(scene) > 1


# --- agents that end at once ----------------------------------------------------------------------------------


def test_starts_that_fail_are_counted_over_runs_and_the_third_one_has_to_wait() -> None:
    scene = Scene()
    scene.script({"on": "join", "count": 0, "fate": "doom", "seconds": 0.0})
    for count in (1, 2):
        assert scene.result(desk()) is Result.FAILED
        record = scene.record()
        assert record is not None
        assert (record.failures, record.retry_at) == (count, 0.0)
    assert scene.result(desk()) is Result.FAILED
    record = scene.record()
    assert record is not None
    assert record.failures == 3
    assert record.retry_at == pytest.approx(scene.now + 120, abs=5)
    joins = scene.sent["join"]
    (held,) = scene.plan(desk()).pending
    assert held.reason.because is Because.BACKING_OFF
    scene.apply(desk())
    assert scene.sent["join"] == joins
    scene.script()
    scene.now = record.retry_at + 1
    assert scene.apply(desk()).is_complete
    record = scene.record()
    assert record is not None
    assert (record.failures, record.retry_at) == (0, 0.0), "an agent that runs ends the count"


def test_the_pauses_after_failed_starts() -> None:
    now, record, pauses = 1000.0, record_of(agent("lobby/desk")), []
    for _ in range(9):
        record = failed_again(record, now)
        pauses.append(record.retry_at - now if record.retry_at else 0.0)
    assert pauses == [0, 0, 120, 240, 480, 960, 1920, 3600, 3600]
    assert record.failures == 9


def test_a_used_up_quota_ends_joins_alone() -> None:
    scene = Scene()
    scene.service.set_switches(quota=0)
    ledger = scene.apply(desk())
    assert not ledger.is_complete
    assert {(each.action, each.result) for each in ledger.finished} == {(Action.JOIN, Result.FAILED)}
    assert scene.intents() == {}
