"""The difference between this machine's clock and the service's, learned from the replies.

A token minted with a wrong clock is expired or not yet valid, and a list asked for with a wrong clock misses agents:
both are prevented here. Times in epoch seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from reconciler.errors import ServiceError

WARN_BEYOND = 30.0
REFUSE_BEYOND = 300.0
# A larger difference between two replies of one second of the service means that our clock was set between them.
_STEP = 2.0


def parse_date(text: str) -> float:
    """Return an HTTP date in epoch seconds; a date without a zone is UTC. Raises as the standard library does."""
    date = parsedate_to_datetime(text)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


class ServiceClock:
    """The service's clock, compared with ours; `skew` is None before the first reply with a date."""

    __slots__ = ("_date", "_heard", "_skew")

    def __init__(self) -> None:
        self._skew: float | None = None
        # The last date received, as text and in epoch seconds.
        self._heard = ""
        self._date = 0.0

    @property
    def skew(self) -> float | None:
        """The seconds that the service's clock is ahead of ours; negative when it is behind."""
        return self._skew

    @property
    def warning(self) -> str | None:
        """A warning about the clock, or None."""
        if self._skew is None or abs(self._skew) <= WARN_BEYOND:
            return None
        return f"this machine's clock is {_difference(self._skew)}; set it, or tokens may be refused"

    def learn(self, headers: Mapping[str, str], now: float) -> None:
        """Compare a reply's `Date` with our clock. A reply from a cache (`Age`) is ignored."""
        date = headers.get("date", "")
        if not date or "age" in headers:
            return
        is_same = date == self._heard
        if not is_same:
            try:
                self._date = parse_date(date)
            except (TypeError, ValueError, OverflowError):
                return
            self._heard = date
        # Date has whole seconds: on average half a second less than the service's clock.
        skew = self._date - now + 0.5
        # Of replies in one second of the service the first one is the most exact, unless our clock was set meanwhile.
        if not is_same or self._skew is None or abs(skew - self._skew) > _STEP:
            self._skew = skew

    def correct(self, now: float) -> float:
        """Return the service's time when ours is `now`."""
        return now + (self._skew or 0.0)

    def require_close(self) -> None:
        """Raise `ServiceError` when our clock differs so much that a token minted with it might be refused."""
        if self._skew is not None and abs(self._skew) > REFUSE_BEYOND:
            raise ServiceError(
                f"this machine's clock is {_difference(self._skew)}: a token minted by it could not be relied on",
                hint="set the clock (NTP) and run again",
            )


def _difference(skew: float) -> str:
    return f"{abs(skew):.0f} seconds {'behind' if skew > 0 else 'ahead of'} the service's"
