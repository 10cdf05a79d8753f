"""The bodies of successful replies about one agent, and of refusals (v2 API reference: endpoints, errors)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from reconciler.simulator.agent import Agent
from reconciler.simulator.history import Note
from reconciler.simulator.listing import query_fields
from reconciler.simulator.messages import BODY_REASONS, ErrorReason, RefusedCall, Response, json_response
from reconciler.simulator.switches import Switches
from reconciler.simulator.world import World

_PAGE_SIZES = range(10, 201)
_TURNS_ARE_KEPT = 7 * 86400.0
_SPOKEN = {"speak": "assistant", "think": "user"}
_TURN_STARTS = {"speak": "api_speak", "think": "voice_input"}


def joined(agent: Agent, switches: Switches) -> dict[str, object]:
    """Return the reply to a join; documents and examples differ on its status."""
    return {"agent_id": agent.agent_id, "create_ts": int(agent.created_at), "status": switches.join_status}


def updated(agent: Agent, world: World, area: str) -> dict[str, object]:
    """Return the reply to an update; the status has the key `state` in CN."""
    key = world.switches.update_reply
    if key == "area":
        key = "state" if area == "cn" else "status"
    status = agent.status_at(world.now).name
    return {"agent_id": agent.agent_id, "create_ts": int(agent.created_at), key: status}


def queried(agent: Agent, world: World) -> dict[str, object]:
    """Return the reply to a query of one agent. It holds no channel and no properties."""
    switches, live = world.switches, agent.live_at(world.now)
    prefix = "agent exits with reason: " if switches.message_prefix == "on" else ""
    reply: dict[str, object] = {
        "message": "" if live else f"{prefix}{agent.end.message}",
        "start_ts": int(agent.created_at),
        "status": agent.status_at(world.now).name,
        "agent_id": agent.agent_id,
    }
    if not live:
        reply["stop_ts"] = int(agent.end.at)
    elif switches.live_stop_ts != "absent":
        reply["stop_ts"] = 0 if switches.live_stop_ts == "zero" else None
    if switches.get_returns_name == "yes":
        reply["name"] = agent.name
    return reply


def told(agent: Agent) -> dict[str, object]:
    """Return the reply to speak, interrupt and think, the only one with the agent's channel."""
    return {"agent_id": agent.agent_id, "channel": agent.channel, "start_ts": int(agent.created_at)}


def history(agent: Agent, world: World) -> dict[str, object]:
    """Return what was said by API calls, at most the agent's `max_history`; a simulated channel has no users."""
    contents = [
        {"role": _SPOKEN[note.kind], "content": orjson.loads(note.payload)["text"]}
        for note in world.store.history.notes(agent.agent_id)
        if note.kind in _SPOKEN
    ]
    longest = agent.properties.get("llm", {}).get("max_history", 32)
    return {
        "agent_id": agent.agent_id,
        "start_ts": int(agent.created_at),
        "status": agent.status_at(world.now).name,
        "contents": contents[-longest:],
    }


def turns(agent: Agent, world: World, query: str) -> dict[str, object]:
    """Return a page of turns, one for each speak and think; turns are kept for seven days."""
    live = agent.live_at(world.now)
    if (live and world.switches.turns_of_live == "404") or agent.end.at + _TURNS_ARE_KEPT <= world.now:
        raise world.not_found()
    index, size = _turn_page(query_fields(query))
    notes = [note for note in world.store.history.notes(agent.agent_id) if note.kind in _TURN_STARTS]
    pages = max(1, -(-len(notes) // size))
    first = (index - 1) * size
    return {
        "agent_id": agent.agent_id,
        "name": agent.name,
        "channel": agent.channel,
        "total_turn_count": len(notes),
        "pagination": {"page_index": index, "total_pages": pages, "is_last_page": index >= pages},
        "turns": _turns(agent, notes[first : first + size], first + 1),
    }


def _turn_page(fields: Mapping[str, str]) -> tuple[int, int]:
    numbers = []
    for name, default in (("page_index", "1"), ("page_size", "50")):
        text = fields.get(name, default)
        if not (text.isascii() and text.isdecimal() and len(text) <= 9):
            raise RefusedCall(400, ErrorReason.INVALID_FIELD_VALUE, f"{name}: a number is expected")
        numbers.append(int(text))
    index, size = numbers
    if index < 1 or size not in _PAGE_SIZES:
        raise RefusedCall(
            400, ErrorReason.INVALID_FIELD_VALUE, "page_index counts from 1, page_size is 10 to 200"
        )
    return index, size


def _turns(agent: Agent, notes: Sequence[Note], first: int) -> list[dict[str, object]]:
    return [
        {
            "agent_id": agent.agent_id,
            "channel": agent.channel,
            "turn_id": turn_id,
            "start": {"start_at": int(note.at * 1000), "type": _TURN_STARTS[note.kind]},
            "end": {"end_at": int(note.at * 1000), "type": "ok"},
        }
        for turn_id, note in enumerate(notes, first)
    ]


def refusal(refused: RefusedCall, switches: Switches, area: str) -> Response:
    """Return the response to a refused call, `{"detail", "reason"}`, with the reason of the area and the API's age."""
    if refused.status == 401 and switches.unauthorized_body == "gateway":
        return json_response({"message": "Invalid authentication credentials"}, 401)
    legacy = switches.reasons == "legacy" or (switches.reasons == "area" and area == "cn")
    reason = ErrorReason.INVALID_REQUEST if legacy and refused.reason in BODY_REASONS else refused.reason
    body: dict[str, Any] = {"detail": refused.detail, "reason": reason, **(refused.extra or {})}
    return json_response(body, refused.status, refused.headers)
