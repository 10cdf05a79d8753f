"""The clock of a rehearsal: a simulator on this machine whose time runs fast, so that 72 hours pass in minutes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

from reconciler.driver.loop import Sender
from reconciler.ports import HttpFailure, HttpReply, HttpRequest

_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class FastClock:
    """The simulator's time in epoch seconds, from one reading of it and how fast it runs."""

    speed: float
    told: float
    heard: float

    def __call__(self) -> float:
        return self.told + (time.monotonic() - self.heard) * self.speed


def fast_clock(host: str) -> FastClock | None:
    """The clock of the simulator at a loopback `host`; None where there is none, or it runs no faster than ours."""
    import httpx

    try:
        reply = httpx.get(f"http://{host}/simulator/clock", timeout=_SECONDS, trust_env=False)
        # Read after the reply: behind the service's by a moment, never before it.
        heard, clock = time.monotonic(), reply.json()
        speed, told = float(clock["speed"]), float(clock["now"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, KeyError):
        return None
    return FastClock(speed, told, heard) if reply.status_code == httpx.codes.OK and speed > 1 else None


class WithoutDate:
    """A sender that hands on no `Date`: at such a speed the way of a reply alone looks like a wrong clock."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, request: HttpRequest, worker: int) -> HttpReply | HttpFailure:
        """What the sender gives, but for the date."""
        reply = await self._sender.send(request, worker)
        if isinstance(reply, HttpFailure):
            return reply
        return replace(reply, headers={key: text for key, text in reply.headers.items() if key != "date"})

    async def aclose(self) -> None:
        await self._sender.aclose()
