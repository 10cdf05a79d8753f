"""The driver of a controller's loop: runs within the loop, wake-ups, changed files, and the lead."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypedDict, Unpack

from reconciler.driver.leading import Leading
from reconciler.driver.loop import Driver, Sender
from reconciler.model.fleet import DesiredFleet
from reconciler.ports import (
    Knocked,
    Lead,
    ReadFiles,
    Run,
    SecretSource,
    StateStore,
    TranscriptArchive,
    WaitUntilWoken,
)


class _RunParts(TypedDict):
    """The parts that a fleet's driver shares with the driver of each of its runs; see `Driver`."""

    store: StateStore
    holder: str
    secrets: SecretSource
    archive: TranscriptArchive | None
    on_event: Callable[[Any], None]
    clock: Callable[[], float]


class ControllerDriver(Driver):
    """A driver for one fleet of a controller. `read_files` returns the fleet if its files have changed, else None."""

    def __init__(
        self,
        sender: Sender,
        *,
        read_files: Callable[[], Awaitable[DesiredFleet | None]],
        **parts: Unpack[_RunParts],
    ) -> None:
        super().__init__(sender, **parts)
        self._new_run = partial(_TurnDriver, sender, **parts)
        self._read_files = read_files
        lease = parts["store"].controllers
        self._leading = None if lease is None else Leading(lease, parts["holder"], self._end_run)
        self._current: Driver | None = None
        self._wakers: Counter[str] = Counter()
        self._woken = asyncio.Event()

    def wake(self, source: str) -> None:
        """Let the loop continue now; `source` names what woke it."""
        self._wakers[source] += 1
        self._woken.set()

    def stop(self) -> None:
        """Stop as `Driver.stop` does, together with the run in progress."""
        super().stop()
        self._end_run()
        self._woken.set()

    def _end_run(self) -> None:
        if self._current is not None:
            self._current.stop()

    async def close(self) -> None:
        """Give the lead up, so that a controller that stands by can take it."""
        if self._leading is not None:
            await self._leading.give_back()

    async def _perform_standing(self, effect: Knocked | WaitUntilWoken | ReadFiles | Lead | Run) -> Any:
        match effect:
            case Knocked():
                return await self._held_state().is_knocked()
            case WaitUntilWoken(seconds):
                return await self._wait(seconds)
            case ReadFiles():
                return await self._read_files()
            case Lead():
                return self._leading is None or await self._leading.lead()
            case Run(steps):
                return await self._run_one(steps)

    async def _wait(self, seconds: float) -> Mapping[str, int]:
        if not self.stopped:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), seconds)
        woken = dict(self._wakers)
        self._wakers.clear()
        if not self.stopped:
            self._woken.clear()
        return woken

    async def _run_one(self, steps: Callable[[], Any]) -> Any:
        self._current = self._new_run()
        if self.stopped:
            self._current.stop()
        try:
            return await self._current.run(steps())
        finally:
            self._current = None


class _TurnDriver(Driver):
    """The driver of one turn: it can find out whether another process waits for the lock."""

    async def _perform_standing(self, effect: Knocked | WaitUntilWoken | ReadFiles | Lead | Run) -> Any:
        if isinstance(effect, Knocked):
            return await self._held_state().is_knocked()
        return await super()._perform_standing(effect)
