"""The embedded simulator as the driver's sender: it answers requests in this process, without a socket."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import orjson

from reconciler.driver.loop import Sender
from reconciler.errors import StateError
from reconciler.model.fleet import DesiredFleet
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, HttpTrouble
from reconciler.providers import Purpose
from reconciler.secrets import Secret
from reconciler.simulator import Outage, Request, Simulator, Store, UnreadableWorld

_EMBEDDED_QUOTA = 20


class EmbeddedSender:
    """`driver.loop.Sender` that passes each request to a simulator in this process."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def send(self, request: HttpRequest, worker: int) -> HttpReply | HttpFailure:
        await asyncio.sleep(0)  # let other tasks run, as waiting for a socket would
        answer = self._simulator.handle(_translated(request))
        if isinstance(answer, Outage):
            return HttpFailure(HttpTrouble.BROKEN, sent=True, detail=answer.kind.value)
        headers = {name.lower(): value for name, value in answer.headers}
        return HttpReply(answer.status, headers, answer.body)

    async def aclose(self) -> None:
        """Do nothing: the simulated world outlives a run, as the real service does."""


def _translated(request: HttpRequest) -> Request:
    query = "&".join(f"{quote(key)}={quote(value, safe='')}" for key, value in request.query)
    headers = {key.lower(): _revealed(value) for key, value in request.headers.items()}
    body = b"" if request.body is None else orjson.dumps(request.body, default=_revealed)
    return Request(request.method, urlsplit(request.url).path, query, headers, body)


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, str):
        return value
    raise TypeError(f"a request cannot hold a {type(value).__name__}")


def embedded(directory: Path, fleet: DesiredFleet, purpose: Purpose) -> Callable[[], Sender]:
    """Return a factory of senders to a simulator in this process, whose world is stored beside the state.

    A purpose that only reads creates no file; if there is none, the world is empty and only in memory.
    """
    world = directory / f"{fleet.owner.environment or 'default'}.world"
    try:
        if purpose is Purpose.CHANGE:
            world.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_stored = purpose is Purpose.CHANGE or world.exists()
        simulator = Simulator(Store(world if is_stored else None))
    except (UnreadableWorld, OSError, sqlite3.Error) as problem:
        raise StateError(
            f"the simulated world {world} cannot be used: {problem}", hint="move it away"
        ) from problem
    quota = max(fleet.limits.quota or 0, _EMBEDDED_QUOTA)
    if simulator.switches.quota != quota:
        simulator.set_switches(quota=quota)
    return lambda: EmbeddedSender(simulator)
