"""The exclusive right to write a state file: a lock that ends with its process, and a lease that ends by itself.

The system releases a lock when its process ends. A process that is stopped, or asleep with its machine, would keep it;
so the holder gives a sign of life every few seconds, and a process that waits for a whole lease without seeing one, by
its own clock, takes over. A lock never has to be removed by hand.

The lock only saves conflicts: a writer that lost it is refused (`check`), and a commit that it still sends is refused
by the serial.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Final

import orjson

from reconciler.errors import StateLocked
from reconciler.state.files import NO_LINK, alone_in, lock, read_start, write_start

LEASE_SECONDS: Final = 60.0
# The lease of the leading controller; a leader has no open calls to lose, so another one may take over soon.
CONTROLLER_SECONDS: Final = 15.0
_LONGEST: Final = 4096


class FileLease:
    """The lease on the file `path`, for one holder; `lease` in seconds. Its directory must exist when it is taken."""

    def __init__(self, path: Path, lease: float = LEASE_SECONDS) -> None:
        self.path = path
        self.seconds = lease
        self._descriptor: int | None = None
        self._holder = ""
        self._signs = 0
        self._seen: tuple[int, bytes] | None = None
        self._seen_at = 0.0

    @property
    def is_held(self) -> bool:
        return self._descriptor is not None

    @property
    def is_in_place(self) -> bool:
        """Whether it is held, and no other process has taken over."""
        return self._descriptor is not None and self._is_in_place(self._descriptor)

    def holder(self) -> str | None:
        """Return the present holder, as written in the file, or None. Nothing is taken or written."""
        told = self._read()
        if not told:
            return None  # a holder that releases the lease empties the file
        descriptor = os.open(self.path, os.O_RDONLY | NO_LINK)
        try:
            # A shared lock, released at once: it succeeds if the process that wrote the file has ended.
            lock(descriptor, wait=False, shared=True)
        except BlockingIOError:
            return _holder_in(told)
        finally:
            os.close(descriptor)
        return None

    def take(self, holder: str) -> None:
        """Take the lease now, or raise `StateLocked` with its holder and its end. Raises `OSError` for a bad place."""
        while self._descriptor is None:
            descriptor = self._open()
            try:
                if self._locks(descriptor):
                    self._descriptor = descriptor
                    self._holder = holder
                    self._sign()
                    return
                found = (os.fstat(descriptor).st_ino, read_start(descriptor, _LONGEST))
            finally:
                if self._descriptor is None:
                    os.close(descriptor)
            # A changed file is a sign of life; silence is measured by our own clock from the last change.
            if found != self._seen:
                self._seen, self._seen_at = found, time.monotonic()
            if time.monotonic() - self._seen_at < self.seconds:
                raise self._held_by(found[1])
            self._take_over(found)

    def renew(self) -> None:
        """Give a sign of life, if the lease is held; raise `StateLocked` when another process has taken over."""
        if self._descriptor is None:
            return
        # Not at the same time as a process that has just found the last sign too old: one of the two comes first. The
        # guard is not waited for, since its holder may be stopped: `BlockingIOError` is raised, and the next sign comes
        # soon.
        with alone_in(self.path.parent, wait=False):
            self.check()
            self._sign()

    def _sign(self) -> None:
        assert self._descriptor is not None, "only what is held is signed"
        self._signs += 1
        write_start(self._descriptor, orjson.dumps({"holder": self._holder, "signs": self._signs}))

    def check(self) -> None:
        """Raise `StateLocked` when another process has taken over."""
        if self.is_held and not self.is_in_place:
            raise StateLocked(
                f"the state was taken over by {_holder_in(self._read())}: this run gave no sign of life for "
                f"{self.seconds:.0f} s",
                hint="nothing more was done; run the same command again",
            )

    def release(self) -> None:
        """Release the lease; without effect when it is not held."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    # --- the file

    def _open(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_CREAT | NO_LINK, 0o600)

    def _locks(self, descriptor: int) -> bool:
        """Return whether the lock of the file that is in place now was taken."""
        try:
            lock(descriptor, wait=False)
        except OSError:
            return False
        return self._is_in_place(descriptor)

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            there = self.path.lstat()
        except FileNotFoundError:
            return False
        mine = os.fstat(descriptor)
        return (there.st_ino, there.st_dev) == (mine.st_ino, mine.st_dev) and stat.S_ISREG(there.st_mode)

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()[:_LONGEST]
        except OSError:
            return b""

    def _take_over(self, expired: tuple[int, bytes]) -> None:
        """Delete the file of an expired lease, unless it has changed since; only one process at a time does so."""
        with alone_in(self.path.parent):
            try:
                now = (self.path.lstat().st_ino, self._read())
            except FileNotFoundError:
                return
            if now == expired:
                try:
                    self.path.unlink()
                except PermissionError as problem:  # Windows: an open file cannot be deleted
                    raise self._held_by(
                        expired[1], "end that process: here nobody can take its lock away"
                    ) from problem

    def _held_by(
        self, told: bytes, hint: str = "the lock ends with its process; wait with a longer --lock-timeout"
    ) -> StateLocked:
        silent = time.monotonic() - self._seen_at
        return StateLocked(
            f"the state is held by {_holder_in(told)}; its lease ends after {self.seconds:.0f} s without a sign of life, "
            f"and {silent:.0f} s of silence were seen",
            hint=hint,
        )


def _holder_in(told: bytes) -> str:
    """Return the holder that a lock file names; the file may be half written, or an older version's plain text."""
    try:
        found = orjson.loads(told)
    except ValueError:
        return told.decode(errors="replace").strip() or "another process"
    holder = found.get("holder") if isinstance(found, dict) else None
    return holder if isinstance(holder, str) and holder else "another process"
