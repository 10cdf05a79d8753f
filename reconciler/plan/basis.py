"""What is, and what we remember, at one moment: the ground that a plan stands on.

Also the settling of open intents against what was observed: a pure function, so that a plan sees the state as an
apply will see it, and only an apply writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from reconciler.model.address import Address, Owner
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Intent, Operation, Record, State
from reconciler.model.writes import DropIntent, DropRecord, PutIntent, PutRecord, Write


@dataclass(frozen=True, slots=True)
class Basis:
    """The recorded and the observed state. `now` in epoch seconds.

    `live` are all agents of the App ID that are not terminal, those that are stopping included, each with its
    name. `ended` are the agents of records and intents that are proven gone: with what the service last said of
    them, or None where it does not know them any more. `channels` places foreign agents where that is known.
    """

    owner: Owner
    state: State
    live: tuple[ObservedAgent, ...]
    now: float
    ended: Mapping[str, ObservedAgent | None] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)

    def agent(self, agent_id: str) -> ObservedAgent | None:
        return next((each for each in self.live if each.agent_id == agent_id), None)


def ours(basis: Basis) -> Callable[[ObservedAgent], bool]:
    """The test for being ours: a queried name with our mark, or the id and name of an adopted agent's record.

    Any other record is no proof: what we started bears our mark.
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


def settle(basis: Basis, certain_after: float) -> tuple[Basis, tuple[Write, ...]]:
    """The basis with every intent settled whose outcome the observation proves, and the writes that say so.

    A join whose agent runs becomes its record. A leave whose agent is proven gone takes the record with it, unless a
    successor was to come. An
    update of unknown outcome leaves a record whose in-place values are to be sent again. What stays open is a
    join that nobody has seen yet, and a leave whose agent still runs; and an echo, until `certain_after` (seconds):
    it may be executed late, and then be listed late.
    """
    state = basis.state
    records = dict(state.records)
    open_intents: list[Intent] = []
    writes: list[Write] = []
    for intent in state.intents:
        settled = _settle_one(intent, basis, records, certain_after)
        if settled is None:
            open_intents.append(intent)
        else:
            writes += [*settled, DropIntent(intent.key)]
            for write in settled:
                if isinstance(write, PutRecord):
                    records[write.record.address] = write.record
                elif isinstance(write, DropRecord):
                    records.pop(write.address, None)
                elif isinstance(write, PutIntent):
                    open_intents.append(write.intent)
    if not writes:
        return basis, ()
    return replace(basis, state=replace(state, records=records, intents=tuple(open_intents))), tuple(writes)


def _settle_one(
    intent: Intent, basis: Basis, records: Mapping[Address, Record], certain_after: float
) -> list[Write] | None:
    record = records.get(intent.address)
    match intent.operation:
        case Operation.JOIN:
            elsewhere = {each.agent_id for each in records.values() if each.address != intent.address}
            running = [each for each in _bearers(intent.name, basis) if each.agent_id not in elsewhere]
            if not running:
                return None
            found = joined_record(intent, running[0].agent_id, running[0].started_at, sent=False)
            may_run = record is not None and basis.agent(record.agent_id) is not None
            echo = echo_of(intent, intent.in_doubt_since) if intent.attempt > 1 else []
            return [PutRecord(found), *(kept_in_mind(record, found, basis.now) if may_run else []), *echo]
        case Operation.ECHO:
            known = {each.agent_id for each in records.values() if each.name == intent.name}
            late = [each for each in _bearers(intent.name, basis) if each.agent_id not in known]
            if late and (record is None or basis.agent(record.agent_id) is None):
                return [PutRecord(joined_record(intent, late[0].agent_id, late[0].started_at, sent=False))]
            is_over = not late and basis.now - intent.in_doubt_since >= certain_after
            return [] if is_over else None
        case Operation.UPDATE:
            if record is None or record.agent_id != intent.agent_id:
                return []
            return [PutRecord(replace(record, unsent=True, token_expires_at=None))]
        case Operation.LEAVE:
            if basis.agent(intent.agent_id) is not None:
                return None
            if record is None or record.agent_id != intent.agent_id or record.replacing:
                return []
            return [DropRecord(intent.address)]


def _bearers(name: str, basis: Basis) -> list[ObservedAgent]:
    """The agents of a name that run, the oldest first; one that was released is nobody's."""
    running = (each for each in basis.live if each.status is not AgentStatus.STOPPING)
    found = (each for each in running if each.name == name and each.agent_id not in basis.state.released)
    return sorted(found, key=lambda each: (each.started_at, each.agent_id))


def echo_of(intent: Intent, since: float) -> list[Write]:
    """What remembers that a copy of a join which has succeeded may still be executed, sent at `since` at the latest."""
    return [PutIntent(replace(intent, operation=Operation.ECHO, unknown_since=since, refused_since=None))]


def kept_in_mind(old: Record | None, new: Record, now: float) -> list[Write]:
    """What remembers the agent whose record a new one takes the place of: join-first, it may still run."""
    if old is None or old.agent_id == new.agent_id:
        return []
    return [
        PutIntent(Intent(Operation.LEAVE, old.address, old.name, now, agent_id=old.agent_id, uid=old.uid))
    ]


def joined_record(
    intent: Intent,
    agent_id: str,
    started_at: float,
    *,
    sent: bool,
    token_expires_at: float | None = None,
    secrets: Mapping[str, str] | None = None,
    failures: int = 0,
) -> Record:
    """The record of the agent that a join intent started.

    `sent` says that this very call started it; otherwise its in-place values and its token may be those of an
    earlier attempt, and are sent again.
    """
    assert intent.body is not None, "a join intent holds its body"
    return Record(
        address=intent.address,
        agent_id=agent_id,
        name=intent.name,
        generation=intent.generation,
        uid=intent.uid,
        body=intent.body,
        started_at=started_at,
        token_expires_at=token_expires_at if sent else None,
        protect=intent.protect,
        unsent=not sent,
        secrets=secrets or {},
        failures=failures,
    )
