"""One kept-alive HTTP/1.1 connection as a transport of httpx: asyncio carries the bytes, h11 parses them.

httpx's own transport keeps a pool. A connection carries one request at a time (`http.py` sees to that); for that, the pool's
bookkeeping costs more than the request.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import h11

from reconciler.driver.bare_httpx import httpx

# The longest head of a reply, and the longest line between two chunks of its body, bytes.
_LONGEST_HEAD = 100 * 1024
# The seconds after which a host's next address is tried as well, while the first has not connected (RFC 8305).
_NEXT_ADDRESS = 0.25


class OneConnection(httpx.AsyncBaseTransport):
    """A transport for one request at a time, whose content is in memory.

    It connects when there is no usable connection. An attempt to connect ends after `connect_seconds`; a connection that was
    idle for `idle_seconds` is not used again. `context` returns the TLS context for https.
    """

    def __init__(
        self, context: Callable[[], ssl.SSLContext], *, connect_seconds: float, idle_seconds: float
    ) -> None:
        self._context = context
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._stream: _Stream | None = None
        self._origin: tuple[str, str, int | None] | None = None
        # Whether the latest request was handed to a connection.
        self.has_begun = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request once; return its reply, whose content is read later. Raises the exceptions of httpx."""
        self.has_begun = False
        stream = await self._usable(request.url)
        with stream.exchanging():
            data = stream.prepare(request)
            self.has_begun = True
            stream.write(data)
            head = await stream.head()
        return httpx.Response(
            head.status_code, headers=head.headers.raw_items(), stream=_Content(stream), request=request
        )

    async def aclose(self) -> None:
        """Close the connection."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    async def _usable(self, url: httpx.URL) -> _Stream:
        """Return the present connection if it can be used again, else a new one."""
        origin = (url.scheme, url.host, url.port)
        if self._stream is not None and self._origin == origin and self._stream.is_usable(self._idle_seconds):
            return self._stream
        await self.aclose()
        is_secure = url.scheme == "https"
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, self._stream = await asyncio.get_running_loop().create_connection(
                    _Stream,
                    url.host,
                    url.port or (443 if is_secure else 80),
                    ssl=self._context() if is_secure else None,
                    happy_eyeballs_delay=_NEXT_ADDRESS,
                )
        except TimeoutError:
            raise httpx.ConnectTimeout("") from None
        except OSError as problem:  # also a failed TLS handshake
            raise httpx.ConnectError(str(problem)) from problem
        self._origin = origin
        return self._stream


class _Stream(asyncio.Protocol):
    """A connection that parses the received bytes into events of HTTP."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._arrival: asyncio.Future[None] | None = None
        self._is_lost = False
        self._idle_since = 0.0

    # --- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._has_input = _input_check(transport.get_extra_info("socket").fileno())

    def data_received(self, data: bytes) -> None:
        if self._http.our_state is h11.IDLE:
            self.close()  # without a request; the bytes would be taken for the reply to the next one
            return
        self._http.receive_data(data)
        self._wake()

    def eof_received(self) -> None:
        self._http.receive_data(b"")
        self._wake()

    def connection_lost(self, _: Exception | None) -> None:
        self._is_lost = True
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    # --- one exchange

    def is_usable(self, idle_seconds: float) -> bool:
        """Return whether the connection is open and its last reply was read less than `idle_seconds` ago."""
        if self._is_lost or self._transport.is_closing() or self._http.our_state is not h11.IDLE:
            return False
        is_fresh = self._loop.time() - self._idle_since < idle_seconds
        return is_fresh and not self._has_input()

    @contextmanager
    def exchanging(self) -> Iterator[None]:
        """Close the connection if the block fails; turn exceptions of h11 into those of httpx."""
        try:
            yield
        except BaseException as problem:
            self.close()
            if isinstance(problem, h11.RemoteProtocolError):
                raise httpx.RemoteProtocolError(str(problem)) from problem
            if isinstance(problem, h11.LocalProtocolError):
                raise httpx.LocalProtocolError(str(problem)) from problem
            raise

    def prepare(self, request: httpx.Request) -> bytes:
        """Return the bytes of a request."""
        target, headers = request.url.raw_path, request.headers.raw
        head = self._http.send(h11.Request(method=request.method, target=target, headers=headers))
        content = self._http.send(h11.Data(data=request.content)) if request.content else b""
        end = self._http.send(h11.EndOfMessage())
        return b"".join(filter(None, (head, content, end)))

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport of asyncio."""
        self._transport.write(data)

    async def head(self) -> h11.Response:
        """Return the head of the reply; informational replies before it are skipped."""
        while isinstance(event := await self.event(), h11.InformationalResponse):
            pass
        if not isinstance(event, h11.Response):
            raise httpx.RemoteProtocolError("there is no reply")
        return event

    async def event(self) -> h11.Event:
        """Wait for the next event of the reply and return it. Raises `httpx.ReadError` if the connection is lost."""
        while True:
            event = self._http.next_event()
            if event is h11.PAUSED:
                raise httpx.RemoteProtocolError("the reply changes to another protocol")
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]  # the other two were excluded above
            if self._is_lost:
                raise httpx.ReadError("the connection was lost")
            self._arrival = self._loop.create_future()
            await self._arrival

    def finish(self) -> None:
        """End an exchange: keep the connection if the reply was read to its end and allows that, else close it."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._idle_since = self._loop.time()
            if self._http.trailing_data[0]:
                self.close()
        else:
            self.close()

    def close(self) -> None:
        """Close the connection at once, also during an exchange."""
        self._transport.abort()


class _Content(httpx.AsyncByteStream):
    """The content of a reply, in parts as they arrive."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._stream.exchanging():
            while isinstance(event := await self._stream.event(), h11.Data):
                yield event.data

    async def aclose(self) -> None:
        self._stream.finish()


def _input_check(descriptor: int) -> Callable[[], bool]:
    """Return the check whether an idle connection has input: usually its end, not yet reported by the event loop."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return lambda: bool(poll.poll(0))
    return lambda: bool(select.select([descriptor], [], [], 0)[0])  # Windows
