"""The simulated driver: performs the effects of one run, as `reconciler.driver.loop` does, in virtual time.

A run is a process: it can be crashed before, after and in the middle of every effect that leaves it, and nothing of
it survives but what is durable. Effects that stay inside a process (its clocks, its dice, what it says) are performed
on the spot, as the production driver does; there is nothing between them that a crash could tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.apply.events import Finished, Notice, Progress
from reconciler.driver.committing import make_durable
from reconciler.errors import ReconcilerError, SecretUnavailable, StateLocked
from reconciler.model.writes import Write
from reconciler.ports import (
    Commit,
    Effect,
    Elapsed,
    Emit,
    Gather,
    Http,
    HttpFailure,
    HttpReply,
    HttpTrouble,
    Knocked,
    Lock,
    Now,
    Random,
    ReadState,
    Resolve,
    Sleep,
    Steps,
    Stopping,
    Unlock,
)
from reconciler.secrets import Secret
from reconciler.workflow import Planned

from .translate import outcome_of, plan_rows, problem_of, writes_of

if TYPE_CHECKING:
    from .world import Universe

T = TypeVar("T")

# As in the production driver: how long a call in flight may go on after the run was told to stop.
_LAST_CALL = 1.2
# How long the right to write outlasts its holder's last sign of life.
LEASE = 60.0


class Point(StrEnum):
    """Where in an effect a process is killed."""

    BEFORE = "before"  # nothing of it has happened
    TORN = "torn"  # it happens, or half of it, and nobody is left to hear of it
    AFTER = "after"  # it has happened and was answered, and nothing followed


@dataclass(frozen=True, slots=True)
class Crash:
    """Kill the process at its `effect`-th outward effect, counted from 0."""

    effect: int
    point: Point


@dataclass(slots=True)
class Fiber:
    """One task of a process."""

    steps: Steps[Any]
    done: Callable[[Any, BaseException | None], None]
    retry_of: str | None = None


@dataclass(slots=True)
class _Gathering:
    """A `Gather` under way: its workers take tasks in order."""

    fiber: Fiber
    tasks: Sequence[Callable[[], Steps[Any]]]
    results: list[Any]
    places: Iterator[int]
    workers: int


@dataclass(slots=True)
class Clocks:
    """How wrong a machine's clock is: seconds ahead, and how fast it runs."""

    ahead: float = 0.0
    rate: float = 1.0


