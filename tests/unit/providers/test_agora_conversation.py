"""The verbs of one conversation: checked before they are sent, sent once, and told as they went."""

from __future__ import annotations

import orjson
import pytest

from reconciler.errors import AuthenticationFailed, IncompleteRead, ServiceError, UsageError
from reconciler.ports import HttpFailure, HttpReply, HttpTrouble
from reconciler.providers.agora import AgoraProvider
from reconciler.providers.agora.conversation import (
    History,
    Priority,
    Reaction,
    Reactions,
    Turn,
    Turns,
    Utterance,
)
from tests.unit.providers.hand import START, Hand, failure, reply, script
from tests.unit.providers.scene import GLOBAL, Scene

HEARD = reply(200, b'{"agent_id":"A1","channel":"lobby","start_ts":1790000000}')


def test_an_agent_speaks_and_says_where_it_sits() -> None:
    scene = Scene(1)
    heard = scene.hand.run(
        scene.provider.speak(scene.ids[0], "Good evening", priority=Priority.APPEND, interruptable=False)
    )
    assert (heard.agent_id, heard.channel) == (scene.ids[0], "lobby")
    assert scene.hand.requests[-1].body == {
        "text": "Good evening",
        "priority": "APPEND",
        "interruptable": False,
    }
    scene.hand.elapsed += 1  # only a running agent has a history
    history = scene.hand.run(scene.provider.history(scene.ids[0]))
    assert history == History(scene.ids[0], START, "RUNNING", (Utterance("assistant", "Good evening"),))


def test_what_is_left_out_is_not_sent() -> None:
    hand = Hand(script(HEARD))
    hand.run(AgoraProvider(GLOBAL).speak("A1", "x"))
    hand.run(
        AgoraProvider(GLOBAL).think("A1", "x", on=Reactions(listening=Reaction.INJECT), metadata={"k": "v"})
    )
    hand.run(AgoraProvider(GLOBAL).interrupt("A1"))
    assert [request.body for request in hand.requests] == [
        {"text": "x"},
        {"text": "x", "on_listening_action": "inject", "metadata": {"k": "v"}},
        None,
    ]


@pytest.mark.parametrize("text", ["", "  ", "x" * 513, "é" * 257])
def test_a_text_that_cannot_be_spoken_is_not_sent(text: str) -> None:
    hand = Hand(script(HEARD))
    with pytest.raises(UsageError):
        hand.run(AgoraProvider(GLOBAL).speak("A1", text))
    assert not hand.requests


@pytest.mark.parametrize("on", [Reactions(thinking=Reaction.INJECT), Reactions(speaking=Reaction.INJECT)])
def test_a_thought_is_injected_only_while_listening(on: Reactions) -> None:
    with pytest.raises(UsageError):
        Hand(script(HEARD)).run(AgoraProvider(GLOBAL).think("A1", "x", on=on))


def test_an_empty_thought_is_not_sent() -> None:
    with pytest.raises(UsageError):
        Hand(script(HEARD)).run(AgoraProvider(GLOBAL).think("A1", " "))


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (reply(404, b'{"reason":"TaskNotFound"}'), ServiceError, "there is no such agent"),
        (reply(400, b'{"detail":"mllm"}'), ServiceError, "speak on agent A1 failed: HTTP 400: mllm"),
        (reply(401), AuthenticationFailed, "HTTP 401"),
        (reply(503), ServiceError, "may have been executed, and is not sent again"),
        (reply(429), ServiceError, "may have been executed, and is not sent again"),
        (failure(HttpTrouble.TIMEOUT), ServiceError, "may have been executed, and is not sent again"),
        (failure(HttpTrouble.CONNECT, sent=False), ServiceError, "failed: could not connect"),
        (reply(200, b"<html>"), ServiceError, "nobody knows whether it was heard"),
        (reply(200, b'{"agent_id":"B1"}'), ServiceError, "nobody knows whether it was heard"),
    ],
)
def test_what_was_not_heard_is_raised_and_not_repeated(
    answer: HttpReply | HttpFailure, kind: type, text: str
) -> None:
    hand = Hand(script(answer))
    with pytest.raises(kind, match=text):
        hand.run(AgoraProvider(GLOBAL).speak("A1", "x"))
    assert len(hand.requests) == 1


@pytest.mark.parametrize("agent_id", ["", "../x", "a/b", "a b", "x" * 129, "a\n"])
def test_nothing_is_sent_to_what_is_not_an_id(agent_id: str) -> None:
    hand = Hand(script(HEARD))
    provider = AgoraProvider(GLOBAL)
    for steps in (provider.speak(agent_id, "x"), provider.query(agent_id), provider.leave(agent_id)):
        with pytest.raises(UsageError):
            hand.run(steps)
    assert not hand.requests


def turns_page(index: int, last: bool, *ids: int) -> HttpReply:
    turns = [
        {
            "turn_id": number,
            "start": {"type": "greeting", "start_at": 1.5},
            "end": {"type": "ok", "end_at": 2},
            "metrics": {"e2e_latency_ms": 7, "segmented_latency_ms": []},
        }
        for number in ids
    ]
    pagination = {"page_index": index, "total_pages": 2, "is_last_page": last}
    page = {
        "agent_id": "A1",
        "name": "n",
        "channel": "c",
        "total_turn_count": 3,
        "pagination": pagination,
        "turns": turns,
    }
    return reply(200, orjson.dumps(page))


