"""The limits that each call passes: rate, breaker and retry budget, computed from times that are passed in.

No effects here: `call_sender` uses these and does the waiting. All times are in seconds of one monotonic clock. Mutable,
one set per run; tasks can share them because they are switched only at effects.
"""

from __future__ import annotations

import math
from collections import deque

from reconciler.ports import Pace
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The limits of a run's calls. The service documents no rate (v2 API reference: limits), so ours adapts.

    It begins with `calls_per_second`, and stays between `slowest` and `fastest`. The others are in seconds:
    `read_seconds` bounds a read with all its retries, from its first attempt on; `listing_seconds` a list with all its
    pages and its second reading; `silence_seconds` how long a run reads without a success. So a command whose reads
    fail or never end stops within half a minute. No answer of the service raises any of them.
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
    """A token bucket kept as one time: when the next call would be due if calls came evenly.

    Places are given in order, so that waiting tasks start one after the other instead of all at once. The pace rises
    with each successful call that had to wait for its place. It is halved when the service answers more slowly, or
    refuses calls as too many; then it is also brought below the rate at which the service took calls until then. From
    there it rises quickly up to that rate, and at first very slowly beyond it, so that few calls are refused. Pace is in
    calls a second.
    """

    __slots__ = (
        "_closed",
        "_due",
        "_held_until",
        "_is_waited_for",
        "_limits",
        "_near",
        "_per_second",
        "_taken",
        "holds",
    )

    RISE = 0.05  # the share of the pace that is added per call, while it is below every refused one: 50 to 500 in 48 calls
    SAFE = 0.85  # the share of the refused pace, or of the rate that the service took, from which on the rise is slow
    FIRST_STEP = 0.0002  # the share of the pace that is added per call there
    GROWTH = 0.004  # the share of the distance beyond that which is added per call: it doubles in 170 calls
    FORGOTTEN = 2.0  # a refusal is forgotten when calls are taken at so many times the pace from which the rise was slow
    WINDOW = 1.0  # the seconds over which the rate of taken calls is counted
    ENOUGH = 5  # the number of taken calls in them before anything is concluded

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._per_second = limits.calls_per_second
        self._near: float | None = None
        self._due = float("-inf")
        self._held_until = float("-inf")
        # The time before the first call, and in holds: it does not count when calls are counted by time.
        self._closed = 0.0
        self._taken: deque[float] = deque()
        self._is_waited_for = False
        self.holds = 0

    @property
    def pace(self) -> Pace:
        """The present pace, with which a later run can begin."""
        return Pace(self._per_second, self._near)

    def start_at(self, pace: Pace) -> None:
        """Begin with another pace than the limits', within their bounds."""
        self._per_second = min(max(pace.per_second, self._limits.slowest), self._limits.fastest)
        self._near = pace.refused_near

    def reserve(self, now: float) -> float:
        """Take the next place; return how long to wait for it. It is void once `holds` has changed."""
        if self._due == float("-inf"):
            self._closed = now
        due = max(self._due, now)
        self._due = due + 1.0 / self._per_second
        self._is_waited_for = due - self._allowance > now
        # A running call may have raised the pace, and with it the allowance; a hold applies nevertheless.
        return max(due - self._allowance, self._held_until, now) - now

    def hold(self, now: float, seconds: float) -> None:
        """Let no call start for some seconds, and afterwards start them evenly, at half the rate at most.

        Answers to calls that were running when the first hold began do not reduce the rate again.
        """
        if now >= self._held_until:
            self._reduce(min(self._per_second, self._taken_per_second(now)))
        begins = max(self._held_until, now)
        self._held_until = max(self._held_until, now + seconds)
        self._closed += self._held_until - begins
        self._due = max(self._due, self._held_until + self._allowance)
        self.holds += 1

    def slow_down(self, now: float) -> None:
        """Halve the pace, since answers have become slower.

        If calls had to wait for their places, the rate at which the service took them lately counts, where it is lower.
        Otherwise that rate is our own demand, as in a list read page by page, and tells nothing of the service.
        """
        taken = self._taken_per_second(now) if self._is_waited_for else self._per_second
        self._reduce(min(self._per_second, taken))

    def _reduce(self, reached: float) -> None:
        """Go on at half the rate that was reached; from near it on the rise is slow."""
        self._near = max(reached * self.SAFE, self._limits.slowest)
        self._per_second = max(reached / 2, self._limits.slowest)

    def held_for(self, now: float) -> float:
        """Return the seconds until the present hold ends; 0 when there is none."""
        return max(0.0, self._held_until - now)

    def succeeded(self, now: float) -> None:
        """Note a successful call: raise the pace a little, if calls have to wait for their places."""
        self._taken.append(self._open_until(now))
        self._forget_old(now)
        if self._is_waited_for:
            self._per_second = min(self._raised(self._per_second), self._limits.fastest)

    def _raised(self, pace: float) -> float:
        if self._near is not None and pace > self.FORGOTTEN * self._near:
            self._near = None
        if self._near is None:
            return pace + pace * self.RISE
        if pace < self._near:
            return min(pace + pace * self.RISE, self._near)
        return pace + max(pace * self.FIRST_STEP, (pace - self._near) * self.GROWTH)

    def _taken_per_second(self, now: float) -> float:
        """Return the rate at which the service took calls lately; infinity if that were too few."""
        self._forget_old(now)
        seconds = min(self._open_until(now), self.WINDOW)
        return len(self._taken) / seconds if len(self._taken) >= self.ENOUGH and seconds > 0 else math.inf

    def _forget_old(self, now: float) -> None:
        while self._taken and self._taken[0] <= self._open_until(now) - self.WINDOW:
            self._taken.popleft()

    def _open_until(self, now: float) -> float:
        """Return the seconds since the first call in which calls could start."""
        return max(now, self._held_until) - self._closed

    @property
    def _allowance(self) -> float:
        share = min(1.0, self._per_second / self._limits.calls_per_second)
        return (max(1.0, self._limits.burst * share) - 1.0) / self._per_second


