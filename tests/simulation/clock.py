"""Virtual time: a heap of things that will happen, and the order in which they do.

What happens at the same instant happens in an order that the seed decides: that is all interleaving there is.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

# A whole second, so that what the service rounds and what it does not are told apart only by what we add.
EPOCH = 1_800_000_000.0


class Endless(Exception):
    """The run does not come to an end: more events than any honest run needs."""


class Timeline:
    """The one clock of a simulated world. `now` in epoch seconds."""

    __slots__ = ("_heap", "_order", "_random", "events", "limit", "now")

    def __init__(self, chance: random.Random, *, limit: int = 60_000) -> None:
        self.now = EPOCH
        self.events = 0
        self.limit = limit
        self._random = chance
        self._order = 0
        self._heap: list[tuple[float, float, int, Callable[[], None]]] = []

    def at(self, instant: float, action: Callable[[], None]) -> None:
        """Let something happen at an instant, or now if that has passed."""
        self._order += 1
        heapq.heappush(self._heap, (max(instant, self.now), self._random.random(), self._order, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen in so many seconds."""
        self.at(self.now + seconds, action)

    @property
    def idle(self) -> bool:
        """Whether nothing is left to happen."""
        return not self._heap

    def run(self, until: Callable[[], bool]) -> None:
        """Let things happen until a condition holds or nothing is left to happen."""
        while self._heap and not until():
            self._next()

    def run_for(self, seconds: float) -> None:
        """Let all happen that happens within so many seconds."""
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self._next()
        self.now = end

    def _next(self) -> None:
        self.events += 1
        if self.events > self.limit:
            raise Endless(f"more than {self.limit} events")
        self.now, _, _, action = heapq.heappop(self._heap)
        action()
