"""A lease that is held: signs of life from a task of its own, and the time for which it still lasts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from reconciler.errors import StateError, StateLocked
from reconciler.ports import Lease

# A clock that runs on while the machine is suspended, where the system has one, because a lease ends meanwhile.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Return seconds by a clock that is not changed when the time of day is set."""
    return time.clock_gettime(_CLOCK)


class HeldLease:
    """A lease of one holder, with `signs` signs of life in each of its durations.

    `on_end` is called when less than the share `spare` of its duration is left after a sign of life, or another process
    has taken over.
    """

    def __init__(self, lease: Lease, on_end: Callable[[], None], *, signs: int, spare: float = 0.0) -> None:
        self._lease = lease
        self._on_end = on_end
        self._every = lease.seconds / signs
        self._spare = lease.seconds * spare
        # When the lease ends by `clock`, counted from before the last successful sign was sent; None if it is not held.
        self._valid_until: float | None = None
        # When the latest sign of life was sent, by `clock`.
        self._asked_at = 0.0
        self._signs: asyncio.Task[None] | None = None
        # The latest sign of life, in progress or done.
        self._sign: asyncio.Task[None] | None = None

    @property
    def is_held(self) -> bool:
        """Whether it was taken and not released; it may have ended nevertheless."""
        return self._valid_until is not None

    async def take(self, holder: str) -> None:
        """Take the lease and start the signs of life. Raises `StateLocked`, which names the holder."""
        # Counted from before the request, so that our lease never lasts longer here than for other processes.
        self._asked_at = asked_at = clock()
        await self._lease.take(holder)
        self._valid_until = asked_at + self._lease.seconds
        self._signs = asyncio.ensure_future(self._give_signs())

    async def release(self) -> None:
        """Release the lease; without effect if it is not held."""
        if self._signs is not None:
            self._signs.cancel()
            with suppress(asyncio.CancelledError):
                await self._signs
            self._signs = None
        self._valid_until = None
        await self._lease.release()

    async def lasts(self, seconds: float) -> bool:
        """Return whether the lease lasts for `seconds` more.

        A process that was stopped or asleep has given no sign meanwhile: it gives one first, and so finds out whether
        another process has taken over.
        """
        if not self._lasts(seconds):
            await self._give_sign()
        return self._lasts(seconds)

    def _lasts(self, seconds: float) -> bool:
        return self._valid_until is None or clock() <= self._valid_until - seconds

    async def _give_signs(self) -> None:
        """Give signs of life until the lease is released; errors are tried again."""
        while True:
            # Counted from the latest one: a slow answer must not make the next sign late.
            await asyncio.sleep(max(0.0, self._asked_at + self._every - clock()))
            await self._give_sign()
            if not self._lasts(self._spare):
                self._on_end()

    async def _give_sign(self) -> None:
        """Give a sign of life, or wait for the one in progress: a slow one counts too, from when it was sent."""
        if self._sign is None or self._sign.done():
            self._sign = asyncio.ensure_future(self._renew())
        with suppress(TimeoutError):
            async with asyncio.timeout(self._every):
                await asyncio.shield(self._sign)

    async def _renew(self) -> None:
        self._asked_at = asked_at = clock()
        until = self._valid_until
        try:
            await self._lease.renew()
            until = asked_at + self._lease.seconds
        except StateLocked:
            until = asked_at  # another process has taken over: no call may start any more
        except (StateError, OSError):
            pass  # tried again; `lasts` refuses calls once the lease is too old
        if self._valid_until is not None:
            self._valid_until = until
