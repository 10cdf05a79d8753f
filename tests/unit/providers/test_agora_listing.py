"""The list is complete or an error, whatever the service refuses, miscounts or leaves out."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import orjson
import pytest

from reconciler.errors import AuthenticationFailed, IncompleteRead, ServiceError
from reconciler.model.observed import AgentStatus
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, HttpTrouble, Reading
from reconciler.providers.agora import AgoraProvider, AgoraSettings, CallLimits
from reconciler.secrets import Secret
from reconciler.simulator import Status
from tests.unit.providers.hand import START, Answer, Hand, failure, reply, served_by
from tests.unit.providers.scene import CHINA, GLOBAL, Scene


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"list_state5": "refused"},
        {"list_limit_max": 20, "list_limit_over": "refuse"},
        {"list_limit_max": 7},
        {"list_state5": "refused", "list_limit_max": 20, "list_limit_over": "refuse"},
        {"list_state_comma": "refused"},
        {
            "list_state_comma": "refused",
            "list_state5": "refused",
            "list_limit_max": 20,
            "list_limit_over": "refuse",
        },
        {"list_cursor": "inclusive"},
        {"list_cursor": "overlapping"},
        {"list_last_cursor": "always"},
        {"list_last_cursor": "absent"},
        {"list_order": "oldest"},
        {"list_total": "page"},
        {"list_time": "active"},
    ],
    ids=str,
)
@pytest.mark.parametrize("settings", [GLOBAL, CHINA], ids=["global", "mainland-china"])
def test_every_agent_is_listed_whatever_the_service_takes(
    switches: dict[str, object], settings: AgoraSettings
) -> None:
    scene = Scene(130, settings, **switches)
    assert scene.listed() == set(scene.ids)


def test_agents_of_every_live_state_and_of_three_days_are_listed_and_ended_ones_are_not() -> None:
    scene = Scene(2)
    old, leaving = scene.ids
    scene.simulator.set_switches(lifetime_seconds=300_000)
    scene.hand.elapsed += 71.9 * 3600
    starting, recovering, gone = (scene.join(f"new-{n}", str(n)) for n in (1, 2, 3))
    scene.simulator.show(recovering, Status.RECOVERING)
    scene.simulator.end(gone)
    scene.simulator.set_switches(stop_seconds=60.0)
    scene.hand.run(scene.provider.leave(leaving))
    found = {agent.agent_id: agent.status for agent in scene.hand.run(scene.provider.live_agents())}
    assert found.keys() == {old, leaving, starting, recovering}
    assert found[recovering] is AgentStatus.RECOVERING
    assert found[leaving] is AgentStatus.STOPPING


def test_a_channel_is_a_filter() -> None:
    scene = Scene(2)
    other = scene.join("other", "1", channel="bar & grill")
    assert scene.listed("bar & grill") == {other}
    assert scene.listed("nowhere") == set()


def test_a_run_learns_what_the_service_refuses_and_asks_for_it_no_more() -> None:
    scene = Scene(3, list_state_comma="refused", list_state5="refused")
    scene.listed()
    first = len(scene.hand.requests)
    scene.hand.requests.clear()
    scene.listed()
    assert scene.asked("state") == ["1", "2", "0", "3"]
    assert first > 4


def test_the_window_and_the_filters_stay_the_same_from_page_to_page() -> None:
    scene = Scene(250)
    scene.listed()
    assert scene.asked("state") == ["0,1,2,3,5"] * 3
    assert scene.asked("limit") == ["100"] * 3
    assert len(set(scene.asked("from_time"))) == len(set(scene.asked("to_time"))) == 1
    assert int(scene.asked("from_time")[0]) <= START - 73 * 3600
    assert int(scene.asked("to_time")[0]) >= START


def test_agents_come_oldest_first() -> None:
    scene = Scene(0)
    ids = []
    for place in range(3):
        scene.hand.elapsed += 10
        ids.append(scene.join(f"x{place}", str(place + 1)))
    assert [agent.agent_id for agent in scene.hand.run(scene.provider.live_agents())] == ids


@pytest.mark.parametrize(
    "defect", ["short", "wrong_total", "cursor_loop", "duplicates", "data_null", "no_meta"]
)
def test_a_list_that_is_wrong_once_is_read_again_and_wrong_twice_is_an_error(defect: str) -> None:
    scene = Scene(5)
    scene.simulator.set_script([{"on": "list", "fate": "list_defect", "defect": defect}])
    assert scene.listed() == set(scene.ids)
    scene.simulator.set_script([{"on": "list", "count": 0, "fate": "list_defect", "defect": defect}])
    scene.hand.requests.clear()
    with pytest.raises(IncompleteRead):
        scene.listed()
    assert len(scene.hand.requests) <= 10


@pytest.mark.parametrize("defect", ["short", "empty", "cursor_loop", "duplicates", "data_null", "no_meta"])
def test_a_second_page_that_is_wrong_is_an_error(defect: str) -> None:
    scene = Scene(150)
    answer = served_by(scene.simulator)

    def spoiled(request: HttpRequest) -> HttpReply | HttpFailure:
        second = "cursor" in dict(request.query)
        rule = {"on": "list", "count": 0, "fate": "list_defect", "defect": defect}
        scene.simulator.set_script([rule] if second else [])
        return answer(request)

    scene.hand.answer = spoiled
    with pytest.raises(IncompleteRead):
        scene.listed()


@pytest.mark.parametrize(
    "form", ["html", "empty", "empty_object", "null", "array", "cut", "wrong_types", "not_utf8", "deep"]
)
def test_a_malformed_list_is_an_error(form: str) -> None:
    scene = Scene(3)
    scene.simulator.set_script([{"on": "list", "count": 0, "fate": "malformed", "form": form}])
    with pytest.raises(IncompleteRead):
        scene.listed()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(401, b"{}"), AuthenticationFailed),
        (reply(403, b"{}"), AuthenticationFailed),
        (reply(400, b'{"detail":"allocate failed, please check if the appid is valid"}'), ServiceError),
        (reply(404, b'{"reason":"TaskNotFound"}'), ServiceError),
        (reply(422, b"{}"), ServiceError),
        (reply(500), ServiceError),
        (reply(204), IncompleteRead),
        (reply(301), ServiceError),
        (failure(HttpTrouble.CONNECT, sent=False), ServiceError),
        (failure(HttpTrouble.TOO_LARGE), IncompleteRead),
    ],
)
def test_a_list_that_cannot_be_had_is_never_an_empty_one(
    answer: HttpReply | HttpFailure, kind: type[ServiceError]
) -> None:
    with pytest.raises(kind) as caught:
        Hand(lambda _: answer).run(AgoraProvider(GLOBAL).live_agents())
    assert type(caught.value) is kind
    assert caught.value.hint


def test_without_the_customers_credentials_a_token_lists() -> None:
    hand = Hand(lambda _: reply(200, orjson.dumps({"data": {"count": 0, "list": []}, "meta": {"total": 0}})))
    assert hand.run(AgoraProvider(AgoraSettings("a" * 32, Secret("b" * 32))).live_agents()) == ()
    for request in hand.requests:
        header = request.headers["authorization"]
        assert isinstance(header, Secret)
        assert header.reveal().startswith("agora token=007")


def pages(make: Callable[[int], dict[str, Any]]) -> Answer:
    """A service that numbers its pages from 0, each as `make` says."""
    asked = iter(range(10_000))
    return lambda _: reply(200, orjson.dumps(make(next(asked))))


def one_row(at: int, total: int, cursor: str) -> dict[str, Any]:
    row = {"agent_id": f"A{at}", "status": "RUNNING", "start_ts": int(START) - 5}
    return {"data": {"count": 1, "list": [row]}, "meta": {"cursor": cursor, "total": total}, "status": "ok"}


def test_pages_without_end_end() -> None:
    hand = Hand(pages(lambda at: one_row(at, 5000, f"A{at}")), latency=lambda _: 0.01)
    with pytest.raises(IncompleteRead, match="more than 1000 pages"):
        hand.run(AgoraProvider(GLOBAL).live_agents())


@pytest.mark.parametrize("seconds", [0.05, 0.7, 4.0])
def test_a_list_with_all_its_pages_and_its_second_reading_has_one_deadline(seconds: float) -> None:
    """The first reading ends in a circle, the second one never: together they have half a minute, slow pages or not."""
    hand = Hand(pages(lambda at: one_row(at, 5000, f"A{at}" if at != 5 else "A1")), latency=lambda _: seconds)
    with pytest.raises(IncompleteRead, match="has not ended after"):
        hand.run(AgoraProvider(GLOBAL).live_agents())
    assert hand.elapsed <= 30 + seconds


def test_whoever_runs_the_tool_may_give_a_list_longer() -> None:
    hand = Hand(pages(lambda at: one_row(at, 700, f"A{at}" if at < 699 else "")))
    limits = CallLimits(listing_seconds=60)
    assert len(hand.run(AgoraProvider(GLOBAL, limits).live_agents())) == 700
    assert hand.elapsed > 30


def test_on_a_busy_service_the_second_reading_allows_for_comings_and_goings() -> None:
    totals = [3, 2, 2, 3, 2, 2]
    hand = Hand(pages(lambda at: one_row(at % 3, totals[at], f"A{at}" if at % 3 < 2 else "")))
    assert len(hand.run(AgoraProvider(GLOBAL).live_agents())) == 3
    assert len(hand.requests) == 6


@pytest.mark.parametrize("skew", [-36_000.0, -600.0, 600.0, 36_000.0])
def test_a_wrong_clock_misses_nobody(skew: float) -> None:
    scene = Scene(0)
    scene.hand.elapsed = 71.9 * 3600
    new = scene.join("new", "1")
    scene.hand.skew = skew
    assert scene.listed() == {new}
    assert scene.provider.clock_skew == pytest.approx(skew, abs=2)


def test_a_clock_that_is_set_between_two_replies_of_one_second_misses_nobody() -> None:
    """Seen in a random life: the second listing asked for a window that ended before a stranger had come."""
    scene = Scene(0)
    scene.hand.latency = lambda _: 0.001
    scene.hand.elapsed = 71.9 * 3600
    new = scene.join("new", "1")
    assert scene.listed() == {new}
    scene.hand.skew = 120.0
    assert scene.listed() == {new}
    assert scene.provider.clock_skew == pytest.approx(120.0, abs=2)


def test_ended_agents_are_found_by_their_name() -> None:
    scene = Scene(3)
    scene.simulator.end(scene.ids[1])
    scene.simulator.end(scene.ids[2], failed=False)
    ask = scene.provider.has_ended
    assert [scene.hand.run(ask(f"agent-{n}", channel="lobby")) for n in range(4)] == [
        False,
        True,
        True,
        False,
    ]
    assert scene.hand.run(ask("agent-1", channel="elsewhere")) is False


def test_ended_agents_are_found_where_states_are_asked_one_by_one() -> None:
    scene = Scene(2, CHINA)
    scene.simulator.end(scene.ids[1])
    assert scene.hand.run(scene.provider.has_ended("agent-1", channel="lobby")) is True


def test_where_nobody_can_tell_nothing_has_ended() -> None:
    scene = Scene(1)
    scene.simulator.end(scene.ids[0])
    scene.simulator.set_script([{"on": "list", "count": 0, "fate": "list_defect", "defect": "short"}])
    assert scene.hand.run(scene.provider.has_ended("agent-0", channel="lobby")) is False


def test_an_agent_with_two_starts_is_a_contradiction_between_two_states() -> None:
    asked = iter(range(10_000))

    def answer(_: HttpRequest) -> HttpReply:
        row = {"agent_id": "A1", "status": "RUNNING", "start_ts": int(START) - next(asked)}
        return reply(200, orjson.dumps({"data": {"list": [row]}, "meta": {"cursor": "", "total": 1}}))

    with pytest.raises(IncompleteRead, match="two starts"):
        Hand(answer).run(AgoraProvider(CHINA).live_agents())


def test_pages_that_lead_round_in_a_circle_end() -> None:
    hand = Hand(pages(lambda at: one_row(at, 9, f"A{at % 2}")))
    with pytest.raises(IncompleteRead, match="circle"):
        hand.run(AgoraProvider(GLOBAL).live_agents())
    assert len(hand.requests) == 6


def test_a_service_whose_clock_jumps_cannot_be_listed() -> None:
    page = orjson.dumps({"data": {"list": []}, "meta": {"total": 0}})
    hand = Hand(lambda _: reply(200))
    jumps = iter(range(100))
    hand.answer = lambda _: reply(
        200, page, date=formatdate(hand.now + 1000 * next(jumps) + 500, usegmt=True)
    )
    with pytest.raises(IncompleteRead, match="clock"):
        hand.run(AgoraProvider(GLOBAL).live_agents())


def test_a_listing_of_several_pages_tells_how_far_it_is() -> None:
    hand = Hand(pages(lambda at: one_row(at, 3, "" if at == 2 else f"c{at}")))
    assert len(hand.run(AgoraProvider(GLOBAL).live_agents())) == 3
    assert hand.events == [Reading(2, 3), Reading(3, 3)]
    hand = Hand(pages(lambda at: one_row(at, 1, "")))
    hand.run(AgoraProvider(GLOBAL).live_agents())
    assert hand.events == []
