"""The roll of one App ID: one complete listing, shared by all fleets that this process keeps there.

A roll may be some seconds old. That is safe, because every look allows for a list that lags behind: agents that the
list does not confirm, and agents to which a leave was sent, are queried by id.
"""

from __future__ import annotations

import math
from typing import TypeVar

from reconciler.errors import AuthenticationFailed, ReconcilerError, ServiceError
from reconciler.model.capabilities import Capabilities
from reconciler.model.observed import ListedAgent, ObservedAgent
from reconciler.observe import ForeignMemory
from reconciler.ports import (
    Effect,
    Elapsed,
    Emit,
    JoinOrder,
    JoinOutcome,
    LeaveOutcome,
    Prepared,
    Provider,
    Random,
    Sleep,
    Steps,
    UpdateOrder,
    UpdateOutcome,
)
from reconciler.workflow.job import altered

T = TypeVar("T")

# The greatest age of a roll that a turn may act on, seconds.
FRESH = 20.0
# The longest pause after refused credentials, seconds.
_REFUSED = 300.0
_PAUSE = 0.05


class Roll:
    """The latest listing of an App ID, what is known of foreign agents, and how many listings were made."""

    def __init__(self, memory: ForeignMemory = ForeignMemory(), *, interval: float = math.inf) -> None:
        self.memory = memory
        self.interval = interval
        self.made = 0
        # By the monotonic clock: when the next listing is due, and until when the service is not called.
        self.next_at = 0.0
        self.blocked_until = 0.0
        self._failures = 0
        # When the latest listing was begun, by the monotonic clock; None before the first.
        self.made_at: float | None = None
        self._rows: tuple[ListedAgent, ...] = ()
        self._is_under_way = False

    def call(self, provider: Provider, parallelism: int = 1) -> Steps[tuple[ListedAgent, ...]]:
        """Return the listing, made anew if it is due or too old. Fleets that ask at once wait for one listing."""
        while self._is_under_way:
            yield Sleep(_PAUSE)
        now: float = yield Elapsed()
        if self.made_at is not None and now - self.made_at < FRESH and now < self.next_at:
            return self._rows
        self._is_under_way = True
        try:
            rows = yield from provider.live_agents(parallelism=parallelism)
            # Its age counts from before the request, because agents that started since may be missing in it.
            self._rows, self.made_at, self.made = rows, now, self.made + 1
            share: float = yield Random()
            # Controllers that were started together must not list together.
            self.next_at = now + self.interval * (0.8 + 0.4 * share)
        finally:
            self._is_under_way = False
        return self._rows

    def fail(self, problem: ReconcilerError) -> Steps[None]:
        """Stop calls for a random time of 1 s or more; its bound doubles with each failure, up to the interval.

        After refused credentials the bound goes up to minutes. A pause that the service's adapter names is kept as it is.
        """
        now: float = yield Elapsed()
        longest = _REFUSED if isinstance(problem, AuthenticationFailed) else self.interval
        pause = problem.again_in if isinstance(problem, ServiceError) else 0.0
        if not pause:
            share: float = yield Random()
            self._failures += 1
            pause = 1.0 + share * (min(longest, 2.0 ** min(self._failures, 10)) - 1.0)
        self.blocked_until = self.next_at = now + max(1.0, pause)

    def succeed(self) -> None:
        """Record that the service answered: the next pause after a failure is short again."""
        self._failures = 0

    def noting(self, steps: Steps[T]) -> Steps[T]:
        """Perform steps, and keep for all fleets what they learn of foreign agents."""

        def note(effect: Effect) -> Steps[Effect]:
            if isinstance(effect, Emit) and isinstance(effect.event, ForeignMemory):
                self.memory = effect.event
            yield from ()
            return effect

        return altered(steps, note)


class OnRoll:
    """A provider whose complete listing is the roll; every other call goes to the provider itself."""

    def __init__(self, provider: Provider, roll: Roll) -> None:
        self._provider = provider
        self._roll = roll
        # So that `isinstance` with `ports.Checker` or `ports.Historian` gives what it gives for the provider.
        for name in ("check", "seat", "history", "turns"):
            if hasattr(provider, name):
                setattr(self, name, getattr(provider, name))

    @property
    def capabilities(self) -> Capabilities:
        return self._provider.capabilities

    @property
    def clock_skew(self) -> float | None:
        return self._provider.clock_skew

    def live_agents(
        self, *, channel: str | None = None, parallelism: int = 1
    ) -> Steps[tuple[ListedAgent, ...]]:
        """Return the roll, or a fresh listing of one channel."""
        if channel is None:
            return self._roll.call(self._provider, parallelism)
        return self._provider.live_agents(channel=channel, parallelism=parallelism)

    def query(self, agent_id: str) -> Steps[ObservedAgent | None]:
        return self._provider.query(agent_id)

    def has_ended(self, name: str, *, channel: str) -> Steps[bool]:
        return self._provider.has_ended(name, channel=channel)

    def prepare_join(self, order: JoinOrder) -> Steps[Prepared]:
        return self._provider.prepare_join(order)

    def join(self, prepared: Prepared) -> Steps[JoinOutcome]:
        return self._provider.join(prepared)

    def prepare_update(self, order: UpdateOrder) -> Steps[Prepared]:
        return self._provider.prepare_update(order)

    def update(self, prepared: Prepared) -> Steps[UpdateOutcome]:
        return self._provider.update(prepared)

    def leave(self, agent_id: str) -> Steps[LeaveOutcome]:
        return self._provider.leave(agent_id)
