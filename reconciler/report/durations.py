"""Seconds as people say them: `45s`, `3h12m`, `71h05m`, the two largest units; and instants, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def duration(seconds: float | None) -> str:
    """A duration, rounded down; `-` where it is not known, `0s` where it is over.

    Hours are the largest unit, since the service counts in hours: 24 h for a token, 72 h for an agent.
    """
    if seconds is None:
        return "-"
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def moment(stamp: float) -> str:
    """An instant, given in epoch seconds."""
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
