"""Counts the requests of a run, logs those that failed, and prints what a silent run is waiting for."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

from reconciler.driver.loop import Sender
from reconciler.durations import spelled
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, HttpTrouble, Reading

# Seconds without a good answer after which the run says what it waits for; a read is retried for half a minute.
PATIENCE = 3.0
_TOO_MANY = 429
# Failures after which a read is retried.
_PASSING = frozenset({HttpTrouble.CONNECT, HttpTrouble.TIMEOUT, HttpTrouble.BROKEN})
_READS = frozenset({"GET", "HEAD"})
# The form of a request id as services and proxies give it; any other value of that header is not logged.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,80}")


# Seconds of silence after which the pages of a long listing are counted at the terminal, and the pause between updates.
SILENCE = 1.0
_OFTEN = 0.1


class PageLine:
    """Shows the number of pages read so far through `show`, after a second of silence; `close` removes the line."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._next = time.monotonic() + SILENCE
        self._text = ""
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def note(self, event: Reading) -> None:
        """Record a page; the line is updated when the pause has passed."""
        self._text = f"reading {event.page:,} of {event.of:,} pages"
        if self._timer is None and not self._closed:
            pause = max(0.0, self._next - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(pause, self._tell)

    def _tell(self) -> None:
        self._timer = None
        self._next = time.monotonic() + _OFTEN
        self._show(self._text)

    def close(self) -> None:
        """Remove the line and show nothing further."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._show("")


class Meter:
    """`driver.loop.Sender` that counts requests, and says through `tell` when reads get no good answer.

    `trace` receives a line and log fields about each request that was refused or got no answer.
    """

    def __init__(
        self,
        sender: Sender,
        host: str,
        tell: Callable[[str], None],
        trace: Callable[..., None],
    ) -> None:
        self._sender = sender
        self._host = host
        self._tell = tell
        self._trace = trace
        self._begun = time.monotonic()
        self._alarm: asyncio.TimerHandle | None = None
        self._last = ""
        self.reads = 0
        self.changes = 0

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begun

    async def send(self, request: HttpRequest) -> HttpReply | HttpFailure:
        """Perform one request, and count and log it."""
        if request.method not in _READS:
            self.changes += 1
            result = await self._sender.send(request)
            self._log(request, result)
            return result
        self.reads += 1
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(PATIENCE, self._complain)
        result = await self._sender.send(request)
        self._note(result)
        self._log(request, result)
        return result

    def _log(self, request: HttpRequest, result: HttpReply | HttpFailure) -> None:
        if isinstance(result, HttpReply) and result.status < 400:
            return
        path = request.url.partition("/projects/")[2].partition("/")[2]
        status, request_id = None, ""
        if isinstance(result, HttpReply):
            found = _REQUEST_ID.fullmatch(result.headers.get("x-request-id", ""))
            status, request_id = result.status, found[0] if found else ""
            told = f"HTTP {result.status}"
        else:
            told = str(result.trouble)
        which = f" (request {request_id})" if request_id else ""
        self._trace(
            f"{request.method} {path}: {told}{which}",
            type="request_failed",
            method=request.method,
            path=path,
            status=status,
            request_id=request_id,
        )

    def _note(self, result: HttpReply | HttpFailure) -> None:
        if isinstance(result, HttpFailure) and result.trouble in _PASSING:
            self._last = str(result.trouble)
        elif isinstance(result, HttpReply) and (result.status >= 500 or result.status == _TOO_MANY):
            self._last = f"HTTP {result.status}"
        else:
            self._calm()

    def _complain(self) -> None:
        """Say once for each silence that the run waits; the alarm stays set until a good answer comes."""
        if self._last:
            self._tell(f"retrying: {self._host} gives no good answer ({self._last})")
        else:
            self._tell(f"waiting: {self._host} has not answered for {spelled(PATIENCE)}")

    def _calm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._last = None, ""

    async def aclose(self) -> None:
        """Cancel the alarm and close the inner sender."""
        self._calm()
        await self._sender.aclose()
