"""Adopt a running agent that this fleet did not start: prove that it runs in the channel, and write its record."""

from __future__ import annotations

from collections.abc import Container

from reconciler.apply.context import ChangeFailed, ChangeHeld, Context
from reconciler.model.address import Address
from reconciler.model.observed import ObservedAgent
from reconciler.model.record import Entry, Operation, Record
from reconciler.model.spec import AgentSpec
from reconciler.model.writes import (
    Append,
    DropForeign,
    DropIntent,
    DropReleased,
    PutGeneration,
    PutRecord,
    StateView,
    Write,
)
from reconciler.plan.change import Target
from reconciler.plan.intents import late_copy_note
from reconciler.ports import Observer, Steps


def runs_in(observer: Observer, channel: str, agent_id: str) -> Steps[bool]:
    """Return whether a listing of the channel shows the agent.

    A query does not return the channel (v2 API reference: "What can be read back"), so only a listing proves it. An
    agent of another channel would be given this address's prompt, and the next replacement would hang up on that
    channel's caller.
    """
    rows = yield from observer.live_agents(channel=channel)
    return any(each.agent_id == agent_id for each in rows)


def holder_of_uid(view: StateView, address: Address, uid: str, gone: Container[str]) -> Record | None:
    """Return the record of another address in this channel whose agent has this uid and is not known to have ended.

    Two agents of ours with one uid in a channel could not be told apart there. It happens where a foreign agent runs
    beside ours with the same uid, which the service does not always refuse.
    """
    others = (each for each in view.records.values() if each.address.channel == address.channel)
    return next(
        (
            each
            for each in others
            if each.address != address and each.uid == uid and each.agent_id not in gone
        ),
        None,
    )


def adopted_writes(
    view: StateView, spec: AgentSpec, agent: ObservedAgent, uid: str, now: float
) -> list[Write]:
    """Return the writes of one commit that record an adopted agent; `uid` is the one that it was joined with.

    An open join of the address becomes a late-copy note, so that an agent it may still start is looked for by its name.
    """
    parsed = agent.parsed
    record = Record(
        address=spec.address,
        agent_id=agent.agent_id,
        name=agent.name or "",
        generation=parsed.generation if parsed else 0,
        uid=uid,
        body=spec.body,
        started_at=agent.started_at,
        protect=bool(spec.lifecycle.protect),
        unsent=True,
        declared=True,
    )
    writes: list[Write] = [
        PutRecord(record),
        DropForeign(agent.agent_id),
        DropReleased(agent.agent_id),
        Append(Entry(now, spec.address, "adopt", "done", agent.agent_id)),
    ]
    for intent in view.intents.values():
        if intent.operation is Operation.JOIN and intent.address == spec.address:
            writes += [
                *late_copy_note(intent, intent.in_doubt_since),
                DropIntent(intent.key),
                PutGeneration(spec.address, intent.generation),
            ]
    return writes


def adopt(context: Context, spec: AgentSpec, target: Target) -> Steps[None]:
    """Record the agent that the files ask to adopt, after a new proof that it runs in the channel of the address."""
    # The plan may be old: an agent of another channel must never be recorded here.
    if not (yield from runs_in(context.provider, spec.address.channel, target.agent_id)):
        raise ChangeFailed(
            f"agent {target.agent_id} does not run in channel {spec.address.channel} any more; it was not adopted",
            hint="the next apply decides anew",
        )
    holder = context.journal.holder(target.agent_id, spec.address)
    if holder != spec.address:
        raise ChangeHeld(f"agent {target.agent_id} is recorded as {holder} already")
    other = holder_of_uid(context.journal.view, spec.address, target.uid, context.gone)
    if other is not None:
        raise ChangeHeld(
            f"agent {other.agent_id} of {other.address} runs in the channel with the same uid {target.uid}",
            hint="the next apply adopts once that one has ended",
        )
    now = yield from context.journal.now()
    yield from context.journal.write(
        *adopted_writes(context.journal.view, spec, target.agent, target.uid, now)
    )


def record_found_by_name(spec: AgentSpec, agent: ObservedAgent, uid: str) -> Record:
    """Return the record of an agent found by its name: its digest agrees, its in-place values are unknown."""
    parsed = agent.parsed
    assert agent.name is not None and parsed is not None, "found by its name"
    return Record(
        address=spec.address,
        agent_id=agent.agent_id,
        name=agent.name,
        generation=parsed.generation,
        uid=uid,
        body=spec.body,
        started_at=agent.started_at,
        protect=bool(spec.lifecycle.protect),
        unsent=True,
    )
