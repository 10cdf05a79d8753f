"""What a world needs from the place where it is kept: the protocol of `memory.py` and `sqlite.py`.

A store hands out a `Shelf` for the length of one request; what is done on it is one transaction. Stores know
timestamps and keys, no rules of the service: those are in `world.py` and `listing.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from reconciler.simulator.agent import Agent, Status
from reconciler.simulator.messages import Request
from reconciler.simulator.script import FaultScript
from reconciler.simulator.switches import Switches

LOG_LENGTH = 10_000
"""How many requests a store remembers, unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What governs a world beside its agents: how far its clock was advanced, the switches, the fault
    script."""

    offset: float = 0.0
    switches: Switches = field(default_factory=Switches)
    script: FaultScript = field(default_factory=FaultScript)


class Note(NamedTuple):
    """Something that happened to an agent: an update, or something said. `payload` is JSON."""

    at: float
    kind: str
    payload: bytes


class Deferred(NamedTuple):
    """A request that will be executed when its time has come."""

    due: float
    request: Request


class LogEntry(NamedTuple):
    """One request as the log remembers it. `outcome` is a status, or the name of an outage."""

    at: float
    operation: str
    method: str
    path: str
    agent: str
    outcome: str


class Selection(NamedTuple):
    """What a list asks for: agents of a project whose status at `seen_at` is one of `statuses`.

    `created` and `alive` are inclusive spans of time. `start` is the number of the agent where the page
    begins, included or not.
    """

    project: str
    seen_at: float
    statuses: frozenset[Status]
    channel: str | None
    created: tuple[float, float]
    alive: tuple[float, float]
    newest_first: bool
    start: int | None
    include_start: bool
    limit: int


class Listed(NamedTuple):
    """One agent as a list sees it: its number is its place in the order of creation."""

    number: int
    agent_id: str
    created_at: float
    status: Status


class Selected(NamedTuple):
    """A page of a list, how many agents match in all, and how many match before this page."""

    agents: Sequence[Listed]
    total: int
    before: int


class Shelf(Protocol):
    """A world during one request. Agents are handed out oldest first unless said otherwise."""

    seed: str

    @property
    def settings(self) -> Settings:
        """The settings in force."""

    def save_settings(self, settings: Settings) -> None:
        """Puts other settings in force. A changed script begins anew."""

    def script_position(self) -> tuple[int, ...]:
        """How many calls each rule of the script has seen."""

    def save_script_position(self, position: tuple[int, ...]) -> None:
        """Remembers how far the script has come."""

    def take_number(self) -> int:
        """The next number, from 1; never handed out twice."""

    def add(self, agent: Agent) -> None:
        """Keeps a new agent."""

    def put(self, agent: Agent, *, rewritten: bool = False) -> None:
        """Keeps a new version of an agent; `rewritten` says that its body is another one."""

    def find(self, project: str, agent_id: str) -> Agent | None:
        """The agent with that id."""

    def find_anywhere(self, agent_id: str) -> Agent | None:
        """The agent with that id, whatever its project."""

    def named(self, project: str, name: str) -> Sequence[Agent]:
        """All agents that bear or bore that name."""

    def seated(self, project: str, channel: str, uid: str, at: float) -> Sequence[Agent]:
        """Agents alive at `at` in that channel under that uid."""

    def in_channel(self, channel: str, at: float) -> Sequence[Agent]:
        """Agents alive at `at` in that channel, in every project."""

    def is_full(self, project: str, at: float, quota: int) -> bool:
        """Whether at least `quota` agents of the project live at `at`. `at` never goes back."""

    def select(self, selection: Selection) -> Selected:
        """A page of a list."""

    def every(self) -> Sequence[Agent]:
        """All agents."""

    def note(self, agent_id: str, note: Note) -> None:
        """Appends to an agent's notes."""

    def notes(self, agent_id: str) -> Sequence[Note]:
        """An agent's notes in order."""

    def defer(self, deferred: Deferred) -> None:
        """Keeps a request for later."""

    def take_due(self, now: float) -> Deferred | None:
        """Removes and returns the earliest deferred request that is due."""

    def next_due(self) -> float | None:
        """When the next deferred request is due."""

    def gate(self) -> float:
        """The rate limiter's mark: the time to which the project's allowance is used up."""

    def save_gate(self, mark: float) -> None:
        """Moves the rate limiter's mark."""

    def log(self, entry: LogEntry) -> None:
        """Appends to the log."""

    def entries(self) -> Sequence[LogEntry]:
        """The log, oldest first; bounded."""

    def tally(self) -> dict[str, int]:
        """How many requests each operation has seen since the beginning."""

    def clear(self) -> None:
        """Forgets everything but the seed: agents, settings, log."""


class Store(Protocol):
    """Keeps a world between requests."""

    def open(self) -> AbstractContextManager[Shelf]:
        """Begins a transaction, which ends with the block: kept, or undone when the block raises."""

    def close(self) -> None:
        """Lets go of files; the store is not used afterwards."""
