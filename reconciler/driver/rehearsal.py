"""The clock of a simulator on this machine whose time runs fast, so that 72 hours pass in minutes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

from reconciler.driver.loop import Sender
from reconciler.ports import HttpFailure, HttpReply, HttpRequest

_SECONDS: Final = 2.0


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
    import httpx

    try:
        reply = httpx.get(f"http://{host}/simulator/clock", timeout=_SECONDS, trust_env=False)
        # Read after the reply, so that this clock is a little behind the service's, never ahead of it.
        heard, clock = time.monotonic(), reply.json()
        speed, told = float(clock["speed"]), float(clock["now"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, KeyError):
        return None
    return FastClock(speed, told, heard) if reply.status_code == httpx.codes.OK and speed > 1 else None


class WithoutDate:
    """A sender that drops the header `Date`: at a high speed a reply's delay alone looks like a wrong clock."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def send(self, request: HttpRequest, worker: int) -> HttpReply | HttpFailure:
        """Return the sender's reply without its date."""
        reply = await self._sender.send(request, worker)
        if isinstance(reply, HttpFailure):
            return reply
        return replace(reply, headers={key: text for key, text in reply.headers.items() if key != "date"})

    async def aclose(self) -> None:
        await self._sender.aclose()
