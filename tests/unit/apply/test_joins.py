"""A join through its ways of going wrong: refused, lost, in conflict with itself or with others, failed at once."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from reconciler import workflow
from reconciler.apply.context import Settings
from reconciler.model.address import AgentName, Owner
from reconciler.model.fleet import DesiredFleet
from reconciler.model.record import Intent
from reconciler.model.spec import Beside, Lifecycle, ReplaceOrder
from reconciler.model.writes import PutIntent
from reconciler.plan.change import Action, Because, Replace
from reconciler.plan.intents import refused_again, refused_until, with_failures_of
from reconciler.ports import HttpFailure, HttpReply, HttpRequest
from reconciler.state.memory import MemoryStore
from tests.fakes.fleets import agent, fleet
from tests.fakes.virtual import Virtual
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


def test_an_agent_that_a_badly_answered_attempt_started_does_not_explain_the_attempt_without_an_answer() -> (
    None
):
    """The first attempt starts the agent and its answer is no JSON; the second is executed when the name is free."""
    scene = Scene()
    scene.service.set_switches(list_lag_seconds=60.0)
    scene.script(
        {"on": "join", "fate": "malformed"}, {"on": "join", "nth": 1, "fate": "late", "seconds": 280.0}
    )
    scene.apply(desk())
    scene.now += 60
    scene.script()
    scene.apply(desk())
    first = scene.running()
    note = scene.intents()[LATE_COPY]
    assert (note.name, note.unanswered) == (first.name, 1)
    scene.service.end(first.agent_id)
    scene.now += 300
    scene.apply(desk(idle_timeout=7))
    scene.now += CERTAIN_AFTER
    scene.apply(desk(idle_timeout=7))
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


def test_a_replacement_is_deferred_while_a_copy_of_the_old_name_can_be_executed() -> None:
    """Nobody waits under the lock: the agent stays, the run ends, and says when it goes on."""
    scene = Scene()
    scene.script(NOT_SENT)
    scene.apply(desk())
    until = scene.intents()[LATE_COPY].in_doubt_since + GRACE
    scene.script()
    old, began = scene.running(), scene.now
    (deferred,) = scene.apply(desk(idle_timeout=60)).finished
    assert (deferred.result, deferred.until) == (Result.DEFERRED, until)
    assert scene.running() == old and scene.now < began + 5
    (held,) = scene.plan(desk(idle_timeout=60)).pending
    assert (held.reason.because, held.until) == (Because.DEFERRED, until), "plan and apply say the same"
    # To go back to what runs never waits.
    assert scene.apply(desk()).is_complete
    assert scene.running() == old
    scene.now = until + 1
    assert scene.apply(desk(idle_timeout=60)).is_complete
    assert scene.running().properties["idle_timeout"] == 60


def test_a_join_that_the_service_itself_answered_badly_leaves_nothing_to_wait_for() -> None:
    scene = Scene()
    scene.script({"on": "join", "count": 0, "fate": "refuse", "status": 500, "reason": "InternalServerError"})
    assert scene.result(desk()) is Result.UNKNOWN
    assert scene.intents()[Operation.JOIN].unanswered == 0
    scene.script()
    assert scene.apply(desk(idle_timeout=60)).is_complete
    assert LATE_COPY not in scene.intents()
    assert scene.running().properties["idle_timeout"] == 60
    assert len(scene.live()) == 1


def test_an_unwanted_join_without_an_answer_is_remembered_and_nobody_waits_for_it() -> None:
    scene = Scene()
    scene.script({"on": "join", "fate": "late", "seconds": 200.0}, {**NOT_SENT, "count": 0})
    scene.apply(desk())
    scene.script()
    began = scene.now
    other = fleet(agent("bar/waiter"))
    (deferred,) = [each for each in scene.apply(other).finished if each.address == DESK]
    assert deferred.result is Result.DEFERRED
    assert scene.now < began + 10
    assert scene.intents().keys() == {LATE_COPY}
    scene.now += 250  # the late copy was executed
    assert scene.apply(other).is_complete
    assert [each.channel for each in scene.live()] == ["bar"]


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
    (deferred,) = scene.apply(desk()).finished
    assert deferred.result is Result.DEFERRED, "it may be the refusal of a copy of the very join"
    assert deferred.until is not None
    scene.now = deferred.until + 1
    assert scene.apply(desk()).is_complete
    assert scene.running().name != first
    assert generation(scene) > 1
    assert scene.state.read().generations[DESK] == generation(scene)


CONFLICT = {"on": "join", "fate": "refuse", "status": 409, "reason": "TaskConflict"}


def refused_twice(scene: Scene, second: dict[str, Any]) -> None:
    """Let the name of the desk be refused, and again when a list cannot lag behind the first refusal any more."""
    scene.script({**CONFLICT, "count": 2})
    for _ in range(2):
        assert scene.result(desk()) is Result.DEFERRED
        assert scene.intents()[Operation.JOIN].refused_since is not None
    scene.now += GRACE + 2  # the service tells its time in whole seconds
    scene.script(second)
    assert scene.result(desk()) is Result.DEFERRED


def test_a_conflict_with_nobody_gives_the_name_up_when_nobody_is_listed_after_a_second_refusal() -> None:
    scene = Scene()
    refused_twice(scene, CONFLICT)
    joins = scene.sent["join"]
    assert scene.result(desk()) is Result.DEFERRED
    assert scene.sent["join"] == joins, "nothing is sent any more until whatever was sent would be listed"
    (planned,) = scene.plan(desk()).pending
    assert (planned.reason.because, planned.until) == (
        Because.DEFERRED,
        scene.intents()[Operation.JOIN].certain_at(GRACE),
    ), "plan and apply say the same"
    scene.now += GRACE + 2
    assert scene.apply(desk()).is_complete
    assert generation(scene) > 1


def test_a_second_refusal_that_is_that_of_its_own_copy_loses_no_agent() -> None:
    scene = Scene()
    scene.service.set_switches(list_lag_seconds=200.0)
    refused_twice(scene, {"on": "join", "fate": "twice", "seconds": 0.0, "answer": "second"})
    first = scene.running().agent_id
    for pause in (30, GRACE):
        scene.now += pause
        scene.apply(desk())
    record = scene.record()
    assert record is not None
    assert record.agent_id == scene.running().agent_id == first


def test_a_refused_name_is_sent_again_in_every_run_and_heals_at_once() -> None:
    scene = Scene()
    scene.script({"on": "join", "count": 1, "fate": "refuse", "status": 409, "reason": "TaskConflict"})
    assert scene.result(desk()) is Result.DEFERRED
    assert scene.apply(desk()).is_complete
    assert generation(scene) == 1


def test_a_uid_that_a_foreign_agent_has_is_held_and_joined_once_that_agent_has_gone() -> None:
    scene = Scene()
    scene.service.set_switches(uid_conflict="refused")
    theirs = Virtual(now=scene.now)
    theirs.service = scene.service
    theirs.run(
        workflow.apply(
            theirs.job(fleet(agent("lobby/theirs", agent_rtc_uid="7"), owner=Owner("other"))),
            theirs.provider(),
        )
    )
    (foreign,) = scene.live()
    shared = Lifecycle(beside=Beside.ALLOW)
    wanted = fleet(agent("lobby/desk", agent_rtc_uid="7", lifecycle=shared))
    (held,) = scene.apply(wanted).finished
    assert held.result is Result.HELD
    for word in (foreign.agent_id, "uid 7", "adopt lobby/desk", "another agent_rtc_uid"):
        assert word in held.detail
    (planned,) = scene.plan(wanted).pending
    assert planned.reason.because is Because.SEAT_TAKEN
    joins = scene.sent["join"]
    scene.apply(wanted)
    assert scene.sent["join"] == joins
    scene.service.end(foreign.agent_id)
    assert scene.apply(wanted).is_complete
    assert generation(scene) == 1, "the name was not spent"


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
    assert record.failures == 3, "that it runs is no proof yet"
    scene.now += 601
    assert scene.apply(desk()).is_complete
    record = scene.record()
    assert record is not None
    assert (record.failures, record.retry_at) == (0, 0.0), "ten minutes of life end the count"


def test_an_early_end_counts_as_a_failed_join_in_whichever_run_sees_it() -> None:
    scene = Scene()
    scene.apply(desk())
    for count in (1, 2, 3):
        scene.now += 20
        scene.service.end(scene.running().agent_id)
        scene.now += 3600
        scene.apply(desk())
        record = scene.record()
        assert record is not None
        assert (record.failures, record.failed_cause) == (count, "RTC connection error")
    scene.now += 20
    scene.service.end(scene.running().agent_id)
    (held,) = scene.plan(desk()).pending
    assert held.reason.because is Because.BACKING_OFF
    assert "AGORA_APP_CERTIFICATE" in held.reason.text


def test_another_body_or_another_cause_is_tried_at_once() -> None:
    now, record = 1000.0, record_of(agent("lobby/desk"))
    for _ in range(3):
        record = failed_again(record, now, "one")
    assert record.failures == 3
    assert failed_again(record, now, "another").failures == 1
    other = record_of(agent("lobby/desk", idle_timeout=60))
    assert with_failures_of(other, record).failures == 0
    assert with_failures_of(record_of(agent("lobby/desk")), record).failures == 3


def test_the_pauses_after_failed_starts() -> None:
    now, record, pauses = 1000.0, record_of(agent("lobby/desk")), []
    for _ in range(9):
        record = failed_again(record, now, "a cause")
        pauses.append(record.retry_at - now if record.retry_at else 0.0)
    assert pauses == [0, 0, 120, 240, 480, 960, 1920, 3600, 3600]
    assert record.failures == 9


def test_the_pauses_after_refused_joins() -> None:
    now, note, pauses = 1000.0, None, []
    body = record_of(agent("lobby/desk")).body
    intent = Intent(Operation.JOIN, DESK, "a name", now, generation=1, uid="7", body=body)
    for _ in range(9):
        written = refused_again(intent, note, now)
        assert isinstance(written, PutIntent)
        note = written.intent
        pauses.append(refused_until(note) - now)
    assert pauses == [0, 0, 120, 240, 480, 960, 1920, 3600, 3600]
    other = replace(intent, body=record_of(agent("lobby/desk", idle_timeout=60)).body)
    written = refused_again(other, note, now)
    assert isinstance(written, PutIntent)
    assert written.intent.attempt == 1, "another body is tried at once"


def test_between_attempts_of_one_run_there_is_a_pause_that_doubles() -> None:
    scene, sent_at = Scene(), list[float]()
    scene.script({"on": "join", "count": 0, "fate": "refuse", "status": 500, "reason": "InternalServerError"})
    scene.on_request = lambda request: sent_at.append(scene.now) if request.url.endswith("/join") else None
    scene.apply(desk())
    gaps = [after - before for before, after in pairwise(sent_at)]
    # The dice say one half here: three quarters of a half and of a whole second.
    assert gaps == pytest.approx([0.375, 0.75], abs=0.1)


def test_an_open_join_is_sent_again_once_in_every_run() -> None:
    scene, sent = Scene(), list[str]()
    scene.script({"on": "join", "count": 0, "fate": "refuse", "status": 500, "reason": "InternalServerError"})
    scene.on_request = lambda request: sent.append(request.url) if request.url.endswith("/join") else None
    scene.apply(desk())
    assert len(sent) == 3
    for _ in range(2):
        sent.clear()
        (failed,) = scene.apply(desk()).finished
        assert (failed.result, len(sent)) == (Result.UNKNOWN, 1)
        assert Operation.JOIN in scene.intents()
    scene.script()
    assert scene.apply(desk()).is_complete
    assert len(scene.live()) == 1


def test_a_used_up_quota_ends_joins_alone() -> None:
    scene = Scene()
    scene.service.set_switches(quota=0)
    ledger = scene.apply(desk())
    assert not ledger.is_complete
    assert {(each.action, each.result) for each in ledger.finished} == {(Action.JOIN, Result.FAILED)}
    assert scene.intents() == {}


def test_a_renamed_agent_that_is_kept_after_a_failed_join_first_stays_recorded_once() -> None:
    scene = Scene()
    scene.apply(desk())
    old = scene.running()
    scene.script({"on": "join", "count": 0, "fate": "doom", "seconds": 0.0})
    first = Lifecycle(replace=ReplaceOrder.JOIN_FIRST)
    moved = replace(agent("bar/desk", lifecycle=first), previously=(DESK,))
    (failed,) = scene.apply(fleet(moved)).finished
    assert failed.result is Result.FAILED
    assert scene.live() == [old]
    assert {address: each.agent_id for address, each in scene.state.read().records.items()} == {
        DESK: old.agent_id
    }
    scene.script()
    assert scene.apply(fleet(moved)).is_complete
    assert [each.channel for each in scene.live()] == ["bar"]


# --- names that are not the address's own, and names that are spent ---------------------------------------------


def _renamed_beside_an_unlisted_agent(scene: Scene) -> str:
    """The agent of a badly answered join runs and is not listed; another one was adopted, renamed, and has ended."""
    theirs = Virtual(now=scene.now)
    theirs.service = scene.service
    other = fleet(agent("lobby/theirs", agent_rtc_uid="9"), owner=Owner("other"))
    theirs.run(workflow.apply(theirs.job(other), theirs.provider()))
    (foreign,) = scene.live()
    scene.now += GRACE
    scene.service.set_switches(list_lag_seconds=GRACE - 50)
    beside = Lifecycle(beside=Beside.ALLOW)
    wanted = desk(agent_rtc_uid="9", lifecycle=beside)
    scene.script({"on": "join", "fate": "refuse", "status": 500, "executed": True, "reason": "InternalError"})
    scene.apply(wanted, settings=Settings(attempts=1))
    assert scene.intents()[Operation.JOIN].unanswered == 0
    (unlisted,) = [each for each in scene.live() if each.agent_id != foreign.agent_id]
    scene.script()
    scene.run(workflow.adopt(scene.job(wanted), scene.provider(), DESK, foreign.agent_id))
    scene.apply(_front())
    scene.service.end(foreign.agent_id)
    return str(unlisted.agent_id)


def _front(**changes: Any) -> DesiredFleet:
    beside = Lifecycle(beside=Beside.ALLOW)
    spec = agent("lobby/front", agent_rtc_uid="9", lifecycle=beside, **changes)
    return fleet(replace(spec, previously=(DESK,)))


def test_a_renamed_address_waits_for_what_a_badly_answered_join_may_have_started() -> None:
    scene = Scene()
    unlisted = _renamed_beside_an_unlisted_agent(scene)
    until = scene.intents()[LATE_COPY].certain_at(GRACE)
    edited = _front(
        llm={"max_history": 7}
    )  # the list still shows the one that has ended: its update finds nobody
    (deferred,) = scene.apply(edited).finished
    assert (deferred.result, deferred.until) == (Result.DEFERRED, until)
    assert [each.agent_id for each in scene.live()] == [unlisted], "nothing was joined beside it"
    scene.now = until + 1
    for _ in range(2):
        scene.apply(edited)
    assert len(scene.live()) == 1
    assert not scene.plan(edited).pending


@pytest.mark.parametrize("told", ["none", "agent_id"])
def test_a_refusal_that_is_that_of_its_own_copy_loses_no_agent_beside_one_of_that_name_that_has_ended(
    told: str,
) -> None:
    """The state is lost, its first agent has ended, the list is behind, and the network delivers the join twice."""
    scene = Scene()
    scene.service.set_switches(list_lag_seconds=200.0, conflict_body=told)
    scene.apply(desk())
    scene.now += 400
    scene.service.end(scene.running().agent_id)
    scene.now += 400
    scene.state = MemoryStore()
    scene.script({"on": "join", "fate": "twice", "seconds": 0.0, "answer": "second"})
    scene.apply(desk())
    started = scene.running().agent_id
    scene.now += GRACE + 10
    assert scene.apply(desk()).is_complete
    assert scene.running().agent_id == started


def test_the_agent_of_a_name_that_may_come_twice_is_joined_again_at_once_under_that_name() -> None:
    scene = Scene()
    scene.script(NOT_SENT)
    scene.apply(desk())
    scene.script()
    name = scene.running().name
    assert scene.intents()[LATE_COPY].name == name
    scene.now += 100
    scene.service.end(scene.running().agent_id)
    assert scene.apply(desk()).is_complete
    assert scene.running().name == name


def test_a_seat_that_an_interrupted_join_of_another_address_may_take_is_left_alone() -> None:
    scene = Scene()
    scene.script({**NOT_SENT, "count": 0})
    scene.apply(fleet(agent("lobby/desk", agent_rtc_uid="7")))
    open_join = scene.intents()[Operation.JOIN]
    scene.script()
    scene.sent.clear()
    other = fleet(agent("lobby/other", agent_rtc_uid="7"))
    results = {str(each.address): each for each in scene.apply(other).finished}
    assert results["lobby/other"].result is Result.DEFERRED
    assert results["lobby/other"].until == open_join.certain_at(GRACE)
    assert (scene.sent.get("join", 0), scene.live()) == (0, [])
    scene.now += CERTAIN_AFTER + 1
    for _ in range(2):
        scene.apply(other)
    assert len(scene.live()) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_service_that_refuses_the_whole_run_is_asked_once(status: int) -> None:
    scene = Scene()
    scene.script({"on": "join", "count": 0, "fate": "refuse", "status": status})
    five = fleet(*(agent(f"lobby/agent-{number}") for number in range(5)))
    ledger = scene.apply(five, settings=Settings(parallelism=1))
    counts = ledger.counts()
    assert (counts[Result.FAILED], counts[Result.SKIPPED]) == (1, 4)
    assert scene.sent["join"] <= 2, "the other way to authenticate may be tried once"


def test_a_successor_that_had_to_be_sent_twice_still_takes_its_predecessors_place_in_one_run() -> None:
    scene = Scene()
    first = Lifecycle(replace=ReplaceOrder.JOIN_FIRST)
    scene.apply(desk(lifecycle=first))
    scene.script(NOT_SENT)
    assert scene.apply(desk(lifecycle=first, idle_timeout=60)).is_complete
    assert scene.running().properties["idle_timeout"] == 60


def test_a_predecessor_stays_if_its_successor_ends_while_nobody_looks() -> None:
    """The process dies between the join beside the old agent and that one's leave; then the new agent fails."""
    first = Lifecycle(replace=ReplaceOrder.JOIN_FIRST)
    scene = Scene()
    scene.apply(desk(lifecycle=first))
    old, wanted = scene.running(), desk(lifecycle=first, asr={"language": "de-DE"})
    before = scene.record()
    scene.dies(wanted, lambda _: len(scene.live()) == 2)
    (new,) = [each for each in scene.live() if each.agent_id != old.agent_id]
    scene.service.end(new.agent_id, message="RTC connection error")
    scene.now += 30
    (change,) = scene.plan(wanted).changes
    assert isinstance(change, Replace) and change.target.agent_id == old.agent_id
    record = change.target.record
    assert before is not None and record is not None
    kept = replace(record, failures=0, failed_digest="", failed_cause="", failed_agent="")
    assert kept == replace(before, token_expires_at=None, secrets={})
    assert record.failures == 1
    assert scene.apply(wanted).is_complete
    assert scene.running().properties["asr"]["language"] == "de-DE"


