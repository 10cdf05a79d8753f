"""What a limit allows, in the checker's own words."""

from __future__ import annotations

from collections.abc import Sequence

from .words import Bound


def allowed(bound: Bound, of: int, more: float = 0.0) -> int:
    """How many of `of` agents a bound allows; a share is rounded up, and a caller may have allowed `more` for once."""
    if bound.number is not None:
        plain = bound.number
    else:
        hundredths = round((bound.percent or 0.0) * 1_000_000) * of
        plain = -(-hundredths // 100_000_000)
    return max(plain, int(more))


def crowded(lefts: Sequence[float], most: int, between: float) -> float:
    """How long the last agent of a crowd has left, in seconds; 0 without one.

    A crowd ends within so many runs, `between` seconds apart, that all but the first are too few for it.
    """
    found = 0.0
    for left in lefts:
        members = sum(1 for each in lefts if each <= left)
        if most and members > most * (_runs(left, between) - 1):
            found = max(found, left)
    return found


def equal_share(lefts: Sequence[float], between: float) -> int:
    """How many each run has to rotate if all runs before the ends of these agents are to rotate as many."""
    return max(
        (-(-sum(1 for each in lefts if each <= left) // _runs(left, between)) for left in lefts), default=0
    )


def _runs(left: float, between: float) -> int:
    # A run may come ten minutes late.
    return max(1, int(-(-(left - 600) // between)))
