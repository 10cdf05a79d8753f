"""The state as a log in a drawer: a `state.blocking.BlockingStore` for any storage that can make a key once.

A commit makes the key of the next serial; if that key exists already, its nonce shows whose commit it is. The lease
only saves conflicts; the keys alone protect the state from lost writes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Protocol, TypeVar

from reconciler.errors import StateError, StateLocked
from reconciler.model.address import Address
from reconciler.model.record import Entry, State
from reconciler.model.spec import Body
from reconciler.model.writes import SetLineage, Write
from reconciler.ports import Version
from reconciler.state.blocking import BlockingDoor, BlockingLease
from reconciler.state.damage import Damaged
from reconciler.state.log.drawer import Creation, Drawer, entry_key, snapshot_key
from reconciler.state.log.entries import Header, decoded
from reconciler.state.log.replay import SNAPSHOT_EVERY, Replay
from reconciler.state.seen import Seen, SeenFile

T = TypeVar("T")

# Of what a ref says about its writer.
_LONGEST_NAME = 400
_NO_KEY = (
    "RECONCILER_KEY is not set: this state holds no digests of secret values, and a new value behind a reference "
    "is not noticed"
)


class LogLease(BlockingLease, Protocol):
    """The exclusive right to write a log; `state.lease.FileLease` documents the methods."""

    @property
    def is_held(self) -> bool: ...
    def holder(self) -> str | None: ...
    def check(self) -> None: ...


class LogStore:
    """The state of a log, for one caller at a time, with the methods of `state.blocking.BlockingStore`.

    `name` is shown to the user; `key` is for digests of secrets.
    """

    def __init__(
        self,
        drawer: Drawer,
        lease: LogLease,
        *,
        name: str,
        key: bytes = b"",
        seen: SeenFile | None = None,
        probe: Callable[[], None] = lambda: None,
        controllers: LogLease | None = None,
        door: BlockingDoor | None = None,
        abandon: Callable[[], None] = lambda: None,
    ) -> None:
        # Raises `StateError` where the storage would refuse a commit.
        self.probe = probe
        # Ends calls that wait for the storage, and refuses later ones.
        self.abandon = abandon
        self.door = door
        self.name = name
        self.controllers = controllers
        self.drawer = drawer
        self.lease = lease
        self._key = key
        self._seen = seen
        self._replay = Replay(name)
        self._writer = ""

    @property
    def lease_seconds(self) -> float:
        return self.lease.seconds

    def exposures(self) -> list[str]:
        """Return no messages: all who can read the storage can read the state, by design."""
        return []

    def holder(self) -> str | None:
        return self.lease.holder()

    # --- reading

    def read(self, likely: Mapping[str, Body] | None = None) -> State:
        return self._guarded(self._read)

    def _read(self) -> State:
        self._replay.catch_up(self.drawer)
        state = self._replay.state()
        self._check_seen(Seen(state.lineage, state.serial))
        return state

    def _check_seen(self, now: Seen) -> None:
        """Refuse a state that is another, older or missing one, compared with what this machine has seen here."""
        before = self._seen.read() if self._seen is not None else None
        if before is None or (before.lineage == now.lineage and before.serial <= now.serial):
            return
        found = (
            f"its serial is {now.serial}, and this machine has seen {before.serial}"
            if before.lineage == now.lineage or not now.serial
            else "it is not the one that this machine has seen at this place"
        )
        raise StateError(
            f"the state {self.name} was rewound or replaced: {found}; nothing was done",
            hint="put the right one back; or, where this one is right, delete what this machine has seen: "
            f"{self._seen.path if self._seen is not None else ''}",
        )

    def history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        return self._guarded(lambda: tuple(islice(self._history(address), limit)))

    def _history(self, address: Address | None) -> Iterator[Entry]:
        self._replay.catch_up(self.drawer)
        for serial in range(self._replay.serial, 0, -1):
            data = self.drawer.get(entry_key(serial))
            if data is None:
                return  # earlier entries were deleted
            for line in reversed(decoded(data, entry_key(serial), self.name).history()):
                if address in (None, line.address):
                    yield line

    def version(self) -> Version:
        """Return the latest commit: its serial, and the nonce of its writer."""
        self._guarded(lambda: self._replay.catch_up(self.drawer))
        return Version(self._replay.serial, self._replay.nonce)

    # --- writing

    def prepare(self) -> str:
        """Give a new state its lineage, which its first commit stores; return a message for the user, mostly empty."""
        self._guarded(self._read)
        if not self._replay.view.lineage:
            self._replay.view.lineage = str(uuid.uuid4())
        return "" if self._key else _NO_KEY

    def commit(self, writes: Sequence[Write], *, expected: int, nonce: str = "") -> int:
        return self._guarded(lambda: self._commit(tuple(writes), expected, nonce or uuid.uuid4().hex))

    def _commit(self, writes: Sequence[Write], expected: int, nonce: str) -> int:
        self.lease.check()
        if self._replay.serial < expected:
            self._replay.catch_up(self.drawer)
        if self._replay.serial < expected:
            raise self._moved_on(self._replay.serial, expected, self._replay.writer)
        header = Header(self._lineage(writes), expected + 1, nonce, self._writer)
        key = entry_key(header.serial)
        if (
            self._replay.serial > expected
        ):  # it may be ours, of an attempt without an answer, with others on top
            self._settle(key, header, Creation.EXISTS)
            return header.serial
        data, texts = self._replay.entry(header, writes)
        outcome = self.drawer.create(key, data)
        if outcome is not Creation.MADE:
            # The key exists, or there was no answer: the nonce in the entry shows whether it is ours.
            self._settle(key, header, outcome)
        # Only after the key is made, so that the replay never holds what the log may not have.
        self._replay.advance(header, writes, texts)
        self._keep_short()
        return header.serial

    def _lineage(self, writes: Sequence[Write]) -> str:
        """Return the lineage of the next entry: that of the entry before it, even if another state goes on here."""
        other = next((each.lineage for each in writes if isinstance(each, SetLineage)), None)
        if other is not None and self._seen is not None:
            self._seen.forget()  # else this machine would refuse the new lineage
        is_first = not self._replay.serial
        return (other if is_first else None) or self._replay.view.lineage or str(uuid.uuid4())

    def _settle(self, key: str, header: Header, outcome: Creation) -> None:
        """Find out by the nonce whether the entry at a key is our commit; raise as `commit` does if it is not."""
        found = self.drawer.get(key)
        if found is None:
            raise StateError(
                f"the state {self.name} gave no answer, and {key} is not there"
                if outcome is Creation.UNKNOWN
                else f"the state {self.name} says that {key} is there, and does not show it",
                hint="no further call was made; run the same command again",
            )
        there = decoded(found, key, self.name).header
        if there.nonce != header.nonce:
            raise self._moved_on(there.serial, header.serial - 1, there.writer)

    def _moved_on(self, serial: int, expected: int, writer: str) -> StateLocked:
        by = f", by {writer[:_LONGEST_NAME]}" if writer else ""
        return StateLocked(
            f"the state has moved on: its serial is {serial}, not {expected}; another writer is at work{by}",
            hint="nothing more was done; run the same command again",
        )

    def _keep_short(self) -> None:
        """Make a snapshot every hundred entries. It only saves reads: if it fails, the next commit makes it."""
        serial = self._replay.serial
        if serial - self._replay.snapshot < SNAPSHOT_EVERY:
            return
        with suppress(StateError):
            outcome = self.drawer.create(snapshot_key(serial), self._replay.as_snapshot())
            if outcome is not Creation.UNKNOWN:
                self._replay.snapshot = serial

    # --- the exclusive right to write

    def take(self, holder: str) -> None:
        self._guarded(lambda: self.lease.take(holder))
        self._writer = holder

    def renew(self) -> None:
        self.lease.renew()

    def release(self) -> None:
        if not self.lease.is_held:
            return
        if self._seen is not None and self._replay.serial:
            self._seen.write(Seen(self._replay.view.lineage, self._replay.serial))
        self.lease.release()

    def close(self) -> None:
        """Release the right to write; no file is open."""
        self.release()

    def create_key(self) -> None:
        """Do nothing: the key comes from the environment."""

    def read_key(self) -> bytes:
        return self._key

    def _guarded(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except Damaged as problem:
            raise StateError(
                f"the state {self.name} is damaged: {problem.what}",
                hint="nothing was changed; put a good commit of it back, or delete the ref: the next plan finds every agent "
                "again by its name",
            ) from problem