def test_an_answer_that_names_another_address_s_agent_is_not_believed() -> None:
    """A proxy may answer one join with the reply to another. Two records of one agent make a state that is refused."""
    scene = Scene()
    replies: list[HttpReply | HttpFailure] = []
    send = scene._send

    def first_reply_again(request: HttpRequest) -> HttpReply | HttpFailure:
        reply = send(request)
        if not request.url.endswith("/join"):
            return reply
        replies.append(reply)
        return replies[0]

    scene._send = first_reply_again  # type: ignore[method-assign]
    wanted = fleet(agent("lobby/desk"), agent("hall/door"))
    assert scene.apply(wanted).is_complete
    recorded = {each.agent_id: each.address.channel for each in scene.state.read().records.values()}
    assert recorded == {each.agent_id: each.channel for each in scene.live()}
    assert len(recorded) == len(replies) == 2


@pytest.mark.parametrize("destroying", [True, False])
def test_predecessor_and_successor_leave_together_where_neither_is_wanted(destroying: bool) -> None:
    first = Lifecycle(replace=ReplaceOrder.JOIN_FIRST)
    scene = Scene()
    scene.apply(desk(lifecycle=first))
    scene.dies(desk(lifecycle=first, idle_timeout=60), lambda _: len(scene.live()) == 2)
    wanted = desk(lifecycle=first) if destroying else fleet(agent("hall/door"))
    job = replace(scene.job(wanted), destroying=destroying)
    assert scene.run(workflow.apply(job, scene.provider())).is_complete
    assert {each.channel for each in scene.live()} == (set() if destroying else {"hall"})
    assert scene.state.read().intents == ()
