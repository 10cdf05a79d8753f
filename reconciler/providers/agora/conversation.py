"""The verbs of one conversation: make an agent speak, interrupt it, give its model a text, read what was said.

Nothing here changes a fleet. Mutating verbs are sent once; if their outcome is unknown, they raise a `ServiceError`
that says so. Fields and limits: v2 API reference, "Endpoints" (OpenAPI v2).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.errors import IncompleteRead, ServiceError, UsageError
from reconciler.model.transcript import History, Turn, Turns, Utterance
from reconciler.ports import HttpReply, Steps
from reconciler.providers.agora import errors, replies
from reconciler.providers.agora.client import AgoraClient
from reconciler.values import dataclass

if TYPE_CHECKING:
    from reconciler.providers.agora import conversation_replies as models

# v2 API reference: speak.
MAX_SPOKEN_BYTES = 512
# v2 API reference: turns.
PAGE_SIZES = range(10, 201)
MAX_PAGES = 1000


class Priority(StrEnum):
    """The effect of a spoken text on the agent's present speech; the service's default is INTERRUPT."""

    INTERRUPT = "INTERRUPT"
    APPEND = "APPEND"
    IGNORE = "IGNORE"


class Reaction(StrEnum):
    """The treatment of a text for the model while the agent is busy."""

    INJECT = "inject"
    INTERRUPT = "interrupt"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Reactions:
    """The reaction for each activity of the agent; None is the service's default. Only listening takes INJECT."""

    listening: Reaction | None = None
    thinking: Reaction | None = None
    speaking: Reaction | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """The service has accepted a verb. Only this reply holds an agent's channel. `at` in epoch seconds."""

    agent_id: str
    channel: str
    at: float


def speak(
    client: AgoraClient, agent_id: str, text: str, *, priority: Priority | None, interruptable: bool | None
) -> Steps[Heard]:
    """Make an agent say a text of at most 512 bytes in UTF-8; not possible with a multimodal model (`mllm`).

    Raises `UsageError` for a text that the service would refuse, `ServiceError` when it was refused or the outcome is
    unknown.
    """
    size = len(text.encode("utf-8", "replace"))
    if not text.strip() or size > MAX_SPOKEN_BYTES:
        raise UsageError(
            f"a text of {size} bytes cannot be spoken",
            hint=f"say something, in at most {MAX_SPOKEN_BYTES} bytes",
        )
    body = {"text": text, "priority": priority, "interruptable": interruptable}
    return (yield from _tell(client, agent_id, "speak", body))


def interrupt(client: AgoraClient, agent_id: str) -> Steps[Heard]:
    """Stop what the agent is saying or thinking. Raises `ServiceError`."""
    return (yield from _tell(client, agent_id, "interrupt"))


def think(
    client: AgoraClient,
    agent_id: str,
    text: str,
    *,
    on: Reactions | None,
    interruptable: bool | None,
    metadata: Mapping[str, str] | None,
) -> Steps[Heard]:
    """Give a text to the agent's model. Raises `UsageError` and `ServiceError` as `speak` does."""
    on = on or Reactions()
    if not text.strip():
        raise UsageError("there is nothing to think about", hint="write a text")
    if Reaction.INJECT in (on.thinking, on.speaking):
        raise UsageError(
            "a thought is injected only while the agent is listening", hint="use interrupt or ignore"
        )
    body = {
        "text": text,
        "on_listening_action": on.listening,
        "on_thinking_action": on.thinking,
        "on_speaking_action": on.speaking,
        "interruptable": interruptable,
        "metadata": None if metadata is None else dict(metadata),
    }
    return (yield from _tell(client, agent_id, "think", body))


def history(client: AgoraClient, agent_id: str) -> Steps[History | None]:
    """Return what was said to and by a running agent; None when there is no such agent. Raises as reads do."""
    from reconciler.providers.agora import conversation_replies as models

    request = yield from client.request("GET", client.agent_path(agent_id, "history"), agent_id=agent_id)

    def decode(body: bytes, _: float) -> History:
        reply = replies.parse(models.HistoryReply.model_validate, body)
        _require_same(agent_id, reply.agent_id)
        said = (
            Utterance(
                u.role,
                u.content,
                u.speech_start_ms,
                u.speech_end_ms,
                None if u.turn_id is None else int(u.turn_id),
            )
            for u in reply.contents or ()
        )
        return History(reply.agent_id, float(reply.start_ts), reply.status, tuple(said))

    return (yield from client.read(f"reading the history of agent {agent_id}", request, decode))


def turns(client: AgoraClient, agent_id: str, page_size: int) -> Steps[Turns | None]:
    """Return all turns, read page after page; None when there is no such agent. Raises as reads do."""
    if page_size not in PAGE_SIZES:
        raise UsageError(
            f"a page cannot have {page_size} turns", hint=f"use {PAGE_SIZES.start} to {PAGE_SIZES.stop - 1}"
        )
    from reconciler.providers.agora import conversation_replies as models

    what = f"reading the turns of agent {agent_id}"
    found: list[Turn] = []
    for index in range(1, MAX_PAGES + 1):
        query = (("page_index", str(index)), ("page_size", str(page_size)))
        path = client.agent_path(agent_id, "turns")
        request = yield from client.request("GET", path, query=query, agent_id=agent_id)
        reply = yield from client.read(
            what, request, lambda body, _: replies.parse(models.TurnsReply.model_validate, body)
        )
        if reply is None:
            return None
        _require_same(agent_id, reply.agent_id)
        if reply.pagination.page_index != index:
            raise IncompleteRead(
                f"{what} failed: page {index} was answered with {reply.pagination.page_index}"
            )
        found.extend(_turn(each) for each in reply.turns or ())
        if reply.pagination.is_last_page:
            return Turns(
                agent_id, reply.name or "", reply.channel or "", reply.total_turn_count, tuple(found)
            )
    raise IncompleteRead(f"{what} failed: there are more than {MAX_PAGES} pages")


def _tell(
    client: AgoraClient, agent_id: str, verb: str, body: Mapping[str, object] | None = None
) -> Steps[Heard]:
    from reconciler.providers.agora import conversation_replies as models

    what = f"{verb} on agent {agent_id}"
    said = None if body is None else {key: value for key, value in body.items() if value is not None}
    request = yield from client.request(
        "POST", client.agent_path(agent_id, verb), body=said, agent_id=agent_id
    )
    result = yield from client.once(request)
    if errors.is_gone(result):
        raise ServiceError(
            f"{what} failed: there is no such agent, or it has ended", hint="list the live agents"
        )
    if not isinstance(result, HttpReply) or result.status != errors.OK:
        client.fail(what, result, request, mutating=True)
    try:
        reply = replies.parse(models.HeardReply.model_validate, replies.content(result))
        _require_same(agent_id, reply.agent_id)
    except IncompleteRead as error:
        raise ServiceError(f"{what}: nobody knows whether it was heard ({error.message})") from None
    return Heard(reply.agent_id, reply.channel, float(reply.start_ts))


def _require_same(asked: str, answered: str) -> None:
    if asked != answered:
        raise IncompleteRead(f"asked about agent {asked}, the service answered about {answered}")


def _turn(turn: models.TurnReply) -> Turn:
    return Turn(
        turn_id=int(turn.turn_id),
        began_by=(turn.start and turn.start.type) or "",
        began_at_ms=turn.start.start_at if turn.start else None,
        ended_by=(turn.end and turn.end.type) or "",
        ended_at_ms=turn.end.end_at if turn.end else None,
        latency_ms=turn.metrics.e2e_latency_ms if turn.metrics else None,
    )
