"""Service and state -> basis: what is, joined with what we remember.

One complete list, one query per agent never seen before, and one per remembered agent that the list does not
confirm, or that was told to leave: absence needs proof, and so does the life of an agent that should be gone. Reads only;
a read that cannot be trusted ends here as an error. What was learned of foreign agents is told in an event, also where the
rest failed, so that nobody has to ask for them again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from reconciler.model.address import Address, Owner
from reconciler.model.observed import ListedAgent, ObservedAgent
from reconciler.model.record import Foreign, Operation, State
from reconciler.model.spec import AgentSpec
from reconciler.plan.basis import Basis
from reconciler.ports import Emit, Gather, Now, Observer, Steps
from reconciler.values import dataclass

# Placing foreign agents only in order to list them costs one filtered list per channel of ours; beyond this many
# channels it is not done.
_PLACED_CHANNELS = 50


@dataclass(frozen=True, slots=True)
class ForeignMemory:
    """The foreign agents that earlier looks at an App ID saw, with their starts; an event too: what the next look may know.

    Neither name nor channel of an agent ever changes. `searched` are the channels in which none of those runs whose
    channel is not known. Nothing is ours by this: a name that bears the owner mark is asked for again.
    """

    agents: Mapping[str, tuple[Foreign, float]] = field(default_factory=dict)
    searched: frozenset[str] = frozenset()


def observe(
    observer: Observer,
    state: State,
    owner: Owner,
    agents: Mapping[Address, AgentSpec],
    *,
    parallelism: int,
    memory: ForeignMemory,
) -> Steps[Basis]:
    """The basis of a plan. Raises what the observer raises, so that nothing is ever decided from a bad read."""
    listed = yield from observer.live_agents()
    here: float = yield Now()
    now = here + (observer.clock_skew or 0.0)  # ages are the service's own: its clock ends agents and tokens
    remembered = _still_listed(memory, listed, owner)
    names = {agent_id: each.name for agent_id, each in remembered.items()} | _names(state)
    strangers = [each.agent_id for each in listed if each.agent_id not in names]
    listed_ids = {each.agent_id for each in listed}
    doubtful = sorted((_expected(state) - listed_ids) | (_told_to_leave(state) - set(strangers)))
    answers, problem = yield from _query_all(observer, [*strangers, *doubtful], parallelism)
    if problem is not None:
        found = [each for each in answers.values() if each is not None]
        seen = {
            each.agent_id: (each, agent.started_at)
            for agent in found
            for each in _foreign_among([agent], state, owner, {})
        }
        yield Emit(ForeignMemory({**memory.agents, **seen}))
        raise problem
    live, ended = _sort_out(listed, names, answers, set(doubtful))
    search = _Search(live, state, owner, remembered, memory.searched)
    places = yield from search.places(observer, agents, parallelism)
    kept = {each: memory.agents[each] for each in listed_ids & set(memory.agents)}
    starts = {each.agent_id: each.started_at for each in live}
    seen = {
        each.agent_id: (each, starts[each.agent_id]) for each in _foreign_among(live, state, owner, places)
    }
    yield Emit(ForeignMemory({**kept, **seen}, search.searched))
    return Basis(owner=owner, state=state, live=tuple(live), now=now, ended=ended, channels=places)


def _still_listed(memory: ForeignMemory, listed: Sequence[ListedAgent], owner: Owner) -> dict[str, Foreign]:
    """The remembered agents that are listed with the start that they had, and whose names do not bear our owner mark."""
    found: dict[str, Foreign] = {}
    for row in listed:
        foreign, started_at = memory.agents.get(row.agent_id, (None, 0.0))
        if foreign is None or started_at != row.started_at:
            continue
        if not ObservedAgent(row.agent_id, row.status, row.started_at, foreign.name).bears(owner):
            found[row.agent_id] = foreign
    return found


def _names(state: State) -> dict[str, str]:
    """Names that need no query: they never change during an agent's life."""
    names = {each.agent_id: each.name for each in state.foreign.values()}
    names |= {each.agent_id: each.name for each in state.records.values()}
    return names


def _expected(state: State) -> set[str]:
    """The agents that the state speaks of; one that the list does not show must be asked for by id."""
    recorded = {each.agent_id for each in state.records.values()}
    return recorded | state.released | {each.agent_id for each in state.intents if each.agent_id}


def _told_to_leave(state: State) -> set[str]:
    """The agents whose end an earlier run has asked for: a list that lags behind may show them running for minutes."""
    leaving = {each.agent_id for each in state.intents if each.operation is Operation.LEAVE}
    return leaving | {each.agent_id for each in state.records.values() if each.replacing}


def _query_all(
    observer: Observer, agent_ids: Sequence[str], parallelism: int
) -> Steps[tuple[dict[str, ObservedAgent | None], BaseException | None]]:
    """The answers by id, and the first problem where not all are there."""

    def ask(agent_id: str) -> Callable[[], Steps[ObservedAgent | None]]:
        return lambda: observer.query(agent_id)

    results: list[ObservedAgent | BaseException | None] = []
    if agent_ids:
        results = yield Gather([ask(each) for each in agent_ids], parallelism)
    answers: dict[str, ObservedAgent | None] = {}
    problem: BaseException | None = None
    for agent_id, result in zip(agent_ids, results, strict=True):
        if isinstance(result, BaseException):
            problem = problem or result
        else:
            answers[agent_id] = result
    return answers, problem


