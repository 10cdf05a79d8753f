"""Durations as text: one grammar and one spelling for files, options and everything that is printed.

Seconds everywhere else. A duration is one number with its unit after another: `90s`, `1h30m`, `1.5h`, `2d`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

_SECONDS: Final[Mapping[str, Decimal]] = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,6})?"
# The grammar as a regular expression that JSON Schema understands, too.
PATTERN: Final = rf"(?:{_NUMBER}(?:ms|[smhd]))+"
_DURATION = re.compile(PATTERN)
_PART = re.compile(rf"({_NUMBER})(ms|[smhd])")
_BARE = re.compile(_NUMBER)


def parse(text: str, *, bare_seconds: bool = False) -> float:
    """Return the seconds of a text such as `1h30m`; with `bare_seconds` a number without a unit is in seconds.

    Raises `ValueError` for anything else.
    """
    if bare_seconds and _BARE.fullmatch(text):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration")
    # Decimals, because 0.1 has no exact float: reading what `spelled` returns must give the same float.
    return float(sum(Decimal(number) * _SECONDS[unit] for number, unit in _PART.findall(text)))


def spelled(seconds: float) -> str:
    """Return a duration to the millisecond: `1h30m`, `60h`, `45s`, `1s500ms`; `0s` for zero and for less.

    Hours are the largest unit, because the service counts in hours: 24 h for a token, 72 h for an agent.
    """
    rest, parts = max(0, round(seconds * 1000)), ""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        parts += f"{count}{unit}" if count else ""
    return parts or "0s"


def rounded(seconds: float) -> str:
    """Return a duration in hours and minutes, or in minutes and seconds, rounded down: `3h12m`, `1m15s`."""
    whole = int(seconds)
    return spelled(whole - whole % 60 if whole >= 3600 else whole)
