"""The agents that the service reports, translated without interpretation.

The list gives id, status and creation time; the name comes only from a query (v2 API reference: list, query). Whether
an agent bears an owner mark is decided here too, by its name.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Final

from reconciler.model.address import AgentName, Owner
from reconciler.values import dataclass

# The form that every id must have before it is put into a path. The service documents only "string"; all ids seen fit.
AGENT_ID: Final = "[A-Za-z0-9_-]{1,128}"


class AgentStatus(StrEnum):
    """The service's states (v2 API reference: lifecycle); UNKNOWN is any other word."""

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
        """Return the status for the service's word; UNKNOWN for any other word, which counts as live."""
        return cls.__members__.get(text.upper(), cls.UNKNOWN)

    @property
    def is_terminal(self) -> bool:
        return self in _TERMINAL

    @property
    def is_live(self) -> bool:
        """Whether the agent talks and costs money; one that is stopping is neither live nor terminal; it is awaited."""
        return self not in _NOT_LIVE

    @property
    def is_settled(self) -> bool:
        """Whether a joined agent is not starting any more: it runs, is idle, or has ended."""
        return self in (AgentStatus.RUNNING, AgentStatus.IDLE) or self.is_terminal


_TERMINAL: Final = frozenset({AgentStatus.STOPPED, AgentStatus.FAILED})
_NOT_LIVE: Final = _TERMINAL | {AgentStatus.STOPPING}


@dataclass(frozen=True, slots=True)
class ListedAgent:
    """One row of the service's list. `started_at` in epoch seconds."""

    agent_id: str
    status: AgentStatus
    started_at: float


@dataclass(frozen=True)
class ObservedAgent:
    """One agent as a query returns it. Times in epoch seconds; `message` is the service's explanation of its end."""

    agent_id: str
    status: AgentStatus
    started_at: float
    name: str | None = None
    stopped_at: float | None = None
    message: str = ""

    @cached_property
    def parsed(self) -> AgentName | None:
        """The parts of the queried name, parsed once; None for a foreign name or none."""
        return AgentName.parse(self.name) if self.name else None

    def bears(self, owner: Owner) -> bool:
        """Return whether this agent's queried name bears the given owner mark."""
        return owner.marks(self.name)
