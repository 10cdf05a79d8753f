"""A state that ends with the process: for runs that are not to remember, and as the plainest example of the port."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import StateLocked
from reconciler.model.address import Address
from reconciler.model.record import Entry, State
from reconciler.model.writes import StateView, Write


class MemoryStore:
    """`ports.StateStore` in memory."""

    def __init__(self, state: State | None = None) -> None:
        self._view = StateView.of(state or State(lineage="memory", serial=0, secret_key=b"memory"))
        self._holder: str | None = None

    def read(self) -> State:
        return self._view.frozen()

    def history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        entries = [
            each for each in reversed(self._view.history) if address is None or each.address == address
        ]
        return tuple(entries[:limit])

    def commit(self, writes: Sequence[Write], *, expected: int) -> int:
        if expected != self._view.serial:
            raise StateLocked(f"the state has moved on: its serial is {self._view.serial}, not {expected}")
        self._view.absorb(writes)
        self._view.serial += 1
        return self._view.serial

    def acquire(self, holder: str, timeout: float) -> str:
        if self._holder is not None:
            raise StateLocked(f"the state is held by {self._holder}; waited {timeout:.0f} s")
        self._holder = holder
        return ""

    @property
    def renewal_seconds(self) -> float:
        return 60.0

    def renew(self) -> None:
        """What lives in one process ends with it."""

    def release(self) -> None:
        self._holder = None

    def close(self) -> None:
        self.release()
