"""The control path: requests by which a client sets the simulator's switches and reads its world.

It is below `/simulator`, beside the API's base path, and uses JSON. Only this machine may use it: requests from a web
page or with another host's name are refused. Credentials are never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from reconciler.simulator.agent import Agent, Status
from reconciler.simulator.app import Simulator
from reconciler.simulator.faults import FaultError
from reconciler.simulator.listing import query_fields
from reconciler.simulator.masking import masked
from reconciler.simulator.messages import Request, Response, json_response
from reconciler.simulator.switches import SwitchError, declarations

BASE = "/simulator"

_LOOPBACK = ("127.0.0.1", "localhost")
_LAST_REQUESTS = 200


class _Rejected(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def handle(simulator: Simulator, request: Request) -> Response:
    """Serve one request of the control path."""
    try:
        _refuse_strangers(request)
        return json_response(_answer(simulator, request))
    except _Rejected as rejected:
        return json_response({"detail": str(rejected)}, rejected.status)
    except (SwitchError, FaultError) as error:
        return json_response({"detail": str(error)}, 400)


def _refuse_strangers(request: Request) -> None:
    host = request.header("host").rpartition(":")[0] or request.header("host")
    if request.header("origin") or host not in {"", *_LOOPBACK}:
        raise _Rejected(403, "the control path is for this machine only")


def _answer(simulator: Simulator, request: Request) -> object:
    steps = [unquote(step) for step in request.path[len(BASE) :].strip("/").split("/")]
    match request.method, steps:
        case _, [name] if (request.method, name) in _ROUTES:
            return _ROUTES[request.method, name](simulator, request)
        case "GET", ["agents", agent_id]:
            return _agent(simulator, agent_id)
        case "POST", ["agents", agent_id]:
            return _change_agent(simulator, agent_id, _object(request))
        case "POST", ["channels", channel]:
            return _change_channel(simulator, channel, _object(request))
        case _:
            known = ", ".join(sorted(f"{method} {BASE}/{name}" for method, name in _ROUTES))
            raise _Rejected(404, f"no such path; there are {known} and GET, POST {BASE}/agents/ID")


def _body(request: Request) -> Any:
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise _Rejected(400, "the body is not JSON") from None


def _object(request: Request) -> Mapping[str, Any]:
    body = _body(request)
    if not isinstance(body, dict):
        raise _Rejected(400, "the body must be a JSON object")
    return body


# --- the world


def _get_world(simulator: Simulator, request: Request) -> object:
    world = simulator.world
    agents = world.live() if "live" in query_fields(request.query) else world.agents()
    now = world.now
    return {"now": now, "next_due": simulator.next_due(), "agents": [_shown(agent, now) for agent in agents]}


def _shown(agent: Agent, now: float) -> dict[str, object]:
    return {
        "agent_id": agent.agent_id,
        "project": agent.project,
        "name": agent.name,
        "channel": agent.channel,
        "uid": agent.uid,
        "status": agent.status_at(now).name,
        "live": agent.live_at(now),
        "created_at": agent.created_at,
        "ends_at": agent.end.at,
        "message": agent.end.message,
        "properties": masked(agent.properties),
    }


def _agent(simulator: Simulator, agent_id: str) -> object:
    world = simulator.world
    try:
        agent = world.agent(agent_id)
    except KeyError:
        raise _Rejected(404, "no such agent") from None
    notes = [
        {"at": note.at, "kind": note.kind, "body": masked(orjson.loads(note.payload))}
        for note in world.notes(agent_id)
    ]
    return {**_shown(agent, world.now), "notes": notes}


def _change_agent(simulator: Simulator, agent_id: str, change: Mapping[str, Any]) -> object:
    try:
        match change:
            case {"end": str(message), **rest} if not rest.keys() - {"failed"}:
                simulator.end(agent_id, message=message, failed=rest.get("failed", True) is True)
            case {"show": str(name)} if name in Status.__members__:
                simulator.show(agent_id, Status[name])
            case {"show": None}:
                simulator.show(agent_id, None)
            case _:
                raise _Rejected(
                    400, 'the body is {"end": MESSAGE, "failed": true} or {"show": STATUS or null}'
                )
    except KeyError:
        raise _Rejected(404, "no such live agent") from None
    return _agent(simulator, agent_id)


def _change_channel(simulator: Simulator, channel: str, change: Mapping[str, Any]) -> object:
    match change:
        case {"users": "joined"}:
            simulator.users_joined(channel)
        case {"users": "left"}:
            simulator.users_left(channel)
        case _:
            raise _Rejected(400, 'the body is {"users": "joined"} or {"users": "left"}')
    return {"channel": channel}


def _post_reset(simulator: Simulator, _request: Request) -> object:
    simulator.reset()
    return {}


# --- settings


def _get_switches(simulator: Simulator, _request: Request) -> object:
    values = simulator.switches.as_dict()
    return {
        name: {
            "value": values[name],
            "default": switch.default,
            "choices": list(switch.choices) or None,
            "meaning": switch.meaning,
        }
        for name, switch in declarations().items()
    }


def _post_switches(simulator: Simulator, request: Request) -> object:
    simulator.set_switches(_object(request))
    return simulator.switches.as_dict()


def _get_clock(simulator: Simulator, _request: Request) -> object:
    return {"now": simulator.now, "offset": simulator.settings.offset, "speed": simulator.speed}


def _post_clock(simulator: Simulator, request: Request) -> object:
    seconds = _object(request).get("advance")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < float("inf"):
        raise _Rejected(400, 'the body is {"advance": SECONDS}, and clocks move forward')
    simulator.advance(seconds)
    return _get_clock(simulator, request)


def _get_faults(simulator: Simulator, _request: Request) -> object:
    return simulator.settings.script.as_json()


def _post_faults(simulator: Simulator, request: Request) -> object:
    simulator.set_script(_body(request))
    return _get_faults(simulator, request)


def _get_log(simulator: Simulator, request: Request) -> object:
    last = query_fields(request.query).get("last", str(_LAST_REQUESTS))
    count = int(last) if last.isascii() and last.isdecimal() and len(last) <= 9 else _LAST_REQUESTS
    entries = simulator.log()
    return {
        "requests": [entry._asdict() for entry in entries[max(0, len(entries) - count) :]],
        "operations": simulator.tally(),
        "in_flight": simulator.in_flight.current,
        "max_in_flight": simulator.in_flight.maximum,
    }


_ROUTES: Mapping[tuple[str, str], Callable[[Simulator, Request], object]] = {
    ("GET", "world"): _get_world,
    ("GET", "switches"): _get_switches,
    ("POST", "switches"): _post_switches,
    ("GET", "clock"): _get_clock,
    ("POST", "clock"): _post_clock,
    ("GET", "faults"): _get_faults,
    ("POST", "faults"): _post_faults,
    ("GET", "log"): _get_log,
    ("POST", "reset"): _post_reset,
}
