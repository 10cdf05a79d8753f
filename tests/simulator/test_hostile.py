"""Whatever comes in, an answer goes out: no traceback, and no 5xx that nobody scripted."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from reconciler.simulator import Outage, Request, Response, Simulator, Switches
from reconciler.simulator.contract import schema
from reconciler.simulator.control_path import handle as control
from reconciler.simulator.messages import ErrorReason
from reconciler.simulator.switches import declarations

from .harness import BASES, NOON, Service, basic, join_body, token

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
DIGESTIBLE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
HEADER_TEXT = st.text(st.characters(max_codepoint=255), max_size=60)
PATHS = st.one_of(
    st.text(max_size=40),
    st.builds(
        lambda base, project, rest: f"{base}/v2/{project}/{rest}",
        st.sampled_from(list(BASES.values())),
        st.sampled_from(
            ["projects/app", "projects//", "phone-numbers", "projects/%ff", "projects/app/agents/%00"]
        ),
        st.sampled_from(
            ["join", "agents", "agents/x", "agents/x/leave", "agents/x/update", "agents/x/turns", "call"]
        )
        | st.text(max_size=12),
    ),
)
QUERY = st.text(max_size=40) | st.builds(
    lambda name, value: f"{name}={value}",
    st.sampled_from(
        ["limit", "state", "from_time", "to_time", "cursor", "channel", "page_size", "page_index"]
    ),
    st.text(max_size=12),
)
AUTHORIZATION = st.one_of(
    HEADER_TEXT, st.sampled_from([basic(), f"agora token={token()}"]), st.just("agora token=007")
)


def answered(outcome: object) -> None:
    assert isinstance(outcome, Response)
    assert outcome.status < 500 or outcome.status == 501
    if outcome.status >= 400:
        body = orjson.loads(outcome.body)
        assert isinstance(body["detail"], str)
        assert body["reason"] in set(ErrorReason)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", ""]),
    path=PATHS,
    query=QUERY,
    headers=st.dictionaries(HEADER_TEXT, HEADER_TEXT, max_size=3),
    authorization=AUTHORIZATION,
    body=st.binary(max_size=60) | JSON.map(lambda value: str(value).encode()) | DIGESTIBLE.map(orjson.dumps),
)
def test_any_request(
    *, method: str, path: str, query: str, headers: dict[str, str], authorization: str, body: bytes
) -> None:
    simulator = Simulator(clock=lambda: NOON)
    answered(simulator.handle(Request(method, path, query, headers | {"authorization": authorization}, body)))


def places(node: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, child in node.get("properties", {}).items():
        found += places(child, (*path, name))
    return found[0 if path else 1 :]


@given(
    changes=st.lists(st.tuples(st.sampled_from(places(schema("join"))), DIGESTIBLE), min_size=1, max_size=3),
    switches=st.fixed_dictionaries(
        {name: st.sampled_from(switch.choices) for name, switch in declarations().items() if switch.choices}
    ),
)
def test_any_join_under_any_switches(
    changes: list[tuple[tuple[str, ...], Any]], switches: dict[str, str | int]
) -> None:
    body = join_body()
    for path, value in changes:
        place: Any = body
        for step in path[:-1]:
            inner = place.get(step)
            place[step] = place = inner if isinstance(inner, dict) else {}
        place[path[-1]] = value
    service = Service(**switches)
    answered(service.send("POST", "join", body))
    for agent in service.world.agents():
        for call, told in (("update", body), ("speak", {"text": "x"}), ("leave", None)):
            answered(service.send("POST", f"agents/{agent.agent_id}/{call}", told))
        for call in ("", "/history", "/turns"):
            answered(service.send("GET", f"agents/{agent.agent_id}{call}"))
        answered(service.send("GET", "agents", query="state=0,1,2,3,4"))
        control(service.simulator, Request("GET", "/simulator/world"))


FIELDS = sorted({path[-1] for path in places(schema("join"))})
FIELD_VALUES = st.recursive(
    DIGESTIBLE, lambda inner: st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3), max_leaves=6
)


@given(patch=FIELD_VALUES, depth=st.sampled_from(["", "properties", "llm", "mllm"]))
def test_any_update(patch: Any, depth: str) -> None:
    service = Service(update_unknown_keys="apply", mllm_params="merge")
    agent_id = service.started()
    bodies = {"": patch, "properties": {"properties": patch}}
    answered(
        service.send("POST", f"agents/{agent_id}/update", bodies.get(depth, {"properties": {depth: patch}}))
    )
    service.simulator.users_left("lobby")
    for method, call in (("POST", "update"), ("GET", "history"), ("GET", "turns"), ("POST", "leave")):
        answered(service.send(method, f"agents/{agent_id}/{call}"))


@given(
    method=st.sampled_from(["GET", "POST", "PUT"]),
    path=st.sampled_from(
        ["world", "agents/x", "switches", "clock", "faults", "log", "channels/x", "reset", "", "a/b/c"]
    ),
    query=QUERY,
    body=DIGESTIBLE.map(orjson.dumps) | st.binary(max_size=20),
)
def test_any_request_on_the_control_path(method: str, path: str, query: str, body: bytes) -> None:
    simulator = Simulator(clock=lambda: NOON)
    response = control(simulator, Request(method, f"/simulator/{path}", query, {}, body))
    assert response.status in {200, 400, 403, 404}
    orjson.loads(response.body)


@given(
    setting=st.dictionaries(
        st.sampled_from([*declarations(), "self", "switches", "x"]), DIGESTIBLE, max_size=3
    ),
    rule=st.fixed_dictionaries(
        {"fate": st.sampled_from(["late", "merge", "malformed", "refuse", "odd"])},
        optional=dict.fromkeys(
            ("on", "name", "nth", "count", "page", "seconds", "form", "patch", "status"), DIGESTIBLE
        ),
    ),
)
def test_any_setting(setting: dict[str, Any], rule: dict[str, Any]) -> None:
    simulator = Simulator(clock=lambda: NOON)
    for path, body in (("switches", setting), ("faults", [rule])):
        assert control(
            simulator, Request("POST", f"/simulator/{path}", "", {}, orjson.dumps(body))
        ).status in {200, 400}
    outcome = simulator.handle(
        Request("GET", f"{BASES['global']}/v2/projects/a/agents", "", {"authorization": basic()})
    )
    assert isinstance(outcome, Response | Outage)
    assert isinstance(simulator.switches, Switches)
    simulator.close()
