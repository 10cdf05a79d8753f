"""What a log needs of the place that it lies in: keys that are made once, read, and listed in order.

Every object store has these three (a create that fails where the key is there); not all can update on a condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol


class Creation(StrEnum):
    """How the attempt to make a key ended."""

    MADE = "made"
    # Also what a second attempt is told whose first one was executed: only the entry's nonce says whose it is.
    EXISTS = "exists"
    UNKNOWN = "unknown"


class Readable(Protocol):
    """Keys with bytes that never change. Calls block; `StateError` where the place cannot be used."""

    def get(self, key: str) -> bytes | None:
        """The bytes of a key, also of one that somebody has just made; None where it is not there."""
        ...

    def list(self, after: str) -> Sequence[str]:
        """The keys greater than `after`, sorted. What a snapshot has taken the place of may be left out."""
        ...


class Drawer(Readable, Protocol):
    """Keys that can be made, each of them once."""

    def create(self, key: str, data: bytes) -> Creation:
        """Make a key that is not there yet; what is there stays."""
        ...


_ENTRIES = "log/"
_SNAPSHOTS = "snapshot/"
_DIGITS = 12


def entry_key(serial: int) -> str:
    """The key of the entry that made a serial."""
    return f"{_ENTRIES}{serial:0{_DIGITS}}"


def snapshot_key(serial: int) -> str:
    """The key of a snapshot: the whole state at a serial."""
    return f"{_SNAPSHOTS}{serial:0{_DIGITS}}"


def serial_of(key: str) -> int | None:
    """The number in a key of ours; None for any other text."""
    number = key.removeprefix(_ENTRIES if is_entry(key) else _SNAPSHOTS)
    return int(number) if len(number) == _DIGITS and number.isascii() and number.isdigit() else None


def is_entry(key: str) -> bool:
    """Whether a key is one of an entry, not of a snapshot."""
    return key.startswith(_ENTRIES)
