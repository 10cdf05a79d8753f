"""Compute the state of a log: the newest snapshot and every entry after it, each with exactly the next serial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from reconciler.model.record import State
from reconciler.model.writes import StateView, Write, all_of
from reconciler.state.checks import check
from reconciler.state.damage import damaged
from reconciler.state.document import RowReader
from reconciler.state.log.drawer import Readable, entry_key, is_entry, serial_of, snapshot_key
from reconciler.state.log.entries import Header, StoredCommit, decoded, encoded

# The number of entries from one snapshot to the next: the most that a reader has to fetch and apply.
SNAPSHOT_EVERY: Final = 100


class Replay:
    """The part of a log that was read so far. `state` is its name in messages."""

    def __init__(self, state: object) -> None:
        self._name = state
        self._start(StateView("", 0, b""))

    def _start(self, view: StateView) -> None:
        self.view = view
        self.nonce = self.writer = ""
        # The serial of the newest snapshot.
        self.snapshot = 0
        # The long texts that the next entry may refer to by digest: see `advance`.
        self.texts: dict[str, str] = {}
        self._reader = RowReader(self.texts)
        # The snapshot at this serial, if it was encoded already in order to find the texts in use.
        self._whole: bytes | None = None

    @property
    def serial(self) -> int:
        return self.view.serial

    def state(self) -> State:
        """Return the state as far as it was read; raise `StateError` for one that no run of ours has written."""
        state = self.view.frozen()
        check(state)
        return state

    # --- reading

    def catch_up(self, drawer: Readable) -> None:
        """Read the commits made since; raise `StateError` where they do not continue what was read."""
        keys = drawer.list(entry_key(self.serial))
        entries = [each for each in keys if is_entry(each)]
        newest = max((serial_of(each) or 0 for each in keys if not is_entry(each)), default=0)
        has_gap = bool(newest) and (not entries or serial_of(entries[0]) != self.serial + 1)
        if newest >= self.serial + SNAPSHOT_EVERY or (newest > self.serial and has_gap):
            self._load(drawer, newest)
            entries = [each for each in entries if each > entry_key(newest)]
        self.snapshot = max(newest, self.snapshot)
        for key in entries:
            # A list may lag behind: entries missing before a listed one are read by their keys.
            for missing in map(entry_key, range(self.serial + 1, serial_of(key) or 0)):
                self._add(self._read(drawer, missing), missing)
            self._add(self._read(drawer, key), key)

    def _load(self, drawer: Readable, serial: int) -> None:
        key = snapshot_key(serial)
        found = self._read(drawer, key)
        if found.header.serial != serial:  # the lineage may be another: see `SetLineage`
            raise damaged(f"{key} is not of this state")
        self._start(StateView(found.header.lineage, serial, b""))
        self.texts.update(found.texts)
        self.view.absorb(found.writes(self._reader))
        self.nonce, self.writer = found.header.nonce, found.header.writer

    def _add(self, found: StoredCommit, key: str) -> None:
        if found.header.serial != self.serial + 1 or serial_of(key) != found.header.serial:
            raise damaged(f"{key} is not the entry after {self.serial}")
        if self.serial and found.header.lineage != self.view.lineage:
            raise damaged(f"{key} is of another state than the entry before it")
        self.texts.update(found.texts)
        self.advance(found.header, found.writes(self._reader), {})

    def _read(self, drawer: Readable, key: str) -> StoredCommit:
        data = drawer.get(key)
        if data is None:
            raise damaged(f"{key} is missing")
        return decoded(data, key, self._name)

    # --- writing

    def entry(self, header: Header, writes: Sequence[Write]) -> tuple[bytes, dict[str, str]]:
        """Return the bytes of the next entry, and the long texts that its writes refer to."""
        texts: dict[str, str] = {}
        return encoded(header, writes, texts, self.texts.keys()), texts

    def advance(self, header: Header, writes: Iterable[Write], texts: Mapping[str, str]) -> None:
        """Apply the next entry.

        At every hundredth serial the texts that nothing refers to are dropped. All readers and writers do so at the
        same serials, so a writer that leaves a text out of an entry knows that every reader has it.
        """
        self.texts.update(texts)
        self.view.lineage, self.view.serial = header.lineage, header.serial
        self.view.absorb(writes)
        self.nonce, self.writer = header.nonce, header.writer
        self._whole = None
        if self.serial % SNAPSHOT_EVERY == 0:
            used: dict[str, str] = {}
            self._whole = self._encoded(used)
            self.texts.clear()
            self.texts.update(used)

    def as_snapshot(self) -> bytes:
        """Return the bytes of a snapshot of what was read; all who have read as far compute the same bytes."""
        return self._encoded(dict(self.texts)) if self._whole is None else self._whole

    def _encoded(self, texts: dict[str, str]) -> bytes:
        """Return a snapshot with these texts; those that it refers to are added to them."""
        header = Header(self.view.lineage, self.serial, self.nonce, self.writer)
        state = self.view.frozen()
        rows = replace(
            state,
            records={each: state.records[each] for each in sorted(state.records)},
            generations={each: state.generations[each] for each in sorted(state.generations)},
            foreign={each: state.foreign[each] for each in sorted(state.foreign)},
        )
        return encoded(header, all_of(rows), texts, ())
