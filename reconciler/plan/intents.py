"""Settle open intents by an observation, and compute the records and notes that follow from intents.

All of it is pure, so that a plan sees the state as an apply will see it, and only an apply writes it. The calls that
intents announce are made in `apply`.

A *late copy* is a join that got no answer and that the service may still execute; a *late-copy note* is the intent that
keeps its name until that is over (`Operation.LATE_COPY`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.instants import clock
from reconciler.model.address import Address, AgentName, Owner
from reconciler.model.capabilities import Capabilities
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Intent, Operation, Record
from reconciler.model.spec import body_digest
from reconciler.model.writes import DropIntent, DropRecord, PutIntent, PutRecord, Write
from reconciler.plan.basis import Basis
from reconciler.plan.end_classes import EndClass, end_class, lived
from reconciler.plan.predecessors import kept_predecessor, leave_intent_for


def settle(basis: Basis, able: Capabilities) -> tuple[Basis, tuple[Write, ...]]:
    """Return the basis with all intents settled whose outcome the observation proves, and the writes that record it.

    - A join whose agent runs becomes its record.
    - A leave whose agent is proven gone takes the record with it, unless a successor was to follow.
    - An update of unknown outcome marks its record, so that the in-place values are sent again.
    - A recorded agent that ended early counts as a failed join; one that has lived for `WELL` resets that count.
    - A successor that ended before its predecessor was told to leave gives the record back to that one.

    These stay open: a join whose agent is not seen, a leave whose agent still runs, and a late-copy note until its
    agent would be listed, since a late copy may be executed late and then be listed late.
    """
    state = basis.state
    records = dict(state.records)
    open_intents: list[Intent] = []
    writes: list[Write] = []
    for intent in state.intents:
        settled = _settle_one(intent, basis, records)
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
    called = {each.agent_id for each in state.intents}
    for record in list(records.values()):
        if record.replacing or record.agent_id in called:
            continue  # an open call, above all a leave, may have ended it: that is no failure of its join
        judged = _judged(record, basis, able)
        if judged is not record:
            records[record.address] = judged
            writes.append(PutRecord(judged))
    for intent in tuple(open_intents):
        kept = kept_predecessor(intent, records.get(intent.address), basis)
        if kept is not None:
            records[kept.address] = kept
            open_intents.remove(intent)
            writes += [PutRecord(kept), DropIntent(intent.key)]
    if not writes:
        return basis, ()
    return replace(basis, state=replace(state, records=records, intents=tuple(open_intents))), tuple(writes)


def _judged(record: Record, basis: Basis, able: Capabilities) -> Record:
    """Return the record, changed if its agent failed early, was stopped through the API, or has lived well since."""
    ended = basis.ended.get(record.agent_id)
    if ended is not None and record.failed_agent != record.agent_id:
        kind = end_class(able, ended)
        if kind is EndClass.NEVER_STARTED:
            return failed_again(record, ended.stopped_at or basis.now, ended.message)
        if kind is EndClass.STOPPED and record.stopped_agent != record.agent_id:
            return stopped_again(record, ended.stopped_at or basis.now)
    if not record.failures:
        return record
    if basis.agent(record.agent_id) is not None:
        age = basis.now - record.started_at
    else:
        age = lived(ended) if ended is not None and ended.stopped_at else 0.0
    is_its_own = record.failed_agent != record.agent_id and record.failed_digest == body_digest(record.body)
    # A predecessor whose successors fail lives on: that says nothing of them.
    is_newest = record.generation >= basis.state.generations.get(record.address, 0)
    if age >= WELL and is_its_own and is_newest:
        return replace(record, failures=0, retry_at=0.0, failed_digest="", failed_cause="", failed_agent="")
    return record


# An agent that has lived for this time (seconds) resets the count of failed joins.
WELL = 600.0
# A failed join is tried again at once twice, then after growing pauses, so that a broken vendor key does not cost a
# join per run for ever.
_FREE_FAILURES = 2
_FIRST_PAUSE = 120.0
_LONGEST_PAUSE = 3600.0


def _pause(failures: int) -> float:
    over = failures - _FREE_FAILURES
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(over - 1, 10)) if over > 0 else 0.0


def refused_again(intent: Intent, earlier: Intent | None, at: float) -> Write:
    """Return the note that the service refused a join once more at `at` (epoch seconds), with the join's body."""
    same = earlier is not None and earlier.body == intent.body
    attempt = earlier.attempt + 1 if earlier is not None and same else 1
    return PutIntent(
        Intent(Operation.REFUSED, intent.address, "", at, body=intent.body, attempt=attempt, sent_at=at)
    )


