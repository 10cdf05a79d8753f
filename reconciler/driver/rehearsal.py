"""The clock of a simulator on this machine whose time runs fast, so that 72 hours pass in minutes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Final

import orjson

from reconciler.driver.loop import Sender
from reconciler.ports import HttpFailure, HttpReply, HttpRequest
from reconciler.values import dataclass

_SECONDS: Final = 2.0
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class FastClock:
    """The simulator's time in epoch seconds, computed from one reading of it and its speed."""

    speed: float
    told: float
    heard: float

    def __call__(self) -> float:
        return self.told + (time.monotonic() - self.heard) * self.speed


def fast_clock(host: str) -> FastClock | None:
    """Return the clock of the simulator at a loopback `host`; None if there is none, or it is no faster than ours."""
    reply = asyncio.run(_asked(HttpRequest("GET", f"http://{host}/simulator/clock", deadline=_SECONDS)))
    # Read after the reply, so that this clock is a little behind the service's, never ahead of it.
    heard = time.monotonic()
    if isinstance(reply, HttpFailure) or reply.status != _OK:
        return None
    try:
        clock = orjson.loads(reply.body)
        speed, told = float(clock["speed"]), float(clock["now"])
    except (ValueError, TypeError, KeyError):
        return None
    return FastClock(speed, told, heard) if speed > 1 else None


async def _asked(request: HttpRequest) -> HttpReply | HttpFailure:
    from reconciler.driver.http import HttpxSender

    sender = HttpxSender()
    try:
        return await sender.send(request)
    finally:
        await sender.aclose()


class WithoutDate:
    """A sender that drops the header `Date`: at a high speed a reply's delay alone looks like a wrong clock."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, request: HttpRequest) -> HttpReply | HttpFailure:
        """Return the sender's reply without its date."""
        reply = await self._sender.send(request)
        if isinstance(reply, HttpFailure):
            return reply
        return replace(reply, headers={key: text for key, text in reply.headers.items() if key != "date"})

    async def aclose(self) -> None:
        await self._sender.aclose()
