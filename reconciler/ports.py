"""The effects of the core, the ports that perform them, and what each implementation must guarantee.

The core is sans-I/O: its functions are generators that *yield* effects and are sent their results (`Steps`). A driver
performs them: the production driver with sockets, disk and clock, a simulated one in virtual time. Drivers perform some
effects through ports: those of the state, and `SecretSource`. Only declarations are in here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from reconciler.diagnostics import Problem
from reconciler.errors import StateError, StateLocked
from reconciler.model.address import Address
from reconciler.model.capabilities import Capabilities
from reconciler.model.observed import AgentStatus, ListedAgent, ObservedAgent
from reconciler.model.record import Entry, State
from reconciler.model.spec import Body
from reconciler.model.transcript import History, Transcript, Turns
from reconciler.model.tree import Path, Tree
from reconciler.model.writes import Write
from reconciler.secrets import Secret, SecretRef
from reconciler.values import dataclass

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
    """A reply: its status, its headers by name in lower case, and its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpTrouble(StrEnum):
    """The reasons for having no reply."""

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
    """Return whether the run was told to stop: then nothing new may be started."""


@dataclass(frozen=True, slots=True)
class Knocked:
    """Return whether another process waits for the state's lock: a controller then releases it."""


@dataclass(frozen=True, slots=True)
class WaitUntilWoken:
    """Wait for some seconds, or until a waker wakes the controller; the result says how often each waker did."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ReadFiles:
    """Return the desired fleet if its files have changed since the last such effect, else None; raises like a load."""


@dataclass(frozen=True, slots=True)
class Lead:
    """Return whether this controller leads: of several controllers of one state only the leader acts."""


@dataclass(frozen=True, slots=True)
class Run:
    """Perform steps as a run of their own: if it loses its lease, it starts nothing new, but the next run may."""

    steps: Callable[[], Steps[Any]]


@dataclass(frozen=True, slots=True)
class Resolve:
    """Return the values of secret references; raises `SecretUnavailable` when one has none."""

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
    """Give up the exclusive right to write the state."""


@dataclass(frozen=True, slots=True)
class ReadState:
    """Return the present state; raises `StateError` where it cannot be trusted. Later commits build on this read.

    `likely` are the bodies that records probably have, as for `StateLedger.read`.
    """

    likely: Mapping[str, Body] | None = None


@dataclass(frozen=True, slots=True)
class Emit:
    """Give an event to the listeners."""

    event: object


@dataclass(frozen=True, slots=True)
class Preserve:
    """Add what is known of a session to its archive; durable when it returns. Raises `ArchiveFailed`."""

    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Reading:
    """An event: a listing asks for its page number `page`; `of` is the number of pages that the service has given."""

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
    """The latest commit of a state: its serial, and the nonce that its writer put into it."""

    serial: int
    nonce: str


@dataclass(frozen=True, slots=True)
class Made:
    """The commit is durable, and `serial` is its number."""

    serial: int


@dataclass(frozen=True, slots=True)
class MovedOn:
    """Nothing was written: another writer committed first, or has taken the state over. `problem` names it."""

    problem: StateLocked


@dataclass(frozen=True, slots=True)
class CommitUnknown:
    """The commit may or may not be durable: the nonce of `StateLedger.version` decides. `problem` is the cause."""

    problem: StateError


CommitOutcome: TypeAlias = Made | MovedOn | CommitUnknown


class StateLedger(Protocol):
    """The stored state as a log of commits, each made only on top of the one that its writer has read.

    Raises `StateError` when what is stored is damaged, foreign or newer: it is never taken as empty.
    """

    async def prepare(self) -> str:
        """Create a new state, or convert one of an older format; return a message for the user, mostly empty.

        Only the holder of the lease may call it. Besides `commit` it is the only method that writes.
        """
        ...

    async def read(self, likely: Mapping[str, Body] | None = None) -> State:
        """Return the present state; an empty one without a lineage where nothing was stored yet.

        `likely` are bodies by the keys of records. A record that has exactly its likely body shares that object, so that a
        fleet and its state need not be in memory twice; a ledger may also ignore them.
        """
        ...

    async def history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        """Return the latest entries, newest first, of one address or of all."""
        ...

    async def version(self) -> Version:
        """Return the latest commit; serial 0 where nothing was stored yet."""
        ...

    async def commit(self, writes: Sequence[Write], *, expected: int, nonce: str) -> CommitOutcome:
        """Append writes, all or none, if the serial is `expected`, and raise the serial by one. Never tries twice."""
        ...


class Lease(Protocol):
    """The exclusive right to write, which ends by itself `seconds` after its holder's last sign of life.

    It saves conflicts and work; the ledger's serial alone protects the state from lost writes.
    """

    @property
    def seconds(self) -> float: ...

    async def take(self, holder: str) -> None:
        """Take the lease now, or raise `StateLocked`, which names the holder.

        A process that sees no sign of life for the length of a lease, by its own clock, takes it over.
        """
        ...

    async def renew(self) -> None:
        """Give a sign of life, if the lease is held; raises `StateLocked` when another process has taken it over."""
        ...

    async def release(self) -> None:
        """Release the lease; without effect when it is not held. A local lease also ends with its process."""
        ...


class Door(Protocol):
    """The place where a process says that it waits for the lease, so that a controller hands the lease over."""

    async def knock(self) -> None:
        """Note that a process waits, until `leave` or the end of the process; no effect if that is noted already."""
        ...

    async def leave(self) -> None:
        """Drop the note that this process waits; without effect if there is none."""
        ...

    async def is_knocked(self) -> bool:
        """Return whether any process waits; False also where that cannot be found out."""
        ...


class DigestKey(Protocol):
    """The key for digests of secret values; it is stored apart from the ledger."""

    async def create(self) -> None:
        """Create the key if there is none yet."""
        ...

    async def read(self) -> bytes:
        """Return the key; empty where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class StateStore:
    """The ports of one state backend. `door` and `controllers` are for controllers, in backends that offer them.

    `controllers` is the lease of the leader among several controllers of this state. `abandon` ends all calls that wait for
    another machine, and lets none begin after it.
    """

    ledger: StateLedger
    lease: Lease
    key: DigestKey
    door: Door | None = None
    controllers: Lease | None = None
    abandon: Callable[[], None] = lambda: None


