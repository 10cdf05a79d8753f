"""Instants as text, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(stamp: float) -> str:
    """An instant, given in epoch seconds."""
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
