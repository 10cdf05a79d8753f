"""The files of a fleet that a controller keeps: read again when they have changed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from reconciler.cli.loading import load_fleet
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output
from reconciler.errors import UsageError
from reconciler.model.fleet import DesiredFleet
from reconciler.state.opening import STATE_DIRECTORY

# Directories that hold no files of the fleet: the state, and those of tools.
_LEFT_OUT = frozenset({".git", STATE_DIRECTORY, "__pycache__"})


class WatchedFiles:
    """The files of one fleet. The first `read` returns None, because the caller has just loaded them.

    `check` raises for a fleet that must not be kept. Files that are being written, for example by a checkout, are read
    only after two looks in a row saw the same.
    """

    def __init__(
        self, flags: FleetFlags, output: Output, check: Callable[[DesiredFleet], None] = lambda _: None
    ) -> None:
        self._flags = flags
        self._check = check
        self._output = output
        self._read = self._seen = self._signature()
        self._is_settled = False

    def again(self) -> None:
        """Make the next `read` load the files at once: the caller knows that they have changed and are complete."""
        self._read, self._is_settled = (), True

    async def read(self) -> DesiredFleet | None:
        """Return the fleet if its files have changed and are complete; else None. Raises what a load raises."""
        found = await asyncio.to_thread(self._signature)
        before, self._seen = self._seen, found
        if found == self._read or (found != before and not self._is_settled):
            return None
        self._read, self._is_settled = found, False
        try:
            fleet = await asyncio.to_thread(load_fleet, self._flags, self._output)
        except OSError as problem:
            raise UsageError(
                f"the files cannot be read: {problem.strerror or type(problem).__name__}"
            ) from problem
        if await asyncio.to_thread(self._signature) != found:
            self._read = ()  # the files changed during the load, so its result does not count
            return None
        await asyncio.to_thread(self._check, fleet)
        return fleet

    def _signature(self) -> tuple[tuple[str, int, int, int], ...]:
        return tuple(sorted(_files(Path(self._flags.directory))))


def _files(directory: Path) -> Iterator[tuple[str, int, int, int]]:
    """Yield each file's path with the times, size and inode that change when it is written or exchanged."""
    for folder, folders, names in os.walk(directory):
        folders[:] = [each for each in folders if each not in _LEFT_OUT]
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118  called some thousand times in a few seconds
            try:
                status = os.stat(path)  # noqa: PTH116
            except OSError:
                continue
            yield path, status.st_mtime_ns, status.st_size, status.st_ino
