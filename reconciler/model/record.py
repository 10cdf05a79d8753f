"""What we remember: records of applied agents, open intents, and the history, as values.

How they are stored is `state`'s business. No secret value and no token is ever part of them. Times in epoch
seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from enum import StrEnum

from reconciler.model.address import Address
from reconciler.model.fingerprint import share_of
from reconciler.model.spec import Body
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """What we last applied at one address, and to which agent.

    `unsent` marks an agent whose in-place fields are not known to be those of `body` (taken back by name, or
    adopted): they are sent once. `declared` marks an adopted foreign agent: its join-only fields are what the
    files said, which nobody can verify. `failures` counts joins in a row that failed with the body of `failed_digest`
    and for one cause, the service's own words; `failed_agent` is the agent whose early end was counted last, and
    `retry_at` is when the next join may be tried. `replacing` marks an agent that was told to leave to make room for
    its successor. `stops` are the times at which somebody has ended agents of this address with this body through the API,
    as far as they lie within an hour; `stopped_agent` is the agent whose stop was counted last.
    """

    address: Address
    agent_id: str
    name: str
    generation: int
    uid: str
    body: Body
    started_at: float
    token_expires_at: float | None = None
    protect: bool = False
    unsent: bool = False
    declared: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict)
    failures: int = 0
    retry_at: float = 0.0
    replacing: bool = False
    failed_digest: str = ""
    failed_cause: str = ""
    failed_agent: str = ""
    stops: tuple[float, ...] = ()
    stopped_agent: str = ""

    @property
    def share(self) -> float:
        """The agent's place in [0, 1) in the spread of rotations and renewals: its own, and new in each generation."""
        return share_of(f"{self.address} {self.generation}")

    @property
    def key(self) -> str:
        """What a later record replaces: there is one at each address."""
        return str(self.address)

    @property
    def adopted_as(self) -> str:
        """The name of an adopted agent, which is all that proves it ours; empty for one that we started."""
        return self.name if self.declared else ""


class Operation(StrEnum):
    """The call that an intent announces; a late copy is one that was sent and may still be executed.

    Refused is a note of the controller: joins of an address that the service has refused, so often and at that time.
    """

    JOIN = "join"
    UPDATE = "update"
    LEAVE = "leave"
    LATE_COPY = "echo"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Intent:
    """A durable note of one call that we are about to make, written before it and dropped after its outcome.

    A join intent holds the exact name and body, so that a crash at any instant leaves enough to find the agent
    and to send the same again. Leave and update hold the agent's id.

    `attempt` counts how often it was sent, and `answered` how many of those the service answered: what it answered, it
    executed or not by then. What nobody answered (a lost reply, our own death) may still be executed; `unknown_since`
    is when such an attempt was sent last: the grace counts from there. `sent_at` is when it was sent last at all.
    `refused_since` is when the service first said that the name is taken while nobody was seen to bear it.

    A join that was sent several times leaves a late-copy note when it has succeeded: an earlier attempt may still be
    executed, once the name is free again.
    """

    operation: Operation
    address: Address
    name: str
    created_at: float
    agent_id: str = ""
    generation: int = 0
    uid: str = ""
    body: Body | None = None
    protect: bool = False
    attempt: int = 1
    unknown_since: float | None = None
    refused_since: float | None = None
    answered: int = 0
    sent_at: float | None = None

    @property
    def key(self) -> str:
        """What makes two intents the same: a join by its name, the others by the agent that they touch."""
        if self.operation is Operation.REFUSED:
            return f"{self.operation}:{self.address}"
        return f"{self.operation}:{self.name if self.is_of_a_join else self.agent_id}"

    @property
    def is_of_a_join(self) -> bool:
        """Whether it holds a name that an agent may yet turn up under."""
        return self.operation in (Operation.JOIN, Operation.LATE_COPY)

    @property
    def in_doubt_since(self) -> float:
        """When the last attempt without an answer was sent (epoch seconds): the grace counts from here."""
        return self.created_at if self.unknown_since is None else self.unknown_since

    @property
    def unanswered(self) -> int:
        """How many attempts got no answer: each may still be executed."""
        return self.attempt - self.answered

    def late_until(self, grace: float) -> float:
        """When no late copy can be executed any more (epoch seconds); 0 where every attempt was answered."""
        return self.in_doubt_since + grace if self.unanswered > 0 else 0.0

    def may_turn_up_late(self, now: float, grace: float) -> bool:
        """Whether an attempt that nobody answered may still be executed, or what it started may not be listed yet."""
        return self.unanswered > 0 and now < self.late_until(grace) + grace

    def certain_at(self, grace: float) -> float:
        """When whatever it has started would be listed (epoch seconds): a list may lag behind for as long as `grace`."""
        sent = self.created_at if self.sent_at is None else self.sent_at
        return grace + max(sent, self.in_doubt_since, self.late_until(grace))

    def is_refused_late(self, grace: float) -> bool:
        """Whether it was sent again, and refused or not answered, later than a list can lag behind the first refusal."""
        return (
            self.refused_since is not None
            and self.sent_at is not None
            and self.sent_at >= self.refused_since + grace
        )

    def as_join(self) -> Intent:
        """The join of a late-copy note, to be sent again under the same name."""
        return replace(self, operation=Operation.JOIN)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A foreign agent that was seen: its name never changes, so one query is enough for its whole life."""

    agent_id: str
    name: str
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the history: what was done to an address, when, and what came of it."""

    at: float
    address: Address
    change: str
    result: str
    agent_id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Pins:
    """What a state belongs to; a state of another fleet, environment, service or App ID is refused."""

    fleet: str
    environment: str | None
    service: str
    app_id: str | None


@dataclass(frozen=True, slots=True)
class State:
    """The whole state at one version: `lineage` says which history, `serial` which version of it.

    `applying` is the mark of a saved plan whose apply has begun and not ended. `moved_to` says where the state has moved
    to: what is left here is no state to work with any more. `offset` is what `version` counts beyond the serial.
    """

    lineage: str
    serial: int
    secret_key: bytes
    pins: Pins | None = None
    records: Mapping[Address, Record] = field(default_factory=dict)
    intents: tuple[Intent, ...] = ()
    generations: Mapping[Address, int] = field(default_factory=dict)
    foreign: Mapping[str, Foreign] = field(default_factory=dict)
    released: frozenset[str] = frozenset()
    applying: str | None = None
    moved_to: str | None = None
    offset: int = 0

    @property
    def version(self) -> int:
        """Which version of its history it is: the serial counts the commits of one backend, this those of all."""
        return self.serial + self.offset

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever written."""
        return self.serial == 0

    def with_key(self, key: bytes) -> State:
        """This state where the key for digests is `key`: digests that another one has made would call every value new."""
        if key == self.secret_key:
            return self
        records = {address: replace(each, secrets={}) for address, each in self.records.items()}
        return replace(self, secret_key=key, records=records)
