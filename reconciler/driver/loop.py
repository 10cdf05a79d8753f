"""The production driver: perform the effects of the core over sockets, disk and clock, with asyncio.

All concurrency of the product is here. A stop cuts waits short and gives running calls a moment to end. The lease and
the commits are in `driver.holding`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from reconciler.apply.events import Notice
from reconciler.driver.holding import Holding
from reconciler.durations import spelled
from reconciler.errors import ArchiveFailed, ReconcilerError, SecretUnavailable, StateLocked
from reconciler.model.transcript import Transcript
from reconciler.ports import (
    Commit,
    Effect,
    Elapsed,
    Emit,
    Gather,
    Http,
    HttpFailure,
    HttpReply,
    HttpRequest,
    HttpTrouble,
    Knocked,
    Lead,
    Lock,
    Now,
    Preserve,
    Random,
    ReadFiles,
    ReadState,
    Resolve,
    Run,
    SecretSource,
    Sleep,
    StateStore,
    Steps,
    Stopping,
    TranscriptArchive,
    Unlock,
    WaitUntilWoken,
)

T = TypeVar("T")

# The seconds that all running calls together may take after the run was stopped: the state must be durable within
# two seconds.
_LAST_CALL = 1.2
# The seconds between two tries to take the state's lock while another process has it.
_LOCK_PAUSE = 0.1
# The seconds that one transcript may take to become durable.
_ARCHIVE_SECONDS = 20.0
_READS = frozenset({"GET", "HEAD"})


class Sender(Protocol):
    """Performs each request exactly once, also several at a time."""

    async def send(self, request: HttpRequest) -> HttpReply | HttpFailure: ...

    async def aclose(self) -> None: ...


class NoService:
    """The sender of a run that makes no calls."""

    async def send(self, request: HttpRequest) -> HttpReply | HttpFailure:
        return HttpFailure(HttpTrouble.CONNECT, sent=False)

    async def aclose(self) -> None:
        """Do nothing: no connection is open."""


class Driver:
    """Runs steps by performing their effects. `store` may be None for reads only; `clock` gives epoch seconds."""

    def __init__(
        self,
        sender: Sender,
        *,
        store: StateStore | None = None,
        holder: str = "",
        secrets: SecretSource | None = None,
        archive: TranscriptArchive | None = None,
        on_event: Callable[[Any], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sender = sender
        self._state = Holding(store, self.stop, lambda: self._working) if store is not None else None
        # The number of workers that are running a task.
        self._working = 0
        self._holder = holder
        self._secrets = secrets
        self._archive = archive
        self._on_event = on_event
        self._clock = clock
        self._random = random.Random()  # noqa: S311  for jitter and salts, not for keys
        self._stop = asyncio.Event()
        self._last_moment: float | None = None
        self._limits: set[asyncio.Timeout] = set()
        self._has_changed = False
        # The results of effects that need no waiting, as most do.
        self._at_once: Mapping[type, Callable[[Any], Any]] = {
            Now: lambda _: self._clock(),
            Elapsed: lambda _: time.monotonic(),
            Stopping: lambda _: self._stop.is_set(),
            Random: lambda _: self._random.random(),
            Emit: lambda effect: self._on_event(effect.event) if self._on_event is not None else None,
        }

    def stop(self) -> None:
        """Start nothing new, cut waits short, and let running calls end within a moment."""
        if not self._stop.is_set():
            # A run that has changed nothing needs no result of its running reads.
            room = _LAST_CALL if self._has_changed else 0.0
            self._last_moment = asyncio.get_running_loop().time() + room
            for limit in self._limits:
                limit.reschedule(self._last_moment)
        self._stop.set()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    @property
    def has_changed(self) -> bool:
        """Whether any mutating call or commit was sent so far, with any outcome."""
        return self._has_changed

    async def run(self, steps: Steps[T]) -> T:
        """Perform every effect of some steps until they return; return their value, or raise what they raise."""
        value: Any = None
        problem: ReconcilerError | None = None
        while True:
            try:
                effect = steps.send(value) if problem is None else steps.throw(problem)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # typed by the generator
            value, problem = None, None
            try:
                at_once = self._at_once.get(type(effect))
                value = await self._perform(effect) if at_once is None else at_once(effect)
            except ReconcilerError as raised:
                problem = raised

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Http(request):
                return await self._send(request)
            case Commit(writes):
                self._has_changed = True
                return await self._held_state().commit(writes)
            case Sleep(seconds):
                return await self._sleep(seconds)
            case Knocked() | WaitUntilWoken() | ReadFiles() | Lead() | Run():
                return await self._perform_standing(effect)
            case Resolve(references):
                return await self._resolve(references)
            case Preserve(transcript):
                return await self._preserve(transcript)
            case Gather(tasks, limit):
                return await self._gather(tasks, limit)
            case ReadState(likely):
                return await self._held_state().read(likely)
            case Lock(timeout):
                return await self._lock(timeout)
            case Unlock():
                return await self._held_state().release()
            case Now() | Elapsed() | Stopping() | Random() | Emit():
                raise AssertionError(f"{type(effect).__name__} is performed at once")

    async def _perform_standing(self, effect: Knocked | WaitUntilWoken | ReadFiles | Lead | Run) -> Any:
        """Perform an effect of the controller; in other runs no process knocks, and the rest is an error."""
        if isinstance(effect, Knocked):
            return False
        raise ReconcilerError(f"{type(effect).__name__} is an effect of the controller")

    async def _send(self, request: HttpRequest) -> HttpReply | HttpFailure:
        """Perform a request. No mutating one is sent once the run is stopping, or too late in its lease."""
        if request.method not in _READS:
            # Checked here, in the one place that sends: no mutating call starts that could outlast the lease.
            may = self._state is None or await self._state.may_change(request.deadline)
            if self._stop.is_set() or not may:
                return HttpFailure(HttpTrouble.INTERRUPTED, sent=False)
            self._has_changed = True
        try:
            return await self._ended(self._sender.send(request))
        except TimeoutError:
            return HttpFailure(HttpTrouble.INTERRUPTED, sent=True)

    async def _ended(self, work: Awaitable[T]) -> T:
        """Return the result of some work; cancel it and raise `TimeoutError` at the last moment of a stopping run."""
        async with asyncio.timeout_at(self._last_moment) as limit:
            self._limits.add(limit)
            try:
                return await work
            finally:
                self._limits.remove(limit)

    async def _sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # `wait_for` makes a task for it in Python 3.11
                await self._stop.wait()

    async def _resolve(self, references: Any) -> Any:
        if self._secrets is None or not references:
            return {}
        if all(each.scheme == "env" for each in references):
            return self._secrets.resolve(references)  # nothing to wait for
        try:
            return await self._ended(asyncio.to_thread(self._secrets.resolve, references))
        except TimeoutError:
            raise SecretUnavailable("interrupted while the values of secrets were asked for") from None

    async def _preserve(self, transcript: Transcript) -> None:
        if self._archive is None:
            raise ArchiveFailed("this run has no archive")
        try:
            async with asyncio.timeout(_ARCHIVE_SECONDS):
                await asyncio.to_thread(self._archive.preserve, transcript)
        except TimeoutError:
            raise ArchiveFailed(f"the archive gave no answer in {_ARCHIVE_SECONDS:.0f} s") from None

    async def _gather(self, tasks: Sequence[Callable[[], Steps[Any]]], limit: int) -> list[Any]:
        """Run tasks in order, up to `limit` at a time; return the results."""
        results: list[Any] = [None] * len(tasks)
        places = iter(range(len(tasks)))

        async def work() -> None:
            for place in places:
                self._working += 1
                try:
                    results[place] = await self.run(tasks[place]())
                except Exception as raised:  # noqa: BLE001  it becomes the result of its task
                    results[place] = raised
                finally:
                    self._working -= 1

        await asyncio.gather(*(work() for _ in range(min(limit, len(tasks)))))
        return results

    # --- the state

    def _held_state(self) -> Holding:
        if self._state is None:
            raise ReconcilerError("this command works without a state")
        return self._state

    async def _lock(self, timeout: float) -> None:
        """Wait for the lock in short tries, so that a stop cuts the wait short; an event names the holder."""
        try:
            await self._wait_for_lock(timeout)
        finally:
            await self._held_state().leave_door()

    async def _wait_for_lock(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        told = False
        while True:
            try:
                self._tell(await self._held_state().take(self._holder))
                return
            except StateLocked as problem:
                if self._stop.is_set() or time.monotonic() >= deadline:
                    raise StateLocked(
                        f"{problem.message}; waited {spelled(timeout)}", hint=problem.hint
                    ) from None
                if not told:
                    self._tell(f"waiting up to {spelled(timeout)}: {problem.message}")
                    told = True
                await self._held_state().knock()
            await self._sleep(min(_LOCK_PAUSE, max(0.01, deadline - time.monotonic())))

    def _tell(self, text: str) -> None:
        if text and self._on_event is not None:
            self._on_event(Notice(text))
