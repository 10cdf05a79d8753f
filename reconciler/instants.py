"""Instants: how they are read, and spelled in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# RFC 3339 with a zone; seconds may be left out. A time without a zone is another one on every machine.
PATTERN = r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2})?(?:[Zz]|[+-]\d{2}:\d{2})"


def moment(stamp: float) -> str:
    """An instant, given in epoch seconds."""
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(stamp: float) -> str:
    """The time of day of an instant that is near, given in epoch seconds."""
    return datetime.fromtimestamp(stamp, UTC).strftime("%H:%M:%S UTC")


def timestamp(stamp: float) -> str:
    """An instant for programs, given in epoch seconds (RFC 3339)."""
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> float:
    """Epoch seconds of a text such as `2027-01-02T08:00:00Z`; raises `ValueError` for one that is none."""
    if not re.fullmatch(PATTERN, text):
        raise ValueError(f"{text!r} is no date and time with a zone")
    return datetime.fromisoformat(text.upper()).timestamp()
