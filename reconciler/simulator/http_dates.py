"""Format HTTP dates, without importing the standard library's large mail package."""

from __future__ import annotations

from functools import lru_cache
from time import gmtime

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(at: float) -> str:
    """Return `at`, in epoch seconds, as an IMF-fixdate."""
    return _http_date(int(at))


@lru_cache(maxsize=64)
def _http_date(at: int) -> str:
    t = gmtime(at)
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year} {clock} GMT"
