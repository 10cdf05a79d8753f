"""Notifications: each thing once, and a webhook that fails or never answers disturbs nothing."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from reconciler.cli.notifying import Notifier
from reconciler.cli.output import Output
from reconciler.errors import InvalidConfig, UsageError
from reconciler.model.address import Owner
from tests.unit.controller.test_standing import DESKS, World, agent, fleet, stops


@contextmanager
def webhook(status: int | None) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A webhook on loopback that answers so, or never; its URL, and what it was told."""
    told: list[dict[str, object]] = []
    over = Event()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            if status is None:
                over.wait(20)
                return
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/services/a-secret-path", told
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def life() -> World:
    world = World()
    world.at(700, lambda: stops(world, "lobby-desk-1"))
    world.at(800, lambda: world.files.append(InvalidConfig([])))
    world.at(1400, lambda: stops(world, "lobby-desk-1"))
    world.stand(1500)
    world.stand(100)
    return world


def sent(world: World, url: str, until: int) -> Counter[str]:
    """What comes of the notifications of a life, told until so many have come to an end."""
    counts: Counter[str] = Counter()

    async def run() -> None:
        done = asyncio.Event()

        def count(result: str) -> None:
            counts[result] += 1
            if counts.total() >= until:
                done.set()

        notifier = Notifier(url, Output(), count)
        for each in world.events:
            notifier.take(fleet(*DESKS), each)
        task = asyncio.ensure_future(notifier.run())
        await asyncio.wait_for(done.wait(), 60)
        task.cancel()

    asyncio.run(run())
    return counts


def test_each_thing_is_told_once() -> None:
    world = life()
    with webhook(200) as (url, told):
        assert sent(world, url, 3) == {"sent": 3}
    assert [(each["address"], each["class"]) for each in told] == [
        ("lobby/desk-1", "stopped"),
        (None, "files_unusable"),
        ("lobby/desk-1", "kept_ending"),
    ]
    assert all(str(each["text"]).startswith("reconciler: demo") for each in told)


def test_a_webhook_that_answers_500_is_told_of_once_and_disturbs_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    world = life()
    with webhook(500) as (url, _):
        assert sent(world, url, 3) == {"failed": 3}
    said = capsys.readouterr().err
    assert said.count("could not be sent (HTTP 500)") == 1
    assert "a-secret-path" not in said


def test_what_waits_for_a_webhook_that_never_answers_is_bounded() -> None:
    many = fleet(*(agent(f"lobby/desk-{number:03}") for number in range(130)))
    world = World()
    world.service.set_script([{"on": "join", "fate": "refuse", "status": 400, "count": 0}])
    world.stand(5, many)
    with webhook(None) as (url, told):
        assert sent(world, url, 30)["failed"] == 30, "those beyond a hundred are given up at once"
    assert len(told) <= 1


def test_the_place_of_a_webhook_is_no_secret_and_its_path_is(capsys: pytest.CaptureFixture[str]) -> None:
    Notifier("http://127.0.0.1:1234/services/a-secret-path", Output(), lambda _: None)
    Output().say("metrics at http://127.0.0.1:9464/metrics, and http://127.0.0.1:1234/services/a-secret-path")
    said = capsys.readouterr().err
    assert "http://127.0.0.1:9464/metrics" in said
    assert "a-secret-path" not in said


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/path", "http://", "http://host:port/"])
def test_what_is_no_webhook(url: str) -> None:
    with pytest.raises(UsageError, match="--notify wants an http or https URL"):
        Notifier(url, Output(), lambda _: None)


def test_the_same_trouble_of_another_fleet_is_told_too() -> None:
    world = life()
    notifier = Notifier("http://127.0.0.1:1/", Output(), lambda _: None)
    for each in world.events:
        notifier.take(fleet(*DESKS), each)
        notifier.take(fleet(*DESKS, owner=Owner("other")), each)
    assert notifier._waiting.qsize() == 6
