"""A port for the simulator, on loopback: uvicorn with a small ASGI application of our own.

How an `Outage` looks on a socket is decided here, all else in `app.py`. uvicorn is imported only when a port is opened.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, assert_never

from reconciler.simulator import control_path
from reconciler.simulator.app import Simulator
from reconciler.simulator.messages import ErrorReason, Outage, OutageKind, Request, Response, json_response

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
LARGEST_BODY = 8 * 1024 * 1024

_Message = MutableMapping[str, Any]
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Doors = dict[tuple[str, int], asyncio.Transport]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds


def serve(
    simulator: Simulator,
    port: int = 0,
    *,
    host: str = HOST,
    on_listening: Callable[[int], None] | None = None,
) -> None:
    """Serve on 127.0.0.1 until interrupted, then return. With `port` 0 a free one is used.

    Another `host` is for containers, whose own loopback cannot be reached from outside. `on_listening` is called with
    the port when connections are already queued and none is answered yet. Raises `OSError` when the port is in use.
    """
    listener = _listen(port, host)
    try:
        if on_listening is not None:
            on_listening(listener.getsockname()[1])
        _server(simulator).run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # the server has shut down already; a traceback would add nothing
    finally:
        listener.close()


@contextmanager
def run_in_thread(simulator: Simulator, port: int = 0) -> Iterator[str]:
    """Serve in a thread during the block, which gets the URL: `http://127.0.0.1:<port>`."""
    listener = _listen(port)
    server = _server(simulator)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True  # do not wait for connections that a fault leaves open
        thread.join()
        listener.close()


def _listen(port: int, host: str = HOST) -> socket.socket:
    # the protocol is named as TCP: otherwise asyncio leaves Nagle's algorithm on, and each answer waits 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _server(simulator: Simulator) -> uvicorn.Server:
    import uvicorn

    doors: _Doors = {}
    return uvicorn.Server(
        uvicorn.Config(
            _Application(simulator, doors),
            http=_watched(doors),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="critical",
            date_header=False,  # the world has a clock of its own
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
    )


def _watched(doors: _Doors) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol class, which also records transports, since ASGI cannot break a connection."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class Watched(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # uvicorn chooses the class at run time
        def connection_made(self, transport: asyncio.Transport) -> None:
            self._peer = transport.get_extra_info("peername")
            doors[self._peer] = transport
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            doors.pop(self._peer, None)
            super().connection_lost(exc)

    return Watched


class _Application:
    """The ASGI application."""

    def __init__(self, simulator: Simulator, doors: _Doors) -> None:
        self._simulator = simulator
        self._doors = doors

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        body = await _read_body(receive)
        if body is None:
            detail = {"detail": "the body is too large", "reason": ErrorReason.INVALID_REQUEST_BODY}
            await _send_response(send, json_response(detail, 413))
            return
        request = Request(
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            body=body,
        )
        if request.path.startswith(control_path.BASE):
            await _send_response(send, control_path.handle(self._simulator, request))
            return
        with self._simulator.in_flight:
            await self._serve(request, scope, receive, send)

    async def _serve(self, request: Request, scope: _Scope, receive: _Receive, send: _Send) -> None:
        outcome = self._simulator.handle(request)
        if isinstance(outcome, Response):
            await _send_response(send, outcome)
        else:
            await self._act_out(outcome, scope, receive, send)

    async def _act_out(self, outage: Outage, scope: _Scope, receive: _Receive, send: _Send) -> None:
        answer = outage.response or Response(200, (), b"")
        match outage.kind:
            case OutageKind.SILENCE:
                try:
                    await _gone(receive, None)
                finally:  # also while the server shuts down: no answer
                    await self._break(scope, receive, reset=True)
            case OutageKind.RESET | OutageKind.UNREACHABLE:  # an open port can only reset
                await self._break(scope, receive, reset=True)
            case OutageKind.SLOW:
                if not await _gone(receive, outage.seconds):
                    await _send_response(send, answer)
            case OutageKind.DRIP:
                await _drip(answer, outage.seconds, receive, send)
            case OutageKind.CUT:
                await _send_start(send, answer)
                half = answer.body[: len(answer.body) // 2]
                await send({"type": "http.response.body", "body": half, "more_body": True})
                await self._break(scope, receive, reset=False)
            case _:
                assert_never(outage.kind)

    async def _break(self, scope: _Scope, receive: _Receive, *, reset: bool) -> None:
        transport = self._doors.get(tuple(scope["client"]))
        if transport is None or transport.is_closing():
            return
        if reset:
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
            )
            transport.abort()
        else:
            transport.close()
        await _gone(receive, None)  # else uvicorn would answer in our place


async def _read_body(receive: _Receive) -> bytes | None:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body") and len(body) <= LARGEST_BODY:
        message = await receive()
        body += message.get("body", b"")
    return body if len(body) <= LARGEST_BODY else None


async def _gone(receive: _Receive, seconds: float | None) -> bool:
    """Wait up to `seconds`; return True early if the client disconnects."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


async def _send_start(send: _Send, response: Response) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    if response.status != 204:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})


async def _send_response(send: _Send, response: Response) -> None:
    await _send_start(send, response)
    await send({"type": "http.response.body", "body": response.body})


async def _drip(response: Response, seconds: float, receive: _Receive, send: _Send) -> None:
    await _send_start(send, response)
    for position in range(len(response.body)):
        if await _gone(receive, seconds):
            return
        await send(
            {"type": "http.response.body", "body": response.body[position : position + 1], "more_body": True}
        )
    await send({"type": "http.response.body", "body": b""})
