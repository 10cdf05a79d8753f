"""What the service says is alive: its rows, translated and never interpreted.

The list gives id, status and creation time; the name comes only from a query (v2 API reference: list, query). Which
agents are ours is decided here too, since the name alone proves it.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Final

from reconciler.model.address import AgentName, Owner
from reconciler.values import dataclass

# What every id must match before it is put into a path. The service says no more than "string"; all ids seen fit.
AGENT_ID: Final = "[A-Za-z0-9_-]{1,128}"


class AgentStatus(StrEnum):
    """The service's states (v2 API reference: lifecycle); UNKNOWN stands for a word that we have never seen."""

    IDLE = "IDLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    RECOVERING = "RECOVERING"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def of(cls, text: str) -> AgentStatus:
        """The status for the service's word; UNKNOWN for any other word, which counts as live."""
        return cls.__members__.get(text.upper(), cls.UNKNOWN)

    @property
    def is_terminal(self) -> bool:
        return self in (AgentStatus.STOPPED, AgentStatus.FAILED)

    @property
    def is_live(self) -> bool:
        """Live agents talk and cost money; one that is stopping is neither live nor gone: it is waited for."""
        return not self.is_terminal and self is not AgentStatus.STOPPING

    @property
    def is_settled(self) -> bool:
        """Whether a joined agent has arrived where it stays: running, or not at all."""
        return self in (AgentStatus.RUNNING, AgentStatus.IDLE) or self.is_terminal


@dataclass(frozen=True, slots=True)
class ListedAgent:
    """One row of the service's list. `started_at` in epoch seconds."""

    agent_id: str
    status: AgentStatus
    started_at: float


@dataclass(frozen=True)
class ObservedAgent:
    """One agent as a query shows it. Times in epoch seconds; `message` is the service's word on its end."""

    agent_id: str
    status: AgentStatus
    started_at: float
    name: str | None = None
    stopped_at: float | None = None
    message: str = ""

    @cached_property
    def parsed(self) -> AgentName | None:
        """The queried name taken apart; asked for again and again, so read once."""
        return AgentName.parse(self.name) if self.name else None

    def bears(self, owner: Owner) -> bool:
        """Whether this agent's queried name carries the given mark, compared as whole parts."""
        parsed = self.parsed
        return parsed is not None and parsed.owner == owner
