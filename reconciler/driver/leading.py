"""Decide which of several controllers of one state leads: the one that holds their lease."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from reconciler.driver.lease import HeldLease
from reconciler.errors import StateError, StateLocked
from reconciler.ports import Lease

_SIGNS_IN_A_LEASE = 3


class Leading:
    """One controller's lead. `on_loss` is called when it is lost: a turn in progress then starts nothing new."""

    def __init__(self, lease: Lease, holder: str, on_loss: Callable[[], None]) -> None:
        self._lease = HeldLease(lease, on_loss, signs=_SIGNS_IN_A_LEASE)
        self._holder = holder
        self._on_loss = on_loss

    async def lead(self) -> bool:
        """Return whether this controller leads now; take the lead if none has it. Raises `StateError`."""
        if self._lease.is_held:
            if await self._lease.lasts(0.0):
                return True
            self._on_loss()
            await self.give_back()
            return False
        try:
            await self._lease.take(self._holder)
        except StateLocked:
            return False
        return True

    async def give_back(self) -> None:
        """Give the lead up; without effect if this controller does not lead."""
        with suppress(OSError, StateLocked, StateError):
            await self._lease.release()