def test_turns_are_read_page_by_page() -> None:
    hand = Hand(script(turns_page(1, False, 1, 2), turns_page(2, True, 3)))
    found = hand.run(AgoraProvider(GLOBAL).turns("A1", page_size=10))
    assert found == Turns("A1", "n", "c", 3, tuple(Turn(n, "greeting", 1.5, "ok", 2, 7) for n in (1, 2, 3)))
    assert [request.query for request in hand.requests] == [
        (("page_index", "1"), ("page_size", "10")),
        (("page_index", "2"), ("page_size", "10")),
    ]


@pytest.mark.parametrize("answers", [(turns_page(2, True),), (turns_page(1, False), turns_page(1, False))])
def test_turns_out_of_order_are_refused(answers: tuple[HttpReply, ...]) -> None:
    with pytest.raises(IncompleteRead):
        Hand(script(*answers)).run(AgoraProvider(GLOBAL).turns("A1"))


@pytest.mark.parametrize("size", [0, 9, 201, -1])
def test_page_sizes_are_those_of_the_service(size: int) -> None:
    with pytest.raises(UsageError):
        Hand(script(turns_page(1, True))).run(AgoraProvider(GLOBAL).turns("A1", page_size=size))


UTTERANCE = {"role": "user", "content": "Hello"}
LAST = {"page_index": 1, "is_last_page": True}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"agent_id": "canary/"}, "agent_id: it is not an id"),
        ({"start_ts": "1"}, "start_ts: it is not a number"),
        ({"start_ts": -1}, "start_ts: it is less than nothing"),
        ({"start_ts": 2**53}, "start_ts: it is beyond every calendar"),
        ({"status": None}, "status: it is not a text"),
        ({"contents": {}}, "contents: it is not a list"),
        ({"contents": ["x"]}, "contents.0: it is not an object"),
        ({"contents": [{"role": "user"}]}, "contents.0.content: it is missing"),
        ({"contents": [{**UTTERANCE, "role": 1}]}, "contents.0.role: it is not a text"),
        ({"contents": [{**UTTERANCE, "turn_id": "1"}]}, "contents.0.turn_id: it is not a number"),
        (
            {"contents": [{**UTTERANCE, "speech_start_ms": True}]},
            "contents.0.speech_start_ms: it is not a number",
        ),
        (
            {"contents": [{**UTTERANCE, "speech_end_ms": -1}]},
            "contents.0.speech_end_ms: it is less than nothing",
        ),
    ],
)
def test_no_field_of_a_history_is_coerced(fields: dict[str, object], says: str) -> None:
    hand = Hand(script(reply(200, orjson.dumps({"agent_id": "A1", **fields}))))
    with pytest.raises(IncompleteRead) as caught:
        hand.run(AgoraProvider(GLOBAL).history("A1"))
    assert caught.value.message.endswith(f"makes no sense at {says}")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"agent_id": 1}, "agent_id: it is not a text"),
        ({"name": 1}, "name: it is not a text"),
        ({"channel": 1}, "channel: it is not a text"),
        ({"total_turn_count": 1.0}, "total_turn_count: it is not a number"),
        ({"pagination": None}, "pagination: it is not an object"),
        ({"pagination": {**LAST, "page_index": "1"}}, "pagination.page_index: it is not a number"),
        (
            {"pagination": {**LAST, "is_last_page": 1}},
            "pagination.is_last_page: input should be a valid boolean",
        ),
        ({"turns": [{}]}, "turns.0.turn_id: it is missing"),
        ({"turns": [{"turn_id": True}]}, "turns.0.turn_id: it is not a number"),
        ({"turns": [{"turn_id": 1, "start": []}]}, "turns.0.start: it is not an object"),
        ({"turns": [{"turn_id": 1, "start": {"type": 1}}]}, "turns.0.start.type: it is not a text"),
        ({"turns": [{"turn_id": 1, "end": {"end_at": "1"}}]}, "turns.0.end.end_at: it is not a number"),
        (
            {"turns": [{"turn_id": 1, "metrics": {"e2e_latency_ms": -1}}]},
            "turns.0.metrics.e2e_latency_ms: it is less than nothing",
        ),
    ],
)
def test_no_field_of_a_page_of_turns_is_coerced(fields: dict[str, object], says: str) -> None:
    hand = Hand(script(reply(200, orjson.dumps({"agent_id": "A1", "pagination": LAST, **fields}))))
    with pytest.raises(IncompleteRead) as caught:
        hand.run(AgoraProvider(GLOBAL).turns("A1"))
    assert caught.value.message.endswith(f"makes no sense at {says}")


@pytest.mark.parametrize(
    "turn", [{}, {"start": None, "end": None, "metrics": None}, {"start": {}, "end": {}}]
)
def test_a_turn_may_say_nothing_but_its_number(turn: dict[str, object]) -> None:
    page = {"agent_id": "A1", "pagination": LAST, "turns": [{"turn_id": 1, **turn}]}
    found = Hand(script(reply(200, orjson.dumps(page)))).run(AgoraProvider(GLOBAL).turns("A1"))
    assert found == Turns("A1", "", "", 0, (Turn(1, "", None, "", None, None),))


@pytest.mark.parametrize("fields", [{"channel": None}, {"channel": 1}, {"start_ts": "1"}, {"agent_id": None}])
def test_a_verb_whose_reply_makes_no_sense_is_of_unknown_outcome(fields: dict[str, object]) -> None:
    hand = Hand(script(reply(200, orjson.dumps({"agent_id": "A1", **fields}))))
    with pytest.raises(ServiceError, match="nobody knows whether it was heard"):
        hand.run(AgoraProvider(GLOBAL).interrupt("A1"))
    assert len(hand.requests) == 1


def test_an_agent_that_is_not_there_has_no_history_and_no_turns() -> None:
    scene = Scene(0)
    assert scene.hand.run(scene.provider.history("A1")) is None
    assert scene.hand.run(scene.provider.turns("A1")) is None
