"""What every step of an apply shares: whom it talks to, what it may do, and whether it should go on."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from reconciler.apply.events import Event, Ledger
from reconciler.apply.journal import Journal
from reconciler.durations import spelled
from reconciler.errors import ReconcilerError
from reconciler.model.address import Address, Owner
from reconciler.model.fleet import Archive
from reconciler.plan.approval import Review
from reconciler.plan.change import Action
from reconciler.ports import Elapsed, Emit, Knocked, Provider, Random, Scope, Sleep, Steps, Stopping


@dataclass(frozen=True, slots=True)
class Settings:
    """How an apply goes about it. Durations in seconds.

    `wait` is how long to wait for agents to run, `farewell` for one to end (a graceful farewell may take 120 s,
    v2 API reference: lifecycle). `grace` is how long after a lost reply the service may still execute the call; a list
    may lag behind for as long. `proven_after` is how long an agent has to run until its join has succeeded: all early
    ends that were seen came 1 to 3 s after the start (v2 API reference: "Lifecycle"). `turn` is set for a turn of the
    controller: after so long nothing new is started, nor while somebody waits for the state's lock, and nothing is waited
    for; the next turn goes on from the state.
    """

    parallelism: int = 10
    wait: float = 120.0
    farewell: float = 150.0
    grace: float = 300.0
    attempts: int = 3
    proven_after: float = 5.0
    turn: float | None = None


# After how many seconds the controller looks again at what has to come to its end.
LOOK_AGAIN = 2.0


class ChangeFailed(ReconcilerError):
    """A change could not be completed; `unknown` where nobody knows whether its last call was executed."""

    def __init__(self, message: str, *, unknown: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.unknown = unknown


class ChangeHeld(ReconcilerError):
    """A change cannot be made until a person does one of the things that the message names."""


class ChangeDeferred(ReconcilerError):
    """A change has to wait until `until` (epoch seconds). The run does not wait: it ends, and gives the lock back."""

    def __init__(self, message: str, until: float) -> None:
        super().__init__(message)
        self.until = until


class ChangeSkipped(ReconcilerError):
    """A change was not begun, or not continued: the run is stopping."""


@dataclass(slots=True)
class Context:
    """One run. `joined` are the agents that it started, with the changes for which it did.

    `halted` stops everything that has not begun; `joins_halted` only joins (the quota is used up). `gone` are the
    agents that were proven to have ended, before anything was done or since. What is found on the way is ended only where
    the `review` covers that, if there is one. `began` is when a turn's acts began, by the monotonic clock.
    """

    provider: Provider
    owner: Owner
    journal: Journal
    settings: Settings = field(default_factory=Settings)
    halted: str | None = None
    joins_halted: str | None = None
    archive: Archive | None = None
    declared: Container[Address] = frozenset()
    joined: dict[str, tuple[Address, Action]] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    gone: set[str] = field(default_factory=set)
    review: Review | None = None
    began: float | None = None

    def say(self, event: Event) -> Steps[None]:
        """Tell whoever watches, and the ledger."""
        self.ledger.note(event)
        yield Emit(event)

    def check_open(self) -> Steps[None]:
        """Whether something new may be started; raises `ChangeSkipped` with the reason where not."""
        if self.halted:
            raise ChangeSkipped(self.halted)
        stopping: bool = yield Stopping()
        if stopping:
            raise ChangeSkipped("the run was interrupted")
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
        if self.halted:  # also for all the others: they need not ask again
            raise ChangeSkipped(self.halted)

    def not_yet(self, what: str) -> Steps[None]:
        """Raise `ChangeDeferred` in a turn, which does not wait: the next one looks again."""
        if self.settings.turn is not None:
            now = yield from self.journal.now()
            raise ChangeDeferred(f"not yet: {what}", now + LOOK_AGAIN)

    def may_end(self, address: Address, by: Action) -> bool:
        """Whether an agent that turned up on the way may be ended: that act was reviewed, or no act has to be."""
        return self.review is None or by in self.review.acts.get(address, ())

    def declined(self, scope: Scope, detail: str) -> ChangeFailed:
        """The failure for a definite refusal, after noting how far it reaches."""
        match scope:
            case Scope.RUN:
                self.halted = self.halted or f"the service refuses this run: {detail}"
            case Scope.JOINS:
                self.joins_halted = self.joins_halted or f"the quota is used up: {detail}"
            case Scope.ADDRESS:
                pass
        return ChangeFailed(detail)


def backoff(context: Context, attempt: int) -> Steps[None]:
    """Wait before the next attempt, which in a turn is the next turn's: full jitter, so that a fleet does not come back in step."""
    if context.settings.turn is not None:
        return
    share: float = yield Random()
    yield Sleep(min(8.0, 0.5 * 2**attempt) * (0.5 + share / 2))
