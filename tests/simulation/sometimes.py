"""What must have happened at least once in a campaign: a path that was never taken was never tested.

`Seen` counts while a world runs; a campaign adds the counts up, and fails when one of `REQUIRED` is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from reconciler.simulator import ServiceCall

from .faults import KINDS


class Seen(Counter[str]):
    """How often each thing was seen."""

    def hit(self, what: str) -> None:
        self[what] += 1

    def sent(self, operation: ServiceCall) -> None:
        self[f"sent: {operation}"] += 1

    def calls(self, operation: ServiceCall) -> tuple[int, int]:
        """How many calls of an operation there were, and how many of them met a fault."""
        start = f"fate: {operation} "
        every = sum(count for name, count in self.items() if name.startswith(start))
        return every, every - self[f"{start}ok"]

    @property
    def is_hurt(self) -> bool:
        """Whether a call that changes something met a fault."""
        return any(self.calls(each)[1] for each in (ServiceCall.JOIN, ServiceCall.LEAVE, ServiceCall.UPDATE))

    def fate(self, operation: ServiceCall, name: str) -> None:
        self[f"fate: {operation} {name}"] += 1


# Substrings of what the engine says of itself, and the path that each betrays.
TELLTALES = {
    "the outcome of the join is unknown": "join: the outcome is unknown",
    "nobody knows whether the join": "join: given up as unknown",
    "nobody knows whether the update": "update: given up as unknown",
    "nobody knows whether the leave": "leave: given up as unknown",
    "no agent is seen that bears the name": "join: 409, and nobody bears the name",
    "its agent is gone; starting another": "update: 404, joined anew",
    "deferred until": "grace: deferred",
    "runs there and is not this fleet's": "join: 409, and a foreign agent may have the uid",
    "an interrupted join that is not wanted": "grace: an unwanted late agent was left",
    "another agent of ours runs beside it": "sweep: a duplicate was found",
    "the quota is used up": "quota: joins stopped",
    "the service refuses this run": "systemic: the run stopped",
    "the run was interrupted": "stop: something was not begun",
    "the new agent did not start": "join-first: the old one was kept",
    "its agent ended at once": "join: failed at once",
    "clock is": "clock: too far off to mint",
    "times in a row": "brake: a join waits after failed ones",
    "correct or remove `adopt`": "adopt in the files: refused, another agent than meant",
    "has a running agent already": "adopt in the files: refused, the address has an agent",
}

REQUIRED: frozenset[str] = frozenset(
    {f"fate: {operation} {name}" for operation, kinds in KINDS.items() for name in kinds}
    | set(TELLTALES.values())
    | {
        f"change: {word}"
        for word in ("join", "update", "renew", "replace", "rotate", "leave", "adopt", "forget", "hold")
    }
    | {
        "adopt on 409",
        "adopt in the files: taken over",
        "next generation",
        "breaker: half-open",
        "breaker: open",
        "join: found by its name",
        "fenced: a stale writer's write was refused",
        "lock: waited in vain",
        "lock: broken, two holders at once",
        "disk: the write failed, durable",
        "disk: the write failed, lost",
        "store: an answer was lost, the commit made",
        "store: an answer was lost, the commit not made",
        "store: a slow commit",
        "crash: in the middle of a call",
        "state: lost",
        "duplicate: left by a plan",
        "refused: an approved plan went stale",
        "stop: SIGTERM",
        "I1: a weak service let two live at once, and it was repaired",
    }
)


def never_seen(seen: Iterable[str]) -> list[str]:
    """What a campaign has missed."""
    return sorted(REQUIRED - set(seen))
