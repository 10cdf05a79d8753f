"""An intent is durable before its call leaves, and a process that dies at any instant loses no agent and starts none twice."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from reconciler.errors import StateError
from reconciler.model.address import AgentName
from reconciler.model.fleet import DesiredFleet
from reconciler.model.record import Intent
from reconciler.model.spec import Lifecycle
from reconciler.model.writes import Write
from reconciler.plan.change import Because
from reconciler.ports import HttpRequest
from reconciler.state.memory import MemoryStore
from tests.unit.apply.scene import Operation, Result, Scene, desk

PROMPT = desk(llm={"system_messages": [{"role": "system", "content": "Be brief."}]})
PAUSED = desk(lifecycle=Lifecycle(paused=True))
VOICE = desk(tts={"params": {"voice_name": "en-US-EmmaNeural"}})


def seen_when_sent(scene: Scene, verb: str, wanted: DesiredFleet) -> Intent:
    """The open intent, as it lies in the state at the instant at which the call leaves."""
    seen: list[Intent] = []

    def look(request: HttpRequest) -> None:
        if request.url.endswith(f"/{verb}") and request.method == "POST":
            seen.extend(scene.state.read().intents)

    scene.on_request = look
    assert scene.apply(wanted).is_complete
    scene.on_request = None
    (intent,) = seen
    return intent


def test_a_join_leaves_with_its_name_its_body_and_its_generation_noted() -> None:
    scene = Scene()
    intent = seen_when_sent(scene, "join", desk())
    agent = scene.running()
    assert (intent.operation, intent.name, intent.uid) == (Operation.JOIN, agent.name, agent.uid)
    assert intent.body is not None
    assert intent.body.properties["idle_timeout"] == agent.properties["idle_timeout"]
    assert intent.generation == 1
    assert scene.intents() == {}


def test_updates_and_leaves_leave_with_the_agents_id_noted() -> None:
    scene = Scene()
    scene.apply(desk())
    agent_id = scene.running().agent_id
    update = seen_when_sent(scene, "update", PROMPT)
    assert (update.operation, update.agent_id) == (Operation.UPDATE, agent_id)
    leave = seen_when_sent(scene, "leave", PAUSED)
    assert (leave.operation, leave.agent_id) == (Operation.LEAVE, agent_id)
    assert (scene.intents(), scene.record(), scene.live()) == ({}, None, [])


class FullDisk(MemoryStore):
    """A store that takes nothing any more."""

    def commit(self, writes: Iterable[Write], *, expected: int) -> int:
        raise StateError("no space left on device")


def test_what_cannot_be_noted_is_not_sent() -> None:
    scene = Scene(state=FullDisk())
    ledger = scene.apply(desk())
    assert not ledger.is_complete
    assert scene.sent == {}
    assert scene.live() == []


# --- a process dies -------------------------------------------------------------------------------------------


def test_before_a_join_is_sent_nothing_runs_and_the_next_apply_sends_the_same_name() -> None:
    scene = Scene()
    scene.dies_before("join", desk())
    assert scene.live() == []
    name = scene.intents()[Operation.JOIN].name
    assert scene.apply(desk()).is_complete
    assert scene.running().name == name


def test_after_a_join_was_executed_its_agent_is_found_and_none_is_started_beside_it() -> None:
    scene = Scene()
    scene.dies_after("join", desk())
    started = scene.running().agent_id
    assert scene.record() is None
    assert scene.apply(desk()).is_complete
    assert scene.running().agent_id == started
    assert scene.sent["join"] == 1
    record = scene.record()
    assert record is not None
    assert (record.agent_id, record.unsent) == (started, False)
    assert not scene.plan(desk()).pending


def test_an_agent_of_an_earlier_attempt_is_brought_to_what_the_files_want_now() -> None:
    scene = Scene()
    scene.dies_after("join", desk())
    started = scene.running().agent_id
    assert scene.apply(PROMPT).is_complete
    assert (scene.running().agent_id, scene.prompt()) == (started, "Be brief.")


@pytest.mark.parametrize("executed", [False, True])
def test_an_update_that_may_or_may_not_have_been_executed_is_sent_again(executed: bool) -> None:
    scene = Scene()
    scene.apply(desk())
    (scene.dies_after if executed else scene.dies_before)("update", PROMPT)
    assert scene.intents().keys() == {Operation.UPDATE}
    assert scene.apply(PROMPT).is_complete
    assert scene.prompt() == "Be brief."
    assert not scene.plan(PROMPT).pending


def test_an_open_update_is_not_forgotten_where_the_files_have_gone_back() -> None:
    scene = Scene()
    scene.apply(desk())
    scene.dies_after("update", PROMPT)
    assert scene.prompt() == "Be brief."
    assert scene.apply(desk()).is_complete
    assert scene.prompt() == "You are kind."


@pytest.mark.parametrize("executed", [False, True])
def test_a_leave_is_made_once_whether_or_not_it_had_been_executed(executed: bool) -> None:
    scene = Scene()
    scene.apply(desk())
    (scene.dies_after if executed else scene.dies_before)("leave", PAUSED)
    assert scene.intents().keys() == {Operation.LEAVE}
    scene.now += 10
    assert scene.apply(PAUSED).is_complete
    assert (scene.live(), scene.record(), scene.intents()) == ([], None, {})


def test_between_the_leave_and_the_join_of_a_replacement_the_address_is_known_to_have_lost_its_agent() -> (
    None
):
    scene = Scene()
    scene.apply(desk())
    scene.dies_before("join", VOICE)
    assert scene.live() == []
    record = scene.record()
    assert record is not None
    assert record.replacing
    assert scene.intents().keys() == {Operation.JOIN}
    (change,) = scene.plan(VOICE).pending
    assert change.reason.because is Because.UNFINISHED
    assert scene.result(VOICE) is Result.DONE
    name = AgentName.parse(scene.running().name)
    assert name is not None
    assert name.generation == 2
    assert scene.running().properties["tts"]["params"]["voice_name"] == "en-US-EmmaNeural"
    assert not scene.plan(VOICE).pending


@pytest.mark.parametrize("verb", ["leave", "join"])
def test_a_replacement_ends_with_one_agent_wherever_it_was_cut(verb: str) -> None:
    scene = Scene()
    scene.apply(desk())
    scene.dies_after(verb, VOICE)
    scene.now += 10
    assert scene.apply(VOICE).is_complete
    assert scene.running().properties["tts"]["params"]["voice_name"] == "en-US-EmmaNeural"
    record = scene.record()
    assert record is not None
    assert record.agent_id == scene.running().agent_id
    assert not scene.plan(VOICE).pending
