"""Counts the requests of a run, for `--verbose`, and tells people when the service has not answered for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from reconciler.driver.loop import Sender
from reconciler.durations import spelled
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, HttpTrouble

# After so many seconds without a good answer whoever waits is told for whom: a read is tried for half a minute.
PATIENCE = 3.0
_TOO_MANY = 429
# The troubles after which a read is tried again.
_PASSING = frozenset({HttpTrouble.CONNECT, HttpTrouble.TIMEOUT, HttpTrouble.BROKEN})
_READS = frozenset({"GET", "HEAD"})


class Meter:
    """`driver.loop.Sender` that counts what passes, and says through `tell` that reads get no answer."""

    def __init__(self, sender: Sender, host: str, tell: Callable[[str], None]) -> None:
        self._sender = sender
        self._host = host
        self._tell = tell
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
            return await self._sender.send(request, worker)
        self.reads += 1
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(PATIENCE, self._complain)
        result = await self._sender.send(request, worker)
        self._note(result)
        return result

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
