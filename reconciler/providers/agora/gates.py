"""The gates that a call passes: rate, breaker and retry budget, as plain arithmetic on times that are given.

No effects here: `pressure` asks these and does the waiting. All times are those of one monotonic clock, in
seconds. Mutable, one set per run; safe between tasks because a task is only ever switched at an effect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from reconciler.ports import Pace


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How hard a run may press; no rate is documented (v2 API reference: limits), so ours adapts.

    It begins with `calls_per_second`, and stays between `slowest` and `fastest`. Seconds otherwise: `read_seconds` bounds
    a read with all its retries, from its first attempt on; `listing_seconds` a list with all its pages and its second
    reading; `silence_seconds` how long a run reads without a success. So what keeps failing, or has no end, ends its
    command within half a minute. Nothing that the service says raises any of them.
    """

    calls_per_second: float = 50.0
    burst: float = 1.0
    slowest: float = 0.5
    fastest: float = 2000.0
    read_seconds: float = 25.0
    listing_seconds: float = 28.0
    silence_seconds: float = math.inf
    attempt_seconds: float = 10.0
    write_seconds: float = 25.0
    first_backoff: float = 0.5
    longest_backoff: float = 8.0
    longest_hold: float = 20.0
    retries_per_call: float = 0.2
    spare_retries: int = 10
    failures_to_open: int = 5
    open_seconds: float = 10.0


class Rate:
    """A token bucket kept as one instant: when the next call would be due if calls came evenly.

    Reservations are handed out in order, so that waiting tasks start one after the other instead of all at once.
    The pace rises with each call that had to wait for its place and succeeded, and is halved when the service says that
    we are too fast, or shows it by answering later. Below the pace that was refused last it rises quickly, near it slowly,
    so that few calls of many are refused. Calls a second throughout.
    """

    __slots__ = ("_due", "_held_until", "_is_waited_for", "_limits", "_near", "_per_second", "holds")

    RISE = 0.02  # share of the pace added a call, where nothing is known to be too fast
    MOST_RISE = 2.0  # added a call at most: the pace doubles in a third of a second
    SLOW_RISE = 0.01  # added a call, near what was too fast: about 1 % a second
    NEAR = 0.75  # of a refused pace: what may be refused too, since answers come late

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._per_second = limits.calls_per_second
        self._near: float | None = None
        self._due = float("-inf")
        self._held_until = float("-inf")
        self._is_waited_for = False
        self.holds = 0

    @property
    def pace(self) -> Pace:
        """The present pace, for a later run to begin with."""
        return Pace(self._per_second, self._near)

    def start_at(self, pace: Pace) -> None:
        """Begin with another pace than the limits', within their bounds."""
        self._per_second = min(max(pace.per_second, self._limits.slowest), self._limits.fastest)
        self._near = pace.refused_near

    def reserve(self, now: float) -> float:
        """Take the next place; returns how long to wait for it. It is void once `holds` has changed."""
        due = max(self._due, now)
        self._due = due + 1.0 / self._per_second
        self._is_waited_for = due - self._allowance > now
        # A call that was under way may have raised the pace, and with it the allowance: a hold is a hold.
        return max(due - self._allowance, self._held_until, now) - now

    def hold(self, now: float, seconds: float) -> None:
        """Let nobody start for some seconds, and afterwards start evenly, at half the rate.

        Answers to calls that were already under way when the first hold began do not halve the rate again.
        """
        if now >= self._held_until:
            self.slow_down()
        self._held_until = max(self._held_until, now + seconds)
        self._due = max(self._due, self._held_until + self._allowance)
        self.holds += 1

    def slow_down(self) -> None:
        """Halve the pace."""
        self._near = max(self._per_second * self.NEAR, self._limits.slowest)
        self._per_second = max(self._per_second / 2, self._limits.slowest)

    def held_for(self, now: float) -> float:
        """Seconds until the present hold ends; 0 when there is none."""
        return max(0.0, self._held_until - now)

    def succeeded(self) -> None:
        """A call was taken: be a little faster, where the pace is what calls wait for."""
        if not self._is_waited_for or self._per_second >= self._limits.fastest:
            return
        if self._near is None or self._per_second < 0.9 * self._near:
            rise = min(self._per_second * self.RISE, self.MOST_RISE)
            self._per_second = min(self._per_second + rise, self._limits.fastest)
            return
        self._per_second += self.SLOW_RISE
        if self._per_second > 1.1 * self._near:
            self._near = None

    @property
    def _allowance(self) -> float:
        share = min(1.0, self._per_second / self._limits.calls_per_second)
        return (max(1.0, self._limits.burst * share) - 1.0) / self._per_second


