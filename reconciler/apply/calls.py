"""The protocol of the calls on a running agent, update and leave, with every way in which they can fail.

The rules: an intent is durable before its call is sent; an unknown outcome is resolved by a query with the agent's id;
no call is sent to an agent that a query of this run has not shown to be ours. How an agent is started is in `joining`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import assert_never

from reconciler.apply.archiving import archive_before_leave, archive_end
from reconciler.apply.context import ChangeFailed, Context, backoff
from reconciler.durations import spelled
from reconciler.model.address import Address
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Entry, Intent, Operation, Record
from reconciler.model.spec import Body
from reconciler.model.tree import Path, Tree, value_at
from reconciler.model.writes import Append, DropRecord, PutGeneration, PutRecord, Write
from reconciler.ports import (
    Declined,
    Done,
    Elapsed,
    Gone,
    Joined,
    JoinOrder,
    JoinOutcome,
    Prepared,
    Sleep,
    Steps,
    Stopping,
    Unknown,
    UpdateOrder,
)

# --- proof ----------------------------------------------------------------------------------------------------


def order_of(intent: Intent, token_ttl: float) -> JoinOrder:
    """Return the order of a join: what a provider needs to know in order to send it."""
    assert intent.body is not None, "a join intent holds its body"
    return JoinOrder(intent.name, intent.address.channel, intent.uid, intent.body, token_ttl)


def checked(context: Context, intent: Intent, outcome: JoinOutcome) -> JoinOutcome:
    """Return the outcome of a join; it is unclear if the answer names another address's agent, as a proxy's may do."""
    if not isinstance(outcome, Joined):
        return outcome
    holder = context.journal.holder(outcome.agent_id, intent.address)
    if holder == intent.address:
        return outcome
    return Unknown(f"the answer names agent {outcome.agent_id}, which is that of {holder}", answered=True)


def prove_ours(
    context: Context, agent_id: str, address: Address, adopted_as: str = ""
) -> Steps[ObservedAgent | None]:
    """Query an agent and return it if it is ours, or None if it is gone.

    Ours bears our owner mark, or the name under which it was adopted. Raises `ChangeFailed` when it is not ours: then
    no call is sent to it, even if the state records it.
    """
    agent = yield from context.provider.query(agent_id)
    if agent is None or agent.status.is_terminal:
        return None
    if agent.bears(context.owner) or (adopted_as and agent.name == adopted_as):
        return agent
    raise ChangeFailed(
        f"agent {agent_id} does not bear our mark any more (its name is {agent.name!r}); it was not touched",
        hint=f"`reconciler forget {address.argument}` drops our record of it",
    )


# --- update ---------------------------------------------------------------------------------------------------


def update(
    context: Context,
    record: Record,
    desired: Body,
    values: dict[Path, Tree],
    *,
    ignored: tuple[Path, ...],
    token_ttl: float | None,
    protect: bool,
    unsent: bool,
    change: str,
) -> Steps[Record | None]:
    """Send complete values (and a token) to a running agent; return its new record, or None if it is gone.

    Each update holds complete values, so one whose outcome is unknown can safely be sent again.
    """
    address = record.address
    if (yield from prove_ours(context, record.agent_id, address, record.adopted_as)) is None:
        return None
    rtm = value_at(record.body.properties, ("advanced_features", "enable_rtm")) is True
    order = UpdateOrder(record.agent_id, address.channel, record.uid, values, token_ttl, rtm)
    now = yield from context.journal.now()
    intent = Intent(Operation.UPDATE, address, record.name, now, agent_id=record.agent_id)
    began: float = yield Elapsed()
    why = ""
    for attempt in range(context.settings.attempts):
        prepared = yield from context.provider.prepare_update(order)
        # The intent is durable before the call, so that a run after a crash knows that the agent's values are
        # uncertain.
        if attempt == 0:
            yield from context.journal.intend(intent)
        else:
            intent = yield from context.journal.repeat(intent)
        outcome = yield from context.provider.update(prepared)
        match outcome:
            case Done():
                # The record holds what was sent, not what the files ask: ignored values were left out.
                after = _updated(
                    context, replace(record, protect=protect, unsent=unsent), desired, ignored, prepared
                )
                yield from context.journal.conclude(
                    intent, PutRecord(after), change=change, result="done", agent_id=record.agent_id
                )
                return after
            case Gone():
                yield from _gone_meanwhile(context, intent, change)
                return None
            case Declined(scope, detail):
                # An earlier attempt may have been executed. The agent's values are unknown, so the next run sends all
                # of them again.
                doubt = [PutRecord(replace(record, unsent=True, token_expires_at=None))] if why else []
                yield from context.journal.conclude(
                    intent, *doubt, change=change, result="failed", agent_id=record.agent_id, detail=detail
                )
                raise context.declined(scope, detail)
            case Unknown(detail):
                why = detail
                # No answer: a query shows whether the agent still runs; if it does, the same complete values are sent
                # again.
                yield from backoff(context, attempt)
                if not (yield from _await_started(context, record.agent_id, began)):
                    yield from _gone_meanwhile(context, intent, change)
                    return None
            case _:
                assert_never(outcome)
    raise ChangeFailed(
        f"nobody knows whether the update was executed: {why}; the next apply sends it again", unknown=True
    )


def _gone_meanwhile(context: Context, intent: Intent, change: str) -> Steps[None]:
    yield from context.journal.conclude(
        intent, change=change, result="failed", agent_id=intent.agent_id, detail="the agent is gone"
    )


def _await_started(context: Context, agent_id: str, began: float) -> Steps[bool]:
    """Wait until an agent has started, at most the settings' `wait` since `began`; return whether it is still there.

    It is not documented whether a starting agent can be updated; if it refuses, that must not use up all attempts.
    """
    for pause in _pauses():
        agent = yield from context.provider.query(agent_id)
        if agent is None or agent.status.is_terminal:
            return False
        elapsed: float = yield Elapsed()
        stopping: bool = yield Stopping()
        if agent.status not in _STARTING or stopping or elapsed - began > context.settings.wait:
            break
        yield Sleep(pause)
    return True


_STARTING = frozenset({AgentStatus.IDLE, AgentStatus.STARTING})


def _updated(
    context: Context, record: Record, desired: Body, ignored: tuple[Path, ...], prepared: Prepared
) -> Record:
    """Return the record after an update: the body as it was sent, with the recorded values at ignored paths."""
    secrets = {**record.secrets, **context.journal.secret_digests(prepared.secrets)}
    return replace(
        record,
        body=with_ignored(desired, record.body, ignored),
        token_expires_at=prepared.token_expires_at or record.token_expires_at,
        secrets=secrets,
    )


def with_ignored(desired: Body, applied: Body, ignored: tuple[Path, ...]) -> Body:
    """Return the desired body with the applied values at ignored paths, because an update does not send those."""
    properties: Tree = desired.properties
    for path in ignored:
        properties = _copied(properties, applied.properties, path)
    return replace(desired, properties=properties)  # type: ignore[arg-type]  # a mapping stays a mapping


def _copied(into: Tree, source: Tree, path: Path) -> Tree:
    head, rest = str(path[0]), path[1:]
    if not isinstance(into, dict) and into is not None:
        return into
    target = dict(into or {})
    there = source.get(head) if isinstance(source, dict) else None
    if not rest:
        if isinstance(source, dict) and head in source:
            target[head] = source[head]
        else:
            target.pop(head, None)
    elif head in target or there is not None:
        target[head] = _copied(target.get(head), there, rest)
    return target


# --- leave ----------------------------------------------------------------------------------------------------


def leave(
    context: Context,
    agent_id: str,
    address: Address,
    name: str,
    *,
    adopted_as: str = "",
    replacing: bool = False,
) -> Steps[None]:
    """Ask the service to end an agent that is ours; return when it has accepted, or the agent is gone.

    The intent stays open until `await_gone` has proven the end. With `replacing`, the record stays until the successor
    has one; until then the address counts as one whose agent was lost.
    """
    now = yield from context.journal.now()
    uid = context.journal.uid_of(agent_id, address)
    intent = Intent(Operation.LEAVE, address, name, now, agent_id=agent_id, uid=uid)
    # The state alone never suffices to end an agent: a query of this run must show that it is ours.
    agent = yield from prove_ours(context, agent_id, address, adopted_as)
    if agent is None:
        yield from conclude_gone(context, intent)
        return
    yield from archive_before_leave(context, agent, address)
    # The intent is durable before the call, so that a run after a crash knows that this end was asked for.
    yield from context.journal.intend(intent, *_marked(context, intent, replacing=replacing))
    why = ""
    for attempt in range(context.settings.attempts):
        if attempt:
            intent = yield from context.journal.repeat(intent)
        outcome = yield from context.provider.leave(agent_id)
        match outcome:
            case Done() | Gone():
                return
            case Declined(scope, detail):
                # The agent runs on, so its record stays; the intent stays too, until a later look proves what became of
                # the agent.
                entry = Entry(now, address, "leave", "failed", agent_id, detail)
                yield from context.journal.write(*_marked(context, intent, replacing=False), Append(entry))
                raise context.declined(scope, detail)
            case Unknown(detail):
                why = detail
                # No answer: whether the leave was executed is decided by a query with the agent's id.
                agent = yield from context.provider.query(agent_id)
                if agent is None or agent.status.is_terminal or not agent.status.is_live:
                    return
                yield from backoff(context, attempt)
            case _:
                assert_never(outcome)
    raise ChangeFailed(
        f"nobody knows whether the leave was executed: {why}; the next apply looks again", unknown=True
    )


def _marked(context: Context, intent: Intent, *, replacing: bool) -> list[Write]:
    """Return the write that sets `replacing` in the record of an agent that is told to leave, if it changes."""
    record = context.journal.record(intent.address)
    if record is None or record.agent_id != intent.agent_id or record.replacing is replacing:
        return []
    return [PutRecord(replace(record, replacing=replacing))]


def await_gone(context: Context, agent_id: str, address: Address) -> Steps[None]:
    """Wait until the service says that an agent has ended; then close its leave (`conclude_gone`)."""
    started: float = yield Elapsed()
    for pause in _pauses():
        agent = yield from context.provider.query(agent_id)
        if agent is None or agent.status.is_terminal:
            intent = Intent(Operation.LEAVE, address, "", 0.0, agent_id=agent_id)
            yield from conclude_gone(context, intent, agent)
            return
        # STOPPING is not gone: until the end is proven, its name and uid are not free.
        yield from context.not_yet(f"agent {agent_id} was told to leave and is still {agent.status}")
        elapsed: float = yield Elapsed()
        if elapsed - started > context.settings.farewell:
            raise ChangeFailed(
                f"agent {agent_id} was told to leave but is still {agent.status} after {spelled(round(elapsed - started))}",
                unknown=True,
                hint="the next apply looks again",
            )
        yield from context.check_open()
        yield Sleep(pause)


def conclude_gone(context: Context, intent: Intent, agent: ObservedAgent | None = None) -> Steps[None]:
    """Note that the agent of a leave has ended: close its archive and its intent, drop its record unless `replacing`.

    `agent` is the agent as the service last returned it, if it did. The archive is closed first, since it needs the
    record.
    """
    yield from archive_end(context, intent.agent_id, intent.address, agent, "told to leave")
    context.joined.pop(intent.agent_id, None)  # started and ended by one run: it is not waited for
    context.gone.add(intent.agent_id)
    record = context.journal.record(intent.address)
    drops: list[Write] = []
    if record is not None and record.agent_id == intent.agent_id and not record.replacing:
        drops = [PutGeneration(intent.address, record.generation), DropRecord(intent.address)]
    yield from context.journal.conclude(
        intent, *drops, change="leave", result="done", agent_id=intent.agent_id
    )


def _pauses() -> Iterator[float]:
    """Yield the pauses between two looks, in seconds: short at first (most agents end at once), then two seconds."""
    pause = 0.1
    while True:
        yield pause
        pause = min(2.0, pause * 1.6)
