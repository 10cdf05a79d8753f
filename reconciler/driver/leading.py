"""Who leads among the controllers of one state: a lease of their own, with signs of life from a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from reconciler.driver.holding import clock
from reconciler.errors import StateError, StateLocked
from reconciler.ports import Lease

_SIGNS_IN_A_LEASE = 3


class Leading:
    """One controller's part in it. `on_loss` is called when the lead is lost: a turn under way starts nothing new."""

    def __init__(self, lease: Lease, holder: str, on_loss: Callable[[], None]) -> None:
        self._lease = lease
        self._holder = holder
        self._on_loss = on_loss
        # When the lease ends by `holding.clock`, counted from before the last sign was asked for; None without it.
        self._valid_until: float | None = None
        self._signs: asyncio.Task[None] | None = None

    async def lead(self) -> bool:
        """Whether this controller leads now; it takes the lead where nobody else has it. Raises `StateError`."""
        if self._valid_until is not None:
            if self._is_over():
                await self._give_sign()  # stopped or asleep meanwhile: somebody may have taken over
            if not self._is_over():
                return True
            await self.give_back()
            return False
        asked_at = clock()
        try:
            await self._lease.take(self._holder)
        except StateLocked:
            return False
        self._valid_until = asked_at + self._lease.seconds
        self._signs = asyncio.ensure_future(self._give_signs())
        return True

    def _is_over(self) -> bool:
        return self._valid_until is None or clock() >= self._valid_until

    async def give_back(self) -> None:
        """Lead no more; harmless for one who does not."""
        if self._signs is not None:
            self._signs.cancel()
            with suppress(asyncio.CancelledError):
                await self._signs
            self._signs = None
        self._valid_until = None
        with suppress(OSError, StateLocked, StateError):
            await self._lease.release()

    async def _give_signs(self) -> None:
        while True:
            await asyncio.sleep(self._lease.seconds / _SIGNS_IN_A_LEASE)
            await self._give_sign()

    async def _give_sign(self) -> None:
        asked_at = clock()
        try:
            await self._lease.renew()
        except StateLocked:
            self._valid_until = asked_at
            self._on_loss()
        except (StateError, OSError):
            pass  # tried again until the lease is over
        else:
            self._valid_until = asked_at + self._lease.seconds
