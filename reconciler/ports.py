"""Every effect that we may have, and what whoever performs it must guarantee.

The core is sans-I/O: its functions are generators that *yield* effects and are sent their results (`Steps`). A
driver performs them: the production driver over sockets, disk and clock; a simulated one in virtual time. Two
kinds of ports, the state's three and `SecretSource`, are what drivers perform some of the effects with. Nothing in here
does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from reconciler.diagnostics import Problem
from reconciler.errors import StateError, StateLocked
from reconciler.model.ability import Capabilities
from reconciler.model.address import Address
from reconciler.model.observed import AgentStatus, ListedAgent, ObservedAgent
from reconciler.model.record import Entry, State
from reconciler.model.spec import Body
from reconciler.model.transcript import History, Transcript, Turns
from reconciler.model.tree import Path, Tree
from reconciler.model.writes import Write
from reconciler.secrets import Secret, SecretRef

T = TypeVar("T")

# --- effects ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `body` is a tree that may hold secrets, as may the headers; `deadline` in seconds, for all of it.

    Performed exactly once: no retry, no redirect, no reply longer than `max_body` bytes.
    """

    method: str
    url: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str | Secret] = field(default_factory=dict)
    body: object | None = None
    deadline: float = 30.0
    max_body: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back: header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpTrouble(StrEnum):
    """Why there is no reply."""

    CONNECT = "could not connect"
    TIMEOUT = "no answer in time"
    BROKEN = "the connection broke"
    TOO_LARGE = "the answer was too large"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """No usable reply. `sent` is False only when it is certain that not a byte of the request left."""

    trouble: HttpTrouble
    sent: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Http:
    """Send a request; the result is an `HttpReply` or an `HttpFailure`, never an exception."""

    request: HttpRequest


@dataclass(frozen=True, slots=True)
class Now:
    """The wall clock in epoch seconds: for timestamps and token lifetimes, never for measuring durations."""


@dataclass(frozen=True, slots=True)
class Elapsed:
    """A monotonic clock in seconds: for deadlines and delays."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait for some seconds; returns early once the run is stopping."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Random:
    """A number in [0, 1): for jitter and salts."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """Whether the run has been told to stop: then nothing new may be started."""


@dataclass(frozen=True, slots=True)
class Knocked:
    """Whether somebody else waits for the state's lock: a controller then hands it over."""


@dataclass(frozen=True, slots=True)
class WaitUntilWoken:
    """Wait for some seconds, less where somebody wakes the controller; the result says how often each of them did."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ReadFiles:
    """The desired fleet, if its files have changed since the last such effect, else None; raises what a load raises."""


@dataclass(frozen=True, slots=True)
class Lead:
    """Whether this controller leads: of several with one state, one acts, and the others stand by."""


@dataclass(frozen=True, slots=True)
class Run:
    """Perform steps as a run of their own: a run that has lost its lease starts nothing new, and the next one may."""

    steps: Callable[[], Steps[Any]]


@dataclass(frozen=True, slots=True)
class Resolve:
    """The values of secret references; raises `SecretUnavailable` when one has none."""

    references: frozenset[SecretRef]


@dataclass(frozen=True, slots=True)
class Commit:
    """Make writes durable, all or none, before anything else happens in this task.

    Raises `StateError` when they cannot be made durable and `StateLocked` when another writer has moved the
    state on: the task must then make no further mutating request.
    """

    writes: tuple[Write, ...]


@dataclass(frozen=True, slots=True)
class Lock:
    """Take the exclusive right to write the state; `timeout` in seconds. Raises `StateLocked` with the holder."""

    timeout: float


@dataclass(frozen=True, slots=True)
class Unlock:
    """Give the right back."""


@dataclass(frozen=True, slots=True)
class ReadState:
    """The state as it stands; raises `StateError` where it cannot be trusted. Later commits build on this read."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell whoever watches."""

    event: object


@dataclass(frozen=True, slots=True)
class Preserve:
    """Add what is known of a session to its archive; durable when it returns. Raises `ArchiveFailed`."""

    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Reading:
    """A listing asks for its page number `page` of `of`, as far as the service has said how many there are; an event."""

    page: int
    of: int


@dataclass(frozen=True, slots=True)
class Gather:
    """Run tasks, at most `limit` at a time, in order of their place; the result is the list of their results.

    A task that raises ends with its exception as its result; the others go on.
    """

    tasks: Sequence[Callable[[], Steps[Any]]]
    limit: int


