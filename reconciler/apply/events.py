"""What happens during an apply, as values, and the ledger folded from them.

Live progress, JSON lines, history and the final summary are folds over the same events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from reconciler.errors import ReconcilerError
from reconciler.model.address import Address
from reconciler.plan.change import Action


class Result(StrEnum):
    """What came of a change."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    HELD = "held"
    DEFERRED = "deferred"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Started:
    """A change has begun."""

    address: Address
    action: Action


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of a change has something to say: a call made, a wait begun."""

    address: Address
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A change has ended, one way or another. `detail` says why where it is not done.

    `agent_id` is the agent that it leaves at the address (for a leave: that has left), `previous_agent_id` the one that
    it replaced. `until` is the time (epoch seconds) from which a deferred change goes on.
    """

    address: Address
    action: Action
    result: Result
    detail: str = ""
    agent_id: str = ""
    previous_agent_id: str = ""
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about the run as a whole that its owner should read."""

    text: str


Event: TypeAlias = Started | Progress | Finished | Notice


def change_key(event: Finished) -> tuple[Address, Action, str]:
    """One row a change, the latest word on it; several agents may leave one address."""
    return (event.address, event.action, event.agent_id if event.action is Action.LEAVE else "")


@dataclass(slots=True)
class Ledger:
    """Every change with what came of it; always printed, also after a crash of the run or an interruption."""

    rows: dict[tuple[Address, Action, str], Finished] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    interrupted: bool = False
    broken: ReconcilerError | None = None

    def note(self, event: Event) -> None:
        match event:
            case Finished():
                self.rows[change_key(event)] = event
            case Notice(text):
                self.notices.append(text)
            case Started() | Progress():
                pass

    @property
    def finished(self) -> tuple[Finished, ...]:
        return tuple(
            self.rows[key] for key in sorted(self.rows, key=lambda key: (key[0], key[1].value, key[2]))
        )

    def counts(self) -> Mapping[Result, int]:
        counts = dict.fromkeys(Result, 0)
        for row in self.rows.values():
            counts[row.result] += 1
        return counts

    @property
    def is_complete(self) -> bool:
        """Whether everything was done: nothing failed, was held, deferred, skipped or is unknown."""
        counts = self.counts()
        return sum(counts.values()) == counts[Result.DONE] and not self.interrupted and self.broken is None