def _sort_out(
    listed: Sequence[ListedAgent],
    names: dict[str, str],
    answers: dict[str, ObservedAgent | None],
    doubtful: set[str],
) -> tuple[list[ObservedAgent], dict[str, ObservedAgent | None]]:
    """What is live and what is proven ended. A fresh answer about one agent outranks the list."""
    live: list[ObservedAgent] = []
    ended: dict[str, ObservedAgent | None] = {}
    for row in listed:
        if row.agent_id in doubtful:
            continue
        if row.agent_id in names:
            live.append(ObservedAgent(row.agent_id, row.status, row.started_at, names[row.agent_id]))
            continue
        answer = answers[row.agent_id]
        if answer is not None and not answer.status.is_terminal:
            live.append(answer)
    for agent_id in sorted(doubtful):
        answer = answers[agent_id]
        if answer is None or answer.status.is_terminal:
            ended[agent_id] = answer
        else:
            live.append(answer)
    return live, ended


class _Search:
    """The channels of foreign agents, as far as they are channels of ours: the list filters by channel, no more.

    Always asked for are the channels of addresses that would join for the first time, because a foreign agent there
    holds that join, and of those that adopt an agent, which has to run there; the others only where there are few.
    A channel that was searched before is not searched again for the same agents, but for one that is to be adopted.
    """

    def __init__(
        self,
        live: Sequence[ObservedAgent],
        state: State,
        owner: Owner,
        remembered: Mapping[str, Foreign],
        searched: frozenset[str],
    ) -> None:
        is_foreign = _foreign(state, owner)
        self._state = state
        self._foreign = {each.agent_id for each in live if is_foreign(each)}
        self._remembered = {each: foreign for each, foreign in remembered.items() if each in self._foreign}
        self.searched = searched

    def places(
        self, observer: Observer, agents: Mapping[Address, AgentSpec], parallelism: int
    ) -> Steps[dict[str, str]]:
        """The channels by agent id."""
        state = self._state
        adopted = {spec.adopt for spec in agents.values() if spec.adopt}
        known = {each: row.channel for each, row in self._remembered.items() if each not in adopted}
        known |= {each.agent_id: each.channel for each in state.foreign.values()}
        places = {each: channel for each, channel in known.items() if channel and each in self._foreign}
        strangers = self._foreign - set(places)
        channels = self._channels(agents, strangers)
        if strangers - set(self._remembered):
            self.searched = frozenset()  # it was said of others
        if not strangers or not channels:
            return places
        listings: list[tuple[ListedAgent, ...] | BaseException] = yield Gather(
            [_listing(observer, each) for each in channels], parallelism
        )
        for channel, rows in zip(channels, listings, strict=True):
            if isinstance(rows, BaseException):
                raise rows
            places |= {row.agent_id: channel for row in rows if row.agent_id in strangers}
        self.searched |= frozenset(channels)
        return places

    def _channels(self, agents: Mapping[Address, AgentSpec], strangers: set[str]) -> list[str]:
        """The channels to search for agents whose channel is not known."""
        state = self._state
        first = {
            each.channel for each in agents if each not in state.records and each not in state.generations
        }
        everywhere = {each.channel for each in agents}
        if self._foreign - set(state.foreign) and len(everywhere) <= _PLACED_CHANNELS:
            first = everywhere
        if strangers <= set(self._remembered):
            first -= self.searched
        return sorted(first | {each.channel for each, spec in agents.items() if spec.adopt in strangers})


def _listing(observer: Observer, channel: str) -> Callable[[], Steps[tuple[ListedAgent, ...]]]:
    return lambda: observer.live_agents(channel=channel)


def foreign_seen(basis: Basis) -> tuple[Foreign, ...]:
    """The foreign agents of a basis, for the state to remember: one query is enough for an agent's whole life."""
    return _foreign_among(basis.live, basis.state, basis.owner, basis.channels)


def _foreign_among(
    live: Sequence[ObservedAgent], state: State, owner: Owner, places: Mapping[str, str]
) -> tuple[Foreign, ...]:
    is_foreign = _foreign(state, owner)
    return tuple(
        Foreign(each.agent_id, each.name, places.get(each.agent_id))
        for each in live
        if each.name and is_foreign(each)
    )


def _foreign(state: State, owner: Owner) -> Callable[[ObservedAgent], bool]:
    """The test for being foreign: no record speaks of it, and it is without our mark, or `forget` released it."""
    recorded = {each.agent_id for each in state.records.values()}

    def is_foreign(agent: ObservedAgent) -> bool:
        return agent.agent_id not in recorded and (agent.agent_id in state.released or not agent.bears(owner))

    return is_foreign
