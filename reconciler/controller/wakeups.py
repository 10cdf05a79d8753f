"""When those who wake a loop are answered: at once, and a flood of them by some looks that are spread. Pure."""

from __future__ import annotations

from collections.abc import Mapping

# More wake-ups than this within a second are a flood: it is answered by as many looks in so many seconds.
FLOOD = 10
OVER = 10.0


def answer_at(woken: Mapping[float, int], answered_at: float) -> float:
    """When wake-ups, of which so many came at each time, are answered by one look; the last look was at `answered_at`.

    Whoever wakes the loop until then is answered by the same look: it sees the whole world.
    """
    newest = max(woken)
    if sum(count for at, count in woken.items() if newest - at < 1.0) <= FLOOD:
        return newest
    return max(newest, answered_at + OVER / FLOOD)