Effect: TypeAlias = (
    Http
    | Now
    | Elapsed
    | Sleep
    | Random
    | Stopping
    | Knocked
    | WaitUntilWoken
    | ReadFiles
    | Lead
    | Run
    | Resolve
    | Lock
    | Unlock
    | ReadState
    | Commit
    | Emit
    | Preserve
    | Gather
)
Steps: TypeAlias = Generator[Effect, Any, T]

# --- the state --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Version:
    """The latest commit of a state: its serial, and the nonce that its writer gave it."""

    serial: int
    nonce: str


@dataclass(frozen=True, slots=True)
class Made:
    """The commit is durable, and `serial` is its number."""

    serial: int


@dataclass(frozen=True, slots=True)
class MovedOn:
    """Another writer was first, or has taken the state over: nothing was written. `problem` says who."""

    problem: StateLocked


@dataclass(frozen=True, slots=True)
class CommitUnknown:
    """Nobody knows whether the commit is durable: `StateLedger.version` tells by its nonce. `problem` says why."""

    problem: StateError


CommitOutcome: TypeAlias = Made | MovedOn | CommitUnknown


class StateLedger(Protocol):
    """What we remember: a log of commits, each made only on top of the one that its writer has read.

    Raises `StateError` when what is stored is damaged, foreign or newer: it is never taken as empty.
    """

    async def prepare(self) -> str:
        """Make a new state, or convert one of an older format; returns what people are to be told, mostly nothing.

        Only for whoever holds the lease: nothing else in here writes but `commit`.
        """
        ...

    async def read(self) -> State:
        """The state as it stands; an empty one without a lineage where nothing was stored yet."""
        ...

    async def history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        """The latest entries, newest first, of one address or of all."""
        ...

    async def version(self) -> Version:
        """The latest commit; serial 0 where nothing was stored yet."""
        ...

    async def commit(self, writes: Sequence[Write], *, expected: int, nonce: str) -> CommitOutcome:
        """Append writes, all or none, if the serial is still `expected`: that raises it by one. Never tries twice."""
        ...


class Lease(Protocol):
    """The exclusive right to write, which ends by itself `seconds` after its holder's last sign of life.

    It is a courtesy that saves work: what must not be lost is protected by the ledger's serial.
    """

    @property
    def seconds(self) -> float: ...

    async def take(self, holder: str) -> None:
        """Take it now, or raise `StateLocked`, which names the holder.

        Whoever sees no sign of life for a whole lease, by a clock of its own, takes over.
        """
        ...

    async def renew(self) -> None:
        """Give a sign of life, if it is held; raises `StateLocked` when somebody has taken over."""
        ...

    async def release(self) -> None:
        """Give it back; harmless when it is not held. A local one also ends with its process."""
        ...


class Door(Protocol):
    """Where those knock who wait for the lease, so that a controller, which would take it again and again, lets them in."""

    async def knock(self) -> None:
        """Say that somebody waits, until `leave` or the end of the process; harmless when it is said already."""
        ...

    async def leave(self) -> None:
        """Wait no more; harmless for one who does not."""
        ...

    async def is_knocked(self) -> bool:
        """Whether anybody waits; False also where that cannot be told."""
        ...


class DigestKey(Protocol):
    """The key for digests of secret values; it is kept apart from the ledger."""

    async def create(self) -> None:
        """Make one where there is none yet."""
        ...

    async def read(self) -> bytes:
        """The key; empty where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class StateStore:
    """Where we remember: the three ports of one backend, and what controllers need besides where it offers that.

    `controllers` is the lease of whoever leads among several controllers of this state. `abandon` ends all calls that wait for
    another machine, and lets none begin from then on.
    """

    ledger: StateLedger
    lease: Lease
    key: DigestKey
    door: Door | None = None
    controllers: Lease | None = None
    abandon: Callable[[], None] = lambda: None


class TranscriptArchive(Protocol):
    """Where transcripts are kept."""

    def preserve(self, transcript: Transcript) -> None:
        """As the effect `Preserve`; it blocks."""
        ...


class SecretSource(Protocol):
    """Where the values behind references come from."""

    def resolve(self, references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
        """Every value, or `SecretUnavailable` naming all references that have none."""
        ...


# --- the provider -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JoinOrder:
    """What a provider needs to start one agent; `token_ttl` in seconds."""

    name: str
    channel: str
    uid: str
    body: Body
    token_ttl: float


@dataclass(frozen=True, slots=True)
class UpdateOrder:
    """What a provider needs to change one running agent: whole values by path, and a token if one is to be sent.

    Paths are below `properties`, each one of the provider's updatable paths, each value complete.
    """

    agent_id: str
    channel: str
    uid: str
    values: Mapping[Path, Tree]
    token_ttl: float | None
    rtm: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call made ready: secrets resolved, token minted, nothing sent. Never stored, never printed."""

    request: HttpRequest
    secrets: Mapping[SecretRef, Secret] = field(default_factory=dict)
    token_expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """The service has accepted the join. `started_at` in epoch seconds."""

    agent_id: str
    status: AgentStatus
    started_at: float


