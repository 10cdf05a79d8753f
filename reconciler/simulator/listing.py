"""The list of agents: its query, and the form of a page (v2 API reference: list).

The inconvenient defaults are the documented ones: agents of the last two hours, only RUNNING, twenty to a page, and
items without name and channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor, isfinite, nextafter
from typing import NoReturn
from urllib.parse import parse_qsl

from reconciler.simulator.agent import Status
from reconciler.simulator.messages import ErrorReason, RefusedCall
from reconciler.simulator.tables import ListFilter, Selected
from reconciler.simulator.world import Project, World

_HOUR, _DAY = 3600.0, 86400.0
_WINDOWS = {"2h": 2 * _HOUR, "1d": _DAY}
_WINDOW_OF_AREA = {"global": "2h", "cn": "1d"}
_LISTED_DAYS_IN_CN = 7 * _DAY
_DEFAULT_LIMIT = 20
_STATES = {str(status.value): status for status in Status}
_ALWAYS = (float("-inf"), float("inf"))


def query_fields(query: str) -> Mapping[str, str]:
    """Return the fields of a query string; empty ones count as absent, of repeated ones the last counts."""
    return dict(parse_qsl(query))


def list_agents(world: World, place: Project, query: str) -> dict[str, object]:
    """Return the body of the list's reply. Raises `RefusedCall` with 400 for an invalid query."""
    fields = query_fields(query)
    selection = _selection(world, place, fields)
    selected = world.store.select(selection)
    items = [
        {
            "start_ts": int(agent.created_at),
            "status": agent.status.name,
            "agent_id": agent.agent_id,
        }
        for agent in selected.agents
    ]
    return {
        "data": {"count": len(items), "list": items},
        "meta": _meta(world, selection, selected),
        "status": "ok",
    }


def _selection(world: World, place: Project, fields: Mapping[str, str]) -> ListFilter:
    switches = world.switches
    span = _span(world, place, fields)
    created, alive = (span, _ALWAYS) if switches.list_time == "created" else (_ALWAYS, span)
    if switches.list_seven_days == "on" or (switches.list_seven_days == "area" and place.area == "cn"):
        created = (max(created[0], world.now - _LISTED_DAYS_IN_CN), created[1])
    return ListFilter(
        project=place.project,
        seen_at=world.now - switches.list_lag_seconds,
        statuses=_statuses(world, place, fields.get("state", "2")),
        channel=fields.get("channel"),
        created=created,
        alive=alive,
        newest_first=switches.list_order == "newest",
        start=_start(world, place, fields.get("cursor")),
        include_start=switches.list_cursor != "exclusive",
        limit=_limit(world, fields.get("limit")),
    )


def _span(world: World, place: Project, fields: Mapping[str, str]) -> tuple[float, float]:
    window = world.switches.list_window
    back = _WINDOWS[_WINDOW_OF_AREA[place.area] if window == "area" else window]
    # the service counts whole seconds: start_ts is compared, not the exact time
    since = (
        float(ceil(_time("from_time", fields["from_time"]))) if "from_time" in fields else world.now - back
    )
    until = (
        nextafter(floor(_time("to_time", fields["to_time"])) + 1.0, 0.0) if "to_time" in fields else world.now
    )
    return since, until


def _time(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        _refuse(name, "a time in seconds is expected")
    if not isfinite(seconds):
        _refuse(name, "a time in seconds is expected")
    return seconds


def _statuses(world: World, place: Project, text: str) -> frozenset[Status]:
    numbers = text.split(",")
    comma = world.switches.list_state_comma
    if len(numbers) > 1 and (comma == "refused" or (comma == "area" and place.area == "cn")):
        _refuse("state", "a single state is expected")
    if not _STATES.keys() >= set(numbers):
        _refuse("state", f"{text} is no state")
    statuses = frozenset(_STATES[number] for number in numbers)
    if Status.RECOVERING in statuses and world.switches.list_state5 == "refused":
        _refuse("state", f"{text} is no state")
    return statuses


def _limit(world: World, text: str | None) -> int:
    if text is None:
        return min(_DEFAULT_LIMIT, world.switches.list_limit_max)
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) > 0):
        _refuse("limit", "a positive number is expected")
    limit, most = int(text), world.switches.list_limit_max
    if limit > most and world.switches.list_limit_over == "refuse":
        _refuse("limit", f"at most {most}")
    return min(limit, most)


def _start(world: World, place: Project, cursor: str | None) -> int | None:
    if cursor is None:
        return None
    agent = world.store.find(place.project, cursor)
    if agent is None:
        _refuse("cursor", "no such agent")
    return agent.number


def _refuse(name: str, text: str) -> NoReturn:
    raise RefusedCall(400, ErrorReason.INVALID_FIELD_VALUE, f"{name}: {text}")


def _meta(world: World, selection: ListFilter, selected: Selected) -> dict[str, object]:
    shown, switches = len(selected.agents), world.switches
    rest = selected.total - selected.before - shown
    totals = {"matching": selected.total, "page": shown, "remaining": rest}
    meta: dict[str, object] = {"total": totals[switches.list_total]}
    if rest > 0:
        meta["cursor"] = _next_cursor(world, selection, selected)
    elif switches.list_last_cursor == "always" and shown and not selection.include_start:
        meta["cursor"] = selected.agents[-1].agent_id
    elif switches.list_last_cursor != "absent":
        meta["cursor"] = ""
    return meta


def _next_cursor(world: World, selection: ListFilter, selected: Selected) -> str:
    last = selected.agents[-1]
    if world.switches.list_cursor != "inclusive":
        return last.agent_id
    following = selection._replace(start=last.number, include_start=False, limit=1)
    return world.store.select(following).agents[0].agent_id