class Latency:
    """How long the service takes to answer one kind of call: smoothed, and the least of that so far. Seconds."""

    __slots__ = ("_answers", "_least", "_smoothed")

    ENOUGH = 10  # so many answers make a judgement
    SHARE = 0.2  # of the last answer in the smoothed time
    NOTICEABLE = 0.1  # a smaller rise is this machine's own noise

    def __init__(self) -> None:
        self._answers = 0
        self._least = self._smoothed = 0.0

    def has_doubled(self, seconds: float) -> bool:
        """Whether answers take twice as long as they did, now that one took so long; said once for each doubling."""
        self._answers += 1
        share = max(self.SHARE, 1.0 / self._answers)  # the mean, until there are enough
        self._smoothed += (seconds - self._smoothed) * share
        if self._answers <= self.ENOUGH:
            self._least = self._smoothed
            return False
        if self._smoothed > max(2 * self._least, self._least + self.NOTICEABLE):
            self._least = self._smoothed
            return True
        self._least = min(self._least, self._smoothed)
        return False


class Breaker:
    """Opens after some systemic failures in a row; lets one probe through when its pause is over."""

    __slots__ = ("_cause", "_failures", "_limits", "_open_until", "_probe_until")

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._failures = 0
        self._open_until: float | None = None
        self._probe_until = float("-inf")
        self._cause = ""

    @property
    def cause(self) -> str:
        """What the last failure was."""
        return self._cause

    @property
    def failures(self) -> int:
        """How many calls have failed in a row."""
        return self._failures

    def refuses_for(self, now: float) -> float:
        """Seconds until a call may be tried; 0 when it may now."""
        if self._open_until is None:
            return 0.0
        return max(self._open_until - now, self._probe_until - now, 0.0)

    def enter(self, now: float) -> None:
        """A call starts; while half-open it is the probe, and others are refused until it is answered.

        The probe's claim ends by itself, so that a task that was killed in it does not shut the gate.
        """
        if self._open_until is not None:
            self._probe_until = now + self._limits.write_seconds

    def succeeded(self) -> None:
        """The service answered: close, and count anew."""
        self._failures = 0
        self._open_until = None
        self._probe_until = float("-inf")

    def failed(self, now: float, cause: str) -> None:
        """A call failed for a reason that would meet any other call too; `cause` is for people."""
        self._failures += 1
        self._cause = cause
        if self._failures >= self._limits.failures_to_open:
            self._open_until = now + self._limits.open_seconds
            self._probe_until = float("-inf")


class RetryBudget:
    """How many retries a run may make in all: a few, and a share of its calls, so that no storm can grow."""

    __slots__ = ("_calls", "_limits", "_retries")

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._calls = 0
        self._retries = 0

    @property
    def retries(self) -> int:
        """How many were taken."""
        return self._retries

    def called(self) -> None:
        """A call is made: the budget grows by its share."""
        self._calls += 1

    def take(self) -> bool:
        """One retry, if there is one left."""
        if self._retries >= self._limits.spare_retries + self._limits.retries_per_call * self._calls:
            return False
        self._retries += 1
        return True
