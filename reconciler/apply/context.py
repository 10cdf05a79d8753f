"""The data that all steps of an apply share: settings, provider, journal, and whether something new may start."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import field

from reconciler.apply.events import Event, Ledger
from reconciler.apply.journal import Journal
from reconciler.durations import spelled
from reconciler.errors import ReconcilerError
from reconciler.model.address import Address, Owner
from reconciler.model.fleet import Archive, Freeze
from reconciler.model.record import Record
from reconciler.model.spec import Lifecycle
from reconciler.plan.change import Action
from reconciler.plan.due import why_renew
from reconciler.plan.freeze import Freezes, told
from reconciler.plan.guard import Policy, why_not_permitted
from reconciler.plan.holds import PROVEN
from reconciler.plan.selection import matching_any
from reconciler.ports import Elapsed, Emit, Knocked, Provider, Random, Scope, Sleep, Steps, Stopping
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of an apply. Durations are in seconds.

    `wait` is how long to wait for agents to run, `farewell` for one to end (a graceful farewell may take 120 s, v2 API
    reference: lifecycle). `grace` is how long the service may still execute a call that got no answer; a list may lag
    behind for as long. `proven_after` is how long an agent must run until its join has succeeded: all early ends that
    were seen came 1 to 3 s after the start (v2 API reference: "Lifecycle"). `turn` is set in a turn of the controller:
    it starts nothing new after so long, or while another process waits for the state's lock, and waits for nothing; the
    next turn goes on from the state. The next run is expected in `horizon`; 0 where it is soon.
    """

    parallelism: int = 10
    wait: float = 120.0
    farewell: float = 150.0
    grace: float = 300.0
    attempts: int = 3
    proven_after: float = PROVEN
    turn: float | None = None
    horizon: float = 0.0

    @property
    def reach(self) -> float:
        """The seconds within which a token or an agent must end to be renewed or rotated before the next run.

        They are a tenth more than the horizon, because the next run may begin late, and takes time itself. Otherwise a token of
        24 h would have some seconds more than 12 h left when the next run comes after 12 h, and end before the one after that.
        """
        return float(round(self.horizon * 1.1))


# Seconds until the controller looks again at an agent that is still starting or ending.
LOOK_AGAIN = 2.0


class ChangeFailed(ReconcilerError):
    """A change could not be completed. `unknown` is true where its last call may have been executed."""

    def __init__(self, message: str, *, unknown: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.unknown = unknown


class ChangeHeld(ReconcilerError):
    """A change cannot be made until the operator does one of the things that the message names."""


class ChangeDeferred(ReconcilerError):
    """A change must wait until `until` (epoch seconds). The run does not wait for it: it ends and releases the lock."""

    def __init__(self, message: str, until: float) -> None:
        super().__init__(message)
        self.until = until


class ChangeSkipped(ReconcilerError):
    """A change was not begun, or not continued: the run is stopping."""


_INTERRUPTED = "the run was interrupted"


@dataclass(slots=True)
class Context:
    """The shared objects and flags of one run.

    `joined` are the agents that the run started, each with its address and change. `halted` stops everything that has
    not begun, `joins_halted` only joins (the quota is used up). `gone` are the agents proven to have ended, before the
    first change or during the run. What `policy` and `freezes` hold of an agent that is found on the way is held, as in the
    plan. `began` is when the turn's acts began, by the monotonic clock.
    """

    provider: Provider
    owner: Owner
    journal: Journal
    settings: Settings = field(default_factory=Settings)
    halted: str | None = None
    joins_halted: str | None = None
    archive: Archive | None = None
    declared: Collection[Address] = frozenset()
    joined: dict[str, tuple[Address, Action]] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    gone: set[str] = field(default_factory=set)
    policy: Policy = Policy()
    freezes: tuple[Freeze, ...] = ()
    began: float | None = None

    def say(self, event: Event) -> Steps[None]:
        """Add an event to the ledger and emit it to the listeners."""
        self.ledger.note(event)
        yield Emit(event)

    def check_open(self) -> Steps[None]:
        """Return if something new may be started; raise `ChangeSkipped` with the reason if not."""
        if self.halted:
            raise ChangeSkipped(self.halted)
        stopping: bool = yield Stopping()
        if stopping:
            raise ChangeSkipped(_INTERRUPTED)
        if self.settings.turn is not None:
            yield from self._check_turn(self.settings.turn)

    def _check_turn(self, seconds: float) -> Steps[None]:
        now: float = yield Elapsed()
        if self.began is None:
            self.began = now
        if now - self.began >= seconds:
            self.halted = f"this turn has lasted {spelled(seconds)}; the next one goes on"
        elif (yield Knocked()):
            self.halted = "somebody else waits for the state; the next turn goes on"
        if self.halted:  # also for the other tasks: they need not check again
            raise ChangeSkipped(self.halted)

    def not_yet(self, what: str) -> Steps[None]:
        """Raise `ChangeDeferred` until the next look if this is a turn, which does not wait; else do nothing."""
        if self.settings.turn is not None:
            now = yield from self.journal.now()
            raise ChangeDeferred(f"not yet: {what}", now + LOOK_AGAIN)

    def why_kept(self, address: Address, by: Action, now: float) -> str | None:
        """Return why an agent found during the run may not be ended by this kind of change, or None if it may.

        The plan did not know the agent, so what would have held that change there is asked here.
        """
        policy = self.policy
        if policy.review is not None and by not in policy.review.acts.get(address, ()):
            return "nobody has reviewed its end"
        # All addresses: among fewer, a target like `room[1]/a` would be read as a pattern.
        known = {address, *self.declared, *self.journal.view.records}
        reason = why_not_permitted(policy, by, is_protected=address in matching_any(policy.protect, known))
        if reason is not None:
            return reason.text
        freeze = Freezes(self.freezes, tuple(known), now).holding(by, address)
        return told(freeze) if freeze is not None and not policy.override_freeze else None

    def renews(self, record: Record, lifecycle: Lifecycle, now: float) -> bool:
        """Return whether a token is to be renewed by this run, whatever its change."""
        return why_renew(record, lifecycle, now, self.settings.reach) is not None

    def declined(self, scope: Scope, detail: str) -> ChangeFailed | ChangeSkipped:
        """Return what a call that was not executed means for its change, after noting if it stops the run or all joins."""
        match scope:
            case Scope.STOPPING:
                return ChangeSkipped(_INTERRUPTED)
            case Scope.RUN:
                self.halted = self.halted or f"the service refuses this run: {detail}"
            case Scope.JOINS:
                self.joins_halted = self.joins_halted or f"the quota is used up: {detail}"
            case Scope.ADDRESS:
                pass
        return ChangeFailed(detail)


def backoff(context: Context, attempt: int) -> Steps[None]:
    """Sleep before the next attempt, with jitter, so that calls do not repeat in step; a turn does not sleep."""
    if context.settings.turn is not None:
        return
    share: float = yield Random()
    yield Sleep(min(8.0, 0.5 * 2**attempt) * (0.5 + share / 2))
