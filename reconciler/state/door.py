"""Beside a state's lock: the door at which those knock who wait for it, so that a controller lets them in.

A knock is a shared lock on a file, which ends with its process: nobody is let in who waits no more.
"""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.state.files import NO_LINK, lock


class FileDoor:
    """The door file `path`, for one who knocks or one who listens. Its folder must exist when somebody knocks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def knock(self) -> None:
        """Say that somebody waits, until `leave`; harmless where that is said already."""
        if self._descriptor is not None:
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | NO_LINK, 0o600)
        try:
            lock(descriptor, wait=False, shared=True)
        except OSError:
            os.close(descriptor)  # somebody listens in this instant: the next try is soon
            return
        self._descriptor = descriptor

    def leave(self) -> None:
        """Wait no more; harmless for one who does not."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_knocked(self) -> bool:
        """Whether anybody waits; False also where that cannot be told."""
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