class Latency:
    """The service's answer time for one kind of call: smoothed, and the smallest smoothed value so far. Seconds."""

    __slots__ = ("_answers", "_least", "_smoothed")

    ENOUGH = 10  # the number of answers before anything is concluded
    SHARE = 0.2  # the weight of the last answer in the smoothed time
    NOTICEABLE = 0.1  # a smaller rise may come from this machine

    def __init__(self) -> None:
        self._answers = 0
        self._least = self._smoothed = 0.0

    def has_doubled(self, seconds: float) -> bool:
        """Add an answer time; return whether answers now take twice as long as before: True once for each doubling."""
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
    """Refuses calls after several systemic failures in a row; after a pause it lets one call through as a probe."""

    __slots__ = ("_cause", "_failures", "_limits", "_open_until", "_probe_until")

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._failures = 0
        self._open_until: float | None = None
        self._probe_until = float("-inf")
        self._cause = ""

    @property
    def cause(self) -> str:
        """The cause of the last failure."""
        return self._cause

    @property
    def failures(self) -> int:
        """The number of calls that have failed in a row."""
        return self._failures

    def refuses_for(self, now: float) -> float:
        """Return the seconds until a call may be tried; 0 when it may be tried now."""
        if self._open_until is None:
            return 0.0
        return max(self._open_until - now, self._probe_until - now, 0.0)

    def enter(self, now: float) -> None:
        """Note that a call starts; while half-open it is the probe, and others are refused until it is answered.

        The probe's claim ends by itself, so that a task that was killed during the probe does not block all calls.
        """
        if self._open_until is not None:
            self._probe_until = now + self._limits.write_seconds

    def succeeded(self) -> None:
        """Note that the service answered: close, and reset the count."""
        self._failures = 0
        self._open_until = None
        self._probe_until = float("-inf")

    def failed(self, now: float, cause: str) -> None:
        """Note a failure whose reason would affect any other call too; `cause` is for messages."""
        self._failures += 1
        self._cause = cause
        if self._failures >= self._limits.failures_to_open:
            self._open_until = now + self._limits.open_seconds
            self._probe_until = float("-inf")


class RetryBudget:
    """The number of retries that a run may make: a few, and a share of its calls, so that retries cannot multiply."""

    __slots__ = ("_calls", "_limits", "_retries")

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._calls = 0
        self._retries = 0

    @property
    def retries(self) -> int:
        """The number of retries made."""
        return self._retries

    def called(self) -> None:
        """Note a call: the budget grows by its share."""
        self._calls += 1

    def take(self) -> bool:
        """Take one retry; return whether one was left."""
        if self._retries >= self._limits.spare_retries + self._limits.retries_per_call * self._calls:
            return False
        self._retries += 1
        return True
