"""The loop of one fleet: decides when a turn is made, and whether this controller leads or stands by.

A turn follows a new roll, an address that falls due, changed files, or a wake-up. What a turn does is decided by the
plan, from a new look at state and service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler import workflow
from reconciler.apply.events import Notice
from reconciler.controller.roll import OnRoll, Roll
from reconciler.controller.turn import WITHOUT_FILES, Turned, TurnResult, turn
from reconciler.errors import ReconcilerError, ServiceError, UsageError
from reconciler.model.address import Address
from reconciler.model.fleet import EMPTY, EMPTY_HINT, DesiredFleet
from reconciler.plan.due import Due
from reconciler.ports import (
    Elapsed,
    Emit,
    Lead,
    Now,
    Provider,
    ReadFiles,
    Run,
    Sleep,
    Steps,
    Stopping,
    WaitUntilWoken,
)
from reconciler.values import dataclass
from reconciler.workflow.job import Job

# The longest sleep of the loop, seconds: so often it looks at the files and gives a sign of life.
LONGEST_SLEEP = 5.0
_SHORTEST_SLEEP = 0.05
# Seconds before the next turn after one that found the state locked.
_LOCKED = 1.0
# Seconds before the next turn after one that failed because of the state or the files.
_BROKEN = 10.0
# How many transcripts are updated at a time: a turn that is due waits until they are done.
_TRANSCRIPTS = 20
# An agent with less than this left (seconds) is rotated even beyond `max_unavailable`. An apply by hand needs a longer
# time, since its next run may be hours away; here the next turn comes within seconds, and rotates those that wait.
LAST_CALL = 1800.0
# More than FLOOD wake-ups within a second are a flood. It is answered by at most FLOOD looks in OVER seconds.
FLOOD = 10
OVER = 10.0


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A turn of a fleet has ended; an event. `seconds` is how long it took."""

    turned: Turned
    seconds: float


@dataclass(frozen=True, slots=True)
class FilesRead:
    """The files were read again; an event. `fleet` is the fleet to keep, `problem` why the new files cannot be used."""

    fleet: DesiredFleet
    problem: ReconcilerError | None = None


@dataclass(frozen=True, slots=True)
class LeadChanged:
    """This controller has won or lost the lead; an event."""

    leads: bool


@dataclass(frozen=True, slots=True)
class Woken:
    """The loop was woken before its pause ended, `count` times by `source`; an event."""

    source: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class RoundBegan:
    """A round of the loop begins; an event."""


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """A round of the loop has ended; an event. `due` is when the clock next makes an address due, if it is known."""

    due: Due | None
    ready: bool


class FleetLoop:
    """One fleet as the controller keeps it; `job` is that of its last good files. Nothing here outlives the process."""

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
        # The latest wake-ups, counted by their time, and the time of the last answer, by the monotonic clock.
        self._woken: dict[float, int] = {}
        self._answered_at = 0.0
        self._roll_seen = -1
        self._not_before = 0.0
        self._due: Due | None = None
        self._is_ready = False
        # When the transcript of each address was last asked for, by the monotonic clock.
        self._kept: dict[Address, float] = {}

    def stand(self) -> Steps[None]:
        """Keep the fleet until the run is stopped."""
        while not (yield Stopping()):
            yield Emit(RoundBegan())
            yield from self._read_files()
            yield from self._campaign()
            now: float = yield Elapsed()
            if self._leads and (yield from self._is_due(now)):
                yield from self._turn()
            elif self._leads and (waiting := self._transcripts_due(now)):
                yield from self._keep_transcripts(waiting, now)
            elif not self._leads and now >= max(self.roll.next_at, self.roll.blocked_until):
                yield from self._stand_by()
            yield Emit(RoundEnded(self._due, self._is_ready))
            woken: Mapping[str, int] = yield WaitUntilWoken((yield from self._pause()))
            if woken:
                yield from self._answer(woken)

    def _answer(self, woken: Mapping[str, int]) -> Steps[None]:
        """Let the next round make a fresh listing: now, or up to a second later in a flood of wake-ups."""
        for source, count in sorted(woken.items()):
            yield Emit(Woken(source, count))
        now: float = yield Elapsed()
        lately = {at: count for at, count in self._woken.items() if now - at < OVER}
        self._woken = {**lately, now: lately.get(now, 0) + sum(woken.values())}
        self._answered_at = answer_at(self._woken, self._answered_at)
        if self._answered_at > now:
            yield Sleep(self._answered_at - now)
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
        """Raise `UsageError` for files without agents, and for another owner mark or service than this loop's."""
        mine = self.job.fleet
        if not fleet.agents:
            raise UsageError(EMPTY, hint=EMPTY_HINT)
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
            yield Emit(LeadChanged(leads))

    def _is_due(self, now: float) -> Steps[bool]:
        if now < max(self._not_before, self.roll.blocked_until):
            return False
        if self._is_woken or self.roll.made != self._roll_seen or now >= self.roll.next_at:
            return True
        return self._due is not None and (yield from self._time()) >= self._due.at

    def _time(self) -> Steps[float]:
        """Return the service's time, epoch seconds."""
        here: float = yield Now()
        return here + (self.provider.clock_skew or 0.0)

    def _turn(self) -> Steps[None]:
        job = replace(self.job, policy=replace(self.job.policy, last_call=LAST_CALL))
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
        """Set when the next turn may begin, by the result of this one."""
        match turned.result:
            case TurnResult.LOCKED:
                self._is_woken = True
                self._not_before = now + _LOCKED
            case TurnResult.FAILED if isinstance(turned.problem, ServiceError):
                yield from self.roll.fail(turned.problem)
            case TurnResult.FAILED:
                self._not_before = now + _BROKEN  # only this fleet waits: the service is not at fault
            case _:
                self._is_ready = True
                self.roll.succeed()

    def _transcripts_due(self, now: float) -> tuple[Address, ...]:
        """Return the addresses whose transcripts are due, those that wait longest first, at most `_TRANSCRIPTS`."""
        archive = self.job.fleet.archive
        if archive is None or now < self.roll.blocked_until:
            return ()
        waiting = sorted((self._kept.get(each, -archive.every), each) for each in self.job.fleet.agents)
        return tuple(each for at, each in waiting[:_TRANSCRIPTS] if now >= at + archive.every)

    def _keep_transcripts(self, addresses: tuple[Address, ...], now: float) -> Steps[None]:
        """Update transcripts. A failure is a notice and is tried again later; nothing else depends on it."""
        job, provider = replace(self.job, memory=self.roll.memory), OnRoll(self.provider, self.roll)
        self._kept |= dict.fromkeys(addresses, now)
        try:
            steps = workflow.keep_transcripts(job, provider, frozenset(addresses))
            yield Run(lambda: self.roll.noting(steps))
        except ReconcilerError as problem:
            yield Emit(Notice(f"transcripts are not up to date: {problem.message}"))

    def _stand_by(self) -> Steps[None]:
        """Make a roll, so that this controller knows what runs if it takes over."""
        try:
            yield from self.roll.call(self.provider, self.job.settings.parallelism)
            self._is_ready = True
            self.roll.succeed()
        except ReconcilerError as problem:
            yield from self.roll.fail(problem)
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


def answer_at(woken: Mapping[float, int], answered_at: float) -> float:
    """Return when one look answers the wake-ups; `woken` counts them by their time, the last look was at `answered_at`.

    The same look also answers the wake-ups that come until then, since each look observes everything.
    """
    newest = max(woken)
    if sum(count for at, count in woken.items() if newest - at < 1.0) <= FLOOD:
        return newest
    return max(newest, answered_at + OVER / FLOOD)
