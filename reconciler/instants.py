"""Instants: parsing them, and formatting them in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# RFC 3339 with a zone; seconds may be left out. A time without a zone would depend on the machine.
PATTERN = r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2})?(?:[Zz]|[+-]\d{2}:\d{2})"


def moment(stamp: float) -> str:
    """Return the date and time of an instant given in epoch seconds."""
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(stamp: float) -> str:
    """Return the time of day of an instant given in epoch seconds, for instants that are near."""
    return datetime.fromtimestamp(stamp, UTC).strftime("%H:%M:%S UTC")


def timestamp(stamp: float) -> str:
    """Return an instant given in epoch seconds in RFC 3339, for programs."""
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> float:
    """Return the epoch seconds of a text such as `2027-01-02T08:00:00Z`. Raises `ValueError` for any other text."""
    if not re.fullmatch(PATTERN, text):
        raise ValueError(f"{text!r} is no date and time with a zone")
    return datetime.fromisoformat(text.upper()).timestamp()
