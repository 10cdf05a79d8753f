"""What the process that renders tells about itself, in memory that it shares with the process that watches it."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.config.templates.memory_limit import more_memory

_TOLD = struct.Struct("<qqd")
_ASKED = struct.Struct("<q")  # behind it: the count at which a template is to be interrupted
SHARED_SIZE = _TOLD.size + _ASKED.size
# What a data file may need: generous, since its size is bounded.
_READ_A_SECOND = 256 * 1024
_MEMORY_FOR_DATA = 32


class TooLong(Exception):
    """A template has taken longer than it may."""


class WorkProgress:
    """What the work tells about itself: which number it is at, that a template begins, how large a file it reads.

    Only a template can be interrupted: our own code is not written to be.
    """

    def __init__(self) -> None:
        self._count = 0
        self._number = -1
        self._granted = 0.0
        self._memory: mmap.mmap | None = None
        self._interruptible = False

    def share(self, memory: mmap.mmap) -> None:
        """From now on the other process sees it too."""
        self._memory = memory
        self.at(-1)

    def at(self, number: int) -> None:
        """It is at this number now."""
        self._interruptible = False
        self._number = number
        self._tell()

    @contextmanager
    def template(self) -> Iterator[None]:
        """A template runs in the block; raises `TooLong` there when the other process asks for it."""
        self._tell()
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Our own code runs in the block, called by a template."""
        before, self._interruptible = self._interruptible, False
        try:
            yield
        finally:
            self._interruptible = before

    def interrupt(self) -> None:
        """Raise `TooLong` if a template runs, and still the one that was asked to end."""
        if self._memory is None or not self._interruptible:
            return
        [asked] = _ASKED.unpack_from(self._memory, _TOLD.size)
        if asked == self._count:
            raise TooLong

    def ask_to_end(self, count: int) -> None:
        """What runs since this count is to be interrupted; the signal follows."""
        assert self._memory is not None, "there is another process"
        _ASKED.pack_into(self._memory, _TOLD.size, count)

    def _tell(self) -> None:
        self._count += 1
        if self._memory is not None:
            _TOLD.pack_into(self._memory, 0, self._count, self._number, self._granted)

    def reads(self, size: int) -> None:
        """It is about to read a file of so many bytes, which takes time and memory in proportion."""
        self._granted += size / _READ_A_SECOND
        if self._memory is not None:
            more_memory(size * _MEMORY_FOR_DATA)
        self._tell()

    @property
    def told(self) -> tuple[int, int, float]:
        """How often it was told, the number, and the seconds granted for files, by whichever process."""
        if self._memory is None:
            return self._count, self._number, self._granted
        count, number, granted = _TOLD.unpack_from(self._memory, 0)
        return count, number, granted
