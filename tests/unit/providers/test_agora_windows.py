"""A long list is read in windows of creation time: complete or an error, whatever happens and whatever is answered."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest

from reconciler.errors import AuthenticationFailed, IncompleteRead, ServiceError
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, HttpTrouble
from reconciler.providers.agora import AgoraProvider, AgoraSettings
from reconciler.providers.agora.list_questions import LONG, MAX_PAGES, SHORTEST_WINDOW, Question
from tests.unit.providers.hand import START, Hand, failure, reply, served_by
from tests.unit.providers.scene import CHINA, GLOBAL, Scene

HOUR = 3600
WIDTH = 10
# Pages of five, so that few agents make a long list.
SMALL = {"list_limit_max": 5}
WHOLE = Question("it", None, 1_000, 289_060, "2", 100, 0.0, settled=True)


def crowd(
    agents: int = 100, settings: AgoraSettings = GLOBAL, *, hours: float = 70, **switches: object
) -> Scene:
    """Agents that started evenly over some hours until now."""
    scene = Scene(0, settings, lifetime_seconds=400_000)
    for place in range(agents):
        scene.hand.elapsed = hours * HOUR * place / agents
        scene.ids.append(scene.join(f"agent-{place}", str(1000 + place)))
    scene.hand.elapsed = hours * HOUR
    scene.simulator.set_switches(**{**SMALL, **switches})
    scene.hand.requests.clear()
    return scene


def read(scene: Scene) -> set[str]:
    steps = scene.provider.live_agents(parallelism=WIDTH)
    return {agent.agent_id for agent in scene.hand.run(steps)}


def spans(hand: Hand) -> list[tuple[int, int]]:
    """The windows that were asked for."""
    fields = [dict(each.query) for each in hand.requests]
    return [(int(each["from_time"]), int(each["to_time"])) for each in fields]


def before(scene: Scene, act: Callable[[HttpRequest, int], HttpReply | HttpFailure | None]) -> None:
    """Let something happen before each answer, by the number of the request; what it gives is the answer."""
    answer, asked = served_by(scene.simulator), iter(range(100_000))

    def spoiled(request: HttpRequest) -> HttpReply | HttpFailure:
        return act(request, next(asked)) or answer(request)

    scene.hand.answer = spoiled


def changed(reply_: HttpReply | HttpFailure, change: Callable[[dict[str, Any]], None]) -> HttpReply:
    assert isinstance(reply_, HttpReply)
    tree = orjson.loads(reply_.body)
    change(tree)
    return HttpReply(reply_.status, reply_.headers, orjson.dumps(tree))


# --- the windows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pages", [LONG + 1, 17, 100, MAX_PAGES])
@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_each_creation_time_is_in_a_window_however_the_service_compares(
    pages: int, *, rounded: bool, first: bool, last: bool
) -> None:
    windows = WHOLE.windows(pages)
    edges = [each.since for each in windows] + [each.until for each in windows[:-1]]
    times = [edge + part for edge in edges for part in (-0.5, 0.0, 0.25, 0.75)]
    for exact in times:
        time = float(int(exact)) if rounded else exact
        after = WHOLE.since <= time if first else WHOLE.since < time
        inside = [
            (each.since <= time if first else each.since < time)
            and (time <= each.until if last else time < each.until)
            for each in windows
        ]
        assert any(inside) or not after, exact


def test_windows_cover_the_question_and_overlap_by_a_second() -> None:
    windows = WHOLE.windows(100)
    assert (windows[0].since, windows[-1].until) == (WHOLE.since, WHOLE.until)
    assert all(later.since == earlier.until - 1 for earlier, later in pairwise(windows))
    assert 18 <= len(windows) <= 21


def test_a_short_list_and_one_beyond_the_limit_and_a_short_window_are_not_divided() -> None:
    assert WHOLE.windows(LONG) == WHOLE.windows(MAX_PAGES + 1) == WHOLE.windows(0) == []
    assert all(each.windows(MAX_PAGES) for each in WHOLE.windows(MAX_PAGES))
    short = replace(WHOLE, until=WHOLE.since + 2 * SHORTEST_WINDOW)
    assert [each.until - each.since for each in short.windows(100)] == [SHORTEST_WINDOW + 1, SHORTEST_WINDOW]
    assert replace(short, until=short.until - 1).windows(100) == []


# --- a service that does as its pages say ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"list_state5": "refused"},
        {"list_cursor": "inclusive"},
        {"list_cursor": "overlapping"},
        {"list_last_cursor": "always"},
        {"list_last_cursor": "absent"},
        {"list_order": "oldest"},
        {"list_total": "page"},
        {"list_time": "active"},
        {"list_seven_days": "on"},
    ],
    ids=str,
)
@pytest.mark.parametrize("settings", [GLOBAL, CHINA], ids=["global", "mainland-china"])
def test_every_agent_is_listed_whatever_the_service_takes(
    switches: dict[str, object], settings: AgoraSettings
) -> None:
    scene = crowd(settings=settings, **switches)
    assert read(scene) == set(scene.ids)


def test_windows_take_a_fraction_of_the_time_and_few_more_calls() -> None:
    scene = crowd(200, list_limit_max=2)
    scene.hand.latency = lambda _: 0.2
    began = scene.hand.elapsed
    assert read(scene) == set(scene.ids)
    side_by_side, calls = scene.hand.elapsed - began, len(scene.hand.requests)
    scene.hand.requests.clear()
    began = scene.hand.elapsed
    assert scene.listed() == set(scene.ids)
    assert side_by_side < (scene.hand.elapsed - began) / 4
    assert len(set(spans(scene.hand))) == 1
    assert calls <= 1.3 * len(scene.hand.requests)


@pytest.mark.parametrize("hours", [0.0, 0.001, 0.01, 1.0])
def test_agents_that_started_together_are_listed(hours: float) -> None:
    scene = crowd(hours=hours)
    assert read(scene) == set(scene.ids)
    assert len(scene.hand.requests) <= 2 * 20 + 100 + WIDTH


def test_agents_that_started_at_the_ends_of_windows_are_listed() -> None:
    now = int(START) + 70 * HOUR
    windows = replace(WHOLE, since=now - 80 * HOUR, until=now + 60).windows(24)
    edges = [end for each in windows for end in (each.since, each.until) if START < end < now]
    scene = Scene(0, lifetime_seconds=400_000, list_limit_max=1)
    for place, start in enumerate(sorted(edge + part for edge in edges for part in (-0.5, 0.0, 0.5))):
        scene.hand.elapsed = start - START
        scene.ids.append(scene.join(f"agent-{place}", str(1000 + place)))
    scene.hand.elapsed = now - START
    scene.hand.requests.clear()
    assert len(scene.ids) == 24
    assert read(scene) == set(scene.ids)
    assert {(each.since, each.until) for each in windows} < set(spans(scene.hand))


def test_one_call_at_a_time_reads_no_windows_and_neither_does_a_short_list() -> None:
    scene = crowd()
    assert scene.listed() == set(scene.ids)
    assert len(set(spans(scene.hand))) == 1
    scene = crowd(5 * LONG)
    assert read(scene) == set(scene.ids)
    assert len(set(spans(scene.hand))) == 1


# --- a service that does not -------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", ["ignored", "refused"])
def test_without_windows_the_list_is_read_page_by_page_at_once_and_windows_are_not_tried_again(
    window: str,
) -> None:
    scene = crowd()
    whole: list[tuple[str, str]] = []
    answer = served_by(scene.simulator)

    def act(request: HttpRequest, _: int) -> HttpReply | HttpFailure | None:
        span = [each for each in request.query if each[0] in ("from_time", "to_time")]
        if not whole:
            whole.extend(span)
        if span == whole:
            return None
        if window == "refused":
            return reply(400, b'{"detail":"from_time: not here","reason":"InvalidFieldValue"}')
        query = tuple(each for each in request.query if each not in span) + tuple(whole)
        return answer(HttpRequest(request.method, request.url, query, request.headers))

    before(scene, act)
    assert read(scene) == set(scene.ids)
    assert len(scene.hand.requests) <= 20 + WIDTH
    scene.hand.requests.clear()
    assert scene.provider.retries == 0
    whole.clear()
    assert read(scene) == set(scene.ids)
    assert len(scene.hand.requests) == 20


@pytest.mark.parametrize("less", [-7, -1, 1, 7])
def test_a_count_that_is_wrong_in_windows_is_not_believed(less: int) -> None:
    scene = crowd()
    answer = served_by(scene.simulator)
    width = 0

    def act(request: HttpRequest, number: int) -> HttpReply | HttpFailure | None:
        nonlocal width
        fields = dict(request.query)
        span = int(fields["to_time"]) - int(fields["from_time"])
        width = max(width, span)

        def lie(tree: dict[str, Any]) -> None:
            tree["meta"]["total"] = max(0, tree["meta"]["total"] - less)

        return changed(answer(request), lie) if span < width else None

    before(scene, act)
    assert read(scene) == set(scene.ids)


@pytest.mark.parametrize("hidden", [0, 50, 99])
def test_an_agent_that_no_window_shows_makes_the_list_be_read_page_by_page(hidden: int) -> None:
    scene = crowd()
    answer = served_by(scene.simulator)
    missing, width = scene.ids[hidden], 0

    def act(request: HttpRequest, _: int) -> HttpReply | HttpFailure | None:
        nonlocal width
        fields = dict(request.query)
        span = int(fields["to_time"]) - int(fields["from_time"])
        width = max(width, span)

        def hide(tree: dict[str, Any]) -> None:
            rows = [row for row in tree["data"]["list"] if row["agent_id"] != missing]
            less = len(tree["data"]["list"]) - len(rows)
            tree["data"] = {"count": len(rows), "list": rows}
            tree["meta"]["total"] -= less

        return changed(answer(request), hide) if span < width else None

    before(scene, act)
    assert read(scene) == set(scene.ids)


@pytest.mark.parametrize("total", [10**4, 10**9])
def test_a_total_without_end_ends(total: int) -> None:
    """Each window has a row of its own time and says that there are many more."""

    def answer(request: HttpRequest) -> HttpReply:
        fields = dict(request.query)
        row = {
            "agent_id": f"A{fields['from_time']}",
            "status": "RUNNING",
            "start_ts": int(fields["from_time"]),
        }
        if "cursor" in fields:
            row["agent_id"] += "x" + fields["cursor"][1:]
        page = {"data": {"list": [row]}, "meta": {"cursor": str(row["agent_id"]), "total": total}}
        return reply(200, orjson.dumps(page))

    def counted(request: HttpRequest) -> HttpReply:
        return changed(answer(request), lambda tree: tree["meta"].update(total=min(total, MAX_PAGES)))

    for each in (answer, counted):
        hand = Hand(each, latency=lambda _: 0.05)
        with pytest.raises(IncompleteRead):
            hand.run(AgoraProvider(GLOBAL).live_agents(parallelism=WIDTH))
        assert hand.elapsed <= 31


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(401, b"{}"), AuthenticationFailed),
        (reply(500), ServiceError),
        (reply(200, b"<"), IncompleteRead),
        (failure(HttpTrouble.CONNECT, sent=False), ServiceError),
    ],
)
@pytest.mark.parametrize("from_call", [1, 12, 20])
def test_a_window_that_cannot_be_had_is_never_an_empty_one(
    answer: HttpReply | HttpFailure, kind: type[ServiceError], from_call: int
) -> None:
    scene = crowd()
    before(scene, lambda _, number: answer if number >= from_call else None)
    with pytest.raises(kind) as caught:
        read(scene)
    assert type(caught.value) is kind


def test_windows_have_the_lists_deadline() -> None:
    scene = crowd(200, list_limit_max=2)
    scene.hand.latency = lambda _: 4.0
    began = scene.hand.elapsed
    with pytest.raises(IncompleteRead, match="has not ended after"):
        read(scene)
    assert scene.hand.elapsed - began <= 28 + 10


# --- agents that come and go meanwhile ---------------------------------------------------------------------------


@pytest.mark.parametrize("call", [0, 1, 5, 15, 25])
@pytest.mark.parametrize("place", [0, 50, 99, None])
def test_an_agent_that_comes_or_ends_during_the_reading_hides_no_other(call: int, place: int | None) -> None:
    scene = crowd()

    def act(_: HttpRequest, number: int) -> None:
        if number == call and place is None:
            scene.hand.answer = served_by(scene.simulator)
            scene.ids.append(scene.join("new", "7"))
        elif number == call and place is not None:
            scene.simulator.end(scene.ids[place])

    before(scene, act)
    stayed = {each for each in scene.ids if place is None or each != scene.ids[place]}
    assert read(scene) >= stayed


def test_in_any_weather_no_agent_that_stays_is_missing() -> None:
    """Agents come and end all the time, by chance, and the service orders, cuts and counts as it likes."""
    complete = sum(is_complete_in_weather(random.Random(seed)) for seed in range(20))
    assert complete >= 8


def is_complete_in_weather(chance: random.Random) -> bool:
    """Whether the list was complete; otherwise it is an error."""
    switches = {
        "list_limit_max": chance.choice((2, 3, 5)),
        "list_cursor": chance.choice(("exclusive", "inclusive")),
        "list_order": chance.choice(("newest", "oldest")),
        "list_state_comma": chance.choice(("accepted", "refused")),
    }
    new = iter(range(5000, 9000))
    scene = crowd(120, hours=chance.choice((0.01, 1, 70)), **switches)
    stays, rate = set(chance.sample(scene.ids, 80)), chance.choice((0.02, 0.1, 0.5))
    leaving = [each for each in scene.ids if each not in stays]
    answer = served_by(scene.simulator)

    def act(request: HttpRequest, number: int) -> HttpReply | HttpFailure | None:
        if not request.url.endswith("/agents"):
            return None
        if chance.random() < rate and leaving:
            scene.simulator.end(leaving.pop(chance.randrange(len(leaving))))
        if chance.random() < rate:
            scene.hand.answer = answer
            uid = str(next(new))
            scene.join(f"new-{uid}", uid)
            before(scene, act)
        return None

    before(scene, act)
    try:
        found = read(scene)
    except IncompleteRead:
        return False
    assert found >= stays
    return True


def test_agents_that_come_and_go_are_allowed_for_in_the_second_reading() -> None:
    """One ends in each reading: the first one is not believed, the windows of the second one are."""
    scene = crowd()
    ends = iter(scene.ids[:2])

    def act(request: HttpRequest, number: int) -> None:
        if number in (10, 40):
            scene.simulator.end(next(ends))

    before(scene, act)
    assert read(scene) >= set(scene.ids[2:])
    assert scene.provider.retries == 1
    assert len(scene.hand.requests) <= 70
    lengths = [until - since for since, until in spans(scene.hand)]
    of_the_whole = [
        each
        for each, length in zip(scene.hand.requests, lengths, strict=True)
        if length == max(lengths) and "cursor" in dict(each.query)
    ]
    assert of_the_whole == [], "it was read page by page"
