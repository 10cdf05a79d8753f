"""A port for the simulator, on loopback: HTTP/1.1 by h11, in asyncio's event loop.

How an `Outage` looks on a socket is decided here, all else in `app.py`. h11 is imported only when a port is opened.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import assert_never

import h11

from reconciler.simulator import control_path
from reconciler.simulator.app import Simulator
from reconciler.simulator.messages import ErrorReason, Outage, OutageKind, Request, Response, json_response

HOST = "127.0.0.1"
LARGEST_BODY = 8 * 1024 * 1024

_BACKLOG = 2048
_LONGEST_HEAD = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds
_PLAIN = (("content-type", "text/plain; charset=utf-8"), ("connection", "close"))
_INVALID = Response(400, _PLAIN, b"Invalid HTTP request received.")
_FAILED = Response(500, _PLAIN, b"Internal Server Error")
_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}


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
    listener, ended = _listen(port, host), asyncio.Queue[int]()
    try:
        if on_listening is not None:
            on_listening(listener.getsockname()[1])
        with asyncio.Runner() as runner:
            with suppress(NotImplementedError):  # Windows
                for each in (signal.SIGINT, signal.SIGTERM):
                    runner.get_loop().add_signal_handler(each, ended.put_nowait, each)
            received = runner.run(_serve(simulator, listener, ended))
        if received == signal.SIGTERM:
            signal.raise_signal(received)  # all connections are closed: end as without a handler
    except KeyboardInterrupt:
        pass  # Windows; a traceback would add nothing
    finally:
        listener.close()


@contextmanager
def run_in_thread(simulator: Simulator, port: int = 0) -> Iterator[str]:
    """Serve in a thread during the block, which gets the URL: `http://127.0.0.1:<port>`."""
    listener, ended = _listen(port), asyncio.Queue[int]()
    with listener, asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=runner.run, args=(_serve(simulator, listener, ended),), daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(ended.put_nowait, 0)
            thread.join()


def _listen(port: int, host: str = HOST) -> socket.socket:
    # the protocol is named as TCP: otherwise asyncio leaves Nagle's algorithm on, and each answer waits 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


async def _serve(simulator: Simulator, listener: socket.socket, ended: asyncio.Queue[int]) -> int:
    """Serve until `ended` has an item, and return it; connections that wait for an answer are reset then."""
    connections: set[_Connection] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(simulator, connections), sock=listener, backlog=_BACKLOG
    )
    try:
        return await ended.get()
    finally:
        server.close()
        for connection in connections:
            connection.end()
        await asyncio.sleep(0)  # sockets are closed in the next round of the loop


class _Connection(asyncio.Protocol):
    """One connection, whose requests are answered one after the other."""

    _transport: asyncio.Transport
    _request: h11.Request

    def __init__(self, simulator: Simulator, connections: set[_Connection]) -> None:
        self._simulator = simulator
        self._connections = connections
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_LONGEST_HEAD)
        self._is_head_only = False
        self._body = bytearray()
        # The outage that is acted out; later requests wait for its end.
        self._outage: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._outage is not None:
            self._outage.cancel()

    def end(self) -> None:
        """Close the connection, with a reset if a request has no answer yet."""
        if self._outage is None:
            self._transport.close()
        else:
            self._reset()

    def _reset(self) -> None:
        opened = self._transport.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    # --- requests

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        self._answer_all()

    def _answer_all(self) -> None:
        """Answer the requests that were received, up to an outage."""
        while self._outage is None and not self._transport.is_closing():
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                self._send(_INVALID)
                return
            match event:
                case h11.Request():
                    self._request, self._body = event, bytearray()
                    self._is_head_only = event.method == b"HEAD"
                case h11.Data():
                    if len(self._body) <= LARGEST_BODY:
                        self._body += event.data
                case h11.EndOfMessage():
                    self._answer()
                case _:
                    if self._http.they_are_waiting_for_100_continue:
                        self._put(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
                    return

    def _answer(self) -> None:
        try:
            outcome = self._outcome()
        except Exception:  # noqa: BLE001  as of a world whose disk is full: the next request may succeed
            outcome = _FAILED
        if isinstance(outcome, Response):
            self._send(outcome)
        else:
            self._outage = asyncio.ensure_future(self._act_out(outcome))

    def _outcome(self) -> Response | Outage:
        if len(self._body) > LARGEST_BODY:
            detail = {"detail": "the body is too large", "reason": ErrorReason.INVALID_REQUEST_BODY}
            return json_response(detail, 413)
        path, _, query = self._request.target.decode("latin-1").partition("?")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self._request.headers}
        request = Request(self._request.method.decode(), path, query, headers, bytes(self._body))
        if path.startswith(control_path.BASE):
            return control_path.handle(self._simulator, request)
        with self._simulator.in_flight:
            return self._simulator.handle(request)

    async def _act_out(self, outage: Outage) -> None:
        answer = outage.response or Response(200, (), b"")
        with self._simulator.in_flight:
            match outage.kind:
                case OutageKind.SILENCE:
                    await asyncio.Event().wait()  # cancelled when the connection is lost
                case OutageKind.RESET | OutageKind.UNREACHABLE:  # an open port can only reset
                    self._reset()
                case OutageKind.SLOW:
                    await asyncio.sleep(outage.seconds)
                    self._send(answer)
                case OutageKind.DRIP:
                    self._put(_head(answer))
                    for position in range(len(body := self._content(answer))):
                        await asyncio.sleep(outage.seconds)
                        self._put(h11.Data(data=body[position : position + 1]))
                    self._put(h11.EndOfMessage())
                case OutageKind.CUT:
                    body = self._content(answer)
                    self._put(_head(answer), h11.Data(data=body[: len(body) // 2]))
                    self._transport.close()
                case _:
                    assert_never(outage.kind)
        self._outage = None
        self._answer_all()

    # --- answers

    def _send(self, answer: Response) -> None:
        self._put(_head(answer), h11.Data(data=self._content(answer)), h11.EndOfMessage())

    def _content(self, answer: Response) -> bytes:
        """Return the body that HTTP allows in this answer."""
        return b"" if answer.status in (204, 304) or self._is_head_only else answer.body

    def _put(self, *events: h11.Event) -> None:
        """Write parts of an answer; after the last part, begin with the next request or close the connection."""
        self._transport.write(b"".join(self._http.send(event) or b"" for event in events))
        if self._http.our_state is h11.MUST_CLOSE:
            self._transport.close()
        elif self._http.our_state is h11.DONE:
            self._http.start_next_cycle()


def _head(answer: Response) -> h11.Response:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    if answer.status != 204:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    return h11.Response(status_code=answer.status, headers=headers, reason=_PHRASES.get(answer.status, b""))
