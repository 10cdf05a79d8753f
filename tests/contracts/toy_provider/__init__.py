"""A second provider, as small as the contract allows: a service in memory with rules of its own.

Its agents live for 36 h, their tokens for 12 h, and other fields change while they run than with Agora. A test
registers it by one line in `reconciler.services`; nothing else knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from reconciler.errors import AuthenticationFailed, IncompleteRead, ServiceError, UsageError
from reconciler.model.capabilities import Capabilities
from reconciler.model.fleet import Service
from reconciler.model.observed import AgentStatus, ListedAgent, ObservedAgent
from reconciler.model.tree import Path, Tree, leaves
from reconciler.ports import (
    Conflict,
    Declined,
    Done,
    Gone,
    HttpRequest,
    Joined,
    JoinOrder,
    JoinOutcome,
    LeaveOutcome,
    Now,
    Prepared,
    Resolve,
    Scope,
    Steps,
    Unknown,
    UpdateOrder,
    UpdateOutcome,
)
from reconciler.providers import Connection, Purpose
from reconciler.secrets import Secret, SecretRef, references
from tests.contracts.provider import Trouble

T = TypeVar("T")
HOUR = 3600.0
ABLE = Capabilities(
    updatable=frozenset({("llm", "greeting_message"), ("tts", "params")}),
    max_lifetime=36 * HOUR,
    max_token_ttl=12 * HOUR,
    usd_per_minute=0.01,
)
EXECUTED = {None, Trouble.LOST, Trouble.NONSENSE, Trouble.SHORT}


@dataclass
class ToyAgent:
    """One agent of the service."""

    seen: ObservedAgent
    channel: str
    properties: dict[str, Tree]


@dataclass
class ToyService:
    """The world: agents by id. `trouble` happens to every later call."""

    agents: dict[str, ToyAgent] = field(default_factory=dict)
    quota: int = 1000
    trouble: Trouble | None = None
    calls: int = 0

    def live(self) -> list[ToyAgent]:
        return [each for each in self.agents.values() if not each.seen.status.is_terminal]

    def join(self, request: HttpRequest, now: float) -> JoinOutcome:
        order = request.body
        assert isinstance(order, JoinOrder)
        taken = [each.seen.agent_id for each in self.live() if each.seen.name == order.name]
        if taken:
            return Conflict(taken[0], "the name is taken")
        if len(self.live()) >= self.quota:
            return Declined(Scope.JOINS, "the quota is used up")
        agent_id = f"T{len(self.agents):011d}"
        seen = ObservedAgent(agent_id, AgentStatus.RUNNING, now, order.name)
        self.agents[agent_id] = ToyAgent(seen, order.channel, dict(order.body.properties))
        return Joined(agent_id, seen.status, now)

    def update(self, request: HttpRequest) -> UpdateOutcome:
        order = request.body
        assert isinstance(order, UpdateOrder)
        agent = self._running(order.agent_id)
        if agent is None:
            return Gone()
        for path, value in order.values.items():
            agent.properties = _changed(agent.properties, path, value)
        return Done()

    def leave(self, agent_id: str, now: float) -> LeaveOutcome:
        agent = self._running(agent_id)
        if agent is None:
            return Gone()
        agent.seen = replace(agent.seen, status=AgentStatus.STOPPED, stopped_at=now)
        return Done()

    def _running(self, agent_id: str) -> ToyAgent | None:
        return next((each for each in self.live() if each.seen.agent_id == agent_id), None)


class ToyProvider:
    """`ports.Provider` for the service in memory: no requests, so that only its outcomes matter."""

    capabilities = ABLE
    clock_skew: float | None = None
    clock_warning: str | None = None
    credentials_warning: str | None = None
    host = "toy.example"
    retries = 0

    def __init__(self, service: ToyService) -> None:
        self._service = service

    def mask(self, secrets: Iterable[Secret]) -> None:
        """Nothing that this service says is a text of its own."""

    # --- reading

    def live_agents(
        self, *, channel: str | None = None, parallelism: int = 1
    ) -> Steps[tuple[ListedAgent, ...]]:
        yield Now()
        self._reach()
        if self._service.trouble is Trouble.SHORT:
            raise IncompleteRead("the list is shorter than its count", hint="try again")
        return tuple(
            ListedAgent(each.seen.agent_id, each.seen.status, each.seen.started_at)
            for each in self._service.live()
            if channel in (None, each.channel)
        )

    def query(self, agent_id: str) -> Steps[ObservedAgent | None]:
        yield Now()
        self._reach()
        agent = self._service.agents.get(agent_id)
        return agent.seen if agent is not None else None

    def has_ended(self, name: str, *, channel: str) -> Steps[bool]:
        yield Now()
        self._reach()
        return any(
            each.seen.name == name and each.channel == channel and each.seen.status.is_terminal
            for each in self._service.agents.values()
        )

    def _reach(self) -> None:
        self._service.calls += 1
        if self._service.trouble is Trouble.REFUSED:
            raise AuthenticationFailed("the credentials are refused", hint="check TOY_KEY")
        if self._service.trouble not in (None, Trouble.SHORT):
            raise ServiceError("no answer that could be read", hint="try again later")

    # --- changing

    def prepare_join(self, order: JoinOrder) -> Steps[Prepared]:
        expires_at = yield from _token(order.token_ttl)
        secrets = yield Resolve(_references(order.body.properties))
        return Prepared(HttpRequest("POST", "toy://join", body=order), secrets, expires_at)

    def join(self, prepared: Prepared) -> Steps[JoinOutcome]:
        now = yield Now()
        return self._change(lambda: self._service.join(prepared.request, now))

    def prepare_update(self, order: UpdateOrder) -> Steps[Prepared]:
        foreign = set(order.values) - ABLE.updatable
        if foreign:
            raise UsageError(f"no agent takes {foreign} while it runs")
        expires_at = None if order.token_ttl is None else (yield from _token(order.token_ttl))
        secrets = yield Resolve(_references(list(order.values.values())))
        return Prepared(HttpRequest("POST", "toy://update", body=order), secrets, expires_at)

    def update(self, prepared: Prepared) -> Steps[UpdateOutcome]:
        yield Now()
        return self._change(lambda: self._service.update(prepared.request))

    def leave(self, agent_id: str) -> Steps[LeaveOutcome]:
        now = yield Now()
        return self._change(lambda: self._service.leave(agent_id, now))

    def _change(self, call: Callable[[], T]) -> T | Declined | Unknown:
        """What is known of a call after the trouble that it met."""
        self._service.calls += 1
        trouble = self._service.trouble
        outcome = call() if trouble in EXECUTED else None
        if trouble is Trouble.REFUSED:
            return Declined(Scope.RUN, "the credentials are refused; check TOY_KEY")
        return Unknown(trouble.value) if trouble is not None or outcome is None else outcome


@dataclass
class ToyConnector:
    """Settings from TOY_PROJECT and TOY_KEY; every connection of one test is to the same service."""

    service: ToyService = field(default_factory=ToyService)
    credentials: tuple[str, ...] = ("TOY_KEY",)

    def connect(self, environment: Mapping[str, str], service: Service, purpose: Purpose) -> Connection:
        missing = [name for name in ("TOY_PROJECT", "TOY_KEY") if not environment.get(name)]
        if missing:
            raise UsageError(f"missing in the environment: {', '.join(missing)}")
        return Connection(ToyProvider(self.service), environment["TOY_PROJECT"], grace=1.0, proven_after=0.0)

    def capabilities(self, service: Service) -> Capabilities:
        return ABLE

    def is_of_this_machine(self, environment: Mapping[str, str]) -> bool:
        return True


TOY = ToyConnector()


def _token(ttl: float) -> Steps[float]:
    """When a token for so many seconds expires."""
    if ttl > ABLE.max_token_ttl:
        raise UsageError("tokens live for at most 12h")
    now: float = yield Now()
    return now + ttl


def _references(tree: Tree) -> frozenset[SecretRef]:
    return frozenset(found for _, leaf in leaves(tree) if isinstance(leaf, str) for found in references(leaf))


def _changed(tree: Mapping[str, Tree], path: Path, value: Tree) -> dict[str, Tree]:
    """A tree with another value at a path."""
    key, *rest = path
    inner = tree.get(str(key))
    if rest:
        value = _changed(inner if isinstance(inner, dict) else {}, tuple(rest), value)
    return {**tree, str(key): value}
