"""The verbs that change the state only: `adopt` records a running agent, `forget` drops a record."""

from __future__ import annotations

from reconciler.apply.adopting import adopted_writes, holder_of_uid, runs_in
from reconciler.apply.journal import Journal
from reconciler.diagnostics import did_you_mean
from reconciler.errors import Refused, UsageError
from reconciler.model.address import Address, Owner
from reconciler.model.capabilities import Capabilities
from reconciler.model.observed import ObservedAgent
from reconciler.model.record import Entry, Record, State
from reconciler.model.spec import AgentSpec
from reconciler.model.writes import (
    Append,
    DropIntent,
    DropRecord,
    PutGeneration,
    PutPins,
    PutReleased,
    StateView,
    Write,
)
from reconciler.plan.change import Action
from reconciler.plan.freeze import Freezes, told
from reconciler.plan.intents import late_copy_note
from reconciler.plan.selection import nearest_addresses
from reconciler.ports import Now, Observer, ReadState, Steps
from reconciler.workflow.job import Job, check_pins, exclusive, look


def adopt(job: Job, observer: Observer, address: Address, agent_id: str) -> Steps[Record]:
    """Record a running foreign agent, given by id, as the agent of a declared address; return the record."""
    return (yield from exclusive(job, _adopt(job, observer, address, agent_id)))


def _adopt(job: Job, observer: Observer, address: Address, agent_id: str) -> Steps[Record]:
    spec = job.fleet.agents.get(address)
    if spec is None:
        raise UsageError(f"the files do not declare {address}", hint=_undeclared(job, address))
    yield from _refuse_frozen(job, address, Action.ADOPT)
    basis, settled = yield from look(job, observer)
    journal = Journal(StateView.of(basis.state), lambda: observer.clock_skew)
    # Settle an interrupted join first: if its agent runs, the address has an agent and must not adopt another one.
    pins: tuple[Write, ...] = () if basis.state.pins is not None else (PutPins(job.pins),)
    yield from journal.write(*settled, *pins)
    holder = next((each for each in basis.state.records.values() if each.agent_id == agent_id), None)
    if holder is not None:
        raise UsageError(f"agent {agent_id} is recorded as {holder.address} already")
    agent = yield from _running(observer, agent_id)
    uid = _joined_with(spec, agent, job.fleet.owner, observer.capabilities)
    if uid is None:
        raise UsageError(
            f"the files name no uid for {address}, and the service does not return the uid of agent {agent_id}",
            hint="declare the uid that it was joined with (agent_rtc_uid): a token for another one would end it",
        )
    current = basis.state.records.get(address)
    if current is not None and basis.agent(current.agent_id) is not None:
        raise UsageError(
            f"{address} has a running agent already ({current.agent_id})",
            hint=f"`reconciler forget {address.argument}` releases it first; it then runs on, unmanaged, until somebody ends it",
        )
    yield from _prove_channel(job, observer, basis.state, address, agent_id)
    other = holder_of_uid(journal.view, address, uid, basis.ended)
    if other is not None:
        raise UsageError(
            f"agent {other.agent_id} of {other.address} runs in {address.channel} with the same uid {uid}; nothing was recorded",
            hint="apply first: it ends what the files do not want any more; or declare the uid that each was joined with",
        )
    now = yield from journal.now()
    yield from journal.write(*adopted_writes(journal.view, spec, agent, uid, now))
    return journal.view.records[address]


def _joined_with(spec: AgentSpec, agent: ObservedAgent, owner: Owner, able: Capabilities) -> str | None:
    """Return the uid that an agent was joined with, or None if it is not known.

    Without a uid in the files only the name of an agent of ours tells it: the digest of its fields there shows whether
    the agent has the first or the second uid of the address in the name.
    """
    if spec.body.uid is not None:
        return spec.body.uid
    name = agent.parsed if agent.bears(owner) else None
    if name is None or name.address_digest != spec.address.digest:
        return None
    shifts = (each for each in (False, True) if name.revision == spec.revision(able, shifted=each))
    return next((spec.uid(owner, shifted=each) for each in shifts), None)


def _refuse_frozen(job: Job, address: Address, kind: Action) -> Steps[None]:
    state: State = yield ReadState()
    now: float = yield Now()
    addresses = {address, *job.fleet.agents, *state.records}
    holding = Freezes(job.fleet.freezes, addresses, now).holding(kind, address)
    if holding is not None:
        raise Refused(
            f"{kind} {address} is {told(holding)}; nothing was done",
            hint="remove the entry of `freeze`, or wait",
        )


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

    If another channel of the fleet shows it, the error says so.
    """
    if (yield from runs_in(observer, address.channel, agent_id)):
        return
    seen = state.foreign.get(agent_id)
    others = [seen.channel] if seen is not None and seen.channel else sorted(job.fleet.channels)[:_SEARCHED]
    for channel in others:
        if channel != address.channel and (yield from runs_in(observer, channel, agent_id)):
            raise UsageError(
                f"agent {agent_id} runs in {channel}, not in {address.channel}; nothing was recorded",
                hint="check the id: `reconciler status` lists what runs in this fleet's channels",
            )
    raise UsageError(
        f"agent {agent_id} does not run in channel {address.channel}: no listing of it shows the agent; nothing was recorded",
        hint="check the id and the channel; an agent that has just been started may be listed a little later",
    )


# How many other channels of the fleet are searched for the agent, for the error message: one listing each.
_SEARCHED = 50


def forget(job: Job, address: Address) -> Steps[str]:
    """Drop the record of an address and release its agent, which runs on; return the agent's id.

    The id is empty if there was only an interrupted join; an agent that it may still start is looked for later.
    """
    return (yield from exclusive(job, _forget(job, address)))


def _forget(job: Job, address: Address) -> Steps[str]:
    yield from _refuse_frozen(job, address, Action.FORGET)
    state: State = yield ReadState()
    check_pins(state, job.pins)
    record = state.records.get(address)
    now: float = yield Now()
    journal = Journal(StateView.of(state))
    open_join = journal.join_intent(address)
    if record is None and open_join is None:
        known = nearest_addresses(address, state.records)
        raise UsageError(
            f"the state has no record of {address}",
            hint=f"the nearest that it has: {known}" if known else "it is empty",
        )
    writes: list[Write] = []
    agent_id = record.agent_id if record is not None else ""
    if record is not None:
        # The generation stays, so that the name is never used again; the released agent is not taken back by its name.
        writes += [DropRecord(address), PutGeneration(address, record.generation), PutReleased(agent_id)]
    if open_join is not None:
        # The agent that the open join may still start is looked for by its name until the grace is over.
        writes += [*late_copy_note(open_join, open_join.in_doubt_since), DropIntent(open_join.key)]
    yield from journal.write(*writes, Append(Entry(now, address, "forget", "done", agent_id)))
    return agent_id
