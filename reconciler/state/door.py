"""A file next to a state's lock by which a process shows that it waits, so that a controller hands the lock over.

A knock is a shared lock on that file. It ends with its process, so that no lock is handed over to an ended one.
"""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.state.files import NO_LINK, lock


class FileDoor:
    """A `blocking.BlockingDoor`: the door file `path`, whose directory must exist before a knock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def knock(self) -> None:
        if self._descriptor is not None:
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | NO_LINK, 0o600)
        try:
            lock(descriptor, wait=False, shared=True)
        except OSError:
            os.close(descriptor)  # another process is looking at this moment: the next try is soon
            return
        self._descriptor = descriptor

    def leave(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_knocked(self) -> bool:
        try:
            descriptor = os.open(self.path, os.O_RDWR | NO_LINK)
        except OSError:
            return False
        try:
            lock(descriptor, wait=False)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return False
