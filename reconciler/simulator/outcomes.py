"""The effects of fates: what happens to the request, and what the client receives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from reconciler.simulator.agent import End, Status
from reconciler.simulator.faults import Fate, FateKind
from reconciler.simulator.history import Deferred
from reconciler.simulator.messages import (
    JSON_HEADERS,
    ErrorReason,
    Headers,
    Outage,
    OutageKind,
    Response,
    http_date,
    json_response,
)
from reconciler.simulator.routes import Call, respond
from reconciler.simulator.world import World

Outcome = Response | Outage

_HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"
_REASONS = {
    400: ErrorReason.INVALID_FIELD_VALUE,
    401: ErrorReason.INVALID_PERMISSION,
    403: ErrorReason.SERVICE_NOT_ENABLED,
    404: ErrorReason.TASK_NOT_FOUND,
    409: ErrorReason.TASK_CONFLICT,
    422: ErrorReason.RESOURCE_QUOTA_LIMIT_EXCEEDED,
    429: ErrorReason.CONCURRENCY_LIMIT_EXCEEDED,
    500: ErrorReason.INTERNAL_ERROR,
    503: ErrorReason.SERVICE_UNAVAILABLE,
    504: ErrorReason.TASK_OPERATION_TIMEOUT,
}
"""The obvious pairing of statuses and reasons (v2 API reference: errors; the mapping itself is not documented)."""


def enact(fate: Fate, call: Call, world: World) -> Outcome:
    """Carry out the fate of a call and return its outcome."""
    match fate.kind:
        case FateKind.UNREACHABLE:
            return Outage(OutageKind.UNREACHABLE, executed=False)
        case FateKind.DROP_REQUEST:
            return Outage(OutageKind.SILENCE, executed=False)
        case FateKind.LATE:
            _postpone(call, world, fate.seconds)
            return Outage(OutageKind.SILENCE, executed=False)
        case FateKind.LOSE_RESPONSE:
            respond(call, world)
            return Outage(OutageKind.SILENCE, executed=True)
        case FateKind.RESET:
            if fate.executed:
                respond(call, world)
            return Outage(OutageKind.RESET, executed=fate.executed)
        case FateKind.SLOW | FateKind.DRIP | FateKind.CUT:
            kind = OutageKind(fate.kind.value)
            return Outage(kind, executed=True, response=respond(call, world), seconds=fate.seconds)
        case FateKind.TWICE:
            return _twice(fate, call, world)
        case FateKind.DOOM:
            answer = respond(call, world)
            agent = world.store.find_anywhere(str(_content(answer).get("agent_id")))
            if agent is not None:
                world.doom(agent, End(world.now + fate.seconds, Status.FAILED, fate.message))
            return answer
        case FateKind.LIST_DEFECT:
            return _with_defect(respond(call, world), fate.defect)
        case FateKind.MERGE:
            answer = respond(call, world)
            return _rewritten(answer, merge_patch(_content(answer), fate.patch))
        case _:
            return _replacement(fate, respond(call, world) if fate.executed else None, world.now)


def _postpone(call: Call, world: World, seconds: float) -> None:
    world.store.history.defer(Deferred(world.now + seconds, call.request))


def _twice(fate: Fate, call: Call, world: World) -> Response:
    first = respond(call, world)
    if fate.seconds > 0:
        _postpone(call, world, fate.seconds)
        return first
    second = respond(call, world)
    return first if fate.answer == "first" else second


def _replacement(fate: Fate, answer: Response | None, now: float) -> Response:
    """Return the response that the client gets in place of `answer`, which is None if the request was not executed."""
    match fate.kind:
        case FateKind.REFUSE:
            reason = fate.reason or _REASONS.get(fate.status, ErrorReason.INTERNAL_ERROR)
            return json_response({"detail": fate.detail, "reason": reason}, fate.status)
        case FateKind.RATE_LIMIT:
            body = {"detail": fate.detail, "reason": ErrorReason.CONCURRENCY_LIMIT_EXCEEDED}
            return json_response(body, fate.status, _retry_after(fate, now))
        case FateKind.MALFORMED:
            return _malformed(fate.form, answer)
        case FateKind.NO_CONTENT:
            return Response(204, (), b"")
        case FateKind.REDIRECT:
            return Response(fate.status, (("location", fate.location),), b"")
        case FateKind.OVERSIZE:
            return Response(200, JSON_HEADERS, b'{"filler":"' + b"x" * max(0, fate.size - 13) + b'"}')
        case _:
            raise ValueError(fate.kind)


def _retry_after(fate: Fate, now: float) -> Headers:
    values = {
        "seconds": f"{fate.seconds:g}",
        "date": http_date(now + fate.seconds),
        "garbage": "soon",
        "negative": "-30",
        "huge": "99999999999",
    }
    return (("retry-after", values[fate.retry_after]),) if fate.retry_after != "none" else ()


def _malformed(form: str, answer: Response | None) -> Response:
    answer = answer or json_response({"agent_id": "A42", "status": "RUNNING"})
    bodies: Mapping[str, bytes] = {
        "html": _HTML,
        "empty": b"",
        "empty_object": b"{}",
        "null": b"null",
        "array": b"[]",
        "cut": answer.body[: len(answer.body) // 2],
        "wrong_types": orjson.dumps(_mistyped(_content(answer))),
        "not_utf8": b'{"agent_id": "\xff\xfe"}',
        "deep": b"[" * 100_000,
    }
    return Response(200, (("content-type", "text/html"),) if form == "html" else JSON_HEADERS, bodies[form])


def _mistyped(value: Any) -> Any:
    """Return `value` with each leaf replaced by one of another type."""
    if isinstance(value, dict):
        return {key: _mistyped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mistyped(item) for item in value]
    return {"text": value} if isinstance(value, str) else str(value)


def _content(answer: Response) -> Any:
    return orjson.loads(answer.body) if answer.body else {}


def _rewritten(answer: Response, content: object) -> Response:
    return Response(answer.status, JSON_HEADERS, orjson.dumps(content))


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` changed by a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def _with_defect(answer: Response, defect: str) -> Response:
    """Return a list's answer with a defect; any other answer as it is."""
    content = _content(answer)
    if answer.status != 200 or not isinstance(content.get("data"), dict):
        return answer
    items = content["data"]["list"]
    match defect:
        case "short" | "omission":
            content["data"] |= {"list": items[1:], "count": len(items[1:])}
            if defect == "omission" and items:
                content["meta"]["total"] -= 1  # the total agrees with the shorter list
        case "wrong_total":
            content["meta"]["total"] += 1
        case "cursor_loop":
            content["meta"]["cursor"] = items[0]["agent_id"] if items else "A42LOOP"
        case "duplicates":
            content["data"]["list"] = items + [item | {"status": "STOPPING"} for item in items[:1]]
        case "data_null":
            content["data"] = None
        case "empty":
            content |= {"data": {"count": 0, "list": []}, "meta": {"cursor": "", "total": 0}}
        case _:  # no_meta
            del content["meta"]
    return _rewritten(answer, content)
