"""The loop of one fleet: what is known wakes it, and each turn looks at the world anew.

Nothing in here decides what is done: that is the plan's. Here is when, and who: after a roll, when an address is due, when
somebody wakes it; as the leader, or standing by.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler import workflow
from reconciler.apply.events import Notice
from reconciler.controller.roll import OnRoll, Roll
from reconciler.controller.turn import WITHOUT_FILES, Turned, TurnResult, turn
from reconciler.errors import AuthenticationFailed, IncompleteRead, ReconcilerError, ServiceError, UsageError
from reconciler.model.address import Address
from reconciler.model.fleet import DesiredFleet
from reconciler.plan.due import Due
from reconciler.ports import (
    Elapsed,
    Emit,
    Lead,
    Now,
    Provider,
    ReadFiles,
    Run,
    Steps,
    Stopping,
    WaitUntilWoken,
)
from reconciler.values import dataclass
from reconciler.workflow.job import Job

# How long the loop sleeps at most, seconds: so often the files are looked at, and a sign of life is given.
LONGEST_SLEEP = 5.0
_SHORTEST_SLEEP = 0.05
# After a turn that found the state locked.
_LOCKED = 1.0
# After a turn in which the state or the files were at fault.
_BROKEN = 10.0
# How many transcripts are brought up to date at a time: a repair waits no longer than those take.
_TRANSCRIPTS = 20
# How long a service that refuses us is left alone at most.
_REFUSED = 300.0


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A turn of a fleet, and how long it took, seconds; an event."""

    turned: Turned
    seconds: float


@dataclass(frozen=True, slots=True)
class FilesRead:
    """The files were read again: the fleet that they declare, or why the last good one goes on; an event."""

    fleet: DesiredFleet
    problem: ReconcilerError | None = None


@dataclass(frozen=True, slots=True)
class Led:
    """Whether this controller leads has changed; an event."""

    leads: bool


@dataclass(frozen=True, slots=True)
class Woken:
    """Somebody has woken the loop; an event."""

    source: str


@dataclass(frozen=True, slots=True)
class BeganRound:
    """The loop has something to look at; an event."""


@dataclass(frozen=True, slots=True)
class CameRound:
    """The loop has come round; an event. `due` is the latest word on when the clock makes something due."""

    due: Due | None
    ready: bool


