"""Whether a controller is alive and ready, computed from the events of its loops.

"Alive" does not depend on the service: an outage of the service must not make a supervisor restart controllers.
"""

from __future__ import annotations

from dataclasses import field

from reconciler.controller.loop import RoundBegan, RoundEnded
from reconciler.values import dataclass

# Seconds after which a sleeping loop counts as stuck; it wakes up at least every five seconds.
_ASLEEP = 10.0
# Seconds after which a working loop counts as stuck. A round reads the files, lists, and makes a turn: all bounded.
_AT_WORK = 180.0


@dataclass(slots=True)
class _Loop:
    seen_at: float
    is_at_work: bool = True
    is_ready: bool = False


@dataclass(slots=True)
class Health:
    """The health of loops by name. Times are seconds of one monotonic clock."""

    _loops: dict[str, _Loop] = field(default_factory=dict)

    def begin(self, name: str, now: float) -> None:
        """Register a loop that begins."""
        self._loops[name] = _Loop(now)

    def note(self, name: str, event: object, now: float) -> None:
        """Record an event of a loop."""
        loop = self._loops[name]
        match event:
            case RoundBegan():
                loop.seen_at, loop.is_at_work = now, True
            case RoundEnded(_, ready):
                loop.seen_at, loop.is_at_work = now, False
                loop.is_ready = loop.is_ready or ready
            case _:
                pass

    def stuck(self, now: float) -> list[str]:
        """Return the loops that have not finished a round in time."""
        return [
            name
            for name, loop in sorted(self._loops.items())
            if now - loop.seen_at > (_AT_WORK if loop.is_at_work else _ASLEEP)
        ]

    def unready(self) -> list[str]:
        """Return the loops that have not yet read their files, the state, and a whole roll."""
        return [name for name, loop in sorted(self._loops.items()) if not loop.is_ready]
