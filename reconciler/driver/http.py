"""Perform HTTP requests: each exactly once, with httpx; no other module sends any.

No retry, no redirect, no proxy from the environment, no reply beyond its limit. Secrets are revealed only here, where
the bytes of a request are made.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

import orjson

from reconciler import __version__
from reconciler.driver.bare_httpx import httpx
from reconciler.driver.connection import OneConnection
from reconciler.durations import spelled
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, HttpTrouble
from reconciler.secrets import Secret

CONNECT_SECONDS = 5.0
# Shorter than most servers keep an idle connection: if a request meets a connection that is just closing, it is unknown
# whether it was executed.
IDLE_SECONDS = 4.0
_HEADERS = {
    b"user-agent": f"agora-reconciler/{__version__}".encode(),
    b"accept": b"application/json",
    # A compressed reply could expand to any size.
    b"accept-encoding": b"identity",
}
_MOST_URLS = 100


class HttpxSender:
    """Sends requests through transports of httpx with one connection each, as many as there are requests at a time.

    A pool of httpx is scanned at every request, and becomes slower with each connection; to take the transport that was
    used last costs the same at any parallelism. Each request has its transport alone: fleets of one `watch` share a
    sender, and of two requests on one connection it could not be told which was sent. A client above the transport
    would add cookies, redirects and authentication, which are not wanted.
    """

    def __init__(self, learn: Callable[[Secret], None] = lambda _: None) -> None:
        """Create the sender; `learn` is called with each secret before it is sent."""
        self._learn = learn
        self._transports: list[OneConnection] = []
        self._idle: list[OneConnection] = []
        self._urls: dict[str, httpx.URL] = {}
        self._ssl: ssl.SSLContext | None = None

    async def send(self, request: HttpRequest) -> HttpReply | HttpFailure:
        """Perform one request. Raises only on cancellation; every other error is an `HttpFailure`.

        `sent` of a failure is False exactly when the first byte had not been given to a connection.
        """
        try:
            prepared = self._prepare(request)
        except (
            httpx.InvalidURL,
            httpx.UnsupportedProtocol,
            orjson.JSONEncodeError,
            UnicodeError,
            ValueError,
        ) as error:
            # The text of such an error may quote its input, and a secret in it.
            return HttpFailure(HttpTrouble.CONNECT, sent=False, detail=f"unsendable: {type(error).__name__}")
        transport = self._idle.pop() if self._idle else self._new_transport()
        try:
            async with asyncio.timeout(request.deadline):
                return await self._exchange(transport, prepared, request.max_body)
        except TimeoutError:
            started = transport.has_begun
            waited = f"{spelled(request.deadline)}"
            return HttpFailure(
                HttpTrouble.TIMEOUT if started else HttpTrouble.CONNECT, started, f"after {waited}"
            )
        except Exception as error:  # noqa: BLE001  layers below httpx raise exceptions of their own
            return _failure(error, started=transport.has_begun)
        finally:
            self._idle.append(transport)

    async def aclose(self) -> None:
        """Close every connection."""
        transports, self._transports, self._idle = self._transports, [], []
        for each in transports:
            await each.aclose()

    def _prepare(self, request: HttpRequest) -> httpx.Request:
        """Return the request with all its headers: httpx takes longer to add them than to send it."""
        text = request.url
        if request.query:
            text += "?" + urlencode(request.query, quote_via=quote, safe="")
        url = self._url(text)
        content = b"" if request.body is None else orjson.dumps(request.body, default=self._revealed)
        headers = {b"host": url.netloc, **_HEADERS}
        for name, value in request.headers.items():
            headers[name.lower().encode("ascii")] = self._header(value)
        if content or request.method != "GET":
            headers[b"content-length"] = b"%d" % len(content)
        return httpx.Request(
            request.method, url, headers=list(headers.items()), stream=httpx.ByteStream(content)
        )

    def _header(self, value: str | Secret) -> bytes:
        """Return a header's value; raise ValueError for control characters, or others than those of ASCII."""
        text = str(self._revealed(value)) if isinstance(value, Secret) else value
        if not text.isprintable():
            raise ValueError("a header's value has control characters")
        return text.encode("ascii")

    def _revealed(self, value: object) -> object:
        """Return the plain value of an object that orjson does not know; secrets are revealed here, and learned."""
        if isinstance(value, Secret):
            self._learn(value)
            return value.reveal()
        if isinstance(value, Mapping):
            return dict(value)
        raise TypeError(f"cannot be sent as JSON: {type(value).__name__}")

    def _url(self, url: str) -> httpx.URL:
        """Return a parsed URL; URLs are cached, since most calls go to the same few."""
        parsed = self._urls.get(url)
        if parsed is None:
            if len(self._urls) >= _MOST_URLS:
                self._urls.clear()
            parsed = self._urls[url] = httpx.URL(url)
            if parsed.scheme not in ("http", "https") or not parsed.host:
                raise httpx.UnsupportedProtocol("neither http nor https")
        return parsed

    def _new_transport(self) -> OneConnection:
        transport = OneConnection(self._context, connect_seconds=CONNECT_SECONDS, idle_seconds=IDLE_SECONDS)
        self._transports.append(transport)
        return transport

    def _context(self) -> ssl.SSLContext:
        """Return one TLS context for all connections, created only when needed: reading the certificates is slow."""
        if self._ssl is None:
            self._ssl = httpx.create_ssl_context(trust_env=False)
            self._ssl.set_alpn_protocols(["http/1.1"])
        return self._ssl

    @staticmethod
    async def _exchange(
        transport: OneConnection, prepared: httpx.Request, max_body: int
    ) -> HttpReply | HttpFailure:
        reply = await transport.handle_async_request(prepared)
        content = reply.stream
        assert isinstance(content, httpx.AsyncByteStream), "of an asynchronous transport"
        try:
            headers = dict(reply.headers.items())
            if headers.get("content-encoding", "identity") != "identity":
                return HttpFailure(
                    HttpTrouble.BROKEN, sent=True, detail="the reply is packed, though nobody asked"
                )
            length = headers.get("content-length", "")
            too_large = HttpFailure(HttpTrouble.TOO_LARGE, sent=True, detail=f"more than {max_body} bytes")
            if length.isdigit() and int(length[:20]) > max_body:
                return too_large
            body = bytearray()
            async for chunk in content:
                body += chunk
                if len(body) > max_body:
                    return too_large
            return HttpReply(reply.status_code, headers, bytes(body))
        finally:
            await content.aclose()


def _failure(error: Exception, *, started: bool) -> HttpFailure:
    """Return the failure for an exception of sending; `started` is whether a byte had been sent by then."""
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        return HttpFailure(
            HttpTrouble.CONNECT, started, str(error) or f"no connection in {spelled(CONNECT_SECONDS)}"
        )
    if isinstance(error, httpx.TimeoutException):
        return HttpFailure(HttpTrouble.TIMEOUT, started, type(error).__name__)
    if isinstance(error, (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)):
        return HttpFailure(HttpTrouble.BROKEN, started, str(error) or type(error).__name__)
    # The text of any other error may quote what was sent: that of a LocalProtocolError quotes a header.
    return HttpFailure(HttpTrouble.BROKEN if started else HttpTrouble.CONNECT, started, type(error).__name__)
