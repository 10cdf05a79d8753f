"""The events of an apply, as values, and the ledger that collects them.

Live progress, JSON lines, history and the final summary are all made from the same events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import TypeAlias

from reconciler.errors import ReconcilerError
from reconciler.model.address import Address
from reconciler.plan.change import Action
from reconciler.values import dataclass


class Result(StrEnum):
    """The outcome of a change."""

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
    """One line of progress within a change: a call was made, or a wait began."""

    address: Address
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A change has ended with a result; `detail` is the reason where it was not done.

    `agent_id` is the agent that now has the address (after a leave: the agent that left), `previous_agent_id` the one
    that it replaced. `until` is the time (epoch seconds) from which a deferred change goes on.
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
    """A message about the run as a whole, for the operator."""

    text: str


Event: TypeAlias = Started | Progress | Finished | Notice


def change_key(event: Finished) -> tuple[Address, Action, str]:
    """Return the ledger's key of an event: the last event of a change counts; each leave at an address is a change."""
    return (event.address, event.action, event.agent_id if event.action is Action.LEAVE else "")


@dataclass(slots=True)
class Ledger:
    """The last outcome of every change; it is printed also after a crash or an interruption of the run."""

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
        """Whether every change was done and the run was neither interrupted nor broken."""
        counts = self.counts()
        return sum(counts.values()) == counts[Result.DONE] and not self.interrupted and self.broken is None
