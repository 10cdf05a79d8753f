"""One kept-alive HTTP/1.1 connection as a transport of httpx: asyncio carries the bytes, httptools parses them.

httpx's own transport keeps a pool. A connection carries one request at a time (`http.py` sees to that); for that, the pool's
bookkeeping costs more than the request.
"""

from __future__ import annotations

import asyncio
import re
import select
import ssl
from collections.abc import AsyncIterator, Callable

import httptools

from reconciler.driver.bare_httpx import httpx

# The parser is not told of a request, so it would wait for the content of a reply to HEAD or CONNECT.
_FIRST_LINE = re.compile(rb"(?!HEAD|CONNECT)[A-Z]+ [!-~]+ HTTP/1\.1\r\n")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [ -~\x80-\xff]*\r\n")
# The longest head of a reply, and the most bytes between two parts of its content.
_LONGEST_HEAD = 100 * 1024
_SWITCHING = 101
# The seconds after which a host's next address is tried as well, while the first has not connected (RFC 8305).
_NEXT_ADDRESS = 0.25
_IP_ADDRESS = re.compile(r"[\d.]+|.*:.*")


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
        data = _bytes_of(request)
        stream = await self._usable(request.url)
        self.has_begun = True
        try:
            stream.begin(data)
            status = await stream.status()
        except BaseException:
            stream.close()
            raise
        return httpx.Response(status, headers=stream.headers, stream=_Content(stream), request=request)

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
                    # An IP address has no other; and a race that is cancelled may leave its socket open.
                    happy_eyeballs_delay=None if _IP_ADDRESS.fullmatch(url.host) else _NEXT_ADDRESS,
                )
        except TimeoutError:
            raise httpx.ConnectTimeout("") from None
        except OSError as problem:  # also a failed TLS handshake
            raise httpx.ConnectError(str(problem)) from problem
        self._origin = origin
        return self._stream


class _Stream(asyncio.Protocol):
    """A connection that parses the received bytes as replies of HTTP; the parser calls the methods `on_…`."""

    _transport: asyncio.Transport
    # Of the present reply, since `begin`.
    headers: list[tuple[bytes, bytes]]
    _status: int | None
    _parts: list[bytes]
    _problem: str | None

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._arrival: asyncio.Future[None] | None = None
        # Whether the other side has ended the connection in order; whether it is closed, or lost.
        self._is_ended = self._is_lost = False
        self._idle_since = 0.0
        self._is_idle = True
        self._status = None
        self._is_measured = self._is_complete = False

    # --- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._has_input = _input_check(transport.get_extra_info("socket").fileno())

    def data_received(self, data: bytes) -> None:
        if self._is_idle:
            self.close()  # without a request; the bytes would be taken for the reply to the next one
            return
        self._between += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as problem:
            self._refuse(str(problem))
        if self._between > _LONGEST_HEAD:
            self._refuse("the head of the reply is too long")
        self._wake()

    def eof_received(self) -> None:
        self._is_ended = True
        if self._status is not None and not self._is_measured:
            self._is_complete = True  # the content has no other end
        self._wake()

    def connection_lost(self, _: Exception | None) -> None:
        self._is_lost = True
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    # --- what the parser calls

    def on_message_begin(self) -> None:
        self._has_excess = self._is_complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._status is None:  # else a field after the content, which is not wanted
            self.headers.append((name, value.strip()))

    def on_headers_complete(self) -> None:
        if self._status is not None:
            return  # of bytes after the end of the reply
        status = self._parser.get_status_code()
        if status // 100 == 1 and status != _SWITCHING:
            self.headers.clear()  # an informational reply, before the one that counts
            return
        self._status = status
        codings = [value.lower() for name, value in self.headers if name.lower() == b"transfer-encoding"]
        self._is_measured = bool(codings) or any(
            name.lower() == b"content-length" for name, _ in self.headers
        )
        # What the parser accepts, and a reply to our requests cannot be.
        if status < 200 or self._parser.get_http_version() not in ("1.0", "1.1"):
            self._refuse("the reply is of another protocol, or changes to one")
        if codings not in ([], [b"chunked"]):
            self._refuse("the reply has an unknown transfer coding")

    def on_body(self, part: bytes) -> None:
        self._between = 0
        if not self._is_complete:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        if self._status is not None and not self._is_complete:
            self._is_complete = True
            self._is_lasting = self._parser.should_keep_alive()

    def _refuse(self, why: str) -> None:
        if self._is_complete:
            self._has_excess = True  # the reply before it stands
        else:
            self._problem = self._problem or why

    # --- one exchange

    def is_usable(self, idle_seconds: float) -> bool:
        """Return whether the connection is open and its last reply was read less than `idle_seconds` ago."""
        if self._is_lost or not self._is_idle or self._transport.is_closing():
            return False
        is_fresh = self._loop.time() - self._idle_since < idle_seconds
        return is_fresh and not self._has_input()

    def begin(self, data: bytes) -> None:
        """Send the bytes of a request; from now on, what is received is its reply."""
        self._is_idle = self._is_complete = self._is_lasting = self._is_measured = self._has_excess = False
        self._problem = self._status = None
        self.headers, self._parts = [], []
        # The bytes that were received since the request, or since the latest part of the content.
        self._between = 0
        self._transport.write(data)

    async def status(self) -> int:
        """Return the status of the reply, when its `headers` are complete; informational replies are skipped."""
        while self._status is None or self._problem:
            await self._more()
        return self._status

    async def part(self) -> bytes:
        """Return what was received of the content since the last call; empty at its end."""
        while not self._parts and not self._is_complete:
            await self._more()
        parts, self._parts = self._parts, []
        return b"".join(parts)

    async def _more(self) -> None:
        """Wait for more bytes; raise an exception of httpx if there cannot be any more, or none that make sense."""
        if self._problem:
            raise httpx.RemoteProtocolError(self._problem)
        if self._is_ended:
            raise httpx.RemoteProtocolError("the connection was closed before the end of the reply")
        if self._is_lost:
            raise httpx.ReadError("the connection was lost")
        self._arrival = self._loop.create_future()
        await self._arrival

    def finish(self) -> None:
        """End an exchange: keep the connection if the reply was read to its end and allows that, else close it."""
        # A reply that came before the request was sent whole says nothing of the rest, which another request would follow.
        is_sent = self._transport.get_write_buffer_size() == 0
        self._is_idle = is_sent and self._is_lasting and not self._has_excess and self._problem is None
        self._idle_since = self._loop.time()
        if not self._is_idle:
            self.close()

    def close(self) -> None:
        """Close the connection at once, also during an exchange."""
        self._transport.abort()


class _Content(httpx.AsyncByteStream):
    """The content of a reply, in parts as they arrive."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while part := await self._stream.part():
            yield part

    async def aclose(self) -> None:
        self._stream.finish()


def _bytes_of(request: httpx.Request) -> bytes:
    """Return the bytes of a request. Raises `httpx.LocalProtocolError`, which quotes nothing of it."""
    first = b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)
    fields = [b"%b: %b\r\n" % field for field in request.headers.raw]
    # Checked one by one, so that nothing in a field can begin another line.
    if not (_FIRST_LINE.fullmatch(first) and all(map(_FIELD.fullmatch, fields))):
        raise httpx.LocalProtocolError("the head of the request is malformed")
    return b"".join((first, *fields, b"\r\n", request.read()))


def _input_check(descriptor: int) -> Callable[[], bool]:
    """Return the check whether an idle connection has input: usually its end, not yet reported by the event loop."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return lambda: bool(poll.poll(0))
    return lambda: bool(select.select([descriptor], [], [], 0)[0])  # Windows
