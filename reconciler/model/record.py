"""The contents of the state as values: records of applied agents, open intents, and the history.

How they are stored is decided in `state`. No secret value and no token is ever part of them. Times in epoch seconds.
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
    """What was last applied at one address, and to which agent.

    `unsent` marks an agent whose in-place fields may differ from `body` (found by its name, or adopted): they are sent
    once. `declared` marks an adopted foreign agent: its join-only fields are those of the files, which cannot be
    verified. `failures` counts joins in a row that failed with the body of `failed_digest` and the same `failed_cause`,
    the service's message; `failed_agent` is the agent whose early end was counted last, and `retry_at` is when the next
    join may be tried. `replacing` marks an agent that was told to leave to make room for its successor. `stops` are the
    times within the last hour at which agents of this address with this body were ended through the API, not by this
    tool; `stopped_agent` is the agent whose stop was counted last.
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
        """The agent's share in [0, 1) for the spread of rotations and renewals; each generation has another one."""
        return share_of(f"{self.address} {self.generation}")

    @property
    def key(self) -> str:
        """The key under which a record replaces an earlier one: its address."""
        return str(self.address)

    @property
    def adopted_as(self) -> str:
        """The name of an adopted agent, which alone proves that it is ours; empty for one that we started."""
        return self.name if self.declared else ""


class Operation(StrEnum):
    """The call that an intent announces, or the kind of note that it is.

    LATE_COPY notes a join that was sent and may still be executed. REFUSED is a note of the controller: the service has
    refused joins of an address, `attempt` times and last at `sent_at`.
    """

    JOIN = "join"
    UPDATE = "update"
    LEAVE = "leave"
    LATE_COPY = "echo"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Intent:
    """A durable note of one call, written before the call is sent and dropped after its outcome.

    A join intent holds the exact name and body, so that after a crash at any time its agent can be found and the same
    join can be sent again. Intents of leaves and updates hold the agent's id. That of an agent which leaves once its
    successor runs also holds its body, until it is told to leave: it stays if the successor ends first.

    `attempt` counts how often the call was sent, `answered` how many of those attempts the service answered: such an
    attempt was executed by then, or never will be. `unclear` is how many of the answers did not tell which of the two.
    An attempt without an answer (a lost reply, a crash of ours) may still be executed; `unknown_since` is when such an
    attempt was sent last, and the grace starts there. `sent_at` is when any attempt was sent last. `refused_since` is
    when the service first said that the name is taken while no agent was seen to bear it.

    A join that was sent several times leaves a late-copy note when it has succeeded: an earlier attempt may still be
    executed once the name is free again.
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
    unclear: int = 0

    @property
    def key(self) -> str:
        """The identity of an intent: a join is identified by its name, other calls by their agent."""
        if self.operation is Operation.REFUSED:
            return f"{self.operation}:{self.address}"
        return f"{self.operation}:{self.name if self.is_of_a_join else self.agent_id}"

    @property
    def is_of_a_join(self) -> bool:
        """Whether an agent may turn up under the intent's name."""
        return self.operation in (Operation.JOIN, Operation.LATE_COPY)

    @property
    def in_doubt_since(self) -> float:
        """The time (epoch seconds) at which the last attempt without an answer was sent: the grace starts there."""
        return self.created_at if self.unknown_since is None else self.unknown_since

    @property
    def unanswered(self) -> int:
        """The number of attempts without an answer: each may still be executed."""
        return self.attempt - self.answered

    def late_until(self, grace: float) -> float:
        """Return when no late copy can be executed any more (epoch seconds); 0 where every attempt was answered."""
        return self.in_doubt_since + grace if self.unanswered > 0 else 0.0

    def may_turn_up_late(self, now: float, grace: float) -> bool:
        """Return whether an unanswered attempt may still be executed, or its agent may not be listed yet."""
        return self.unanswered > 0 and now < self.late_until(grace) + grace

    def certain_at(self, grace: float) -> float:
        """Return when any agent of the call would be listed (epoch seconds): a list may lag by up to `grace`."""
        sent = self.created_at if self.sent_at is None else self.sent_at
        return grace + max(sent, self.in_doubt_since, self.late_until(grace))

    def is_refused_late(self, grace: float) -> bool:
        """Return whether it was sent again, without success, later than a list can lag behind the first refusal."""
        return (
            self.refused_since is not None
            and self.sent_at is not None
            and self.sent_at >= self.refused_since + grace
        )

    def as_join(self) -> Intent:
        """Return the join of a late-copy note, to be sent again under the same name."""
        return replace(self, operation=Operation.JOIN)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A foreign agent that was seen: its name never changes, so one query is enough for its whole life."""

    agent_id: str
    name: str
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the history: a change of an address, with its time and its result."""

    at: float
    address: Address
    change: str
    result: str
    agent_id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Pins:
    """The fleet, environment, service and App ID of a state; a state of any other is refused."""

    fleet: str
    environment: str | None
    service: str
    app_id: str | None


@dataclass(frozen=True, slots=True)
class State:
    """The whole state at one version: `lineage` identifies its history, `serial` the commit.

    `applying` is the digest of a saved plan whose apply has begun and not ended. `moved_to` is the place to which the
    state has moved; then this copy must not be used any more. `offset` is the difference between `version` and
    `serial`.
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
        """The number of commits in this history, in all backends; the serial counts those of the present one."""
        return self.serial + self.offset

    @property
    def told_to_leave(self) -> frozenset[str]:
        """The ids of the agents with an open leave: told to leave by an earlier run, or about to be."""
        return frozenset(each.agent_id for each in self.intents if each.operation is Operation.LEAVE)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever written."""
        return self.serial == 0

    def with_key(self, key: bytes) -> State:
        """Return this state with another key for digests, and without the digests that were made with the old key."""
        if key == self.secret_key:
            return self
        records = {address: replace(each, secrets={}) for address, each in self.records.items()}
        return replace(self, secret_key=key, records=records)
