"""Looking at a world without touching it: what tests assert on.

Every agent that ever was is here with its times, so that a test can say what must never have happened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from itertools import combinations
from typing import Any

import orjson

from reconciler.simulator.agent import Agent, Status
from reconciler.simulator.history import Note
from reconciler.simulator.world import World
from reconciler.values import dataclass

Enter = Callable[[], AbstractContextManager[World]]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two agents that were alive at the same time under one key, and since when, in epoch seconds."""

    key: Hashable
    first: Agent
    second: Agent
    since: float


class WorldView:
    """A view of a world; each look is at this instant, after what is due by now has happened."""

    def __init__(self, enter: Enter) -> None:
        self._enter = enter

    @property
    def now(self) -> float:
        """The world's time in epoch seconds."""
        with self._enter() as world:
            return world.now

    def agents(self) -> tuple[Agent, ...]:
        """All agents that were ever started (and not dropped by a store that forgets), oldest first."""
        with self._enter() as world:
            return tuple(world.store.every())

    def live(self) -> tuple[Agent, ...]:
        """The agents that live now, STOPPING ones included, oldest first."""
        with self._enter() as world:
            return tuple(agent for agent in world.store.every() if agent.live_at(world.now))

    def agent(self, agent_id: str) -> Agent:
        """One agent. Raises `KeyError`."""
        with self._enter() as world:
            agent = world.store.find_anywhere(agent_id)
        if agent is None:
            raise KeyError(agent_id)
        return agent

    def status(self, agent_id: str) -> Status:
        """One agent's status now. Raises `KeyError`."""
        agent = self.agent(agent_id)
        return agent.status_at(self.now)

    def named(self, name: str) -> tuple[Agent, ...]:
        """All agents that bear or bore a name, oldest first."""
        return tuple(agent for agent in self.agents() if agent.name == name)

    def notes(self, agent_id: str) -> tuple[Note, ...]:
        """What was done to an agent and when: updates, and what it was told."""
        with self._enter() as world:
            return tuple(world.store.history.notes(agent_id))

    def updates(self, agent_id: str) -> tuple[dict[str, Any], ...]:
        """The bodies of the updates that an agent took, in order."""
        return tuple(orjson.loads(note.payload) for note in self.notes(agent_id) if note.kind == "update")

    def overlaps(self, key: Callable[[Agent], Hashable | None] | None = None) -> tuple[Overlap, ...]:
        """Pairs of agents that lived at the same time under one key.

        The key is (project, channel, uid) unless a function gives another, such as the part of the name that
        is an address; agents for which it gives None are left out.
        """
        groups: defaultdict[Hashable, list[Agent]] = defaultdict(list)
        for agent in self.agents():
            of_agent = channel_and_uid(agent) if key is None else key(agent)
            if of_agent is not None:
                groups[of_agent].append(agent)
        return tuple(
            Overlap(name, first, second, max(first.created_at, second.created_at))
            for name, group in groups.items()
            for first, second in combinations(group, 2)
            if max(first.created_at, second.created_at) < min(first.end.at, second.end.at)
        )


def channel_and_uid(agent: Agent) -> Hashable | None:
    """The project, channel and uid of an agent; None for uid 0, which is random and never the same."""
    return None if agent.uid == "0" else (agent.project, agent.channel, agent.uid)
