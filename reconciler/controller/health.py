"""Whether a controller is alive and ready, folded from the events of its loops.

Alive says nothing about the service: an outage of the service must not restart controllers in a circle.
"""

from __future__ import annotations

from dataclasses import field

from reconciler.controller.loop import BeganRound, CameRound
from reconciler.values import dataclass

# A loop that sleeps wakes up every five seconds; one that does not, for so long, is stuck.
_ASLEEP = 10.0
# A round reads the files, makes a listing, and does a turn: each of them is bounded.
_AT_WORK = 180.0


@dataclass(slots=True)
class _Loop:
    seen_at: float
    is_at_work: bool = True
    is_ready: bool = False


@dataclass(slots=True)
class Health:
    """The loops by name. Times are those of one monotonic clock, in seconds."""

    _loops: dict[str, _Loop] = field(default_factory=dict)

    def begin(self, name: str, now: float) -> None:
        """A loop begins."""
        self._loops[name] = _Loop(now)

    def note(self, name: str, event: object, now: float) -> None:
        """Something has happened in a loop."""
        loop = self._loops[name]
        match event:
            case BeganRound():
                loop.seen_at, loop.is_at_work = now, True
            case CameRound(_, ready):
                loop.seen_at, loop.is_at_work = now, False
                loop.is_ready = loop.is_ready or ready
            case _:
                pass

    def stuck(self, now: float) -> list[str]:
        """The loops that do not come round any more."""
        return [
            name
            for name, loop in sorted(self._loops.items())
            if now - loop.seen_at > (_AT_WORK if loop.is_at_work else _ASLEEP)
        ]

    def unready(self) -> list[str]:
        """The loops that have not yet read their files, the state, and a whole roll."""
        return [name for name, loop in sorted(self._loops.items()) if not loop.is_ready]
