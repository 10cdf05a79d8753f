"""Counts the requests of a run, logs those that failed, and says what a run waits for when it is silent."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

from reconciler.driver.loop import Sender
from reconciler.durations import spelled
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, HttpTrouble, Reading
from reconciler.values import dataclass

# After so many seconds without a good answer whoever waits is told for whom: a read is tried for half a minute.
PATIENCE = 3.0
_TOO_MANY = 429
# The troubles after which a read is tried again.
_PASSING = frozenset({HttpTrouble.CONNECT, HttpTrouble.TIMEOUT, HttpTrouble.BROKEN})
_READS = frozenset({"GET", "HEAD"})
# What a service or a proxy calls a request in its own logs; anything else under that header is not repeated.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,80}")


# After so many seconds without a word the pages of a long listing are counted at the terminal, so often a second.
SILENCE = 1.0
_OFTEN = 0.1


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """What a log tells of a request that was refused, or got no answer: then there is no status."""

    type: str
    method: str
    path: str
    status: int | None
    request_id: str


class PageLine:
    """Counts the pages of a listing through `show`, once a run has been silent for a second; `close` takes that away."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._next = time.monotonic() + SILENCE
        self._text = ""
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def note(self, event: Reading) -> None:
        """Take note of a page; it is shown when its time has come."""
        self._text = f"reading {event.page} of {event.of} pages"
        if self._timer is None and not self._closed:
            pause = max(0.0, self._next - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(pause, self._tell)

    def _tell(self) -> None:
        self._timer = None
        self._next = time.monotonic() + _OFTEN
        self._show(self._text)

    def close(self) -> None:
        """Show nothing any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._show("")


class Meter:
    """`driver.loop.Sender` that counts what passes, and says through `tell` that reads get no answer.

    `trace` takes a line and fields for the log, about each request that was refused or got no answer.
    """

    def __init__(
        self,
        sender: Sender,
        host: str,
        tell: Callable[[str], None],
        trace: Callable[[str, Mapping[str, object]], None],
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
        """How long ago the run began."""
        return time.monotonic() - self._begun

    async def send(self, request: HttpRequest, worker: int) -> HttpReply | HttpFailure:
        """Perform one request."""
        if request.method not in _READS:
            self.changes += 1
            result = await self._sender.send(request, worker)
            self._log(request, result)
            return result
        self.reads += 1
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(PATIENCE, self._complain)
        result = await self._sender.send(request, worker)
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
        fields = asdict(FailedRequest("request_failed", request.method, path, status, request_id))
        which = f" (request {request_id})" if request_id else ""
        self._trace(f"{request.method} {path}: {told}{which}", fields)

    def _note(self, result: HttpReply | HttpFailure) -> None:
        if isinstance(result, HttpFailure) and result.trouble in _PASSING:
            self._last = str(result.trouble)
        elif isinstance(result, HttpReply) and (result.status >= 500 or result.status == _TOO_MANY):
            self._last = f"HTTP {result.status}"
        else:
            self._calm()

    def _complain(self) -> None:
        """Said once for each silence; the alarm that has rung stays until an answer comes."""
        if self._last:
            self._tell(f"retrying: {self._host} gives no good answer ({self._last})")
        else:
            self._tell(f"waiting: {self._host} has not answered for {spelled(PATIENCE)}")

    def _calm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._last = None, ""

    async def aclose(self) -> None:
        """Close what is below."""
        self._calm()
        await self._sender.aclose()
