"""Read a world without changing it, for the assertions of tests.

It has every agent that ever existed with its times, so that a test can assert what must never have happened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from itertools import combinations
from typing import Any, NamedTuple

import orjson

from reconciler.simulator.agent import Agent, Status
from reconciler.simulator.history import Note
from reconciler.simulator.world import World

Enter = Callable[[], AbstractContextManager[World]]


class Overlap(NamedTuple):
    """Two agents that lived at the same time with one key, and the time (epoch seconds) when that began."""

    key: Hashable
    first: Agent
    second: Agent
    since: float


class WorldView:
    """A view of a world; each read is at the present time, after due requests were executed."""

    def __init__(self, enter: Enter) -> None:
        self._enter = enter

    @property
    def now(self) -> float:
        """The world's time in epoch seconds."""
        with self._enter() as world:
            return world.now

    def agents(self) -> tuple[Agent, ...]:
        """Return all agents that were ever started (except those that a reset deleted), oldest first."""
        with self._enter() as world:
            return tuple(world.store.every())

    def live(self) -> tuple[Agent, ...]:
        """Return the agents that live now, STOPPING ones included, oldest first."""
        with self._enter() as world:
            return tuple(agent for agent in world.store.every() if agent.live_at(world.now))

    def agent(self, agent_id: str) -> Agent:
        """Return one agent. Raises `KeyError`."""
        with self._enter() as world:
            agent = world.store.find_anywhere(agent_id)
        if agent is None:
            raise KeyError(agent_id)
        return agent

    def status(self, agent_id: str) -> Status:
        """Return one agent's status now. Raises `KeyError`."""
        agent = self.agent(agent_id)
        return agent.status_at(self.now)

    def named(self, name: str) -> tuple[Agent, ...]:
        """Return all agents, live or ended, with a name, oldest first."""
        return tuple(agent for agent in self.agents() if agent.name == name)

    def notes(self, agent_id: str) -> tuple[Note, ...]:
        """Return an agent's notes with their times: updates, and texts that were sent to it."""
        with self._enter() as world:
            return tuple(world.store.history.notes(agent_id))

    def updates(self, agent_id: str) -> tuple[dict[str, Any], ...]:
        """Return the bodies of an agent's updates, in order."""
        return tuple(orjson.loads(note.payload) for note in self.notes(agent_id) if note.kind == "update")

    def overlaps(self, key: Callable[[Agent], Hashable | None] | None = None) -> tuple[Overlap, ...]:
        """Return pairs of agents that lived at the same time with one key.

        The key is (project, channel, uid) unless a function returns another, such as the part of the name that is an
        address; agents for which it returns None are left out.
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
    """Return the project, channel and uid of an agent; None for uid 0, which is random and never the same."""
    return None if agent.uid == "0" else (agent.project, agent.channel, agent.uid)
