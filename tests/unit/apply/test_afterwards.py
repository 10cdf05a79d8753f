"""After the last change: what was started is waited for, doubles are told, what nobody wants any more is ended."""

from __future__ import annotations

import pytest

from reconciler import workflow
from reconciler.apply.context import Settings
from reconciler.apply.events import Notice
from reconciler.model.address import Address, Owner
from reconciler.model.fleet import DesiredFleet
from reconciler.model.spec import Lifecycle
from reconciler.plan.change import Action
from reconciler.plan.selection import Selection
from reconciler.ports import HttpRequest
from reconciler.state.memory import MemoryStore
from tests.fakes.fleets import agent, fleet
from tests.fakes.virtual import Virtual
from tests.unit.apply.scene import DESK, GRACE, LATE_COPY, Result, Scene, desk

OTHER = fleet(agent("lobby/other"))
NOT_SENT = {"on": "join", "fate": "drop_request"}


def joined_by(scene: Scene, wanted: DesiredFleet) -> None:
    """Somebody else's run, with a state of its own, on the same service."""
    theirs = Virtual(state=MemoryStore(), now=scene.now)
    theirs.service = scene.service
    theirs.run(workflow.apply(theirs.job(wanted), theirs.provider()))


def meanwhile(scene: Scene, wanted: DesiredFleet) -> None:
    """Let somebody else's run take place when this one sends its first join."""

    def happens(request: HttpRequest) -> None:
        if request.url.endswith("/join"):
            scene.on_request = None
            joined_by(scene, wanted)

    scene.on_request = happens


# --- doubles --------------------------------------------------------------------------------------------------


def test_a_double_that_appears_during_the_run_is_told_and_left_by_the_next_one() -> None:
    scene = Scene()
    meanwhile(scene, desk(idle_timeout=60))
    ledger = scene.apply(desk())
    assert not ledger.is_complete
    assert {each.result for each in ledger.finished} == {Result.DONE, Result.UNKNOWN}
    assert [str(each.properties["idle_timeout"]) for each in scene.live()].count("60") == 1
    assert scene.apply(desk()).is_complete
    assert scene.running().properties["idle_timeout"] == 0


@pytest.mark.parametrize("stop_seconds", [0.0, 1000.0])
def test_a_double_that_ends_before_the_last_look_is_none(stop_seconds: float) -> None:
    scene = Scene()
    scene.service.set_switches(stop_seconds=stop_seconds)
    meanwhile(scene, desk(idle_timeout=60))
    first, ended = scene.on_request, []

    def ends(request: HttpRequest) -> None:
        if first is not None and scene.on_request is ends and request.url.endswith("/join"):
            first(request)
            (theirs,) = scene.live()
            leave = scene.provider().leave(theirs.agent_id)
            Virtual(now=scene.now).run(_to(scene, leave))
            ended.append(theirs.agent_id)

    scene.on_request = ends
    assert scene.apply(desk()).is_complete
    assert ended


def _to(scene: Scene, steps: object) -> object:
    theirs = Virtual(now=scene.now)
    theirs.service = scene.service
    theirs.run(steps)  # type: ignore[arg-type]  # a provider's steps
    yield from ()


def test_an_agent_of_somebody_else_that_appears_during_the_run_is_no_double() -> None:
    scene = Scene()
    meanwhile(scene, fleet(agent("lobby/desk"), owner=Owner("other")))
    assert scene.apply(desk()).is_complete
    assert len(scene.live()) == 2


def test_an_agent_of_ours_at_another_address_that_appears_during_the_run_is_no_double() -> None:
    scene = Scene()
    meanwhile(scene, fleet(agent("lobby/another")))
    assert scene.apply(desk()).is_complete


# --- what was started ---------------------------------------------------------------------------------------------


def test_an_agent_that_does_not_get_to_run_is_waited_for_and_no_longer_than_that() -> None:
    scene = Scene()
    scene.service.set_switches(
        start_seconds=5000.0, connecting_timeout_seconds=9000.0, join_status="STARTING"
    )
    began = scene.now
    (unknown,) = scene.apply(desk(), settings=Settings(wait=60.0)).finished
    assert (unknown.result, unknown.action) == (Result.UNKNOWN, Action.JOIN)
    assert began + 60 <= scene.now <= began + 65
    record = scene.record()
    assert record is not None
    assert record.agent_id == unknown.agent_id


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Connecting for too long", "Connecting for too long (it could not come up in time: see the status"),
        ("out of cheese", "out of cheese"),
    ],
)
def test_an_agent_that_ends_at_once_is_told_with_the_services_words(message: str, told: str) -> None:
    scene = Scene()
    scene.script({"on": "join", "count": 0, "fate": "doom", "seconds": 0.0, "message": message})
    (failed,) = scene.apply(desk()).finished
    assert failed.detail.startswith(f"its agent ended at once: {told}")
    record = scene.record()
    assert record is not None
    assert (record.failures, record.failed_cause) == (1, message)