@dataclass(eq=False, slots=True)
class Process:
    """One run of a verb on some machine. `result` and `error` are set when it has ended by itself.

    On a `poor` machine no secret has a value.
    """

    world: Universe
    label: str
    clocks: Clocks = field(default_factory=Clocks)
    crash: Crash | None = None
    crash_rate: float = 0.0
    poor: bool = False
    paused_until: float = 0.0
    fenced: bool = False
    started: float = 0.0
    serial: int = -1
    effects: int = 0
    mutations: int = 0
    lasted: float = 0.0
    alive: bool = True
    killed: bool = False
    stopping: bool = False
    result: Any = None
    error: BaseException | None = None
    _batch: list[tuple[tuple[Write, ...], Fiber, list[bool]]] = field(default_factory=list)
    _is_committing: bool = field(default=False)
    _sleepers: list[tuple[Fiber, list[bool]]] = field(default_factory=list)
    _calls: list[tuple[Fiber, list[bool]]] = field(default_factory=list)

    # --- life

    def start(self, steps: Steps[Any]) -> None:
        """Begin to run a verb; a run within a controller goes on with its controller's clock."""
        self.started = self.started or self.world.time.now
        self._resume(Fiber(steps, self._ended), None, None)

    def kill(self) -> None:
        """End at once, as SIGKILL does: nothing is tidied up but what the system tidies."""
        self.alive, self.killed = False, True
        self.world.note(f"{self.label} killed")
        self.world.locks.died(self)
        self.world.checker.ended(self, None)

    def stop(self) -> None:
        """What SIGTERM does: waits end now, calls in flight within a moment, nothing new begins."""
        if not self.alive or self.stopping or self._waits(self.stop):
            return
        self.stopping = True
        self.world.note(f"{self.label} told to stop")
        sleepers, self._sleepers = self._sleepers, []
        for fiber, token in sleepers:
            self._answer_once(fiber, token, None)
        calls, self._calls = self._calls, []
        for fiber, token in calls:
            failure = HttpFailure(HttpTrouble.INTERRUPTED, sent=True)
            self.world.time.after(_LAST_CALL, partial(self._answer_once, fiber, token, failure))

    def pause(self, seconds: float) -> None:
        """What SIGSTOP, a lid or a migration does: nothing is heard, said or begun until it is over."""
        if self.alive:
            self.paused_until = self.world.time.now + seconds
            self.world.note(f"{self.label} pauses for {seconds:.0f} s")
            self.world.seen.hit("pause: longer than a lease" if seconds > LEASE else "pause: short")
            self.world.locks.paused(self, self.world.time.now)

    def _waits(self, action: Callable[[], None]) -> bool:
        """Whether the process is paused; then the action comes when that is over."""
        if self.paused_until <= self.world.time.now:
            return False
        self.world.time.at(self.paused_until, action)
        return True

    def _ended(self, result: Any, error: BaseException | None) -> None:
        self.result, self.error, self.alive = result, error, False
        self.lasted = self.world.time.now - self.started
        self.world.note(f"{self.label} ended: {type(error).__name__ if error else type(result).__name__}")
        self.world.locks.died(self)
        self.world.checker.ended(self, outcome_of(result, error))

    @property
    def wall(self) -> float:
        """What this machine takes for the time."""
        return (
            self.world.time.now
            + self.clocks.ahead
            + (self.world.time.now - self.started) * (self.clocks.rate - 1.0)
        )

    # --- effects

    def _resume(self, fiber: Fiber, value: Any, error: BaseException | None) -> None:
        """Run a task up to its next effect that takes time."""
        if not self.alive or self._waits(partial(self._resume, fiber, value, error)):
            return
        while True:
            try:
                effect = fiber.steps.send(value) if error is None else fiber.steps.throw(error)
            except StopIteration as end:
                fiber.done(end.value, None)
                return
            except Exception as raised:
                fiber.done(None, raised)
                return
            value, error = None, None
            match effect:
                case Now():
                    value = self.wall
                case Elapsed():
                    value = (self.world.time.now - self.started) * self.clocks.rate
                case Random():
                    value = self.world.chance.random()
                case Stopping():
                    value = self.stopping
                case Knocked():
                    value = self.world.locks.is_knocked_by_other(self)
                case Emit(event):
                    self._said(event)
                case Gather(tasks, limit):
                    self._gather(fiber, tasks, limit)
                    return
                case Sleep(seconds) if self.stopping or seconds <= 0:
                    pass
                case _:
                    self._perform(fiber, effect)
                    return

    def _said(self, event: object) -> None:
        """Tell the checker what the engine says of itself, in plain words."""
        match event:
            case Planned(plan):
                self.world.checker.shown(self, plan_rows(plan))
            case Finished(detail=text) | Progress(text=text) | Notice(text=text) if text:
                self.world.checker.said(self, text)

    def _perform(self, fiber: Fiber, effect: Effect) -> None:
        """An outward effect: killable, and answered later."""
        point = self._dies_at()
        if point is Point.BEFORE:
            self.kill()
            return
        token = [True]
        if point is Point.AFTER:
            token.append(True)  # whoever answers kills instead
        match effect:
            case Http(request) if request.method != "GET" and self._is_fenced():
                failure = HttpFailure(HttpTrouble.INTERRUPTED, sent=False)
                self.world.time.after(0.001, lambda: self._resume(fiber, failure, None))
            case Http():
                self._calls.append((fiber, token))
                self.world.network.send(
                    self, fiber, effect.request, lambda got: self._answer_once(fiber, token, got)
                )
            case Commit(writes):
                self._commit(fiber, writes, token)
            case Sleep(seconds):
                if self.world.locks.holds(self):
                    self.world.checker.slept(seconds)
                self._sleepers.append((fiber, token))
                self.world.time.after(
                    seconds / self.clocks.rate, lambda: self._answer_once(fiber, token, None)
                )
            case Resolve(references):
                values = {each: Secret(self.world.secret(each.text)) for each in sorted(references)}
                missing = SecretUnavailable("secrets without a value") if self.poor and values else None
                self.world.time.after(0.001, lambda: self._answer_once(fiber, token, values, missing))
            case Lock(timeout):
                self.world.locks.acquire(
                    self, timeout, lambda error: self._answer_once(fiber, token, None, error)
                )
            case Unlock():
                self.world.locks.release(self)
                self.world.time.after(0.0, lambda: self._answer_once(fiber, token, None))
            case ReadState():
                self._read(fiber, token)
            case _:
                self._perform_standing(fiber, effect, token)
        if point is Point.TORN and self.alive:
            self.kill()

    def _perform_standing(self, fiber: Fiber, effect: Effect, token: list[bool]) -> None:
        """What only a controller asks for."""
        raise TypeError(f"{effect} is not an outward effect of a run")

    def _is_fenced(self) -> bool:
        """As the production driver asks before each call: whether somebody has taken the lease over meanwhile."""
        if self.fenced and not self.stopping:
            self.world.seen.hit("lease: lost, and no call was begun")
            self.stop()
        return self.fenced

    def _dies_at(self) -> Point | None:
        """Whether this effect is the last one, and where in it."""
        number, self.effects = self.effects, self.effects + 1
        if self.crash is not None:
            return self.crash.point if self.crash.effect == number else None
        if self.crash_rate and self.world.chance.random() < self.crash_rate:
            return self.world.chance.choice(tuple(Point))
        return None

    def _answer_once(
        self, fiber: Fiber, token: list[bool], value: Any, error: BaseException | None = None
    ) -> None:
        if not self.alive or not token[0]:
            return
        if self._waits(partial(self._answer_once, fiber, token, value, error)):
            return
        token[0] = False
        if len(token) > 1:
            self.kill()
            return
        if isinstance(value, (HttpReply, HttpFailure)):
            self._calls = [each for each in self._calls if each[1] is not token]
            if isinstance(value, HttpReply):
                self.world.checker.answered(self, fiber, value.status, value.headers, value.body)
            else:
                self.world.checker.answered(self, fiber, None, {}, b"")
        elif self._sleepers:
            self._sleepers = [each for each in self._sleepers if each[1] is not token]
        self._resume(fiber, value, error)

    def _read(self, fiber: Fiber, token: list[bool]) -> None:
        try:
            state = self.world.store.read()
        except ReconcilerError as raised:
            problem = raised
            self.world.time.after(0.001, lambda: self._answer_once(fiber, token, None, problem))
            return
        self.serial = state.serial
        self.world.checker.read(self, [each.name for each in state.intents if each.is_of_a_join])
        self.world.time.after(0.001, lambda: self._answer_once(fiber, token, state))

    # --- commits: those that are ready together share one durable write

    def _commit(self, fiber: Fiber, writes: tuple[Write, ...], token: list[bool]) -> None:
        self._batch.append((writes, fiber, token))
        if len(self._batch) == 1 and not self._is_committing:
            self.world.time.after(0.0, self._flush)

    def _flush(self) -> None:
        """One commit at a time, as in the production driver: what comes meanwhile waits for the answer to this one."""
        if self.alive and self._waits(self._flush):
            return
        batch, self._batch = self._batch, []
        self._is_committing = True
        if not self.alive and self.world.chance.random() < 0.5:
            return  # died in the middle of it, and it came to nothing; or else it became durable all the same
        every = [write for writes, _, _ in batch for write in writes]
        problem: BaseException | None = None
        try:
            self.world.nonces += 1
            steps = make_durable(
                self.world.store.ports.ledger, every, expected=self.serial, nonce=str(self.world.nonces)
            )
            self.serial = _finished(steps)
        except ReconcilerError as raised:
            problem = raised
        self.world.checker.committed(self, writes_of(every), problem_of(problem))
        seconds = self.world.store.seconds()
        for _, fiber, token in batch:
            self.world.time.after(seconds, partial(self._answer_once, fiber, token, None, problem))
        self.world.time.after(seconds, self._committed)

    def _committed(self) -> None:
        self._is_committing = False
        if self._batch:
            self.world.time.after(0.0, self._flush)

    # --- tasks side by side

    def _gather(self, fiber: Fiber, tasks: Sequence[Callable[[], Steps[Any]]], limit: int) -> None:
        workers = min(limit, len(tasks))
        work = _Gathering(fiber, tasks, [None] * len(tasks), iter(range(len(tasks))), workers)
        if not workers:
            self.world.time.after(0.0, lambda: self._resume(fiber, [], None))
        for _ in range(workers):
            self.world.time.after(0.0, lambda: self._take(work))

    def _take(self, work: _Gathering) -> None:
        if self._waits(partial(self._take, work)):
            return
        place = next(work.places, None)
        if place is None:
            work.workers -= 1
            if not work.workers:
                self._resume(work.fiber, work.results, None)
            return

        def done(result: Any, error: BaseException | None) -> None:
            work.results[place] = result if error is None else error
            self.world.time.after(0.0, lambda: self._take(work))

        self._resume(Fiber(work.tasks[place](), done), None, None)


