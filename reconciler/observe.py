"""Read the service and join it with the state into a basis: one complete list, and queries where that is not enough.

Queried are agents that were never seen before, agents of the state that the list does not show, agents that were told
to leave, and those that are to take their places: only an answer about one agent proves that it is absent, or that it
still runs. Reads only; a read that cannot be trusted raises. What was learned of foreign agents is emitted as an event,
also if a later read fails, so that the next run need not query them again.
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

# Finding the channels of foreign agents only in order to list them costs one filtered list per channel of ours; with
# more channels than this it is not done.
_PLACED_CHANNELS = 50


@dataclass(frozen=True, slots=True)
class ForeignMemory:
    """The facts about foreign agents from earlier looks at an App ID, each with its start; also the event of new ones.

    Neither the name nor the channel of an agent ever changes. `searched` are the channels that were listed and in which
    none of the agents without a known channel runs. It never makes an agent ours: a name with our owner mark is queried
    again.
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
    """Return the basis of a plan. Raises what the observer raises, so that no plan is made from an incomplete read."""
    listed = yield from observer.live_agents(parallelism=parallelism)
    here: float = yield Now()
    now = here + (observer.clock_skew or 0.0)  # ages are the service's own: its clock ends agents and tokens
    remembered = _still_listed(memory, listed, owner)
    names = {agent_id: each.name for agent_id, each in remembered.items()} | _names(state)
    strangers = [each.agent_id for each in listed if each.agent_id not in names]
    listed_ids = {each.agent_id for each in listed}
    # A list may lag behind: that an agent is absent, or runs on after a leave, is proven only by a query.
    asked = _told_to_leave(state) | _successors(state)
    doubtful = sorted((_expected(state) - listed_ids) | (asked - set(strangers)))
    answers, problem = yield from _query_all(observer, [*strangers, *doubtful], parallelism)
    if problem is not None:
        # The answers so far are kept for the next run, but no plan is made from them.
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
    # Agents that are not listed any more have ended, and are dropped from the memory.
    kept = {each: memory.agents[each] for each in listed_ids & set(memory.agents)}
    starts = {each.agent_id: each.started_at for each in live}
    seen = {
        each.agent_id: (each, starts[each.agent_id]) for each in _foreign_among(live, state, owner, places)
    }
    yield Emit(ForeignMemory({**kept, **seen}, search.searched))
    return Basis(owner=owner, state=state, live=tuple(live), now=now, ended=ended, channels=places)


def _still_listed(memory: ForeignMemory, listed: Sequence[ListedAgent], owner: Owner) -> dict[str, Foreign]:
    """Return the remembered agents that are listed with the same start and whose names do not bear our owner mark."""
    found: dict[str, Foreign] = {}
    for row in listed:
        foreign, started_at = memory.agents.get(row.agent_id, (None, 0.0))
        if foreign is None or started_at != row.started_at:
            continue
        if not owner.marks(foreign.name):
            found[row.agent_id] = foreign
    return found


def _names(state: State) -> dict[str, str]:
    """Return the names, by agent id, that need no query: a name never changes during an agent's life."""
    names = {each.agent_id: each.name for each in state.foreign.values()}
    names |= {each.agent_id: each.name for each in state.records.values()}
    return names


def _expected(state: State) -> set[str]:
    """Return the ids of all agents in the state: one that the list does not show must be queried."""
    recorded = {each.agent_id for each in state.records.values()}
    return recorded | state.released | {each.agent_id for each in state.intents if each.agent_id}


def _told_to_leave(state: State) -> frozenset[str]:
    """Return the ids of agents that an earlier run told to leave: a list that lags may show them as running."""
    return state.told_to_leave | {each.agent_id for each in state.records.values() if each.replacing}


def _successors(state: State) -> set[str]:
    """Return the ids of agents whose predecessors run until they do: a list may still show one that has just ended."""
    waiting = {
        each.address for each in state.intents if each.operation is Operation.LEAVE and each.body is not None
    }
    return {state.records[each].agent_id for each in waiting if each in state.records}


def _query_all(
    observer: Observer, agent_ids: Sequence[str], parallelism: int
) -> Steps[tuple[dict[str, ObservedAgent | None], BaseException | None]]:
    """Return the answers by agent id, and the first error, or None if every query was answered."""

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
    """Return the live agents, and those proven to have ended. The answer to a query counts more than the list."""
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
    """The search for the channels of foreign agents, limited to our channels: the list can only be filtered by channel.

    Always searched are the channels of addresses that would join for the first time, because a foreign agent there
    holds that join, and of addresses that adopt an agent, which must run there; the others only where there are few. A
    channel is not searched twice for the same agents, unless one of them is to be adopted.
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
        """Return the channels of foreign agents, by agent id."""
        state = self._state
        known = {each: row.channel for each, row in self._remembered.items()}
        known |= {each.agent_id: each.channel for each in state.foreign.values()}
        places = {each: channel for each, channel in known.items() if channel and each in self._foreign}
        # A remembered channel is enough to hold joins there. To adopt an agent, a list of now must show it in the channel.
        adopted = {(spec.adopt, address.channel) for address, spec in agents.items() if spec.adopt}
        unproven = {each for each, channel in adopted & set(places.items()) if each not in state.foreign}
        strangers = self._foreign - (set(places) - unproven)
        channels = self._channels(agents, strangers)
        if strangers - set(self._remembered):
            self.searched = frozenset()  # the earlier searches were for other agents
        if not strangers or not channels:
            return places
        listings: list[tuple[ListedAgent, ...] | BaseException] = yield Gather(
            [_listing(observer, each) for each in channels], parallelism
        )
        places = {each: channel for each, channel in places.items() if each not in unproven}
        for channel, rows in zip(channels, listings, strict=True):
            if isinstance(rows, BaseException):
                raise rows
            places |= {row.agent_id: channel for row in rows if row.agent_id in strangers}
        self.searched |= frozenset(channels)
        return places

    def _channels(self, agents: Mapping[Address, AgentSpec], strangers: set[str]) -> list[str]:
        """Return the channels to search for agents whose channel is not known."""
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
    """Return a basis's foreign agents for the state to keep: one query is enough for an agent's whole life."""
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
    """Return the test for being foreign: no record has it, and its name lacks our mark or `forget` released it."""
    recorded = {each.agent_id for each in state.records.values()}

    def is_foreign(agent: ObservedAgent) -> bool:
        return agent.agent_id not in recorded and (agent.agent_id in state.released or not agent.bears(owner))

    return is_foreign
