"""The basis of a plan: the recorded and the observed state at one moment, and which of the observed agents are ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from reconciler.model.address import Owner
from reconciler.model.observed import ObservedAgent
from reconciler.model.record import State
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Basis:
    """The recorded and the observed state. `now` is in epoch seconds.

    `live` are all agents of the App ID that have not ended, also those that are stopping, each with its name. `ended`
    are the agents of records and intents that are proven gone: as the service last described them, or None where it
    does not know them any more. `channels` are the channels of foreign agents, as far as they are known. `grace` is how
    long the service may still execute a call that got no answer, and how far a list may lag behind, `horizon` the time
    until the next run, as `--horizon` gives it; both in seconds.
    """

    owner: Owner
    state: State
    live: tuple[ObservedAgent, ...]
    now: float
    ended: Mapping[str, ObservedAgent | None] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)
    grace: float = 300.0
    horizon: float = 0.0

    def agent(self, agent_id: str) -> ObservedAgent | None:
        return next((each for each in self.live if each.agent_id == agent_id), None)


def ours(basis: Basis) -> Callable[[ObservedAgent], bool]:
    """Return the test for being ours: the agent's name bears our owner mark, or it is recorded as adopted by this name.

    Any other record proves nothing, because every agent that we start bears the owner mark in its name.
    """
    recorded = {record.agent_id: record.adopted_as for record in basis.state.records.values()}
    released = basis.state.released

    def is_ours(agent: ObservedAgent) -> bool:
        if agent.agent_id in released:
            return False
        return (agent.name is not None and recorded.get(agent.agent_id) == agent.name) or agent.bears(
            basis.owner
        )

    return is_ours