def _finished(work: Coroutine[Any, Any, T]) -> T:
    """What some work gives that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # typed by the coroutine
    raise AssertionError("it waits for something")


class Locks:
    """The state's lock: it dies with its process. Broken, it lets everybody in; then only the serial protects."""

    def __init__(self, world: Universe) -> None:
        self._world = world
        self._holders: list[Process] = []
        self._silent_since: dict[Process, float] = {}
        self._held_since: dict[Process, float] = {}
        # Since when each run waits that has found the lock taken.
        self._waiting: dict[Process, float] = {}
        self.broken = False

    def paused(self, process: Process, now: float) -> None:
        """A holder gives no sign of life from now on, until its pause is over."""
        if process in self._holders:
            self._silent_since[process] = now

    def _take_over(self) -> None:
        """Whoever waits takes the lease from a holder that was silent for a whole one."""
        now = self._world.time.now
        for holder in list(self._holders):
            since = self._silent_since.get(holder)
            if since is not None and holder.paused_until <= now:
                del self._silent_since[holder]  # it goes on, and gives signs again
            elif since is not None and now - since >= LEASE:
                self._holders.remove(holder)
                holder.fenced = True
                self._world.seen.hit("lease: taken over")

    def acquire(
        self, process: Process, timeout: float, answer: Callable[[BaseException | None], None]
    ) -> None:
        """Wait for the lock, as the stores do: looking again and again until the time is up."""
        ends = self._world.time.now + timeout

        def look() -> None:
            if not process.alive:
                return
            self._take_over()
            if not self._holders or self.broken:
                self._waiting.pop(process, None)
                self._holders.append(process)
                self._held_since[process] = self._world.time.now
                self._world.checker.locked(process)
                answer(None)
            elif self._world.time.now >= ends:
                self._waiting.pop(process, None)
                answer(StateLocked(f"the state is held by {self._holders[0].label}; waited {timeout:.0f} s"))
            else:
                self._waiting.setdefault(process, self._world.time.now)
                self._world.time.after(0.5, look)

        self._world.time.after(0.001, look)

    def release(self, process: Process) -> None:
        """Give the lock back."""
        if process in self._holders:
            self._world.checker.held(process, self._held_since[process])
        self.died(process)

    def died(self, process: Process) -> None:
        """What a process held, and waited for, ends with it."""
        self._silent_since.pop(process, None)
        self._held_since.pop(process, None)
        self._waiting.pop(process, None)
        if process in self._holders:
            self._holders.remove(process)

    def is_knocked_by_other(self, process: Process) -> bool:
        """Whether a run other than this one waits for the lock."""
        return any(each is not process for each in self._waiting)

    @property
    def waited(self) -> float:
        """For how long somebody has waited for the lock, seconds; 0.0 where nobody does."""
        return max((self._world.time.now - since for since in self._waiting.values()), default=0.0)

    @property
    def holder(self) -> Process | None:
        """Who has the lock."""
        return self._holders[0] if self._holders else None

    def holds(self, process: Process) -> bool:
        return process in self._holders

    @property
    def is_free(self) -> bool:
        return not self._holders