def refused_until(note: Intent) -> float:
    """Return the time (epoch seconds) before which a refused join is not sent again."""
    return (note.sent_at or note.created_at) + _pause(note.attempt)


def failed_again(record: Record, at: float, cause: str) -> Record:
    """Return the record after one more join that failed at `at` (epoch seconds), with the time of the next try.

    Failures are counted for one body and one cause: another body or another cause starts a new count.
    """
    digest = body_digest(record.body)
    same = (record.failed_digest, record.failed_cause) == (digest, cause)
    failures = record.failures + 1 if same else 1
    pause = _pause(failures)
    return replace(
        record,
        failures=failures,
        retry_at=at + pause if pause else 0.0,
        failed_digest=digest,
        failed_cause=cause,
        failed_agent=record.agent_id,
    )


# Ends through the API within this time (seconds) are counted together.
_STOPS_WITHIN = 3600.0


def stopped_again(record: Record, at: float) -> Record:
    """Return the record after its agent was ended through the API, not by this tool, at `at` (epoch seconds)."""
    recent = tuple(each for each in record.stops if at - each < _STOPS_WITHIN)
    return replace(record, stops=(*recent, at), stopped_agent=record.agent_id)


def with_failures_of(record: Record, earlier: Record | None) -> Record:
    """Return a new record with the counts of the address's earlier record, if the body is the same."""
    if earlier is not None and earlier.stops and body_digest(earlier.body) == body_digest(record.body):
        record = replace(record, stops=earlier.stops)
    if earlier is None or not earlier.failures or earlier.failed_digest != body_digest(record.body):
        return record
    return replace(
        record,
        failures=earlier.failures,
        failed_digest=earlier.failed_digest,
        failed_cause=earlier.failed_cause,
        failed_agent=earlier.failed_agent,
    )


def _settle_one(intent: Intent, basis: Basis, records: Mapping[Address, Record]) -> list[Write] | None:
    """Return the writes that settle one intent, or None while it stays open."""
    record = records.get(intent.address)
    match intent.operation:
        case Operation.JOIN:
            elsewhere = {each.agent_id for each in records.values() if each.address != intent.address}
            running = [each for each in _running_as(intent.name, basis) if each.agent_id not in elsewhere]
            if not running:
                return None
            found = joined_record(
                intent, running[0].agent_id, running[0].started_at, sent=False, earlier=record
            )
            predecessor = record if record is not None and basis.agent(record.agent_id) is not None else None
            return [
                PutRecord(found),
                *leave_intent_for(predecessor, found, basis.now),
                *late_copy_of_repeated(intent),
            ]
        case Operation.LATE_COPY:
            # An agent of that name that no record has is the late copy itself.
            known = {each.agent_id for each in records.values() if each.name == intent.name}
            late = [each for each in _running_as(intent.name, basis) if each.agent_id not in known]
            if late and (record is None or basis.agent(record.agent_id) is None):
                found = joined_record(
                    intent, late[0].agent_id, late[0].started_at, sent=False, earlier=record
                )
                return [PutRecord(found)]
            is_over = not late and basis.now >= intent.certain_at(basis.grace)
            return [] if is_over else None
        # A repeated update is harmless, so an open one only marks the record: all values are sent again.
        case Operation.UPDATE:
            if record is None or record.agent_id != intent.agent_id:
                return []
            return [PutRecord(replace(record, unsent=True, token_expires_at=None))]
        case Operation.REFUSED:
            is_over = basis.now >= refused_until(intent) + _LONGEST_PAUSE
            return (
                [] if is_over or (record is not None and basis.agent(record.agent_id) is not None) else None
            )
        case Operation.LEAVE:
            if basis.agent(intent.agent_id) is not None:
                return None
            # With `replacing` the record stays: until a successor has one, the address has lost its agent.
            if record is None or record.agent_id != intent.agent_id or record.replacing:
                return []
            return [DropRecord(intent.address)]


