"""The effects of fates: what happens to the request, and what the client receives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from reconciler.simulator.faults import Fate, FateKind
from reconciler.simulator.http_dates import http_date
from reconciler.simulator.messages import (
    JSON_HEADERS,
    ErrorReason,
    Headers,
    Outage,
    OutageKind,
    Response,
    json_response,
)

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


class Stage(NamedTuple):
    """The actions of a fate: execute the request now or later, and end the agent that it started at a set time."""

    perform: Callable[[], Response]
    postpone: Callable[[float], None]
    doom: Callable[[Response, float, str], None]
    now: float


def enact(fate: Fate, stage: Stage) -> Outcome:
    """Carry out a fate and return its outcome."""
    return _ACTORS[fate.kind](fate, stage)


def _perform_if(fate: Fate, stage: Stage) -> Response | None:
    return stage.perform() if fate.executed else None


def _refuse(fate: Fate, stage: Stage) -> Outcome:
    _perform_if(fate, stage)
    reason = fate.reason or _REASONS.get(fate.status, ErrorReason.INTERNAL_ERROR)
    return json_response({"detail": fate.detail, "reason": reason}, fate.status)


def _rate_limit(fate: Fate, stage: Stage) -> Outcome:
    _perform_if(fate, stage)
    forms: Mapping[str, Headers] = {
        "none": (),
        "seconds": (("retry-after", f"{fate.seconds:g}"),),
        "date": (("retry-after", http_date(stage.now + fate.seconds)),),
        "garbage": (("retry-after", "soon"),),
        "negative": (("retry-after", "-30"),),
        "huge": (("retry-after", "99999999999"),),
    }
    body = {"detail": fate.detail, "reason": ErrorReason.CONCURRENCY_LIMIT_EXCEEDED}
    return json_response(body, fate.status, forms[fate.retry_after])


def _drop_request(_fate: Fate, _stage: Stage) -> Outcome:
    return Outage(OutageKind.SILENCE, executed=False)


def _lose_response(_fate: Fate, stage: Stage) -> Outcome:
    stage.perform()
    return Outage(OutageKind.SILENCE, executed=True)


def _late(fate: Fate, stage: Stage) -> Outcome:
    stage.postpone(fate.seconds)
    return Outage(OutageKind.SILENCE, executed=False)


def _twice(fate: Fate, stage: Stage) -> Outcome:
    first = stage.perform()
    if fate.seconds > 0:
        stage.postpone(fate.seconds)
        return first
    second = stage.perform()
    return first if fate.answer == "first" else second


def _unreachable(_fate: Fate, _stage: Stage) -> Outcome:
    return Outage(OutageKind.UNREACHABLE, executed=False)


def _reset(fate: Fate, stage: Stage) -> Outcome:
    _perform_if(fate, stage)
    return Outage(OutageKind.RESET, executed=fate.executed)


def _hold_back(fate: Fate, stage: Stage) -> Outcome:
    kinds = {FateKind.SLOW: OutageKind.SLOW, FateKind.DRIP: OutageKind.DRIP, FateKind.CUT: OutageKind.CUT}
    return Outage(kinds[fate.kind], executed=True, response=stage.perform(), seconds=fate.seconds)


def _malformed(fate: Fate, stage: Stage) -> Outcome:
    answer = _perform_if(fate, stage) or json_response({"agent_id": "A42", "status": "RUNNING"})
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
    headers = (("content-type", "text/html"),) if fate.form == "html" else JSON_HEADERS
    return Response(200, headers, bodies[fate.form])


def _mistyped(value: Any) -> Any:
    """Return `value` with each leaf replaced by one of another type."""
    if isinstance(value, dict):
        return {key: _mistyped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mistyped(item) for item in value]
    return {"text": value} if isinstance(value, str) else str(value)


def _content(answer: Response) -> Any:
    return orjson.loads(answer.body) if answer.body else {}


def _no_content(fate: Fate, stage: Stage) -> Outcome:
    _perform_if(fate, stage)
    return Response(204, (), b"")


def _redirect(fate: Fate, stage: Stage) -> Outcome:
    _perform_if(fate, stage)
    return Response(fate.status, (("location", fate.location),), b"")


def _oversize(fate: Fate, stage: Stage) -> Outcome:
    _perform_if(fate, stage)
    return Response(200, JSON_HEADERS, b'{"filler":"' + b"x" * max(0, fate.size - 13) + b'"}')


def _merge(fate: Fate, stage: Stage) -> Outcome:
    answer = stage.perform()
    return _rewritten(answer, merge_patch(_content(answer), fate.patch))


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


def _list_defect(fate: Fate, stage: Stage) -> Outcome:
    answer = stage.perform()
    content = _content(answer)
    if answer.status != 200 or not isinstance(content.get("data"), dict):
        return answer  # not a list: there is nothing to change
    _DEFECTS[fate.defect](content)
    return _rewritten(answer, content)


def _short(content: Any) -> None:
    content["data"]["list"] = content["data"]["list"][1:]
    content["data"]["count"] = len(content["data"]["list"])


def _omission(content: Any) -> None:
    if content["data"]["list"]:
        _short(content)
        content["meta"]["total"] -= 1  # the total agrees with the shorter list


def _wrong_total(content: Any) -> None:
    content["meta"]["total"] += 1


def _cursor_loop(content: Any) -> None:
    items = content["data"]["list"]
    content["meta"]["cursor"] = items[0]["agent_id"] if items else "A42LOOP"


def _duplicates(content: Any) -> None:
    items = content["data"]["list"]
    content["data"]["list"] = items + [item | {"status": "STOPPING"} for item in items[:1]]


def _data_null(content: Any) -> None:
    content["data"] = None


def _empty(content: Any) -> None:
    content["data"] = {"count": 0, "list": []}
    content["meta"] = {"cursor": "", "total": 0}


def _no_meta(content: Any) -> None:
    del content["meta"]


_DEFECTS: Mapping[str, Callable[[Any], None]] = {
    "short": _short,
    "omission": _omission,
    "wrong_total": _wrong_total,
    "cursor_loop": _cursor_loop,
    "duplicates": _duplicates,
    "data_null": _data_null,
    "empty": _empty,
    "no_meta": _no_meta,
}


def _doom(fate: Fate, stage: Stage) -> Outcome:
    answer = stage.perform()
    stage.doom(answer, fate.seconds, fate.message)
    return answer


_ACTORS: Mapping[FateKind, Callable[[Fate, Stage], Outcome]] = {
    FateKind.REFUSE: _refuse,
    FateKind.RATE_LIMIT: _rate_limit,
    FateKind.DROP_REQUEST: _drop_request,
    FateKind.LOSE_RESPONSE: _lose_response,
    FateKind.LATE: _late,
    FateKind.TWICE: _twice,
    FateKind.UNREACHABLE: _unreachable,
    FateKind.RESET: _reset,
    FateKind.SLOW: _hold_back,
    FateKind.DRIP: _hold_back,
    FateKind.CUT: _hold_back,
    FateKind.MALFORMED: _malformed,
    FateKind.NO_CONTENT: _no_content,
    FateKind.REDIRECT: _redirect,
    FateKind.OVERSIZE: _oversize,
    FateKind.LIST_DEFECT: _list_defect,
    FateKind.MERGE: _merge,
    FateKind.DOOM: _doom,
}
