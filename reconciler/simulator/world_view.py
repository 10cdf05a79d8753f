"""Read a world without changing it, for the control path and for tests.

It has every agent that ever existed with its times, so that a test can assert what must never have happened.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from reconciler.simulator.agent import Agent
from reconciler.simulator.history import Note
from reconciler.simulator.world import World

Enter = Callable[[], AbstractContextManager[World]]


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

    def notes(self, agent_id: str) -> tuple[Note, ...]:
        """Return an agent's notes with their times: updates, and texts that were sent to it."""
        with self._enter() as world:
            return tuple(world.store.history.notes(agent_id))
