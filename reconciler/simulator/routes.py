"""Turn a request into a response: find the call, check whether it may be made, and execute it.

URLs, methods, the Authorization header, the rate limit and the parsing of bodies are here; the effects on agents are in
`world.py`, faults in `app.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson

from reconciler.simulator import replies
from reconciler.simulator.agent import Status
from reconciler.simulator.auth import InvalidToken, Token, authenticate, bind
from reconciler.simulator.bodies import refuse_join, warnings
from reconciler.simulator.contract import Strictness, check_body, without_nulls
from reconciler.simulator.faults import ObservedCall, ServiceCall
from reconciler.simulator.listing import list_agents, query_fields
from reconciler.simulator.messages import (
    ErrorReason,
    Headers,
    RefusedCall,
    Request,
    Response,
    http_date,
    json_response,
)
from reconciler.simulator.world import Project, World

GLOBAL_BASE = "/api/conversational-ai-agent"
CN_BASE = "/cn/api/conversational-ai-agent"

_BASES = ((GLOBAL_BASE + "/v2/", "global"), (CN_BASE + "/v2/", "cn"))
_NOWHERE = Project("global", "")
_ROUNDING = 1e-6  # seconds; the precision of floats for today's epoch seconds
_DEEPEST = 250  # deeper nesting may be impossible to write as JSON

_OF_PROJECT = {"join": ("POST", ServiceCall.JOIN), "agents": ("GET", ServiceCall.LIST)}
_OF_AGENT = {
    "leave": ("POST", ServiceCall.LEAVE),
    "update": ("POST", ServiceCall.UPDATE),
    "speak": ("POST", ServiceCall.SPEAK),
    "interrupt": ("POST", ServiceCall.INTERRUPT),
    "think": ("POST", ServiceCall.THINK),
    "history": ("GET", ServiceCall.HISTORY),
    "turns": ("GET", ServiceCall.TURNS),
}


class Call(NamedTuple):
    """A parsed request. `body` is None if it is empty or not JSON (`readable` is False for the latter)."""

    operation: ServiceCall
    method: str
    place: Project
    agent_id: str
    request: Request
    body: Any
    readable: bool


def identify(request: Request) -> Call:
    """Return the call that a request makes; every request is some call, if only UNKNOWN."""
    for base, area in _BASES:
        if request.path.startswith(base):
            operation, method, app_id, agent_id = _locate(request.path[len(base) :].split("/"))
            body, readable = _parse(request.body)
            return Call(operation, method, Project(area, app_id), agent_id, request, body, readable)
    return Call(ServiceCall.UNKNOWN, request.method, _NOWHERE, "", request, None, readable=False)


def _locate(steps: list[str]) -> tuple[ServiceCall, str, str, str]:
    match steps:
        case ["projects", app_id, step] if step in _OF_PROJECT:
            method, operation = _OF_PROJECT[step]
            return operation, method, unquote(app_id), ""
        case ["projects", app_id, "agents", agent_id] if agent_id:
            return ServiceCall.QUERY, "GET", unquote(app_id), unquote(agent_id)
        case ["projects", app_id, "agents", agent_id, step] if step in _OF_AGENT:
            method, operation = _OF_AGENT[step]
            return operation, method, unquote(app_id), unquote(agent_id)
        case ["phone-numbers", *_]:
            return ServiceCall.TELEPHONY, "", "", ""
        case ["projects", app_id, "call" | "calls", *_]:
            return ServiceCall.TELEPHONY, "", unquote(app_id), ""
        case _:
            return ServiceCall.UNKNOWN, "", "", ""


def _parse(raw: bytes) -> tuple[Any, bool]:
    if not raw:
        return None, True
    try:
        body = orjson.loads(raw)
        if raw.count(b"[") + raw.count(b"{") > _DEEPEST:
            orjson.dumps(body)  # nesting that is too deep to be written counts as unreadable
    except (orjson.JSONDecodeError, TypeError):
        return None, False
    return body, True


def subject(call: Call, world: World) -> ObservedCall:
    """Return the fields of a call that the rules of a fault script are matched with."""
    name, channel, page = "", "", "first"
    if call.operation is ServiceCall.JOIN:
        body = call.body if isinstance(call.body, dict) else {}
        properties = body.get("properties")
        name, channel = _text(body, "name"), _text(properties, "channel")
    elif call.operation is ServiceCall.LIST:
        fields = query_fields(call.request.query)
        channel, page = fields.get("channel", ""), "next" if "cursor" in fields else "first"
    elif (agent := world.store.find(call.place.project, call.agent_id)) is not None:
        name, channel = agent.name, agent.channel
    return ObservedCall(call.operation, name, channel, call.agent_id, page)


def _text(container: object, key: str) -> str:
    value = container.get(key) if isinstance(container, dict) else None
    return value if isinstance(value, str) else ""


def respond(call: Call, world: World) -> Response:
    """Execute a call and return the answer; a refusal is an answer too."""
    try:
        return _respond(call, world)
    except RefusedCall as refused:
        return replies.refusal(refused, world.switches, call.place.area)


def _respond(call: Call, world: World) -> Response:
    if call.operation is ServiceCall.UNKNOWN:
        raise RefusedCall(404, ErrorReason.NOT_IMPLEMENTED, "no such path")
    _keep_rate(world)
    if call.operation is ServiceCall.TELEPHONY:
        raise RefusedCall(501, ErrorReason.NOT_IMPLEMENTED, "telephony is not simulated")
    if call.request.method != call.method:
        raise RefusedCall(405, ErrorReason.NOT_IMPLEMENTED, f"the path takes {call.method}")
    header = call.request.header("authorization")
    tolerance = world.switches.clock_tolerance_seconds
    token = authenticate(header, call.place.app_id, world.credentials, now=world.now, tolerance=tolerance)
    if call.operation is ServiceCall.JOIN:
        return _join(call, world, token)
    if token is not None and world.switches.header_token_scope == "every":
        _require_binding(token, *_channel_and_uid(call, world, token))
    return _HANDLERS[call.operation](call, world)


def _keep_rate(world: World) -> None:
    # a leaky bucket of one second: the mark is the time up to which the allowance is used
    rate = world.switches.requests_per_second
    if rate <= 0:
        return
    mark = max(world.store.gate(), world.now) + 1 / rate
    wait = mark - world.now - max(1.0, 1 / rate)
    if wait > _ROUNDING:
        raise RefusedCall(
            429,
            ErrorReason.CONCURRENCY_LIMIT_EXCEEDED,
            "too many requests",
            headers=_retry_after(world, wait),
        )
    world.store.save_gate(mark)


def _retry_after(world: World, wait: float) -> Headers:
    seconds = ceil(wait - _ROUNDING)
    match world.switches.retry_after:
        case "none":
            return ()
        case "seconds":
            return (("retry-after", str(seconds)),)
        case "date":
            return (("retry-after", http_date(world.now + seconds)),)


def _submitted(call: Call, world: World) -> tuple[Any, bytes]:
    """Return the body and its bytes, without nulls for documented fields if the service treats them as absent."""
    if not call.readable:
        raise RefusedCall(400, ErrorReason.INVALID_REQUEST_BODY, "the body is not JSON")
    raw = call.request.body
    if b"null" not in raw or world.switches.nulls == "refused":
        return call.body, raw
    body = without_nulls(call.operation.value, call.body)
    return body, orjson.dumps(body)


def _body(call: Call, world: World, *, optional: bool) -> Mapping[str, Any]:
    body, raw = _submitted(call, world)
    if optional and not raw:
        return {}
    problem = check_body(call.operation.value, body, _strictness(call, world))
    if problem is not None:
        raise RefusedCall(400, problem.reason, str(problem))
    checked: Mapping[str, Any] = body
    return checked


def _strictness(call: Call, world: World) -> Strictness:
    switches = world.switches
    fields = switches.unknown_fields == "refused"
    if call.operation is ServiceCall.UPDATE:
        fields = switches.update_unknown_keys == "400"
    return Strictness(
        call.place.area, fields, switches.unknown_enums == "refused", switches.strict_vendors == "on"
    )


def _require_binding(token: Token, channel: str, uid: str) -> None:
    """Raise `RefusedCall` unless the token of the header is for this channel and uid."""
    try:
        bind(token, channel=channel, uid=uid, needs_rtm=False)
    except InvalidToken as error:
        raise RefusedCall(401, ErrorReason.INVALID_PERMISSION, str(error)) from None


def _channel_and_uid(call: Call, world: World, token: Token) -> tuple[str, str]:
    """Return the channel and uid of the agent that a call is about; a list is of a channel, and for any uid."""
    if call.operation is ServiceCall.LIST:
        return query_fields(call.request.query).get("channel", ""), token.account or ""
    agent = world.remembered(call.place, call.agent_id)
    return agent.channel, agent.uid


def _join(call: Call, world: World, token: Token | None) -> Response:
    body, raw = _submitted(call, world)
    refuse_join(body, _strictness(call, world), world.switches)
    properties = body["properties"]
    if token is not None and world.switches.header_token_scope != "never":
        _require_binding(token, properties["channel"], properties["agent_rtc_uid"])
    agent = world.join(call.place, body, raw)
    return json_response(replies.joined(agent, world.switches), headers=warnings(properties))


def _leave(call: Call, world: World) -> Response:
    world.leave(call.place, call.agent_id)
    return Response(200, (), b"") if world.switches.leave_body == "empty" else json_response({})


def _update(call: Call, world: World) -> Response:
    agent = world.update(call.place, call.agent_id, _body(call, world, optional=True))
    return json_response(replies.updated(agent, world, call.place.area))


def _query(call: Call, world: World) -> Response:
    return json_response(replies.queried(world.remembered(call.place, call.agent_id), world))


def _list(call: Call, world: World) -> Response:
    return json_response(list_agents(world, call.place, call.request.query))


def _tell(call: Call, world: World) -> Response:
    body = _body(call, world, optional=call.operation is ServiceCall.INTERRUPT)
    return json_response(replies.told(world.say(call.place, call.agent_id, call.operation.value, body)))


def _history(call: Call, world: World) -> Response:
    agent = world.present(call.place, call.agent_id)
    if agent.status_at(world.now) is not Status.RUNNING:  # v2 API reference: endpoints, RUNNING agents only
        raise world.not_found()
    return json_response(replies.history(agent, world))


def _turns(call: Call, world: World) -> Response:
    agent = world.store.find(call.place.project, call.agent_id)
    if agent is None:
        raise world.not_found()
    return json_response(replies.turns(agent, world, call.request.query))


_HANDLERS: Mapping[ServiceCall, Callable[[Call, World], Response]] = {
    ServiceCall.LEAVE: _leave,
    ServiceCall.UPDATE: _update,
    ServiceCall.QUERY: _query,
    ServiceCall.LIST: _list,
    ServiceCall.SPEAK: _tell,
    ServiceCall.INTERRUPT: _tell,
    ServiceCall.THINK: _tell,
    ServiceCall.HISTORY: _history,
    ServiceCall.TURNS: _turns,
}
