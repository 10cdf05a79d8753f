"""A state in memory, which ends with the process: for runs that keep no state, and as the simplest backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.errors import StateLocked
from reconciler.model.address import Address
from reconciler.model.record import Entry, State
from reconciler.model.spec import Body
from reconciler.model.writes import StateView, Write
from reconciler.ports import Version


class MemoryStore:
    """The state in memory: a `state.blocking.BlockingStore` whose calls do not block."""

    name = "memory"
    lease_seconds = 60.0

    def __init__(self, state: State | None = None) -> None:
        self._view = StateView.of(state or State(lineage="memory", serial=0, secret_key=b"memory"))
        self._nonce = ""
        self._holder: str | None = None

    def exposures(self) -> list[str]:
        """Return no messages: it has no files."""
        return []

    def holder(self) -> str | None:
        return self._holder

    def read(self, likely: Mapping[str, Body] | None = None) -> State:
        return self._view.frozen()

    def history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        entries = [
            each for each in reversed(self._view.history) if address is None or each.address == address
        ]
        return tuple(entries[:limit])

    def version(self) -> Version:
        return Version(self._view.serial, self._nonce)

    def commit(self, writes: Sequence[Write], *, expected: int, nonce: str = "") -> int:
        if expected != self._view.serial:
            raise StateLocked(f"the state has moved on: its serial is {self._view.serial}, not {expected}")
        self._view.absorb(writes)
        self._view.serial += 1
        self._nonce = nonce
        return self._view.serial

    def take(self, holder: str) -> None:
        if self._holder is not None:
            raise StateLocked(f"the state is held by {self._holder}")
        self._holder = holder

    def prepare(self) -> str:
        return ""

    def create_key(self) -> None:
        """Do nothing: the initial state has a key."""

    def read_key(self) -> bytes:
        return self._view.secret_key

    def renew(self) -> None:
        """Do nothing: the state ends with its process, so its lease cannot outlive the holder."""

    def release(self) -> None:
        self._holder = None

    def close(self) -> None:
        self.release()
