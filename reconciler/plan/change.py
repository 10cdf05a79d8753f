"""One planned act on one address, as a sum type that has no value for an impossible change.

`Reason` is for people and for counting; nothing is decided by its text. The steps of each change are in `plan.steps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

from reconciler.model.address import Address
from reconciler.model.observed import ObservedAgent
from reconciler.model.record import Record
from reconciler.model.spec import AgentSpec
from reconciler.model.tree import Path, Tree
from reconciler.plan.diff import FieldDiff
from reconciler.values import dataclass


class Because(StrEnum):
    """The reasons for which a change is planned or held; the values are part of the JSON plan."""

    NEW = "new"
    RENAMED = "renamed"
    VANISHED = "vanished"
    EXPIRED = "expired"
    IDLE = "idle"
    STOPPED_OUTSIDE = "stopped_outside"
    FAILED = "failed"
    UNFINISHED = "unfinished"
    STATE_LOST = "state_lost"
    OTHER_REVISION = "other_revision"
    FIELDS = "fields"
    FORCED = "forced"
    AGE = "age"
    TOKEN = "token"
    EXPIRING = "expiring"
    UNSENT = "unsent"
    REMOVED = "removed"
    PAUSED = "paused"
    DESTROYED = "destroyed"
    DUPLICATE = "duplicate"
    ALREADY_GONE = "already_gone"
    IN_SYNC = "in_sync"
    PROTECTED = "protected"
    UNRECORDED = "unrecorded"
    BACKING_OFF = "backing_off"
    NOT_IN_ONLY = "not_in_only"
    OTHER_VERSION = "other_version"
    SECRET_HOST = "secret_host"
    BESIDE = "beside"
    MAX_UNAVAILABLE = "max_unavailable"
    FROZEN = "frozen"
    ADOPT_DECLARED = "adopt_declared"
    ADOPT_REFUSED = "adopt_refused"
    DEFERRED = "deferred"
    SEAT_TAKEN = "seat_taken"
    ENDED = "ended"
    UNREVIEWED = "unreviewed"
    KEPT_ENDING = "kept_ending"


@dataclass(frozen=True, slots=True)
class Reason:
    """The reason for a change, as a stable word and as text; without the time, so that two plans are the same bytes."""

    because: Because
    text: str


@dataclass(frozen=True, slots=True)
class Target:
    """The running agent that a change touches, with its record.

    `record` is None when it was found by its name alone. `uid` is the RTC uid it was joined with, as far as it is
    known.
    """

    agent: ObservedAgent
    record: Record | None = None
    uid: str = ""

    @property
    def agent_id(self) -> str:
        return self.agent.agent_id

    @property
    def name(self) -> str:
        return self.agent.name or (self.record.name if self.record else "")


@dataclass(frozen=True, slots=True)
class Join:
    """Start an agent; `awaits` are the stopping agents whose end must come first.

    `formerly` is the earlier address that still has the record of the predecessor, which has ended.
    """

    address: Address
    spec: AgentSpec
    reason: Reason
    awaits: tuple[str, ...] = ()
    failures: int = 0
    formerly: Address | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Change a running agent in place: complete values by path; empty when only the record changes."""

    address: Address
    spec: AgentSpec
    reason: Reason
    target: Target
    values: Mapping[Path, Tree]
    diffs: tuple[FieldDiff, ...] = ()


@dataclass(frozen=True, slots=True)
class Renew:
    """Give a running agent a new token. `rejoins` is False if the files do not declare it: no other one is started."""

    address: Address
    spec: AgentSpec
    reason: Reason
    target: Target
    rejoins: bool = True


@dataclass(frozen=True, slots=True)
class Replace:
    """End a running agent and start another at its address; the conversation ends."""

    address: Address
    spec: AgentSpec
    reason: Reason
    target: Target
    diffs: tuple[FieldDiff, ...] = ()


@dataclass(frozen=True, slots=True)
class Rotate:
    """Replace an agent before the service ends it at its age limit; the conversation ends."""

    address: Address
    spec: AgentSpec
    reason: Reason
    target: Target
    diffs: tuple[FieldDiff, ...] = ()


@dataclass(frozen=True, slots=True)
class Leave:
    """End a running agent."""

    address: Address
    reason: Reason
    target: Target


@dataclass(frozen=True, slots=True)
class Adopt:
    """Record a running agent without touching its conversation; values that change in place are sent once."""

    address: Address
    spec: AgentSpec
    reason: Reason
    target: Target
    values: Mapping[Path, Tree]


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop a record; nothing runs any more."""

    address: Address
    reason: Reason
    record: Record


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing to do: the running agent is as the files want it."""

    address: Address
    spec: AgentSpec
    reason: Reason
    target: Target


Act: TypeAlias = Join | Update | Renew | Replace | Rotate | Leave | Adopt | Forget


@dataclass(frozen=True, slots=True)
class Hold:
    """A change that is shown with its reason and not made; `until` (epoch seconds) if the hold ends by time alone."""

    change: Act
    reason: Reason
    until: float | None = None

    @property
    def address(self) -> Address:
        return self.change.address


Change: TypeAlias = Act | Hold | Keep


class Action(StrEnum):
    """The names of changes that users read and select."""

    JOIN = "join"
    UPDATE = "update"
    RENEW = "renew"
    REPLACE = "replace"
    ROTATE = "rotate"
    LEAVE = "leave"
    ADOPT = "adopt"
    FORGET = "forget"
    HOLD = "hold"
    NONE = "none"


_ACTIONS: Mapping[type, Action] = {
    Join: Action.JOIN,
    Update: Action.UPDATE,
    Renew: Action.RENEW,
    Replace: Action.REPLACE,
    Rotate: Action.ROTATE,
    Leave: Action.LEAVE,
    Adopt: Action.ADOPT,
    Forget: Action.FORGET,
    Hold: Action.HOLD,
    Keep: Action.NONE,
}


def action_of(change: Change) -> Action:
    """Return the name of a change."""
    return _ACTIONS[type(change)]


def finishes_begun(change: Change) -> bool:
    """Return whether a change is the join of a replacement or rotation whose agent has left already.

    It was decided with that leave, so what holds or counts other joins does not keep the address down.
    """
    return isinstance(change, Join) and change.reason.because is Because.UNFINISHED


def act_of(change: Change) -> Act | Keep:
    """Return the act of a change, also if it is held."""
    return change.change if isinstance(change, Hold) else change


def spec_of(change: Change) -> AgentSpec | None:
    """Return the spec of the agent that runs after a change, or None if none does."""
    act = act_of(change)
    return None if isinstance(act, (Leave, Forget)) else act.spec


def target_of(change: Change) -> Target | None:
    """Return the running agent that a change touches, or None."""
    act = act_of(change)
    return None if isinstance(act, (Join, Forget)) else act.target


def diffs_of(change: Change) -> tuple[FieldDiff, ...]:
    """Return the field differences that a change applies."""
    act = act_of(change)
    return act.diffs if isinstance(act, (Update, Replace, Rotate)) else ()


def order_of(change: Change) -> tuple[Address, str, str]:
    """Return the key by which changes are sorted: address, kind of act, and agent where several leave one address."""
    target = target_of(change)
    return (change.address, action_of(act_of(change)).value, target.agent_id if target else "")
