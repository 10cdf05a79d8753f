"""Send every call of a run: keep to the pace, and retry calls that only read.

Sans-I/O: waiting, chance and the clock are effects. A mutating call is sent at most once; whether it may be sent again
is decided by the protocol in `apply`, which knows its outcome.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from reconciler.durations import spelled
from reconciler.ports import (
    Elapsed,
    Http,
    HttpFailure,
    HttpReply,
    HttpRequest,
    HttpTrouble,
    Pace,
    Random,
    Sleep,
    Steps,
    Stopping,
)
from reconciler.providers.agora.call_limits import Breaker, CallLimits, Latency, Rate, RetryBudget
from reconciler.providers.agora.clock import parse_date
from reconciler.values import dataclass

TOO_MANY = 429
UNAVAILABLE = 503
# Statuses with which a read may succeed the next time (v2 API reference: errors; 408 and 425 are HTTP's own).
_PASSING = frozenset({408, 425, TOO_MANY})
_SYSTEMIC = frozenset({HttpTrouble.CONNECT, HttpTrouble.TIMEOUT, HttpTrouble.BROKEN})
_SECONDS = re.compile(r"\d{1,9}")


@dataclass(frozen=True, slots=True)
class Withheld:
    """The call was not made: nothing was sent. After `again_in` seconds another may be tried."""

    reason: str
    again_in: float = 0.0


Result: TypeAlias = HttpReply | HttpFailure | Withheld

STOPPING = Withheld("the run is stopping")
_TOO_LATE = Withheld("there was no time left for another attempt")


class Pressure:
    """The rate, breaker and retry budget of one run, and the only place that yields `Http`."""

    __slots__ = ("_breaker", "_budget", "_latency", "_limits", "_quiet_since", "_rate", "_too_many")

    def __init__(self, limits: CallLimits | None = None) -> None:
        self._limits = limits or CallLimits()
        self._rate = Rate(self._limits)
        self._latency: dict[str, Latency] = defaultdict(Latency)
        self._breaker = Breaker(self._limits)
        self._budget = RetryBudget(self._limits)
        self._too_many = 0
        self._quiet_since: float | None = None

    @property
    def limits(self) -> CallLimits:
        """The limits of this run's calls."""
        return self._limits

    @property
    def retries(self) -> int:
        """The number of retries made so far."""
        return self._budget.retries

    @property
    def pace(self) -> Pace:
        """The present pace."""
        return self._rate.pace

    def start_at(self, pace: Pace) -> None:
        """Begin with another pace than that of the limits."""
        self._rate.start_at(pace)

    def once(self, request: HttpRequest) -> Steps[Result]:
        """Send a call at most once, when it is its turn."""
        self._budget.called()
        withheld = yield from self._admit()
        if withheld is not None:
            return withheld
        return (yield from self._send(request))

    def read(
        self, request: HttpRequest, until: float = math.inf, *, unreachable_seconds: float = math.inf
    ) -> Steps[Result]:
        """Send a read, and retry it while that may help and time and budget last; return the last result.

        It ends by `until`, a time of `Elapsed`; without a connection it is not retried after `unreachable_seconds`. A
        first attempt is refused at once while the breaker is open; a retry waits for the breaker's next probe if its
        time allows.
        """
        self._budget.called()
        asked: float = yield Elapsed()
        if self._quiet_since is None:
            self._quiet_since = asked
        quiet_until = self._quiet_since + self._limits.silence_seconds
        if asked >= quiet_until:
            return Withheld(f"no read has succeeded for {spelled(self._limits.silence_seconds)}")
        until = min(until, quiet_until)
        withheld = yield from self._admit(until)
        if withheld is not None:
            return withheld
        started: float = yield Elapsed()
        ends = min(started + self._limits.read_seconds, until)
        attempt, now = 1, started
        while True:
            result = yield from self._send(
                replace(request, deadline=min(self._limits.attempt_seconds, ends - now))
            )
            if not is_passing(result):
                return result
            pause = yield from self._backoff(attempt)
            is_unreachable = isinstance(result, HttpFailure) and result.trouble is HttpTrouble.CONNECT
            again = yield from self._wait(
                pause, min(ends, started + unreachable_seconds) if is_unreachable else ends
            )
            if not again or not self._budget.take():
                return result
            now = yield Elapsed()
            if ends - now <= 0:
                return result
            attempt += 1

    def has_succeeded(self) -> Steps[None]:
        """Note a complete and usable answer to a read: the limit on time without a success starts again."""
        self._quiet_since = yield Elapsed()

    def spend_retry(self) -> bool:
        """Take one retry from the budget, for a reply that could not be used; return whether one was left."""
        return self._budget.take()

    def _admit(self, until: float = math.inf) -> Steps[Withheld | None]:
        """Wait for a place, not beyond `until`; return None when the call may, and then must, be sent at once."""
        now = yield Elapsed()
        while True:
            if refused := self._breaker.refuses_for(now):
                return self._broken(refused)
            if (delay := self._rate.reserve(now)) > 0:
                if now + delay >= until:
                    return _TOO_LATE
                holds = self._rate.holds
                yield Sleep(delay)
                if (yield Stopping()):
                    return STOPPING
                now = yield Elapsed()
                if holds != self._rate.holds:
                    continue
                if refused := self._breaker.refuses_for(now):
                    return self._broken(refused)
            self._breaker.enter(now)
            return None

    def _wait(self, pause: float, ends: float) -> Steps[bool]:
        """Wait `pause` seconds and for a place; return False if a retry would start after `ends` or not at all."""
        while True:
            now = yield Elapsed()
            pause = max(pause, self._rate.held_for(now))
            if now + pause >= ends:
                return False
            yield Sleep(pause)
            if (yield Stopping()):
                return False
            withheld = yield from self._admit(ends)
            if withheld is None:
                return True
            if withheld.again_in <= 0:
                return False
            pause = withheld.again_in + (yield Random()) * self._limits.first_backoff

    def _send(self, request: HttpRequest) -> Steps[HttpReply | HttpFailure]:
        sent_at: float = yield Elapsed()
        result: HttpReply | HttpFailure = yield Http(request)
        now: float = yield Elapsed()
        if isinstance(result, HttpFailure):
            if result.trouble in _SYSTEMIC:
                self._breaker.failed(now, _cause(result))
        elif result.status >= 500:
            self._breaker.failed(now, f"HTTP {result.status}")
        else:
            self._breaker.succeeded()
        if isinstance(result, HttpReply):
            yield from self._heed(result, now)
            if result.status < 300 and self._latency[_kind(request)].has_doubled(now - sent_at):
                self._rate.slow_down(now)
        return result

    def _heed(self, reply: HttpReply, now: float) -> Steps[None]:
        """Reduce the pace when the reply asks for it; a `Retry-After` delays all calls of the run."""
        if reply.status not in (TOO_MANY, UNAVAILABLE):
            self._too_many = 0
            if reply.status < 500:
                self._rate.succeeded(now)
            return
        asked = retry_after(reply.headers)
        if asked is None and reply.status == UNAVAILABLE:
            return
        if asked is None:
            if self._rate.held_for(now) <= 0:  # answers to calls of one moment count as one refusal
                self._too_many += 1
            longest = min(self._limits.longest_hold, self._limits.first_backoff * 2.0**self._too_many)
            asked = longest * (0.5 + (yield Random()) / 2)
        self._rate.hold(now, min(asked, self._limits.longest_hold))

    def _backoff(self, attempt: int) -> Steps[float]:
        """Return a random pause, up to a limit that doubles with each attempt (full jitter)."""
        longest = min(self._limits.longest_backoff, self._limits.first_backoff * 2.0 ** (attempt - 1))
        return float((yield Random()) * longest)

    def _broken(self, again_in: float) -> Withheld:
        return Withheld(
            f"{self._breaker.failures} calls in a row failed, the last one with {self._breaker.cause}",
            again_in,
        )


def is_passing(result: Result) -> bool:
    """Return whether a read with this result may succeed in another attempt."""
    if isinstance(result, HttpReply):
        return result.status in _PASSING or result.status >= 500
    return isinstance(result, HttpFailure) and result.trouble in _SYSTEMIC


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a reply asks us to wait; None for no value, an invalid one, or a time that has passed.

    A date is compared with the reply's own `Date`, since both come from one clock, and ours may differ.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        seconds = parse_date(text) - parse_date(headers["date"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return seconds if seconds >= 0 else None


def _kind(request: HttpRequest) -> str:
    """Return the kind of a call: calls of one kind take about as long. The id in a URL is no part of it."""
    last = request.url.split("/")[-1]
    return f"{request.method} {last}" if request.method != "GET" or last == "agents" else request.method


def _cause(failure: HttpFailure) -> str:
    return f"{failure.trouble} ({failure.detail[:120]})" if failure.detail else str(failure.trouble)
