"""Open intents: what becomes of them in the light of an observation, and the writes that intents leave behind.

All of it is pure, so that a plan sees the state as an apply will see it, and only an apply writes it. The calls that
intents announce are made in `apply`.

Words: a *late copy* is a join that got no answer and that the service may still execute; a *late-copy note* is the
intent that remembers its name until that is over (`Operation.LATE_COPY`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.model.address import Address
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Intent, Operation, Record
from reconciler.model.writes import DropIntent, DropRecord, PutIntent, PutRecord, Write
from reconciler.plan.basis import Basis


def settle(basis: Basis, certain_after: float) -> tuple[Basis, tuple[Write, ...]]:
    """The basis with every intent settled whose outcome the observation proves, and the writes that record it.

    `certain_after` (seconds) is how old a call must be to be certain that it will not be executed any more.

    - A join whose agent runs becomes its record.
    - A leave whose agent is proven gone takes the record with it, unless a successor was to follow.
    - An update of unknown outcome marks its record, so that the in-place values are sent again.

    Open stay: a join whose agent nobody has seen, a leave whose agent still runs, and a late-copy note until
    `certain_after`, since a late copy may be executed late and then be listed late.
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
    """The writes that settle one intent, or None while it stays open."""
    record = records.get(intent.address)
    match intent.operation:
        case Operation.JOIN:
            elsewhere = {each.agent_id for each in records.values() if each.address != intent.address}
            running = [each for each in _running_as(intent.name, basis) if each.agent_id not in elsewhere]
            if not running:
                return None
            found = joined_record(intent, running[0].agent_id, running[0].started_at, sent=False)
            predecessor = record if record is not None and basis.agent(record.agent_id) is not None else None
            return [
                PutRecord(found),
                *leave_intent_for(predecessor, found, basis.now),
                *late_copy_of_repeated(intent),
            ]
        case Operation.LATE_COPY:
            known = {each.agent_id for each in records.values() if each.name == intent.name}
            late = [each for each in _running_as(intent.name, basis) if each.agent_id not in known]
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


def _running_as(name: str, basis: Basis) -> list[ObservedAgent]:
    """The running agents of a name, the oldest first, without those that `forget` released."""
    running = (each for each in basis.live if each.status is not AgentStatus.STOPPING)
    found = (each for each in running if each.name == name and each.agent_id not in basis.state.released)
    return sorted(found, key=lambda each: (each.started_at, each.agent_id))


def late_copy_note(intent: Intent, since: float) -> list[Write]:
    """The note that a late copy of a join may still be executed; the join was last sent at `since` (epoch seconds)."""
    return [
        PutIntent(replace(intent, operation=Operation.LATE_COPY, unknown_since=since, refused_since=None))
    ]


def late_copy_of_repeated(intent: Intent) -> list[Write]:
    """The late-copy note of a join whose agent was found; none where it was sent once.

    Of a single attempt the agent itself is the proof that it was executed: nothing else is on its way. Of several,
    one started the agent, and another may be executed once the name is free again.
    """
    return late_copy_note(intent, intent.in_doubt_since) if intent.attempt > 1 else []


def leave_intent_for(predecessor: Record | None, successor: Record, now: float) -> list[Write]:
    """The open leave intent for the agent whose record the successor's is about to overwrite.

    With join-first the predecessor may still run, and after that write nothing else remembers it.
    """
    if predecessor is None or predecessor.agent_id == successor.agent_id:
        return []
    intent = Intent(
        Operation.LEAVE,
        predecessor.address,
        predecessor.name,
        now,
        agent_id=predecessor.agent_id,
        uid=predecessor.uid,
    )
    return [PutIntent(intent)]


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

    `sent` means that this run's own call started it. Otherwise an earlier attempt did: its in-place values and its
    token may be older than the files, so they are marked to be sent again.
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