@dataclass(frozen=True, slots=True)
class Conflict:
    """The service says that the name, or a conflicting task, is there already; with its id if it says so."""

    agent_id: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Done:
    """The call was executed."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The agent is not there any more."""


class Scope(StrEnum):
    """How far a refusal reaches."""

    ADDRESS = "address"  # this spec or agent is refused; the others go on
    JOINS = "joins"  # the quota is used up: no further join can succeed now
    RUN = "run"  # credentials or project are refused: nothing can succeed


@dataclass(frozen=True, slots=True)
class Declined:
    """The service definitely did not execute the call, and why."""

    scope: Scope
    detail: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows whether the call was executed: it must be resolved by reading, or by sending the same again.

    `answered` says that the service itself has answered, unhelpfully: it has executed the call by now, or never will.
    Otherwise it may still execute it later.
    """

    detail: str
    answered: bool = False


JoinOutcome: TypeAlias = Joined | Conflict | Declined | Unknown
UpdateOutcome: TypeAlias = Done | Gone | Declined | Unknown
LeaveOutcome: TypeAlias = Done | Gone | Declined | Unknown


@dataclass(frozen=True, slots=True)
class Pace:
    """How many calls a second a service was asked for, and near which pace it last said no, if it has."""

    per_second: float
    refused_near: float | None = None


class Observer(Protocol):
    """The reading half of a provider: all that a plan is ever given.

    Reads are retried inside, within one budget; what still fails is raised: `AuthenticationFailed` for 401 and
    403, `IncompleteRead` for anything that cannot be trusted as a whole, `ServiceError` for the rest.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def clock_skew(self) -> float | None:
        """Seconds that the service's clock is ahead of ours; None while no reply has told it."""
        ...

    def live_agents(self, *, channel: str | None = None) -> Steps[tuple[ListedAgent, ...]]:
        """Every agent that is not terminal, of the App ID or of one channel: complete, or an error."""
        ...

    def query(self, agent_id: str) -> Steps[ObservedAgent | None]:
        """One agent by id; None when the service does not know it (any more)."""
        ...

    def has_ended(self, name: str, *, channel: str) -> Steps[bool]:
        """Whether an ended agent of a channel is known to have borne a name; False also where nobody can tell."""
        ...


class Provider(Observer, Protocol):
    """The adapter for one service. No mutating call is ever retried inside: the protocol above decides that."""

    def prepare_join(self, order: JoinOrder) -> Steps[Prepared]: ...

    def join(self, prepared: Prepared) -> Steps[JoinOutcome]: ...

    def prepare_update(self, order: UpdateOrder) -> Steps[Prepared]: ...

    def update(self, prepared: Prepared) -> Steps[UpdateOutcome]: ...

    def leave(self, agent_id: str) -> Steps[LeaveOutcome]: ...


@runtime_checkable
class Historian(Protocol):
    """A provider that tells what was said; what it reads is retried, and fails, as in `Observer`."""

    def seat(self, agent_id: str, channel: str, uid: str) -> None:
        """Say where an agent sits, for a service that wants a token for its channel."""
        ...

    def history(self, agent_id: str) -> Steps[History | None]:
        """What was said last to and by a running agent; None when it does not run (any more)."""
        ...

    def turns(self, agent_id: str) -> Steps[Turns | None]:
        """The turns of a session; None where the service does not tell them (yet)."""
        ...


@dataclass(frozen=True, slots=True)
class Passed:
    """A check that found nothing wrong: what was checked, as a finding's rule would call it, and what is known."""

    check: str
    text: str


@runtime_checkable
class Checker(Protocol):
    """A provider that can check what its calls need. It only reads.

    A finding that is an error would let no join succeed; its rule is `credentials`, `app-id`, `clock`, or `service`
    where the service gave no answer to judge by.
    """

    def check(self) -> Steps[tuple[Problem | Passed, ...]]:
        """Try each way to authenticate that this run has not seen accepted, and compare the clocks."""
        ...
