"""An update is a whole value: what is not known to have arrived is sent again, and only what was sent is recorded."""

from __future__ import annotations

import pytest

from reconciler.apply.context import Settings
from reconciler.apply.events import Progress
from reconciler.model.spec import Lifecycle
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from tests.unit.apply.scene import Operation, Result, Scene, desk

BRIEF = {"system_messages": [{"role": "system", "content": "Be brief."}]}
PROMPT = desk(llm=BRIEF)


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.apply(desk())
    return made


@pytest.mark.parametrize("fate", ["drop_request", "lose_response"])
def test_without_any_answer_it_stays_open_and_the_next_run_sends_it_again(scene: Scene, fate: str) -> None:
    scene.script({"on": "update", "count": 0, "fate": fate})
    assert scene.result(PROMPT) is Result.UNKNOWN
    assert scene.intents().keys() == {Operation.UPDATE}
    scene.script()
    assert scene.apply(PROMPT).is_complete
    assert (scene.prompt(), scene.intents()) == ("Be brief.", {})
    assert not scene.plan(PROMPT).pending


def test_one_lost_answer_is_sent_again_by_the_same_run(scene: Scene) -> None:
    scene.script({"on": "update", "fate": "drop_request"})
    assert scene.apply(PROMPT).is_complete
    assert scene.prompt() == "Be brief."
    assert scene.sent["update"] == 2


def test_an_agent_that_starts_is_waited_for_before_an_update_is_sent_again() -> None:
    scene = Scene()
    scene.service.set_switches(start_seconds=20.0, join_status="STARTING")
    began = scene.now
    scene.apply(desk(), settings=Settings(wait=0.0))
    scene.script({"on": "update", "fate": "drop_request"})
    asked: list[str] = []
    scene.on_request = lambda request: asked.append(request.url)
    assert scene.apply(PROMPT).is_complete
    scene.on_request = None
    assert (scene.prompt(), scene.sent["update"]) == ("Be brief.", 2)
    assert began + 20 <= scene.now <= began + 30
    assert len(asked) < 40, "it is asked now and then"


def test_refused_at_once_the_record_says_what_the_agent_still_has(scene: Scene) -> None:
    before = scene.record()
    scene.script({"on": "update", "count": 0, "fate": "refuse", "status": 400})
    assert scene.result(PROMPT) is Result.FAILED
    assert (scene.record(), scene.intents()) == (before, {})
    assert scene.prompt() == "You are kind."


def test_refused_after_an_unanswered_attempt_nobody_knows_what_it_has(scene: Scene) -> None:
    scene.script(
        {"on": "update", "fate": "lose_response"},
        {"on": "update", "count": 0, "fate": "refuse", "status": 400},
    )
    assert scene.result(PROMPT) is Result.FAILED
    record = scene.record()
    assert record is not None
    assert (record.unsent, record.token_expires_at) == (True, None)
    scene.script()
    assert scene.apply(desk()).is_complete
    assert scene.prompt() == "You are kind."


def test_an_agent_that_is_gone_meanwhile_is_joined_anew(scene: Scene) -> None:
    first = scene.running().agent_id
    scene.script({"on": "update", "fate": "refuse", "status": 404, "reason": "TaskNotFound"})
    scene.on_request = lambda request: (
        scene.service.end(first)
        if request.url.endswith("/update") and first in {a.agent_id for a in scene.live()}
        else None
    )
    assert scene.apply(PROMPT).is_complete
    scene.on_request = None
    assert "its agent is gone; starting another" in [e.text for e in scene.events if isinstance(e, Progress)]
    assert scene.running().agent_id != first
    assert scene.prompt() == "Be brief."
    assert not scene.plan(PROMPT).pending


def test_a_renewal_sends_a_token_and_nothing_of_an_edit_that_is_held(scene: Scene) -> None:
    before = scene.record()
    scene.now += 13 * 3600
    scene.apply(PROMPT, policy=Policy(only=frozenset({Action.RENEW})))
    after = scene.record()
    assert before is not None
    assert after is not None
    assert scene.prompt() == "You are kind."
    assert after.body == before.body
    assert after.token_expires_at == pytest.approx(scene.now + 24 * 3600, abs=60)


@pytest.mark.parametrize("protect", [True, False])
def test_an_update_records_the_protection_that_the_files_ask_for_now_and_a_renewal_does_not(
    protect: bool,
) -> None:
    scene = Scene()
    scene.apply(desk(lifecycle=Lifecycle(protect=not protect)))
    edited = desk(lifecycle=Lifecycle(protect=protect), llm=BRIEF)
    scene.now += 13 * 3600
    for only, expected in ((frozenset({Action.RENEW}), not protect), (None, protect)):
        scene.apply(edited, policy=Policy(only=only))
        record = scene.record()
        assert record is not None
        assert record.protect is expected


def test_an_ignored_value_is_recorded_as_it_was_applied(scene: Scene) -> None:
    ignored = Lifecycle(ignore_changes=(("llm", "system_messages"),))
    edited = desk(lifecycle=ignored, llm={**BRIEF, "params": {"temperature": 0.9}})
    assert scene.apply(edited).is_complete
    record = scene.record()
    assert record is not None
    assert scene.prompt() == "You are kind."
    llm = record.body.properties["llm"]
    assert isinstance(llm, dict)
    assert llm["system_messages"] == [{"role": "system", "content": "You are kind."}]
    assert scene.running().properties["llm"]["params"]["temperature"] == 0.9
    # As soon as it is ignored no longer, the difference is seen and sent.
    assert scene.apply(desk(llm={**BRIEF, "params": {"temperature": 0.9}})).is_complete
    assert scene.prompt() == "Be brief."
