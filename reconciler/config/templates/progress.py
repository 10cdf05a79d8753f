"""The progress that the rendering process reports, in memory that it shares with the process that watches it.

Also the limit of its own memory, as the system enforces it: reading a data file extends both time and memory.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TOLD = struct.Struct("<qqd")
_ASKED = struct.Struct("<q")  # after it: the count at which a template is to be interrupted
SHARED_SIZE = _TOLD.size + _ASKED.size
# The time and memory allowed for a data file: generous, since its size is bounded.
_READ_A_SECOND = 256 * 1024
_MEMORY_FOR_DATA = 32


class TooLong(Exception):
    """A template has taken longer than it may."""


class WorkProgress:
    """The reported progress: the number of the present item, the start of each template, the size of files read.

    Only a template can be interrupted, because our own code is not written for it.
    """

    def __init__(self) -> None:
        self._count = 0
        self._number = -1
        self._granted = 0.0
        self._memory: mmap.mmap | None = None
        self._interruptible = False

    def share(self, memory: mmap.mmap) -> None:
        """Share the progress with the other process from now on."""
        self._memory = memory
        self.at(-1)

    def at(self, number: int) -> None:
        """Report the number of the present item."""
        self._interruptible = False
        self._number = number
        self._tell()

    @contextmanager
    def template(self) -> Iterator[None]:
        """Report that a template runs in the block; the block raises `TooLong` when the other process asks for it."""
        self._tell()
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Run our own code, called by a template, in the block, without interruption."""
        before, self._interruptible = self._interruptible, False
        try:
            yield
        finally:
            self._interruptible = before

    def interrupt(self) -> None:
        """Raise `TooLong` if the template that was asked to end is still running."""
        if self._memory is None or not self._interruptible:
            return
        [asked] = _ASKED.unpack_from(self._memory, _TOLD.size)
        if asked == self._count:
            raise TooLong

    def ask_to_end(self, count: int) -> None:
        """Ask for an interruption of what runs since this count; the caller then sends the signal."""
        assert self._memory is not None, "there is another process"
        _ASKED.pack_into(self._memory, _TOLD.size, count)

    def _tell(self) -> None:
        self._count += 1
        if self._memory is not None:
            _TOLD.pack_into(self._memory, 0, self._count, self._number, self._granted)

    def reads(self, size: int) -> None:
        """Report that a file of `size` bytes is about to be read, which extends the time and the memory allowed."""
        self._granted += size / _READ_A_SECOND
        if self._memory is not None:
            more_memory(size * _MEMORY_FOR_DATA)
        self._tell()

    @property
    def told(self) -> tuple[int, int, float]:
        """The count of reports, the item's number, and the seconds allowed for files, as last reported."""
        if self._memory is None:
            return self._count, self._number, self._granted
        count, number, granted = _TOLD.unpack_from(self._memory, 0)
        return count, number, granted


# --- memory


def bound_memory(size: int) -> None:
    """Limit this process to `size` bytes of address space."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    with suppress(OSError, ValueError):  # an administrator's bound may be lower
        resource.setrlimit(resource.RLIMIT_AS, (size, hard))


def more_memory(size: int) -> None:
    """Raise the limit by `size` bytes, if there is one."""
    try:
        import resource
    except ImportError:  # Windows: nothing is bound there
        return
    now = resource.getrlimit(resource.RLIMIT_AS)[0]
    if now != resource.RLIM_INFINITY:
        bound_memory(now + size)


def address_space() -> int:
    """Return the bytes of address space that this process has already; 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[0]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
