"""The embedded service: as the driver's sender in this process, without a socket; or on a port, for `reconciler simulator`."""

from __future__ import annotations

import asyncio
import errno
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import orjson

from reconciler.cli.output import write
from reconciler.driver.loop import Sender
from reconciler.errors import StateError, UsageError
from reconciler.model.fleet import DesiredFleet
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, HttpTrouble
from reconciler.providers import Purpose
from reconciler.secrets import Secret
from reconciler.simulator import Outage, Request, Simulator, Store, UnreadableWorld
from reconciler.simulator.switches import declarations

if TYPE_CHECKING:
    from reconciler.simulator import Simulator


_EMBEDDED_QUOTA = 20


class EmbeddedSender:
    """`driver.loop.Sender` that passes each request to a simulator in this process."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def send(self, request: HttpRequest) -> HttpReply | HttpFailure:
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


def serve_on(simulator: Simulator, host: str, port: int) -> None:
    """Serve until interrupted. Raises `UsageError` if the port is taken or the address is not this machine's."""
    from reconciler.simulator import serve

    def announce(port: int) -> None:
        write(f"listening on http://{host}:{port}\n")

    try:
        serve(simulator, port, host=host, on_listening=announce)
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} is in use", hint="choose another, or --port 0 for a free one"
            ) from problem
        if problem.errno == errno.EADDRNOTAVAIL or isinstance(problem, socket.gaierror):
            raise UsageError(f"{host} is no address of this machine", hint="leave --host out") from problem
        raise


def write_switches() -> None:
    """Print every switch of the simulator with its default, its choices and its meaning."""
    for each in declarations().values():
        kind = " | ".join(map(str, each.choices)) if each.choices else "number"
        write(f"{each.name}={each.default}  ({kind})\n    {each.meaning}\n")