class Standing:
    """One fleet as the controller keeps it; `job` is that of its last good files. Nothing in it outlives the process."""

    def __init__(
        self, job: Job, provider: Provider, roll: Roll, *, longest_sleep: float = LONGEST_SLEEP
    ) -> None:
        self.job = job
        self._longest_sleep = longest_sleep
        self.provider = provider
        self.roll = roll
        self._files_are_good = True
        self._leads: bool | None = None
        self._is_woken = True
        self._roll_seen = -1
        self._not_before = 0.0
        self._due: Due | None = None
        self._is_ready = False
        # When the transcript of each address was last asked for, by the monotonic clock.
        self._kept: dict[Address, float] = {}

    def stand(self) -> Steps[None]:
        """Keep the fleet until the run is told to stop."""
        while not (yield Stopping()):
            yield Emit(BeganRound())
            yield from self._read_files()
            yield from self._campaign()
            now: float = yield Elapsed()
            if self._leads and (yield from self._is_due(now)):
                yield from self._turn()
            elif self._leads and (waiting := self._transcripts_due(now)):
                yield from self._keep_transcripts(waiting, now)
            elif not self._leads and now >= max(self.roll.next_at, self.roll.blocked_until):
                yield from self._stand_by()
            yield Emit(CameRound(self._due, self._is_ready))
            woken: frozenset[str] = yield WaitUntilWoken((yield from self._pause()))
            for source in sorted(woken):
                yield Emit(Woken(source))
            if woken:
                self._is_woken = True
                self.roll.next_at = 0.0

    def _read_files(self) -> Steps[None]:
        try:
            fleet: DesiredFleet | None = yield ReadFiles()
            if fleet is None:
                return
            self._check_same(fleet)
        except ReconcilerError as problem:
            self._files_are_good = False
            self._is_woken = True
            yield Emit(FilesRead(self.job.fleet, problem))
            return
        self.job = replace(self.job, fleet=fleet)
        self._files_are_good = self._is_woken = True
        yield Emit(FilesRead(fleet))

    def _check_same(self, fleet: DesiredFleet) -> None:
        """Raise `UsageError` for files that ask for something that a running controller does not change into."""
        mine = self.job.fleet
        if not fleet.agents:
            raise UsageError(
                "the files declare no agent at all", hint="an empty fleet is taken for a mistake"
            )
        if (fleet.owner, fleet.service) != (mine.owner, mine.service):
            raise UsageError(
                f"the files are those of {fleet.owner} on {fleet.service.kind} now, and this controller keeps {mine.owner} "
                f"on {mine.service.kind}",
                hint="start the controller anew for another fleet or service",
            )

    def _campaign(self) -> Steps[None]:
        leads = False
        try:
            leads = yield Lead()
        except ReconcilerError as problem:
            yield Emit(TurnEnded(Turned(TurnResult.FAILED, problem=problem), 0.0))
        if leads is not self._leads:
            self._leads = self._is_woken = leads
            yield Emit(Led(leads))

    def _is_due(self, now: float) -> Steps[bool]:
        if now < max(self._not_before, self.roll.blocked_until):
            return False
        if self._is_woken or self.roll.made != self._roll_seen or now >= self.roll.next_at:
            return True
        return self._due is not None and (yield from self._time()) >= self._due.at

    def _time(self) -> Steps[float]:
        """The service's time."""
        here: float = yield Now()
        return here + (self.provider.clock_skew or 0.0)

    def _turn(self) -> Steps[None]:
        job = self.job
        if not self._files_are_good:
            only = WITHOUT_FILES if job.policy.only is None else job.policy.only & WITHOUT_FILES
            job = replace(job, policy=replace(job.policy, only=only))
        self._is_woken = False
        began: float = yield Elapsed()
        turned: Turned = yield Run(lambda: turn(job, self.provider, self.roll))
        ended: float = yield Elapsed()
        self._roll_seen = self.roll.made
        if turned.result is not TurnResult.LOCKED:
            self._due = turned.due
        yield from self._after(turned, ended)
        yield Emit(TurnEnded(turned, ended - began))

    def _after(self, turned: Turned, now: float) -> Steps[None]:
        """When the next turn may begin, by what came of this one."""
        match turned.result:
            case TurnResult.LOCKED:
                self._is_woken = True
                self._not_before = now + _LOCKED
            case TurnResult.FAILED if isinstance(turned.problem, AuthenticationFailed):
                yield from self.roll.fail(longest=_REFUSED)
            case TurnResult.FAILED if isinstance(turned.problem, (ServiceError, IncompleteRead)):
                yield from self.roll.fail(longest=self.roll.interval)
            case TurnResult.FAILED:
                self._not_before = now + _BROKEN  # the state, a secret: the other fleets of the App ID go on
            case _:
                self._is_ready = True
                self.roll.succeed()

    def _transcripts_due(self, now: float) -> tuple[Address, ...]:
        """The addresses whose transcripts are to be brought up to date, the longest waiting first: some at a time."""
        archive = self.job.fleet.archive
        if archive is None or now < self.roll.blocked_until:
            return ()
        waiting = sorted((self._kept.get(each, -archive.every), each) for each in self.job.fleet.agents)
        return tuple(each for at, each in waiting[:_TRANSCRIPTS] if now >= at + archive.every)

    def _keep_transcripts(self, addresses: tuple[Address, ...], now: float) -> Steps[None]:
        """What cannot be archived is told, and tried again with the next round; nothing else depends on it."""
        job, provider = replace(self.job, memory=self.roll.memory), OnRoll(self.provider, self.roll)
        self._kept |= dict.fromkeys(addresses, now)
        try:
            steps = workflow.keep_transcripts(job, provider, frozenset(addresses))
            yield Run(lambda: self.roll.noting(steps))
        except ReconcilerError as problem:
            yield Emit(Notice(f"transcripts are not up to date: {problem.message}"))

    def _stand_by(self) -> Steps[None]:
        """A roll, so that the one who takes over knows what runs."""
        try:
            yield from OnRoll(self.provider, self.roll).live_agents()
            self._is_ready = True
            self.roll.succeed()
        except ReconcilerError as problem:
            yield from self.roll.fail(longest=self.roll.interval)
            yield Emit(TurnEnded(Turned(TurnResult.FAILED, problem=problem), 0.0))

    def _pause(self) -> Steps[float]:
        now: float = yield Elapsed()
        if not self._leads:
            return self._longest_sleep
        until = self.roll.next_at
        if self._due is not None:
            until = min(until, now + self._due.at - (yield from self._time()))
        archive = self.job.fleet.archive
        if archive is not None:
            oldest = min((self._kept.get(each, 0.0) for each in self.job.fleet.agents), default=now)
            until = min(until, oldest + archive.every)
        if self._is_woken:
            until = now
        until = max(until, self._not_before, self.roll.blocked_until)
        return min(self._longest_sleep, max(_SHORTEST_SLEEP, until - now))
