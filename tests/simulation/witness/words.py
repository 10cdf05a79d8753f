"""What the checker knows of the files, of the durable state and of a plan: plain values, translated by `translate.py`.

Addresses are texts, `<channel>/<name>`. Times in epoch seconds, durations in seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit as the files write it: a number, or a share of a hundred."""

    number: int | None = None
    percent: float | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What the files ask of one address."""

    address: str
    properties: Mapping[str, Any]
    uid: str | None = None
    protect: bool | None = None
    paused: bool = False
    join_first: bool = False
    may_join_beside: bool = False
    rotate_after: float = 216_000.0
    rotate_spread: float = 28_800.0
    token_life: float = 86_400.0
    ignored: tuple[tuple[str, ...], ...] = ()
    previously: tuple[str, ...] = ()
    adopt: str | None = None

    @property
    def channel(self) -> str:
        return self.address.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Files:
    """What one version of the files asks for. `mark` is what every name of its agents begins with."""

    mark: str
    wishes: Mapping[str, Wish]
    hang_ups: Bound
    rotations: Bound


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person approved: rows of (action, address), and the agent that each touches with what is done to it.

    `started` collects the names that were joined in its name, over every run and resumption.
    """

    rows: frozenset[tuple[str, str]]
    targets: Mapping[str, str]
    started: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a run was started: what its caller allowed, and how many calls may be in flight.

    `about` are the addresses that the run is about, None for all of them. The next run comes in `horizon` seconds, 0 if
    nobody has said so.
    """

    files: Files
    in_flight: int
    more_hang_ups: float = 0.0
    beside: frozenset[str] = frozenset()
    forced: frozenset[str] = frozenset()
    destroying: bool = False
    about: frozenset[str] | None = None
    approval: Approval | None = None
    horizon: float = 0.0


@dataclass(frozen=True, slots=True)
class Known:
    """What the state has recorded of one agent."""

    address: str
    agent_id: str
    name: str
    uid: str
    protect: bool
    was_adopted: bool
    wrote_uid: bool = False
    replacing: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of a plan: `why` is its stable word, `agent_id` the agent that it touches."""

    address: str
    action: str
    agent_id: str = ""
    why: str = ""
    formerly: str = ""


@dataclass(frozen=True, slots=True)
class Wrote:
    """One durable write, as far as the checks care: `kind` is the engine's own word for it."""

    kind: str
    known: Known | None = None
    unsent: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: `kind` is ledger, refused, stale, locked, other (an error of ours) or foreign (any other one).

    `pending` are the addresses that were held, deferred, failed, skipped or left unknown.
    """

    kind: str
    text: str = ""
    is_complete: bool = False
    pending: frozenset[str] = frozenset()


class Memory(Protocol):
    """The durable state, read behind the engine's back."""

    @property
    def serial(self) -> int: ...

    def by_id(self) -> Mapping[str, Known]: ...

    def at(self, address: str) -> Known | None: ...

    def notes(self) -> Collection[str]:
        """The open intents, as `join:<name>`, `echo:<name>`, `update:<id>`, `leave:<id>`."""
        ...

    def released(self) -> Collection[str]: ...

    def used(self) -> Collection[str]:
        """The addresses at which something of ours was ever started under this state."""
        ...

    def refused(self) -> Collection[str]:
        """The addresses whose open join the service has refused, since its name or its uid is taken."""
        ...
