"""The embedded simulator behind the driver's sender: requests in, replies out, without a socket."""

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
    """`driver.loop.Sender` that hands each request to a simulator of this process."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def send(self, request: HttpRequest, worker: int) -> HttpReply | HttpFailure:
        await asyncio.sleep(0)  # others get their turn, as they would while a socket waits
        answer = self._simulator.handle(_translated(request))
        if isinstance(answer, Outage):
            return HttpFailure(HttpTrouble.BROKEN, sent=True, detail=answer.kind.value)
        headers = {name.lower(): value for name, value in answer.headers}
        return HttpReply(answer.status, headers, answer.body)

    async def aclose(self) -> None:
        """Nothing to close: the world outlives a run, as the service does."""


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
    """A simulator of this process, its world kept beside the state so that the next command finds it again.

    What only reads creates no world: where there is none yet, it sees an empty one.
    """
    world = directory / f"{fleet.owner.environment or 'default'}.world"
    try:
        if purpose is Purpose.CHANGE:
            world.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        simulator = Simulator(Store(world if world.parent.is_dir() else None))
    except (UnreadableWorld, OSError, sqlite3.Error) as problem:
        raise StateError(
            f"the simulated world {world} cannot be used: {problem}", hint="move it away"
        ) from problem
    quota = max(fleet.limits.quota or 0, _EMBEDDED_QUOTA)
    if simulator.switches.quota != quota:
        simulator.set_switches(quota=quota)
    return lambda: EmbeddedSender(simulator)
