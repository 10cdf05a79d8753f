"""The basis of a plan: the recorded and the observed state at one moment, and which of the observed agents are ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property

from reconciler.model.address import Owner
from reconciler.model.observed import ObservedAgent
from reconciler.model.record import State
from reconciler.values import dataclass


@dataclass(frozen=True)
class Basis:
    """The recorded and the observed state. `now` is in epoch seconds.

    `live` are all agents of the App ID that have not ended, also those that are stopping, each with its name. `ended`
    are the agents of records and intents that are proven gone: as the service last described them, or None where it
    does not know them any more. `channels` are the channels of foreign agents, as far as they are known. `grace` is how
    long the service may still execute a call that got no answer, and how far a list may lag behind, `horizon` the time
    until the next run at the latest, `--horizon` and a tenth; both in seconds.
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
        return self._by_id.get(agent_id)

    @cached_property
    def _by_id(self) -> Mapping[str, ObservedAgent]:
        return {each.agent_id: each for each in self.live}

    @cached_property
    def ours(self) -> tuple[ObservedAgent, ...]:
        """The live agents that are ours: the name bears our owner mark, or is that of an adopted agent's record.

        Any other record proves nothing, because every agent that we start bears the owner mark in its name. An agent that
        `forget` released is not ours.
        """
        adopted = {each.agent_id: each.name for each in self.state.records.values() if each.declared}
        return tuple(
            each
            for each in self.live
            if each.agent_id not in self.state.released
            and (
                each.bears(self.owner) or (each.name is not None and adopted.get(each.agent_id) == each.name)
            )
        )

    @cached_property
    def foreign(self) -> tuple[ObservedAgent, ...]:
        """The live agents that are not ours: no call is sent to them."""
        ours = {each.agent_id for each in self.ours}
        return tuple(each for each in self.live if each.agent_id not in ours)