def test_an_agent_that_the_service_forgets_at_once_has_failed() -> None:
    scene = Scene()
    scene.service.set_switches(get_exited="404")
    scene.script({"on": "join", "count": 0, "fate": "doom", "seconds": 0.0})
    (failed,) = scene.apply(desk()).finished
    assert failed.detail == "its agent ended at once: the service does not know it any more"


@pytest.mark.parametrize("ahead", [0.0, 60.0])
def test_the_youngest_of_what_was_started_is_seen_to_run_for_a_while(ahead: float) -> None:
    scene = Scene()
    scene.ahead = ahead
    wanted = fleet(agent("lobby/desk"), agent("bar/waiter"))
    assert scene.apply(wanted).is_complete
    youngest = max(each.created_at for each in scene.live())
    assert youngest + 4.5 <= scene.now <= youngest + 8  # the service tells its time in whole seconds


def test_a_run_that_is_told_to_stop_does_not_wait_for_what_it_started() -> None:
    scene = Scene()
    scene.service.set_switches(start_seconds=50.0, join_status="STARTING")
    scene.ends_at = scene.now + 6
    began = scene.now
    ledger = scene.apply(desk())
    assert ledger.interrupted
    assert scene.now < began + 15
    assert {each.result for each in ledger.finished} == {Result.DONE}
    (told,) = [each.text for each in scene.events if isinstance(each, Notice)]
    assert told.startswith("1 agent was joined and not yet seen running")
    assert scene.record() is not None


# --- what nobody wants any more -------------------------------------------------------------------------------


def late_arrival(scene: Scene, wanted: DesiredFleet) -> None:
    """A process dies as it sends the join of `wanted`, which arrives when the next run sends its first one."""
    late: list[HttpRequest] = []

    def is_join(request: HttpRequest) -> bool:
        if request.url.endswith("/join"):
            late.append(request)
        return bool(late)

    scene.dies(wanted, is_join)

    def arrive(request: HttpRequest) -> None:
        if request.url.endswith("/join") and late:
            scene._send(late.pop())  # the plan stands already, and knows nothing of it

    scene.on_request = arrive


@pytest.mark.parametrize("protect", [True, False])
def test_an_agent_that_turns_up_late_and_is_not_wanted_is_left_unless_it_is_protected(protect: bool) -> None:
    scene = Scene()
    late_arrival(scene, desk(lifecycle=Lifecycle(protect=protect)))
    ledger = scene.apply(OTHER)
    record = scene.record()
    assert ({each.result for each in ledger.finished}, scene.intents()) == ({Result.DONE}, {})
    assert (len(scene.live()), record is not None and record.protect) == (
        (2, True) if protect else (1, False)
    )


def test_what_is_not_selected_is_not_looked_for() -> None:
    scene = Scene()
    scene.dies_before("join", desk())
    before = scene.intents()
    selection = Selection(targets=("lobby/other",))
    assert scene.apply(OTHER, selection=selection).is_complete
    assert scene.intents() == before


def test_an_unwanted_join_that_was_never_executed_is_dropped_once_nothing_can_turn_up() -> None:
    scene = Scene()
    scene.script({**NOT_SENT, "count": 0})
    scene.apply(desk())
    scene.script()
    (deferred,) = [each for each in scene.apply(OTHER).finished if each.address == DESK]
    note = scene.intents()[LATE_COPY]
    assert (deferred.result, deferred.until) == (Result.DEFERRED, note.certain_at(GRACE))
    scene.now = note.certain_at(GRACE) + 1
    assert scene.apply(OTHER).is_complete
    assert scene.intents() == {}


def test_a_look_that_fails_leaves_the_open_join_as_it_is() -> None:
    scene = Scene()
    scene.dies_before("join", desk())
    before = scene.intents()

    def fails_for_one_channel(request: HttpRequest) -> None:
        is_of_a_channel = any(key == "channel" for key, _ in request.query)
        scene.script(*([{"on": "list", "fate": "refuse", "status": 400}] if is_of_a_channel else []))

    scene.on_request = fails_for_one_channel
    ledger = scene.apply(OTHER, settings=Settings(wait=0.0))
    assert not ledger.is_complete
    assert scene.intents() == before


def test_a_name_that_a_running_agent_keeps_is_no_join_to_be_ended() -> None:
    """Its agent is held, not wanted: the late-copy note of the name stays, since the agent bears it."""
    scene = Scene()
    scene.script(NOT_SENT)
    scene.apply(desk(lifecycle=Lifecycle(protect=True)))
    scene.script()
    note = scene.intents()[LATE_COPY]
    scene.apply(OTHER)
    assert scene.intents() == {LATE_COPY: note}
    assert Address("lobby", "desk") in scene.state.read().records
    assert len(scene.live()) == 2
