"""The control path: turning the world's screws through the port."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from reconciler.simulator import Request
from reconciler.simulator.control_path import handle
from reconciler.simulator.switches import declarations

from .harness import NOON, Answer, Service, read


def asked(service: Service, method: str, path: str, body: object = None, **headers: str) -> Answer:
    raw = b"" if body is None else orjson.dumps(body)
    path, _, query = path.partition("?")
    return read(handle(service.simulator, Request(method, f"/simulator/{path}", query, headers, raw)))


def test_the_world(service: Service) -> None:
    agent_id = service.started("desk", labels={"tier": "gold"})
    service.simulator.end(service.started("gone", uid="2"))
    world = asked(service, "GET", "world").body
    assert world["now"] == service.time
    assert world["next_due"] is None
    desk, gone = world["agents"]
    assert (gone["live"], gone["status"], gone["message"]) == (False, "FAILED", "RTC connection error")
    assert [agent["name"] for agent in asked(service, "GET", "world?live=1").body["agents"]] == ["desk"]
    properties = desk.pop("properties")
    assert desk == {
        "agent_id": agent_id,
        "project": "0123456789abcdef0123456789abcdef",
        "name": "desk",
        "channel": "lobby",
        "uid": "1001",
        "status": "RUNNING",
        "live": True,
        "created_at": NOON,
        "ends_at": NOON + 259200,
        "message": "Task lifetime limit exceeded",
    }
    assert properties["llm"]["system_messages"] == [{"role": "system", "content": "Be brief."}]
    assert properties["llm"]["params"] == {"model": "***", "temperature": 0.4}
    assert properties["tts"]["params"] == {"key": "***", "region": "***", "voice_name": "***"}


def test_credentials_are_never_shown(service: Service) -> None:
    canary = "c4n4ry"
    secrets: dict[str, Any] = {
        "token": canary,
        "rtc": {"encryption_key": canary, "encryption_salt": canary},
        "llm": {
            "url": f"https://llm.invalid/?key={canary}",
            "api_key": canary,
            "access_key": canary,
            "headers": {"model": canary, "Authorization": f"Bearer {canary}"},
            "params": {"api_token": canary, "nested": [{"secret": canary}]},
            "mcp_servers": [
                {"name": "mcp", "endpoint": f"https://mcp.invalid/?k={canary}", "headers": {"x": canary}}
            ],
            "template_variables": {"name": "guest"},
        },
        "asr": {"vendor": "microsoft", "params": {"key": canary, "adc_credentials_string": canary}},
        "avatar": {"enable": True, "vendor": "akool", "params": {"agora_token": canary}},
        "labels": {"tier": "gold"},
    }
    agent_id = service.started(**secrets)
    shown = asked(service, "GET", f"agents/{agent_id}").body["properties"]
    assert (shown["labels"], shown["llm"]["template_variables"]) == ({"tier": "gold"}, {"name": "guest"})
    service.update(agent_id, token=canary, llm={"params": {"key": canary, "model": canary, "n": 1}})
    assert canary.encode() not in asked(service, "GET", "world").raw
    detail = asked(service, "GET", f"agents/{agent_id}")
    assert canary.encode() not in detail.raw
    (note,) = detail.body["notes"]
    assert note["body"] == {
        "properties": {"token": "***", "llm": {"params": {"key": "***", "model": "***", "n": 1}}}
    }


def test_switches(service: Service) -> None:
    shown = asked(service, "GET", "switches").body
    assert shown.keys() == declarations().keys()
    assert shown["quota"] == {
        "value": 20,
        "default": 20,
        "choices": None,
        "meaning": "Concurrent agents per App ID (v2 API reference: limits, 20 by default).",
    }
    assert asked(service, "POST", "switches", {"quota": 1, "name_scope": "channel"}).body["quota"] == 1
    assert service.simulator.switches.name_scope == "channel"
    wrong = asked(service, "POST", "switches", {"quotta": 1})
    assert (wrong.status, wrong.body["detail"]) == (400, "unknown switch 'quotta'; did you mean 'quota'?")
    assert service.simulator.switches.quota == 1


def test_the_clock(service: Service) -> None:
    agent_id = service.started()
    assert asked(service, "POST", "clock", {"advance": 259200}).body == {
        "now": NOON + 259200.3,
        "offset": 259200,
        "speed": 1.0,
    }
    assert service.status(agent_id) == "STOPPED"
    assert asked(service, "GET", "clock").body["offset"] == 259200
    for advance in (-1, "5", None, True):
        assert asked(service, "POST", "clock", {"advance": advance}).status == 400


def test_faults(service: Service) -> None:
    rules = [{"on": "list", "nth": 1, "count": 1, "fate": "refuse", "status": 504}]
    assert asked(service, "POST", "faults", rules).status == 200
    (rule,) = asked(service, "GET", "faults").body
    assert {key: rule[key] for key in rules[0]} == rules[0]
    assert [service.list().status, service.list().status] == [504, 200]
    wrong = asked(service, "POST", "faults", [{"fate": "boom"}])
    assert (wrong.status, wrong.body["detail"][:27]) == (400, "rule 1: unknown fate 'boom'")


def test_the_log(service: Service) -> None:
    agent_id = service.started()
    service.query(agent_id)
    service.query("nobody")
    with service.simulator.in_flight, service.simulator.in_flight:
        log = asked(service, "GET", "log").body
    assert log["operations"] == {"join": 1, "query": 2}
    assert (log["in_flight"], log["max_in_flight"]) == (2, 2)
    assert [(entry["operation"], entry["agent"], entry["outcome"]) for entry in log["requests"]] == [
        ("join", "greeter", "200"),
        ("query", agent_id, "200"),
        ("query", "nobody", "404"),
    ]
    assert len(asked(service, "GET", "log?last=1").body["requests"]) == 1
    assert asked(service, "GET", "log?last=0").body["requests"] == []


def test_agents_and_channels(service: Service) -> None:
    agent_id = service.started(idle_timeout=30)
    assert asked(service, "POST", f"agents/{agent_id}", {"show": "RECOVERING"}).body["status"] == "RECOVERING"
    assert asked(service, "POST", f"agents/{agent_id}", {"show": None}).body["status"] == "RUNNING"
    assert asked(service, "POST", "channels/lobby", {"users": "left"}).status == 200
    service.wait(29)
    assert asked(service, "POST", "channels/lobby", {"users": "joined"}).status == 200
    service.wait(29)
    ended = asked(service, "POST", f"agents/{agent_id}", {"end": "OK", "failed": False}).body
    assert (ended["status"], ended["message"], ended["live"]) == ("STOPPED", "OK", False)
    assert asked(service, "POST", f"agents/{agent_id}", {"end": "OK"}).status == 404
    for body in ({"show": "DANCING"}, {"end": 5}, {}, {"end": "x", "so": 1}):
        assert asked(service, "POST", f"agents/{agent_id}", body).status == 400
    assert asked(service, "POST", "channels/lobby", {"users": "dance"}).status == 400


def test_reset(service: Service) -> None:
    service.started()
    assert asked(service, "POST", "reset").body == {}
    assert service.world.agents() == ()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "127.0.0.1:8080"}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "rebound.invalid:8080"}, 403),
        ({"host": "rebound.invalid"}, 403),
        ({"host": "127.0.0.1:8080", "origin": "https://page.invalid"}, 403),
    ],
)
def test_the_control_path_is_for_this_machine(service: Service, headers: dict[str, str], status: int) -> None:
    assert asked(service, "GET", "clock", **headers).status == status


def test_other_paths(service: Service) -> None:
    answer = asked(service, "GET", "dance")
    assert answer.status == 404
    assert "GET /simulator/world" in answer.body["detail"]
    assert asked(service, "GET", "agents/nobody").status == 404
    assert asked(service, "DELETE", "world").status == 404
