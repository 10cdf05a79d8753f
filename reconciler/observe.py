"""Service and state -> basis: what is, joined with what we remember.

One complete list, one query per agent never seen before, and one per remembered agent that the list does not
confirm: absence needs proof. Reads only; a read that cannot be trusted ends here as an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from reconciler.model.address import Address, Owner
from reconciler.model.observed import ListedAgent, ObservedAgent
from reconciler.model.record import Foreign, State
from reconciler.model.spec import AgentSpec
from reconciler.plan.basis import Basis
from reconciler.ports import Gather, Now, Observer, Steps

# Placing foreign agents only in order to list them costs one filtered list per channel of ours; beyond this many
# channels it is not done.
_PLACED_CHANNELS = 50


def observe(
    observer: Observer, state: State, owner: Owner, agents: Mapping[Address, AgentSpec], *, parallelism: int
) -> Steps[Basis]:
    """The basis of a plan. Raises what the observer raises, so that nothing is ever decided from a bad read."""
    listed = yield from observer.live_agents()
    here: float = yield Now()
    now = here + (observer.clock_skew or 0.0)  # ages are the service's own: its clock ends agents and tokens
    names = _names(state)
    strangers = [each.agent_id for each in listed if each.agent_id not in names]
    listed_ids = {each.agent_id for each in listed}
    missing = sorted(_expected(state) - listed_ids)
    answers = yield from _query_all(observer, [*strangers, *missing], parallelism)
    live, ended = _sort_out(listed, names, answers, set(missing))
    places = yield from _places(observer, live, state, owner, agents, parallelism)
    return Basis(owner=owner, state=state, live=tuple(live), now=now, ended=ended, channels=places)


def _names(state: State) -> dict[str, str]:
    """Names that need no query: they never change during an agent's life."""
    names = {each.agent_id: each.name for each in state.foreign.values()}
    names |= {each.agent_id: each.name for each in state.records.values()}
    return names


def _expected(state: State) -> set[str]:
    """The agents that the state speaks of; one that the list does not show must be asked for by id."""
    recorded = {each.agent_id for each in state.records.values()}
    return recorded | state.released | {each.agent_id for each in state.intents if each.agent_id}


def _query_all(
    observer: Observer, agent_ids: Sequence[str], parallelism: int
) -> Steps[dict[str, ObservedAgent | None]]:
    def ask(agent_id: str) -> Callable[[], Steps[ObservedAgent | None]]:
        return lambda: observer.query(agent_id)

    results: list[ObservedAgent | BaseException | None] = []
    if agent_ids:
        results = yield Gather([ask(each) for each in agent_ids], parallelism)
    answers: dict[str, ObservedAgent | None] = {}
    for agent_id, result in zip(agent_ids, results, strict=True):
        if isinstance(result, BaseException):
            raise result
        answers[agent_id] = result
    return answers


def _sort_out(
    listed: Sequence[ListedAgent],
    names: dict[str, str],
    answers: dict[str, ObservedAgent | None],
    missing: set[str],
) -> tuple[list[ObservedAgent], dict[str, ObservedAgent | None]]:
    """What is live and what is proven ended. A fresh answer about one agent outranks the list."""
    live: list[ObservedAgent] = []
    ended: dict[str, ObservedAgent | None] = {}
    for row in listed:
        if row.agent_id in names:
            live.append(ObservedAgent(row.agent_id, row.status, row.started_at, names[row.agent_id]))
            continue
        answer = answers[row.agent_id]
        if answer is not None and not answer.status.is_terminal:
            live.append(answer)
    for agent_id in sorted(missing):
        answer = answers[agent_id]
        if answer is None or answer.status.is_terminal:
            ended[agent_id] = answer
        else:
            live.append(answer)
    return live, ended


def _places(
    observer: Observer,
    live: Sequence[ObservedAgent],
    state: State,
    owner: Owner,
    agents: Mapping[Address, AgentSpec],
    parallelism: int,
) -> Steps[dict[str, str]]:
    """The channels of foreign agents, as far as they are channels of ours: the list filters by channel, no more.

    Always asked for are the channels of addresses that would join for the first time, because a foreign agent there
    holds that join, and of those that adopt an agent, which has to run there; the others only where there are few.
    """
    known = {each.agent_id: each.channel for each in state.foreign.values() if each.channel}
    places = {each.agent_id: known[each.agent_id] for each in live if each.agent_id in known}
    is_foreign = _foreign(state, owner)
    foreign = {each.agent_id for each in live if is_foreign(each)}
    strangers = foreign - set(places)
    wanted = {
        each.channel
        for each, spec in agents.items()
        if (each not in state.records and each not in state.generations) or spec.adopt in strangers
    }
    everywhere = {each.channel for each in agents}
    if foreign - set(state.foreign) and len(everywhere) <= _PLACED_CHANNELS:
        wanted = everywhere
    if not strangers or not wanted:
        return places
    channels = sorted(wanted)
    listings: list[tuple[ListedAgent, ...] | BaseException] = yield Gather(
        [_listing(observer, each) for each in channels], parallelism
    )
    for channel, rows in zip(channels, listings, strict=True):
        if isinstance(rows, BaseException):
            raise rows
        places |= {row.agent_id: channel for row in rows if row.agent_id in strangers}
    return places


def _listing(observer: Observer, channel: str) -> Callable[[], Steps[tuple[ListedAgent, ...]]]:
    return lambda: observer.live_agents(channel=channel)


def foreign_seen(basis: Basis) -> tuple[Foreign, ...]:
    """The foreign agents of a basis, for the state to remember: one query is enough for an agent's whole life."""
    is_foreign = _foreign(basis.state, basis.owner)
    return tuple(
        Foreign(each.agent_id, each.name, basis.channels.get(each.agent_id))
        for each in basis.live
        if each.name and is_foreign(each)
    )


def _foreign(state: State, owner: Owner) -> Callable[[ObservedAgent], bool]:
    """The test for being foreign: no record speaks of it, and it is without our mark, or `forget` released it."""
    recorded = {each.agent_id for each in state.records.values()}

    def is_foreign(agent: ObservedAgent) -> bool:
        return agent.agent_id not in recorded and (agent.agent_id in state.released or not agent.bears(owner))

    return is_foreign
