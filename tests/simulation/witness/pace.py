"""How fast a run may call, in the checker's own words: Retry-After by number and by date, failures in a row, retries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_tz

# The longest that a client has to wait when it is asked to: beyond that a run gives up rather than hangs.
LONGEST_HOLD = 20.0
# So many failures in a row mean that the service is ill, not the call.
SYSTEMIC = 5


def asked_to_wait(headers: Mapping[str, str]) -> float:
    """The seconds for which a reply asks us to wait, at most `LONGEST_HOLD`; 0.0 for nothing, garbage and the past."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        # Longer numbers than a year of seconds are garbage to the client, which then need not wait at all.
        return min(float(text), LONGEST_HOLD) if len(text) <= 9 else 0.0
    until, now = _instant(text), _instant(headers.get("date", ""))
    if until is None or now is None or until <= now:
        return 0.0
    return min(until - now, LONGEST_HOLD)


def _instant(text: str) -> float | None:
    """Days since the year 1 by the calendar, times 86,400: enough to subtract two HTTP dates."""
    try:
        found = parsedate_tz(text)
    except (ValueError, TypeError, IndexError):
        return None
    if found is None:
        return None
    year, month, day, hour, minute, second = found[:6]
    if not 1 <= month <= 12:
        return None
    before = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)[month - 1]
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = year * 365 + (year - 1) // 4 - (year - 1) // 100 + (year - 1) // 400 + before + day
    days += is_leap and month > 2
    return days * 86_400.0 + hour * 3600 + minute * 60 + second - (found[9] or 0)


@dataclass(slots=True)
class Streak:
    """What a run has heard in a row."""

    failures: int = 0

    @property
    def is_systemic(self) -> bool:
        return self.failures >= SYSTEMIC

    def hear(self, status: int | None) -> None:
        """An answer with its status, or None where there was none."""
        self.failures = self.failures + 1 if status is None or status >= 500 else 0
