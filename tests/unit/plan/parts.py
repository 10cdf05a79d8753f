"""What the tests of this folder share. Names of `plan` that may move are imported here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.model.address import Address, AgentName
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Intent, Operation, Record, State
from reconciler.model.spec import HOUR, AgentSpec
from reconciler.plan.basis import Basis
from reconciler.plan.intents import settle
from tests.fakes.fleets import OWNER, agent
from tests.unit.plan.cases import ABLE, NOW

# What a copy of a join that got no answer is remembered by, once its agent is known.
LATE_COPY = Operation.LATE_COPY
GRACE = 300.0
CERTAIN_AFTER = 2 * GRACE

__all__ = ["ABLE", "CERTAIN_AFTER", "GRACE", "LATE_COPY", "NOW", "Basis", "settle"]


def name_of(spec: AgentSpec, generation: int = 1) -> str:
    """The name of one generation of an agent."""
    return str(AgentName.make(OWNER, spec.address, spec.revision(ABLE), generation))


def record(spec: AgentSpec, agent_id: str = "A1", **changes: Any) -> Record:
    """The record of an agent that was joined an hour ago."""
    made = Record(
        address=spec.address,
        agent_id=agent_id,
        name=name_of(spec),
        generation=1,
        uid=spec.uid(OWNER),
        body=spec.body,
        started_at=NOW - HOUR,
        token_expires_at=NOW + 20 * HOUR,
        protect=bool(spec.lifecycle.protect),
    )
    return replace(made, **changes)


def running(spec: AgentSpec, agent_id: str = "A1", *, generation: int = 1, **changes: Any) -> ObservedAgent:
    """An agent that runs since an hour."""
    made = ObservedAgent(agent_id, AgentStatus.RUNNING, NOW - HOUR, name_of(spec, generation))
    return replace(made, **changes)


def basis(
    records: Iterable[Record] = (),
    live: Iterable[ObservedAgent] = (),
    intents: Iterable[Intent] = (),
    ended: Mapping[str, ObservedAgent | None] | None = None,
    released: Iterable[str] = (),
) -> Basis:
    """What is recorded, open and running."""
    state = State(
        "a lineage",
        1,
        b"k" * 32,
        records={each.address: each for each in records},
        intents=tuple(intents),
        released=frozenset(released),
    )
    return Basis(OWNER, state, tuple(live), NOW, ended or {})


def fleet_of(count: int, **changes: Any) -> list[AgentSpec]:
    """So many agents in one channel."""
    return [agent(f"lobby/desk-{number:02}", **changes) for number in range(count)]


def address(text: str) -> Address:
    return Address.parse(text)
