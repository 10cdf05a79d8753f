"""The storage that a log needs: keys that are made once, read, and listed in order.

Every object store has these three calls (a create that fails if the key exists); not all can update conditionally.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol


class Creation(StrEnum):
    """The result of an attempt to make a key."""

    MADE = "made"
    # Also the result of a second attempt after an executed first one: only the entry's nonce shows whose entry it is.
    EXISTS = "exists"
    UNKNOWN = "unknown"


class Readable(Protocol):
    """Keys with bytes that never change. Calls block; `StateError` where the storage cannot be used."""

    def get(self, key: str) -> bytes | None:
        """Return the bytes of a key, also of one that was just made; None where it does not exist."""
        ...

    def list(self, after: str) -> Sequence[str]:
        """Return the keys greater than `after`, sorted. Entries that a snapshot covers may be left out."""
        ...


class Drawer(Readable, Protocol):
    """Readable keys that can also be made, each of them once."""

    def create(self, key: str, data: bytes) -> Creation:
        """Make a key that does not exist yet; an existing one is left as it is."""
        ...


_ENTRIES = "log/"
_SNAPSHOTS = "snapshot/"
_DIGITS = 12


def entry_key(serial: int) -> str:
    """Return the key of the entry that made a serial."""
    return f"{_ENTRIES}{serial:0{_DIGITS}}"


def snapshot_key(serial: int) -> str:
    """Return the key of a snapshot: the whole state at a serial."""
    return f"{_SNAPSHOTS}{serial:0{_DIGITS}}"


def serial_of(key: str) -> int | None:
    """Return the serial in a key of ours; None for any other text."""
    number = key.removeprefix(_ENTRIES if is_entry(key) else _SNAPSHOTS)
    return int(number) if len(number) == _DIGITS and number.isascii() and number.isdigit() else None


def is_entry(key: str) -> bool:
    """Return whether a key is that of an entry, not of a snapshot."""
    return key.startswith(_ENTRIES)
