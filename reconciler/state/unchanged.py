"""A ledger that reads the state only if its version has changed: a controller asks for it every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from reconciler.model.address import Address
from reconciler.model.record import Entry, State
from reconciler.model.spec import Body
from reconciler.model.writes import Write
from reconciler.ports import CommitOutcome, CommitUnknown, Lease, Made, MovedOn, StateLedger, Version
from reconciler.values import dataclass


@dataclass(slots=True)
class SeenLease:
    """A `ports.Lease` with a flag whether this process holds it."""

    lease: Lease
    is_held: bool = field(default=False, init=False)

    @property
    def seconds(self) -> float:
        return self.lease.seconds

    async def take(self, holder: str) -> None:
        await self.lease.take(holder)
        self.is_held = True

    async def renew(self) -> None:
        await self.lease.renew()

    async def release(self) -> None:
        self.is_held = False
        await self.lease.release()


@dataclass(slots=True)
class ReadIfChanged:
    """A `ports.StateLedger` that returns the state of the last read again while its version is the same.

    While this process has the lease, every read goes to the ledger. `told` is called with the result of each commit and
    its duration in seconds.
    """

    ledger: StateLedger
    lease: SeenLease
    told: Callable[[str, float], None] = lambda _result, _seconds: None
    _known: tuple[Version, State] | None = field(default=None, init=False)

    async def prepare(self) -> str:
        return await self.ledger.prepare()

    async def read(self, likely: Mapping[str, Body] | None = None) -> State:
        """Return the present state."""
        if self.lease.is_held:
            self._known = None
            return await self.ledger.read(likely)
        version = await self.ledger.version()
        if self._known is not None and self._known[0] == version:
            return self._known[1]
        state = await self.ledger.read(likely)
        # Another process may have committed between the two reads: then nothing is kept, and the next call reads again.
        self._known = (version, state) if state.serial == version.serial and version.nonce else None
        return state

    async def history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        return await self.ledger.history(address, limit)

    async def version(self) -> Version:
        return await self.ledger.version()

    async def commit(self, writes: Sequence[Write], *, expected: int, nonce: str) -> CommitOutcome:
        began = time.monotonic()
        outcome = await self.ledger.commit(writes, expected=expected, nonce=nonce)
        self.told(_RESULTS[type(outcome)], time.monotonic() - began)
        return outcome


_RESULTS: Mapping[type, str] = {Made: "made", MovedOn: "moved_on", CommitUnknown: "unknown"}
