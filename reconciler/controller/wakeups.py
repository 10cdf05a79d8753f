"""The time at which wake-ups of a loop are answered: at once, or in a flood by one look a second. Pure."""

from __future__ import annotations

from collections.abc import Mapping

# More than FLOOD wake-ups within a second are a flood. It is answered by at most FLOOD looks in OVER seconds.
FLOOD = 10
OVER = 10.0


def answer_at(woken: Mapping[float, int], answered_at: float) -> float:
    """Return when one look answers the wake-ups; `woken` counts them by their time, the last look was at `answered_at`.

    The same look also answers the wake-ups that come until then, since each look observes everything.
    """
    newest = max(woken)
    if sum(count for at, count in woken.items() if newest - at < 1.0) <= FLOOD:
        return newest
    return max(newest, answered_at + OVER / FLOOD)