def _running_as(name: str, basis: Basis) -> list[ObservedAgent]:
    """Return the running agents of a name, the oldest first, without those that `forget` released."""
    running = (each for each in basis.live if each.status is not AgentStatus.STOPPING)
    found = (each for each in running if each.name == name and each.agent_id not in basis.state.released)
    return sorted(found, key=lambda each: (each.started_at, each.agent_id))


def is_name_of(intent: Intent, address: Address) -> bool:
    """Return whether the name of a join has this address's digest; after a rename it has the earlier address's."""
    parsed = AgentName.parse(intent.name)
    return parsed is not None and parsed.address_digest == address.digest


def is_superseded(note: Intent, generations: Mapping[Address, int]) -> bool:
    """Return whether the name of a late-copy note has had a successor at its address: it is not sent again."""
    return note.generation < generations.get(note.address, 0) and is_name_of(note, note.address)


def another_name_from(note: Intent, grace: float) -> float:
    """Return the time (epoch seconds) from which the address of a late-copy note may be joined under another name.

    An attempt that was answered is not executed late, but the agent that it may have started need not be listed yet.
    """
    return note.late_until(grace) or note.certain_at(grace)


def late_copy_text(name: str, until: float) -> str:
    """Return the message of an address that waits for a late copy until a time (epoch seconds)."""
    return f"deferred until {clock(until)}: a copy of an interrupted join of {name} may still be executed"


REFUSED_TWICE = "the service has reported a conflict twice"


def looked_for_text(why: str, name: str, until: float) -> str:
    """Return the message of an address that waits, until a time (epoch seconds), for the agent of a refused name."""
    return f"{why}, but no agent is seen that bears the name {name}; it is looked for once more from {clock(until)} on"


def uid_taken(intent: Intent, holder: ObservedAgent) -> str:
    """Return the message of an address whose uid a foreign agent has, with the three ways to go on."""
    ours = AgentName.parse(intent.name)
    take = f"`reconciler adopt {intent.address.argument} {holder.agent_id}`"
    whose = whose_it_is(holder, ours.owner if ours is not None else None, take)
    return (
        f"uid {intent.uid} of channel {intent.address.channel} is taken: agent {holder.agent_id} ({holder.name}) runs "
        f"there and {whose}, write another agent_rtc_uid, or end that agent: the next apply then joins"
    )


def whose_it_is(agent: ObservedAgent, owner: Owner | None, take: str) -> str:
    """Return whose a foreign agent is, and the first way to go on: `take` is the command that takes it over.

    For an agent of another environment of this fleet that command is not named: it would take that environment's agent.
    """
    other = agent.parsed.owner if agent.parsed is not None else None
    if other is None or owner is None or other.fleet != owner.fleet or other == owner:
        return f"is not this fleet's; take it over ({take})"
    whose = (
        f"belongs to this fleet's environment {other.environment}"
        if other.environment
        else "has no environment"
    )
    return f"{whose}: give each environment channels of its own (`{{{{ environment }}}}` in their names)"


def late_copy_note(intent: Intent, since: float) -> list[Write]:
    """Return the write that notes a possible late copy of a join; it was last sent at `since` (epoch seconds)."""
    return [
        PutIntent(replace(intent, operation=Operation.LATE_COPY, unknown_since=since, refused_since=None))
    ]


def late_copy_of_repeated(intent: Intent) -> list[Write]:
    """Return the late-copy note of a join whose agent was found; empty if no attempt can be a late copy any more.

    One attempt has started the agent: one whose answer was unclear, or else one of the unanswered ones, which is no
    late copy any more. Any other unanswered one may be executed once the name is free again.
    """
    explained = 0 if intent.unclear else 1
    if intent.unanswered <= explained:
        return []
    return late_copy_note(replace(intent, answered=intent.answered + explained), intent.in_doubt_since)


def joined_record(
    intent: Intent,
    agent_id: str,
    started_at: float,
    *,
    sent: bool,
    token_expires_at: float | None = None,
    secrets: Mapping[str, str] | None = None,
    earlier: Record | None = None,
) -> Record:
    """Return the record of the agent that a join intent started.

    `sent` means that this run's own call started it. Otherwise an earlier attempt did: its in-place values and its
    token may be older than the files, so they are marked to be sent again. `earlier` is the address's previous record.
    """
    assert intent.body is not None, "a join intent holds its body"
    record = Record(
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
    )
    return with_failures_of(record, earlier)
