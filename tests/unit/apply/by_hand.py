"""A service of a few agents in memory whose answers a test writes down, and an apply's context on it.

For one function of `apply` at a time, and each of its ends. Whole applies are in `scene`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from reconciler.apply.context import Context, Settings
from reconciler.apply.events import Finished, Result
from reconciler.apply.journal import Journal
from reconciler.errors import ReconcilerError
from reconciler.model.address import Address
from reconciler.model.capabilities import Capabilities
from reconciler.model.observed import AgentStatus, ListedAgent, ObservedAgent
from reconciler.model.record import Entry, Intent, Operation, Record
from reconciler.model.spec import AgentSpec
from reconciler.model.transcript import History, Transcript, Turns
from reconciler.model.writes import PutIntent, PutRecord, PutReleased, StateView, Write
from reconciler.ports import (
    Done,
    HttpRequest,
    Joined,
    JoinOrder,
    JoinOutcome,
    LeaveOutcome,
    Prepared,
    ReadState,
    Steps,
    UpdateOrder,
    UpdateOutcome,
)
from tests.fakes.fleets import OWNER, agent
from tests.fakes.stores import acquire
from tests.fakes.virtual import START, Virtual
from tests.unit.plan.parts import ABLE, name_of

T = TypeVar("T")
DESK = agent("lobby/desk")
DOOR = agent("lobby/door")
HERE = DESK.address
EXPIRES = START + 3600


@dataclass
class Service:
    """The agents by id, and the answers to calls by their verb: without one a call is executed at once.

    It need not pass the suite of providers (`tests/contracts/provider.py`), which holds how an adapter turns the replies
    of a service into outcomes. Here there are no replies: a test writes the outcomes themselves, also such as no
    service gives (two agents of one name, an agent that starts without its join). What it does without them is only to
    keep the agents. That outcomes are as they are written here is held by that suite, for the real adapter, and whole
    applies over that adapter are in `scene`.
    """

    agents: dict[str, ObservedAgent] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=dict)
    answers: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    calls: list[str] = field(default_factory=list)
    seats: list[tuple[str, str, str]] = field(default_factory=list)
    said: Mapping[str, History] = field(default_factory=dict)
    told: Mapping[str, Turns] = field(default_factory=dict)
    # What happens at each query, by the agent's id: its next states.
    lives: dict[str, list[ObservedAgent | None]] = field(default_factory=lambda: defaultdict(list))

    @property
    def capabilities(self) -> Capabilities:
        return ABLE

    def live_agents(
        self, *, channel: str | None = None, parallelism: int = 1
    ) -> Steps[tuple[ListedAgent, ...]]:
        yield from ()
        return tuple(
            ListedAgent(each.agent_id, each.status, each.started_at)
            for each in self.agents.values()
            if not each.status.is_terminal
            and (channel is None or self.channels.get(each.agent_id, "lobby") == channel)
        )

    def query(self, agent_id: str) -> Steps[ObservedAgent | None]:
        yield from ()
        self.calls.append(f"query {agent_id}")
        if self.lives[agent_id]:
            found = self.lives[agent_id].pop(0)
            if found is None:
                self.agents.pop(agent_id, None)
            else:
                self.agents[agent_id] = found
        return self.agents.get(agent_id)

    def has_ended(self, name: str, *, channel: str) -> Steps[bool]:
        yield from ()
        return any(each.name == name and each.status.is_terminal for each in self.agents.values())

    def prepare_join(self, order: JoinOrder) -> Steps[Prepared]:
        yield from ()
        return Prepared(HttpRequest("POST", "join", body=order), token_expires_at=EXPIRES)

    def join(self, prepared: Prepared) -> Steps[JoinOutcome]:
        yield from ()
        order = prepared.request.body
        assert isinstance(order, JoinOrder)
        self.calls.append(f"join {order.name}")
        answer = self._answer("join")
        if answer is not None:
            return answer  # type: ignore[no-any-return]
        made = ObservedAgent(f"N{len(self.calls)}", AgentStatus.RUNNING, START, order.name)
        self.agents[made.agent_id] = made
        return Joined(made.agent_id, made.status, START)

    def prepare_update(self, order: UpdateOrder) -> Steps[Prepared]:
        yield from ()
        expires = None if order.token_ttl is None else EXPIRES
        return Prepared(HttpRequest("POST", "update", body=order), token_expires_at=expires)

    def update(self, prepared: Prepared) -> Steps[UpdateOutcome]:
        yield from ()
        order = prepared.request.body
        assert isinstance(order, UpdateOrder)
        self.calls.append(f"update {order.agent_id}")
        return self._answer("update") or Done()

    def leave(self, agent_id: str) -> Steps[LeaveOutcome]:
        yield from ()
        self.calls.append(f"leave {agent_id}")
        answer = self._answer("leave")
        if answer is not None:
            return answer  # type: ignore[no-any-return]
        self.ends(agent_id)
        return Done()

    def ends(self, agent_id: str, message: str = "OK") -> None:
        self.agents[agent_id] = replace(
            self.agents[agent_id], status=AgentStatus.STOPPED, stopped_at=START + 1, message=message
        )

    def seat(self, agent_id: str, channel: str, uid: str) -> None:
        self.seats.append((agent_id, channel, uid))

    def history(self, agent_id: str) -> Steps[History | None]:
        yield from ()
        self._answer("history")
        return self.said.get(agent_id)

    def turns(self, agent_id: str) -> Steps[Turns | None]:
        yield from ()
        self._answer("turns")
        return self.told.get(agent_id)

    def _answer(self, verb: str) -> Any:
        answer = self.answers[verb].pop(0) if self.answers[verb] else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def changes(self) -> list[str]:
        """The calls that were to change something, in order."""
        return [each for each in self.calls if not each.startswith("query")]


class ByHand(Virtual):
    """A run on such a service, with a state of these records and intents."""

    def __init__(
        self,
        records: Iterable[Record] = (),
        live: Iterable[ObservedAgent] = (),
        intents: Iterable[Intent] = (),
        released: Iterable[str] = (),
        **context: Any,
    ) -> None:
        super().__init__()
        self.kept: list[Transcript] = []
        self.archive = self
        self.world = Service({each.agent_id: each for each in live})
        acquire(self.state, "a test", 0.0)
        writes: list[Write] = [
            *map(PutRecord, records),
            *map(PutIntent, intents),
            *map(PutReleased, released),
        ]
        if writes:
            self.state.commit(writes, expected=0)
        self.context = Context(self.world, OWNER, Journal(StateView.of(self.run(_read()))), **context)
        # A number for each commit from here on.
        self.before = self._serial

    def preserve(self, transcript: Transcript) -> None:
        self.kept.append(transcript)

    def raised(self, steps: Steps[Any]) -> ReconcilerError:
        """The error that steps end with."""
        try:
            got = self.run(steps)
        except ReconcilerError as problem:
            return problem
        raise AssertionError(f"it was to fail and gave {got!r}")

    def record(self, address: Address = HERE) -> Record | None:
        return self.state.read().records.get(address)

    def open_intents(self) -> dict[str, Intent]:
        """The open intents by the value of their operation; there is at most one of each here."""
        return {each.operation.value: each for each in self.state.read().intents}

    def history(self) -> list[tuple[str, str, str]]:
        """What the history says, oldest first: the change, its result and the agent."""
        entries: Iterable[Entry] = reversed(self.state.history(None, 100))
        return [(each.change, each.result, each.agent_id) for each in entries]

    def results(self) -> list[tuple[str, Result, str]]:
        return [
            (str(each.address), each.result, each.detail)
            for each in self.events
            if isinstance(each, Finished)
        ]

    def notices(self) -> list[str]:
        return list(self.context.ledger.notices)


def _read() -> Steps[Any]:
    return (yield ReadState())


def live(
    agent_id: str = "A1", spec: AgentSpec = DESK, *, generation: int = 1, **changes: Any
) -> ObservedAgent:
    """An agent of ours that runs since an hour."""
    made = ObservedAgent(agent_id, AgentStatus.RUNNING, START - 3600, name_of(spec, generation))
    return replace(made, **changes)


def leave_of(agent_id: str = "A1", **changes: Any) -> Intent:
    made = Intent(Operation.LEAVE, HERE, name_of(DESK), START - 60, agent_id=agent_id, uid="7")
    return replace(made, **changes)


def join_of(spec: AgentSpec = DESK, **changes: Any) -> Intent:
    made = Intent(
        Operation.JOIN,
        spec.address,
        name_of(spec),
        START - 60,
        generation=1,
        uid=spec.uid(OWNER),
        body=spec.body,
    )
    return replace(made, **changes)


TURN = Settings(turn=60.0)
Make = Callable[[Context], Steps[Any]]
