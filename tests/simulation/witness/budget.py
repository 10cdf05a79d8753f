"""What a limit allows, in the checker's own words."""

from __future__ import annotations

from .words import Bound


def allowed(bound: Bound, of: int, more: float = 0.0) -> int:
    """How many of `of` agents a bound allows; a share is rounded up, and a caller may have allowed `more` for once."""
    if bound.number is not None:
        plain = bound.number
    else:
        hundredths = round((bound.percent or 0.0) * 1_000_000) * of
        plain = -(-hundredths // 100_000_000)
    return max(plain, int(more))
