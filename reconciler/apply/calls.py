"""The protocol of each mutating call: join, update, leave, each through every way it can go wrong.

The rules: an intent is durable before a call leaves; an unknown outcome is resolved by name and id, never by
guessing; the same name is sent again, never another one; nothing is touched that a query of this run has not
shown to be ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import assert_never

from reconciler.apply.context import ChangeFailed, Context
from reconciler.apply.events import Progress
from reconciler.model.address import Address, AgentName
from reconciler.model.observed import ObservedAgent
from reconciler.model.record import Intent, Operation, Record
from reconciler.model.spec import Body
from reconciler.model.tree import Path, Tree, value_at
from reconciler.model.writes import DropIntent, DropRecord, PutGeneration, PutIntent, PutRecord, Write
from reconciler.plan.basis import joined_record, kept_in_mind
from reconciler.ports import (
    Conflict,
    Declined,
    Done,
    Elapsed,
    Gone,
    Joined,
    JoinOrder,
    Prepared,
    Random,
    Sleep,
    Steps,
    Unknown,
    UpdateOrder,
)


def backoff(attempt: int) -> Steps[None]:
    """Wait before the next attempt: full jitter, so that a fleet does not come back in step."""
    share: float = yield Random()
    yield Sleep(min(8.0, 0.5 * 2**attempt) * (0.5 + share / 2))


# --- join -----------------------------------------------------------------------------------------------------


def join(
    context: Context, intent: Intent, *, token_ttl: float, resumed: bool, failures: int = 0
) -> Steps[Record]:
    """Start the agent of a join intent, whatever happened to it before; returns its durable record.

    Raises `ChangeFailed`; where the outcome stays unknown the intent stays open for the next run.
    """
    for attempt in range(context.settings.attempts):
        prepared: Prepared = yield from context.provider.prepare_join(_order(intent, token_ttl))
        before = intent
        if attempt == 0 and not resumed:
            yield from context.journal.intend(intent)
        else:
            intent = yield from context.journal.repeat(intent)
        outcome = yield from context.provider.join(prepared)
        if isinstance(outcome, (Conflict, Declined)):
            # This attempt was not executed: what is in doubt is older.
            intent = replace(intent, unknown_since=before.unknown_since)
        match outcome:
            case Joined():
                return (yield from _joined(context, intent, outcome, prepared, failures))
            case Conflict():
                found = yield from _resolve_conflict(context, intent, outcome)
                if isinstance(found, Record):
                    return found
                intent, resumed = found, True
            case Declined(scope, detail):
                if resumed or intent.unknown_since is not None:
                    yield from _keep_in_doubt(context, intent, detail)
                else:
                    yield from context.journal.conclude(intent, change="join", result="failed", detail=detail)
                raise context.declined(scope, detail)
            case Unknown(detail):
                intent = yield from context.journal.mark_unknown(intent)
                yield from context.say(
                    Progress(intent.address, f"the outcome of the join is unknown ({detail}); looking")
                )
                record = yield from find_joined(context, intent)
                if record is not None:
                    return record
                yield from backoff(attempt)
            case _:
                assert_never(outcome)
    raise ChangeFailed(
        f"nobody knows whether the join of {intent.name} was executed",
        unknown=True,
        hint="the next apply looks for it by that name first; it cannot be started twice",
    )


def _keep_in_doubt(context: Context, intent: Intent, detail: str) -> Steps[None]:
    """A refusal speaks of one attempt only: an earlier one may still be executed until the grace is over."""
    now = yield from context.journal.now()
    intent = replace(intent, unknown_since=now if intent.unknown_since is None else intent.unknown_since)
    yield from context.journal.write(PutIntent(intent))
    if intent.unknown_since is None or now - intent.unknown_since < context.settings.grace:
        return
    if (yield from find_joined(context, intent)) is None:
        yield from context.journal.conclude(intent, change="join", result="failed", detail=detail)


def _order(intent: Intent, token_ttl: float) -> JoinOrder:
    assert intent.body is not None, "a join intent holds its body"
    return JoinOrder(intent.name, intent.address.channel, intent.uid, intent.body, token_ttl)


def _joined(
    context: Context, intent: Intent, outcome: Joined, prepared: Prepared, failures: int
) -> Steps[Record]:
    record = joined_record(
        intent,
        outcome.agent_id,
        outcome.started_at,
        sent=True,
        token_expires_at=prepared.token_expires_at,
        secrets=context.journal.secret_digests(prepared.secrets),
        failures=failures,
    )
    predecessor = yield from _kept_in_mind(context, record)
    yield from context.journal.conclude(
        intent, PutRecord(record), *predecessor, change="join", result="done", agent_id=record.agent_id
    )
    return record


def _kept_in_mind(context: Context, record: Record) -> Steps[list[Write]]:
    now = yield from context.journal.now()
    old = context.journal.record(record.address)
    return kept_in_mind(old, record, now) if old is not None and old.agent_id not in context.gone else []


def is_given_up(context: Context, intent: Intent) -> Steps[bool]:
    """Give up a join that cannot be sent again, once it can no longer be executed late and nobody bears its name."""
    since = intent.unknown_since if intent.unknown_since is not None else intent.created_at
    now = yield from context.journal.now()
    if now - since < context.settings.grace or (yield from find_joined(context, intent)) is not None:
        return False
    yield from context.journal.conclude(intent, change="join", result="dropped", detail="never executed")
    return True


def find_joined(context: Context, intent: Intent) -> Steps[Record | None]:
    """Look for the agent of a join intent by its exact name, and put it into the state if it runs."""
    holder = yield from _holder(context, intent.name, intent.address.channel)
    if holder is None:
        return None
    return (yield from _take_back(context, intent, holder))


def _take_back(context: Context, intent: Intent, agent: ObservedAgent) -> Steps[Record]:
    record = joined_record(intent, agent.agent_id, agent.started_at, sent=False)
    predecessor = yield from _kept_in_mind(context, record)
    yield from context.journal.conclude(
        intent,
        PutRecord(record),
        *predecessor,
        change="join",
        result="done",
        agent_id=record.agent_id,
        detail="found by its name",
    )
    return record


def _holder(context: Context, name: str, channel: str) -> Steps[ObservedAgent | None]:
    """The live agent that bears a name; the oldest where a weak server let two have it."""
    listed = yield from context.provider.live_agents(channel=channel)
    found: list[ObservedAgent] = []
    known = {each.agent_id for each in context.journal.view.records.values() if each.name != name}
    for row in listed:
        if row.agent_id in known:
            continue
        agent = yield from context.provider.query(row.agent_id)
        if agent is not None and agent.name == name and not agent.status.is_terminal:
            found.append(agent)
    return min(found, key=lambda each: (each.started_at, each.agent_id), default=None)


def _resolve_conflict(context: Context, intent: Intent, conflict: Conflict) -> Steps[Record | Intent]:
    """What a 409 means: ours runs (taken back), or the name is spent (the next generation), or neither (failed).

    A name that nobody bears is only given up after a second complete look, at least the grace after the first.
    """
    if conflict.agent_id is not None:
        agent = yield from context.provider.query(conflict.agent_id)
        if agent is None and intent.unknown_since is None:
            # Its holder has ended, and nothing else is under way.
            return (yield from _next_generation(context, intent))
        if agent is not None and agent.name == intent.name:
            if not agent.status.is_terminal:
                return (yield from _take_back(context, intent, agent))
            return (yield from _next_generation(context, intent))
    holder = yield from _holder(context, intent.name, intent.address.channel)
    if holder is not None:
        return (yield from _take_back(context, intent, holder))
    spent = yield from context.provider.has_ended(intent.name, channel=intent.address.channel)
    now = yield from context.journal.now()
    if spent or _is_outwaited(intent, now, context.settings.grace):
        return (yield from _next_generation(context, intent))
    since = now if intent.unknown_since is None else intent.unknown_since
    yield from context.journal.write(PutIntent(replace(intent, unknown_since=since)))
    raise ChangeFailed(
        f"the service reports a conflict, but no agent bears the name {intent.name}: {conflict.detail}",
        hint=f"another agent may hold the same uid in channel {intent.address.channel}: `reconciler status` lists "
        "unmanaged agents, `reconciler adopt` takes one over",
    )


def _is_outwaited(intent: Intent, now: float, grace: float) -> bool:
    """Whether whatever the name was once sent for would be seen by now: executed late, and listed late.

    Seen from the first look on; from the intent on, where a crash left nobody to look.
    """
    if intent.unknown_since is not None:
        return now - intent.unknown_since >= grace
    return now - intent.created_at >= 2 * grace


def _next_generation(context: Context, intent: Intent) -> Steps[Intent]:
    """Give up a spent name for the next one, in one write."""
    parsed = AgentName.parse(intent.name)
    assert parsed is not None, "intents hold names of ours"
    generation = context.journal.next_generation(intent.address, intent.generation)
    now = yield from context.journal.now()
    name = str(AgentName.make(parsed.owner, intent.address, parsed.revision, generation))
    fresh = replace(intent, name=name, generation=generation, created_at=now, unknown_since=None, attempt=1)
    yield from context.journal.write(
        DropIntent(intent.key), PutIntent(fresh), PutGeneration(fresh.address, fresh.generation)
    )
    return fresh


# --- proof ----------------------------------------------------------------------------------------------------


def prove_ours(context: Context, agent_id: str, address: Address, name: str) -> Steps[ObservedAgent | None]:
    """The agent, shown to be ours by a query of this run; None when it is gone.

    Raises `ChangeFailed` when it is not ours: then nothing touches it, whatever the state says.
    """
    agent = yield from context.provider.query(agent_id)
    if agent is None or agent.status.is_terminal:
        return None
    if agent.bears(context.owner) or (name and agent.name == name):
        return agent
    raise ChangeFailed(
        f"agent {agent_id} does not bear our mark any more (its name is {agent.name!r}); it was not touched",
        hint=f"`reconciler forget {address}` drops our record of it",
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
    """Send complete values (and a token) to a running agent; None when it turned out to be gone.

    An update is a whole value, so one of unknown outcome is simply sent again.
    """
    address = record.address
    if (yield from prove_ours(context, record.agent_id, address, record.name)) is None:
        return None
    rtm = value_at(record.body.properties, ("advanced_features", "enable_rtm")) is True
    order = UpdateOrder(record.agent_id, address.channel, record.uid, values, token_ttl, rtm)
    now = yield from context.journal.now()
    intent = Intent(Operation.UPDATE, address, record.name, now, agent_id=record.agent_id)
    for attempt in range(context.settings.attempts):
        prepared = yield from context.provider.prepare_update(order)
        if attempt == 0:
            yield from context.journal.intend(intent)
        else:
            intent = yield from context.journal.repeat(intent)
        outcome = yield from context.provider.update(prepared)
        match outcome:
            case Done():
                after = _updated(
                    context, replace(record, protect=protect, unsent=unsent), desired, ignored, prepared
                )
                yield from context.journal.conclude(
                    intent, PutRecord(after), change=change, result="done", agent_id=record.agent_id
                )
                return after
            case Gone():
                yield from context.journal.conclude(
                    intent,
                    change=change,
                    result="failed",
                    agent_id=record.agent_id,
                    detail="the agent is gone",
                )
                return None
            case Declined(scope, detail):
                yield from context.journal.conclude(
                    intent, change=change, result="failed", agent_id=record.agent_id, detail=detail
                )
                raise context.declined(scope, detail)
            case Unknown():
                yield from backoff(attempt)
            case _:
                assert_never(outcome)
    raise ChangeFailed(
        "nobody knows whether the update was executed; the next apply sends it again", unknown=True
    )


def _updated(
    context: Context, record: Record, desired: Body, ignored: tuple[Path, ...], prepared: Prepared
) -> Record:
    """The record after an update: the body as it was sent, ignored values as they were."""
    secrets = {**record.secrets, **context.journal.secret_digests(prepared.secrets)}
    return replace(
        record,
        body=with_ignored(desired, record.body, ignored),
        token_expires_at=prepared.token_expires_at or record.token_expires_at,
        secrets=secrets,
    )


def with_ignored(desired: Body, applied: Body, ignored: tuple[Path, ...]) -> Body:
    """The desired body with the values at ignored paths as they were applied: those were not sent."""
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


def leave(context: Context, agent_id: str, address: Address, name: str) -> Steps[None]:
    """Ask the service to end an agent that is ours; returns when it has accepted, or the agent is gone.

    The intent stays open until the end is proven (`await_gone`).
    """
    now = yield from context.journal.now()
    intent = Intent(Operation.LEAVE, address, name, now, agent_id=agent_id)
    if (yield from prove_ours(context, agent_id, address, name)) is None:
        yield from _gone(context, intent)
        return
    yield from context.journal.intend(intent)
    for attempt in range(context.settings.attempts):
        if attempt:
            intent = yield from context.journal.repeat(intent)
        outcome = yield from context.provider.leave(agent_id)
        match outcome:
            case Done() | Gone():
                return
            case Declined(scope, detail):
                # An agent without a record (the predecessor of a join-first) is remembered by this intent alone.
                record = context.journal.record(address)
                if record is not None and record.agent_id == agent_id:
                    yield from context.journal.conclude(
                        intent, change="leave", result="failed", agent_id=agent_id, detail=detail
                    )
                raise context.declined(scope, detail)
            case Unknown():
                agent = yield from context.provider.query(agent_id)
                if agent is None or agent.status.is_terminal or not agent.status.is_live:
                    return
                yield from backoff(attempt)
            case _:
                assert_never(outcome)
    raise ChangeFailed(
        "nobody knows whether the leave was executed; the next apply looks again", unknown=True
    )


def await_gone(context: Context, agent_id: str, address: Address) -> Steps[None]:
    """Wait until the service says that an agent has ended, and take its record and intent out of the state."""
    started: float = yield Elapsed()
    for pause in _pauses():
        agent = yield from context.provider.query(agent_id)
        if agent is None or agent.status.is_terminal:
            break
        elapsed: float = yield Elapsed()
        if elapsed - started > context.settings.farewell:
            raise ChangeFailed(
                f"agent {agent_id} was told to leave but is still {agent.status} after {elapsed - started:.0f} s",
                unknown=True,
                hint="the next apply looks again",
            )
        yield from context.check_open()
        yield Sleep(pause)
    yield from _gone(context, Intent(Operation.LEAVE, address, "", 0.0, agent_id=agent_id))


def _gone(context: Context, intent: Intent) -> Steps[None]:
    record = context.journal.record(intent.address)
    drops: list[Write] = []
    if record is not None and record.agent_id == intent.agent_id:
        drops = [PutGeneration(intent.address, record.generation), DropRecord(intent.address)]
    yield from context.journal.conclude(
        intent, *drops, change="leave", result="done", agent_id=intent.agent_id
    )


def _pauses() -> Iterator[float]:
    """Short at first (most agents end at once), then once every two seconds."""
    pause = 0.1
    while True:
        yield pause
        pause = min(2.0, pause * 1.6)
