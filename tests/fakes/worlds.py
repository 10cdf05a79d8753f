"""What tests ask of a simulated world, from what its view tells: the lives of all agents, and what was done to them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import orjson

from reconciler.simulator import Agent, Status
from reconciler.simulator.app import WorldView


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two agents of one project that lived in one channel with one uid, and when (epoch seconds) that began."""

    first: Agent
    second: Agent
    since: float


def status_of(world: WorldView, agent_id: str) -> Status:
    """Return one agent's status now. Raises `KeyError`."""
    return world.agent(agent_id).status_at(world.now)


def updates_of(world: WorldView, agent_id: str) -> tuple[dict[str, Any], ...]:
    """Return the bodies of an agent's updates, in order."""
    return tuple(orjson.loads(note.payload) for note in world.notes(agent_id) if note.kind == "update")


def overlaps(world: WorldView) -> tuple[Overlap, ...]:
    """Return pairs of agents that lived at the same time in one place; uid 0 is random and never the same."""
    places: defaultdict[tuple[str, str, str], list[Agent]] = defaultdict(list)
    for agent in world.agents():
        if agent.uid != "0":
            places[agent.project, agent.channel, agent.uid].append(agent)
    return tuple(
        Overlap(first, second, max(first.created_at, second.created_at))
        for agents in places.values()
        for first, second in combinations(agents, 2)
        if max(first.created_at, second.created_at) < min(first.end.at, second.end.at)
    )
