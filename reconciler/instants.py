"""Instants as text, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(stamp: float) -> str:
    """An instant, given in epoch seconds."""
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(stamp: float) -> str:
    """The time of day of an instant that is near, given in epoch seconds."""
    return datetime.fromtimestamp(stamp, UTC).strftime("%H:%M:%S UTC")


def timestamp(stamp: float) -> str:
    """An instant for programs, given in epoch seconds (RFC 3339)."""
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
