"""How far this machine's clock is from the service's, learned from the replies.

A token minted by a wrong clock is expired or not yet valid, and a list asked for by a wrong clock misses
agents: both are prevented here. Times in epoch seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from reconciler.errors import ServiceError

WARN_BEYOND = 30.0
REFUSE_BEYOND = 300.0
# Further apart than this, two replies of one second of the service say that our clock was set between them.
_STEP = 2.0


def parse_date(text: str) -> float:
    """An HTTP date in epoch seconds; a date without a zone is UTC. Raises as the standard library does."""
    date = parsedate_to_datetime(text)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


class ServiceClock:
    """The service's clock as seen from here; `skew` is None until a reply has told it."""

    __slots__ = ("_date", "_heard", "_skew")

    def __init__(self) -> None:
        self._skew: float | None = None
        # The last date that was heard, as text and in epoch seconds.
        self._heard = ""
        self._date = 0.0

    @property
    def skew(self) -> float | None:
        """Seconds that the service's clock is ahead of ours; negative when it is behind."""
        return self._skew

    @property
    def warning(self) -> str | None:
        """What to tell people about the clock, if anything."""
        if self._skew is None or abs(self._skew) <= WARN_BEYOND:
            return None
        return f"this machine's clock is {self._difference()}; set it, or tokens may be refused"

    def learn(self, headers: Mapping[str, str], now: float) -> None:
        """Compare a reply's `Date` with our clock. A reply out of a cache (`Age`) says nothing."""
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
        # Date has whole seconds: half a second less on average than what the service's clock shows.
        skew = self._date - now + 0.5
        # Within one second of the service the first reply says it best, unless our clock was set meanwhile.
        if not is_same or self._skew is None or abs(skew - self._skew) > _STEP:
            self._skew = skew

    def correct(self, now: float) -> float:
        """The service's time when ours is `now`."""
        return now + (self._skew or 0.0)

    def require_close(self) -> None:
        """Raise `ServiceError` when a token minted by our clock could not be trusted to work."""
        if self._skew is not None and abs(self._skew) > REFUSE_BEYOND:
            raise ServiceError(
                f"this machine's clock is {self._difference()}: a token minted by it could not be relied on",
                hint="set the clock (NTP) and run again",
            )

    def _difference(self) -> str:
        skew = self._skew or 0.0
        return f"{abs(skew):.0f} seconds {'behind' if skew > 0 else 'ahead of'} the service's"
