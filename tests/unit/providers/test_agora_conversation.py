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


def test_an_agent_that_is_not_there_has_no_history_and_no_turns() -> None:
    scene = Scene(0)
    assert scene.hand.run(scene.provider.history("A1")) is None
    assert scene.hand.run(scene.provider.turns("A1")) is None
