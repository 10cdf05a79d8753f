"""Health and metrics on a port: Starlette on uvicorn, in the event loop of the controller."""

from __future__ import annotations

import errno
import ipaddress
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from reconciler.controller.health import Health
from reconciler.errors import UsageError
from reconciler.serve.metrics import Metrics


def bind(listen: str) -> socket.socket:
    """Return a socket for `HOST:PORT`, or for a PORT on loopback. Raises `UsageError` that says what is wrong."""
    host, colon, port = listen.rpartition(":")
    host = (host if colon else "127.0.0.1").strip("[]") or "127.0.0.1"
    if not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--listen {listen} is no HOST:PORT", hint="write 127.0.0.1:9464, or a port alone")
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError as problem:
        raise UsageError(
            f"--listen {listen}: {host} is no address", hint="write an address such as 127.0.0.1 or 0.0.0.0"
        ) from problem
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, int(port)))
        found.listen()
    except OSError as problem:
        found.close()
        told = {
            errno.EADDRINUSE: f"port {port} is in use",
            errno.EADDRNOTAVAIL: f"{host} is no address of this machine",
            errno.EACCES: f"port {port} is not this user's",
        }.get(problem.errno or 0, problem.strerror or type(problem).__name__)
        raise UsageError(
            f"--listen {listen}: {told}", hint="choose another, or leave --listen out"
        ) from problem
    return found


def application(health: Health, metrics: Metrics) -> Starlette:
    """Return the application that answers GET on the four paths."""

    async def livez(_: Request) -> Response:
        return _verdict(health.stuck(time.monotonic()), "alive", "stuck")

    async def readyz(_: Request) -> Response:
        return _verdict(health.unready(), "ready", "not ready yet")

    async def exposed(request: Request) -> Response:
        encoder, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encoder(metrics.registry), media_type=kind)

    paths = {"/livez": livez, "/healthz": livez, "/readyz": readyz, "/metrics": exposed}
    return Starlette(routes=[Route(path, answer, methods=["GET"]) for path, answer in paths.items()])


def _verdict(wrong: list[str], well: str, ill: str) -> Response:
    if not wrong:
        return PlainTextResponse(f"{well}\n")
    return PlainTextResponse(f"{ill}: {', '.join(wrong)}\n", status_code=503)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the controller."""
        yield


def server(app: Starlette) -> uvicorn.Server:
    """Return a server for the running event loop: `serve(sockets=[...])` starts it, `should_exit` ends it."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    return _Server(config)
