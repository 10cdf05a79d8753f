"""The verbs that change only what we remember: adopt an agent of somebody else, forget one of ours."""

from __future__ import annotations

from reconciler.apply.journal import Journal
from reconciler.diagnostics import did_you_mean, nearby
from reconciler.errors import UsageError
from reconciler.model.address import Address
from reconciler.model.observed import ObservedAgent
from reconciler.model.record import Entry, Operation, Record, State
from reconciler.model.spec import AgentSpec
from reconciler.model.writes import (
    Append,
    DropForeign,
    DropRecord,
    DropReleased,
    PutGeneration,
    PutPins,
    PutRecord,
    PutReleased,
    StateView,
    Write,
)
from reconciler.ports import Now, Observer, ReadState, Steps
from reconciler.workflow.job import Job, check_pins, exclusive


def adopt(job: Job, observer: Observer, address: Address, agent_id: str) -> Steps[Record]:
    """Take a running foreign agent into the state, by id, as the agent of a declared address."""
    return (yield from exclusive(job, _adopt(job, observer, address, agent_id)))


def _adopt(job: Job, observer: Observer, address: Address, agent_id: str) -> Steps[Record]:
    state: State = yield ReadState()
    check_pins(state, job.pins)
    spec = job.fleet.agents.get(address)
    if spec is None:
        raise UsageError(f"the files do not declare {address}", hint=_undeclared(job, address))
    if any(each.operation is Operation.JOIN and each.address == address for each in state.intents):
        raise UsageError(
            f"an interrupted join of {address} is still open: its agent may yet turn up",
            hint="run `reconciler apply` first: it finds out",
        )
    holder = next((each for each in state.records.values() if each.agent_id == agent_id), None)
    if holder is not None:
        raise UsageError(f"agent {agent_id} is recorded as {holder.address} already")
    agent = yield from _running(observer, agent_id)
    if spec.body.uid is None and not agent.bears(job.fleet.owner):
        raise UsageError(
            f"the files leave the uid of {address} open, and the service does not tell that of agent {agent_id}",
            hint="declare the uid that it was joined with (agent_rtc_uid): a token for another one would end it",
        )
    current = state.records.get(address)
    if current is not None:
        running = yield from observer.query(current.agent_id)
        if running is not None and not running.status.is_terminal:
            raise UsageError(
                f"{address} has a running agent already ({current.agent_id})",
                hint=f"`reconciler forget {address.argument}` releases it first; it then runs on, unmanaged, until somebody ends it",
            )
    yield from _prove_channel(job, observer, state, address, agent_id)
    record = _adopted_record(job, spec, agent)
    journal = Journal(StateView.of(state))
    now: float = yield Now()
    pins: tuple[Write, ...] = () if state.pins is not None else (PutPins(job.pins),)
    entry = Entry(now, address, "adopt", "done", agent_id)
    yield from journal.write(
        *pins, PutRecord(record), DropForeign(agent_id), DropReleased(agent_id), Append(entry)
    )
    return record


def _undeclared(job: Job, address: Address) -> str:
    meant = did_you_mean(str(address), map(str, job.fleet.agents))
    return (
        f"{meant} otherwise declare it first"
        if meant
        else "declare it first; adopt then takes the agent over"
    )


def _running(observer: Observer, agent_id: str) -> Steps[ObservedAgent]:
    agent = yield from observer.query(agent_id)
    if agent is None:
        raise UsageError(
            f"the service does not know an agent {agent_id}", hint="`reconciler status` lists what runs"
        )
    if not agent.status.is_live:
        raise UsageError(f"agent {agent_id} is {agent.status}; only a running agent can be adopted")
    return agent


def _prove_channel(
    job: Job, observer: Observer, state: State, address: Address, agent_id: str
) -> Steps[None]:
    """Raise `UsageError` unless one listing of the address's own channel shows the agent.

    A query tells no channel (v2 API reference: "What can be read back"). An id from another channel would put this
    address's prompt into a stranger's call, and its next replacement would hang up on that caller.
    """
    if (yield from _runs_in(observer, address.channel, agent_id)):
        return
    seen = state.foreign.get(agent_id)
    others = [seen.channel] if seen is not None and seen.channel else sorted(job.fleet.channels)[:_SEARCHED]
    for channel in others:
        if channel != address.channel and (yield from _runs_in(observer, channel, agent_id)):
            raise UsageError(
                f"agent {agent_id} runs in {channel}, not in {address.channel}; nothing was recorded",
                hint="check the id: `reconciler status` lists what runs in this fleet's channels",
            )
    raise UsageError(
        f"agent {agent_id} does not run in channel {address.channel}: no listing of it shows the agent; nothing was recorded",
        hint="check the id and the channel; an agent that has just been started may be listed a little later",
    )


# Where a misplaced agent runs is looked for in at most so many channels of the fleet: one listing each.
_SEARCHED = 50


def _runs_in(observer: Observer, channel: str, agent_id: str) -> Steps[bool]:
    rows = yield from observer.live_agents(channel=channel)
    return any(each.agent_id == agent_id for each in rows)


def _adopted_record(job: Job, spec: AgentSpec, agent: ObservedAgent) -> Record:
    parsed = agent.parsed
    return Record(
        address=spec.address,
        agent_id=agent.agent_id,
        name=agent.name or "",
        generation=parsed.generation if parsed else 0,
        uid=spec.uid(job.fleet.owner),
        body=spec.body,
        started_at=agent.started_at,
        protect=bool(spec.lifecycle.protect),
        unsent=True,
        declared=True,
    )


def forget(job: Job, address: Address) -> Steps[Record]:
    """Drop the record of an address and release its agent: its name does not bring it back."""
    return (yield from exclusive(job, _forget(job, address)))


def _forget(job: Job, address: Address) -> Steps[Record]:
    state: State = yield ReadState()
    check_pins(state, job.pins)
    record = state.records.get(address)
    if record is None:
        known = ", ".join(nearby(str(address), map(str, state.records)))
        raise UsageError(
            f"the state has no record of {address}",
            hint=f"the nearest that it has: {known}" if known else "it is empty",
        )
    now: float = yield Now()
    journal = Journal(StateView.of(state))
    yield from journal.write(
        DropRecord(address),
        PutGeneration(address, record.generation),
        PutReleased(record.agent_id),
        Append(Entry(now, address, "forget", "done", record.agent_id)),
    )
    return record
