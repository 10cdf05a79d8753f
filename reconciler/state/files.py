"""System calls for the files of a state: private new files, durable renames, and locks that end with their process.

Where a system has no POSIX calls (Windows), `msvcrt` locks are used, and what it cannot do is left out: a link is
followed, and a directory is neither locked nor synced.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

# If a link was in the place of a file of ours, we would write to the link's target.
NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
# Whether files have an owner and a mode that say who may write them.
HAS_MODES: Final = hasattr(os, "geteuid")
# The byte that msvcrt locks. Other processes could not read it either, so it comes after everything that is written.
_LOCKED_BYTE: Final = 0x3FFF_FFFF


def create(path: Path) -> int:
    """Return the descriptor of a new, empty file that only this user can read; an existing file is emptied."""
    return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | NO_LINK, 0o600)


def sync_directory(path: Path) -> None:
    """Make renames in a directory durable, where the system can."""
    if HAS_MODES:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def lock(descriptor: int, *, wait: bool, shared: bool = False) -> None:
    """Lock an open file for this process; without `wait`, raise `BlockingIOError` if another process has the lock.

    A `shared` lock only tests: it fails if another process has the exclusive one, and does not exclude other shared
    ones.
    """
    try:
        import fcntl
    except ImportError:
        _lock_without_posix(descriptor, wait=wait)
        return
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)


def _lock_without_posix(descriptor: int, *, wait: bool) -> None:
    msvcrt: Any = importlib.import_module("msvcrt")
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    except OSError as problem:
        raise BlockingIOError(problem.errno, "another process has the lock") from problem


@contextmanager
def alone_in(directory: Path, *, wait: bool = True) -> Iterator[None]:
    """Run the block while this process alone has the lock of a directory; `wait` as in `lock`."""
    if HAS_MODES:
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    else:
        descriptor = os.open(directory / "lease.guard", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        lock(descriptor, wait=wait)
        yield
    finally:
        os.close(descriptor)


def read_start(descriptor: int, size: int) -> bytes:
    """Return at most `size` bytes from the start of an open file."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, size)


def write_start(descriptor: int, data: bytes) -> None:
    """Replace the contents of an open file."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, data)
    os.ftruncate(descriptor, len(data))


# --- small files that a run can do without: errors of the disk are ignored


def read_whole(path: Path, largest: int) -> bytes:
    """Return a file's contents, without following a link; empty if there is none or it exceeds `largest` bytes."""
    with suppress(OSError):
        if path.is_symlink() or not path.is_file():
            return b""
        descriptor = os.open(path, os.O_RDONLY | NO_LINK)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(largest + 1)
        return data if len(data) <= largest else b""
    return b""


def replace_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step, readable by its owner only; errors of the disk are ignored."""
    fresh = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(create(fresh), "wb") as file:
                file.write(data)
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)


def make_ignored(directory: Path) -> None:
    """Create a directory with a `.gitignore` for all of it; errors of the disk are ignored."""
    with suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (directory / ".gitignore").open("x", encoding="utf-8") as file:
            file.write("*\n")
