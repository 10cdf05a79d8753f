"""Health and metrics: what Prometheus's own parser reads after a controller's life, and what has the port already."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from reconciler.cli.exposing import MetricsServer
from reconciler.controller.health import Health
from reconciler.controller.loop import RoundBegan, RoundEnded
from reconciler.errors import InvalidConfig, UsageError
from reconciler.ports import HttpReply, HttpRequest
from reconciler.serve.http import application, bind
from reconciler.serve.metrics import Metrics
from tests.unit.controller.test_standing import DESKS, World, fleet, stops

OPEN_METRICS = {"accept": "application/openmetrics-text; version=1.0.0"}


def get(health: Health, metrics: Metrics, path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(application(health, metrics))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path, headers=OPEN_METRICS)

    return asyncio.run(ask())


def samples(response: httpx.Response) -> dict[str, float]:
    """`name{label values, in order}` -> value, as Prometheus's parser reads them."""
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    return {
        f"{each.name}{{{','.join(each.labels[key] for key in sorted(each.labels) if key not in ('fleet', 'env'))}}}": each.value
        for family in text_string_to_metric_families(response.text)
        for each in family.samples
    }


def test_a_life_as_prometheus_reads_it() -> None:
    world = World()
    world.at(700, lambda: stops(world, "lobby-desk-1"))
    world.at(800, lambda: world.files.append(InvalidConfig([])))
    world.at(1400, lambda: stops(world, "lobby-desk-1"))
    world.stand(1500)
    health, metrics = Health(), Metrics("1.2.3")
    metrics.begin(fleet(*DESKS), "c0ffee")
    health.begin("demo", 0.0)
    for each in world.events:
        metrics.take(fleet(*DESKS).owner, each, world.now, "c0ffee")
        health.note("demo", each, 0.0)
    metrics.fetched("refused")
    found = samples(get(health, metrics, "/metrics"))
    assert found["reconciler_build_info{1.2.3}"] == 1
    assert found["reconciler_agents_desired{}"] == 3
    assert found["reconciler_agents{RUNNING}"] == 2
    assert found["reconciler_gone_total{stopped}"] == 1
    assert found["reconciler_changes_total{join,done}"] == 4
    assert found["reconciler_held{kept_ending}"] == 1
    assert found["reconciler_out_of_sync{join}"] == 0
    assert found["reconciler_out_of_sync{hold}"] == 1
    assert found["reconciler_config_last_reload_successful{}"] == 0
    assert found["reconciler_leader{}"] == 1
    assert found[f"reconciler_revision_info{{c0ffee,{fleet(*DESKS).digest}}}"] == 1
    assert found["reconciler_git_fetches_total{refused}"] == 1
    assert found["reconciler_turns_total{unchanged}"] > 100
    assert found["reconciler_due_addresses{}"] == 0
    assert 1300 < found["reconciler_oldest_agent_age_seconds{}"] < 1500
    assert 80_000 < found["reconciler_shortest_token_life_seconds{}"] < 86_400
    assert world.now - found["reconciler_last_success_timestamp_seconds{}"] < 10
    assert not [each for each in found if "lobby" in each], "no address is a label"
    assert get(health, metrics, "/readyz").status_code == 200


def test_each_agent_has_series_of_its_own_where_that_was_asked_for() -> None:
    world = World()
    world.at(700, lambda: stops(world, "lobby-desk-1"))
    world.at(1400, lambda: stops(world, "lobby-desk-1"))
    world.stand(1500)
    health, metrics = Health(), Metrics("1.2.3", per_agent=True)
    metrics.begin(fleet(*DESKS))
    for each in world.events:
        metrics.take(fleet(*DESKS).owner, each, world.now)
    found = samples(get(health, metrics, "/metrics"))
    ages = {name: value for name, value in found.items() if name.startswith("reconciler_agent_age")}
    lives = {name for name in found if name.startswith("reconciler_agent_token_life")}
    # The one that was stopped twice is held: it has no age any more, and it is out of sync.
    assert set(ages) == {f"reconciler_agent_age_seconds{{lobby/desk-{number}}}" for number in (0, 2)}
    assert all(1300 < value < 1500 for value in ages.values())
    assert len(lives) == 2
    out = {name: value for name, value in found.items() if name.startswith("reconciler_agent_out_of_sync")}
    assert out == {
        f"reconciler_agent_out_of_sync{{lobby/desk-{number}}}": float(number == 1) for number in (0, 1, 2)
    }


def test_requests_are_counted_by_operation_and_code() -> None:
    exposed = MetricsServer("127.0.0.1:0")

    class Answers:
        async def send(self, request: HttpRequest) -> HttpReply:
            return HttpReply(409 if request.url.endswith("join") else 200, {}, b"")

        async def aclose(self) -> None: ...

    async def ask() -> None:
        sender = exposed.counting(Answers())
        base = "http://host/v2/projects/app"
        for method, path in (
            ("POST", "join"),
            ("GET", "agents"),
            ("GET", "agents/A42"),
            ("GET", "agents/A42/history"),
            ("GET", "agents/A42/turns"),
            ("POST", "agents/A42/leave"),
        ):
            await sender.send(HttpRequest(method, f"{base}/{path}"))

    asyncio.run(ask())
    exposed.metrics.committed("local", "made", 0.01)
    exposed.metrics.notified("failed")
    assert isinstance(exposed.metrics, Metrics)
    found = samples(get(exposed.health, exposed.metrics, "/metrics"))
    told = {
        name: value for name, value in found.items() if name.startswith("reconciler_service_requests_total")
    }
    assert told == {
        f"reconciler_service_requests_total{{{each}}}": 1.0
        for each in ("409,join", "200,list", "200,query", "200,history", "200,turns", "200,leave")
    }
    assert found["reconciler_state_commits_total{local,made}"] == 1
    assert found["reconciler_notifications_total{failed}"] == 1
    exposed._socket.close()


def test_alive_is_who_comes_round_and_ready_who_has_seen_all() -> None:
    health, metrics = Health(), Metrics("1")
    health.begin("a", 0.0)
    health.begin("b", 0.0)
    assert health.unready() == ["a", "b"]
    assert get(health, metrics, "/readyz").text == "not ready yet: a, b\n"
    health.note("a", RoundBegan(), 1.0)
    health.note("a", RoundEnded(None, ready=True), 2.0)
    assert health.unready() == ["b"]
    health.note("b", RoundEnded(None, ready=False), 2.0)
    assert health.stuck(11.0) == []
    assert health.stuck(12.5) == ["a", "b"], "asleep for longer than it sleeps"
    health.note("b", RoundBegan(), 12.0)
    assert health.stuck(60.0) == ["a"], "a listing and a turn take their time"
    assert health.stuck(300.0) == ["a", "b"]
    assert get(health, metrics, "/livez").status_code == 503


@pytest.mark.parametrize(
    ("listen", "told"),
    [
        ("nonsense", "is no HOST:PORT"),
        ("127.0.0.1:99999", "is no HOST:PORT"),
        ("somewhere.example:80", "somewhere.example is no address"),
        ("203.0.113.7:0", "203.0.113.7 is no address of this machine"),
    ],
)
def test_what_cannot_be_listened_on_is_said(listen: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        bind(listen)


def test_a_port_alone_is_on_loopback_and_one_that_is_taken_is_named() -> None:
    with closing(bind("0")) as first:
        host, port = first.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(UsageError, match=f"port {port} is in use"):
            bind(f"127.0.0.1:{port}")
    with closing(bind("[::1]:0")) if socket.has_ipv6 else closing(bind("0")) as other:
        assert other.getsockname()[0] in ("::1", "127.0.0.1")