class TranscriptArchive(Protocol):
    """The archive of transcripts."""

    def preserve(self, transcript: Transcript) -> None:
        """Perform the effect `Preserve`; this call blocks."""
        ...


class SecretSource(Protocol):
    """A source of the values behind secret references."""

    def resolve(self, references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
        """Return the value of every reference, or raise `SecretUnavailable` with all references that have none."""
        ...


# --- the provider -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JoinOrder:
    """An order to a provider to start one agent; `token_ttl` in seconds."""

    name: str
    channel: str
    uid: str
    body: Body
    token_ttl: float


@dataclass(frozen=True, slots=True)
class UpdateOrder:
    """An order to a provider to change one running agent: whole values by path, and a token if one is to be sent.

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
    """The service reports that the name is taken or a conflicting task runs; `agent_id` is that agent if it says so."""

    agent_id: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Done:
    """The call was executed."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The agent does not exist any more."""


class Scope(StrEnum):
    """The part of a run that goes no further after a call that was not executed."""

    ADDRESS = "address"  # this spec or agent is refused; the others go on
    JOINS = "joins"  # the quota is used up: no further join can succeed now
    RUN = "run"  # credentials or project are refused: nothing can succeed
    STOPPING = "stopping"  # nothing was refused: the call was not sent, since the run is stopping


@dataclass(frozen=True, slots=True)
class Declined:
    """The service certainly did not execute the call; `detail` is the reason."""

    scope: Scope
    detail: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It is not known whether the call was executed: a read decides, or the same call is sent again.

    `answered` is True where the service itself has answered, without a usable outcome: then it has executed the call by
    now, or never will. Otherwise it may still execute it later.
    """

    detail: str
    answered: bool = False


JoinOutcome: TypeAlias = Joined | Conflict | Declined | Unknown
UpdateOutcome: TypeAlias = Done | Gone | Declined | Unknown
LeaveOutcome: TypeAlias = Done | Gone | Declined | Unknown


@dataclass(frozen=True, slots=True)
class Pace:
    """The number of calls a second to a service, and the pace near which it last refused calls, if it has."""

    per_second: float
    refused_near: float | None = None


class Observer(Protocol):
    """The reading half of a provider, which is all that a plan uses.

    Reads are retried inside, within one budget; then they raise: `AuthenticationFailed` for 401 and 403,
    `IncompleteRead` for an answer that cannot be trusted as a whole, `ServiceError` for the rest.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def clock_skew(self) -> float | None:
        """The seconds that the service's clock is ahead of ours; None before the first reply with a date."""
        ...

    def live_agents(
        self, *, channel: str | None = None, parallelism: int = 1
    ) -> Steps[tuple[ListedAgent, ...]]:
        """Return all agents that have not ended, of the App ID or of one channel: a complete list, or an error.

        Up to `parallelism` calls may be made at a time, with `Gather`; more than one not within a `Gather`.
        """
        ...

    def query(self, agent_id: str) -> Steps[ObservedAgent | None]:
        """Return one agent by id; None when the service does not know it (any more)."""
        ...

    def has_ended(self, name: str, *, channel: str) -> Steps[bool]:
        """Return whether an ended agent of a channel is known to have had a name; False also if that is not known."""
        ...


class Provider(Observer, Protocol):
    """The adapter for one service. It never retries a mutating call itself: the protocol in `apply` decides that."""

    def prepare_join(self, order: JoinOrder) -> Steps[Prepared]: ...

    def join(self, prepared: Prepared) -> Steps[JoinOutcome]: ...

    def prepare_update(self, order: UpdateOrder) -> Steps[Prepared]: ...

    def update(self, prepared: Prepared) -> Steps[UpdateOutcome]: ...

    def leave(self, agent_id: str) -> Steps[LeaveOutcome]: ...


@runtime_checkable
class Historian(Protocol):
    """A provider that can read what was said; its reads are retried, and fail, as in `Observer`."""

    def seat(self, agent_id: str, channel: str, uid: str) -> None:
        """Give the provider an agent's channel and uid, for a service that needs a token for that channel."""
        ...

    def history(self, agent_id: str) -> Steps[History | None]:
        """Return the last utterances of a running agent; None when it does not run (any more)."""
        ...

    def turns(self, agent_id: str) -> Steps[Turns | None]:
        """Return the turns of a session; None where the service does not have them (yet)."""
        ...


@dataclass(frozen=True, slots=True)
class Passed:
    """A check that found nothing wrong: `check` as the rule of a finding is named, and what was found."""

    check: str
    text: str


@runtime_checkable
class Checker(Protocol):
    """A provider that can check what its calls need. It only reads.

    An error among its findings means that no join would succeed; its rule is `credentials`, `app-id` or `clock`, or
    `service` where the service gave no usable answer.
    """

    def check(self) -> Steps[tuple[Problem | Passed, ...]]:
        """Try each way to authenticate that this run has not seen accepted, and compare the clocks."""
        ...
