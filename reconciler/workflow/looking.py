"""The verbs that only read: plan, drift, status, the report on one address, and the survey of all agents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from reconciler.errors import AuthenticationFailed, ReadAbandoned, ReconcilerError, UsageError
from reconciler.model.address import Address
from reconciler.model.fingerprint import keyed_digest
from reconciler.model.fleet import DesiredFleet
from reconciler.model.observed import ObservedAgent
from reconciler.model.record import Record, State
from reconciler.model.spec import AgentSpec, Lifecycle
from reconciler.model.tree import tree_references
from reconciler.plan.basis import Basis
from reconciler.plan.build import Plan, build_plan
from reconciler.plan.change import Because, Change, Keep, Renew, Rotate, act_of, target_of
from reconciler.plan.selection import nearest_addresses
from reconciler.ports import Gather, Now, Observer, Resolve, Steps
from reconciler.secrets import Secret, SecretRef
from reconciler.values import dataclass
from reconciler.workflow.job import Job, look, plan_for


def plan(job: Job, observer: Observer, *, check_secrets: bool = False) -> Steps[Plan]:
    """Return the plan for a job. Its only ways to the world are reads.

    `check_secrets` also resolves every reference (trusted runs only) and adds which of them have new values.
    """
    basis, _ = yield from look(job, observer)
    built = plan_for(job, basis, observer)
    if check_secrets:
        built = replace(built, new_secrets=(yield from _new_secrets(job.fleet, basis.state)))
    return built


def _new_secrets(fleet: DesiredFleet, state: State) -> Steps[tuple[tuple[str, int], ...]]:
    """Return references whose value differs from the one sent, each with the number of agents that have the old one.

    Without a key no digests were recorded, so nothing can be compared.
    """
    if not state.secret_key:
        return ()
    wanted = {ref for spec in fleet.agents.values() for _, ref in tree_references(spec.body.properties)}
    values: Mapping[SecretRef, Secret] = yield Resolve(frozenset(wanted))
    now = {ref.text: keyed_digest(state.secret_key, value.reveal()) for ref, value in values.items()}
    stale = Counter(
        reference
        for record in state.records.values()
        for reference, digest in record.secrets.items()
        if reference in now and now[reference] != digest
    )
    return tuple(sorted(stale.items()))


# --- drift ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drift:
    """The plan back to what was last applied, and the number of further changes that the files ask for."""

    plan: Plan
    file_changes: int


def drift(job: Job, observer: Observer) -> Steps[Drift]:
    """Return the plan back to what was last applied: what changed without the files."""
    basis, _ = yield from look(job, observer)
    files = plan_for(job, basis, observer)
    applied = _as_applied(job.fleet, basis.state)
    world = build_plan(applied, basis, observer.capabilities, policy=job.policy, allow_empty=True)
    selected = job.selection.selected([each.address for each in world.changes])
    moved = tuple(each for each in world.changes if each.address in selected and _is_drift(each))
    drifted = {each.address for each in moved}
    besides = sum(1 for each in files.pending if each.address not in drifted and not _is_by_clock(each))
    return Drift(replace(world, changes=moved, refusals=(), dangers=(), warnings=files.warnings), besides)


def _as_applied(fleet: DesiredFleet, state: State) -> DesiredFleet:
    if not state.records:
        return fleet
    agents: dict[Address, AgentSpec] = {}
    for address, record in state.records.items():
        declared = fleet.agents.get(address)
        lifecycle = replace(
            declared.lifecycle if declared else Lifecycle(), protect=record.protect, paused=False
        )
        agents[address] = AgentSpec(address, record.body, lifecycle)
    return replace(fleet, agents=agents)


def _is_drift(change: Change) -> bool:
    """Return whether a change undoes a change of an agent, or saves one that ends within `--horizon`; held or not."""
    act = act_of(change)
    if isinstance(act, Keep) or act.reason.because is Because.UNSENT:
        return False
    return not _is_by_clock(change) or act.reason.because is Because.EXPIRING


def _is_by_clock(change: Change) -> bool:
    """Return whether a change is due by the clock, and undoes nothing; held or not."""
    return isinstance(act_of(change), (Renew, Rotate))


# --- what runs --------------------------------------------------------------------------------------------------


def status(job: Job, observer: Observer) -> Steps[tuple[Plan, Basis]]:
    """Return the plan, and the basis that shows what runs."""
    basis, _ = yield from look(job, observer)
    return build_plan(job.fleet, basis, observer.capabilities, allow_empty=True), basis


@dataclass(frozen=True, slots=True)
class AddressReport:
    """The facts of one address in files, state and service."""

    address: Address
    spec: AgentSpec | None
    record: Record | None
    change: Change | None


def address_report(job: Job, observer: Observer, address: Address) -> Steps[AddressReport]:
    """Return everything known of one address. Raises `UsageError` if it is neither declared, recorded nor running."""
    basis, _ = yield from look(job, observer)
    changes = build_plan(job.fleet, basis, observer.capabilities, allow_empty=True).changes
    change = next((each for each in changes if each.address == address), None)
    spec, record = job.fleet.agents.get(address), basis.state.records.get(address)
    if change is None and spec is None and record is None:
        near = nearest_addresses(address, {*job.fleet.agents, *basis.state.records})
        hint = f"the nearest that are known: {near}" if near else "nothing is declared or recorded"
        raise UsageError(f"nobody knows an agent {address}", hint=hint)
    return AddressReport(address, spec, record, change)


def agent_of(job: Job, observer: Observer, address: Address) -> Steps[tuple[ObservedAgent, Record | None]]:
    """Return the running agent of an address, recorded or found by its name, with its record if there is one."""
    found = yield from address_report(job, observer, address)
    target = target_of(found.change) if found.change is not None else None
    if target is None:
        raise UsageError(f"no agent of ours runs at {address}", hint="`reconciler status` lists what runs")
    return target.agent, target.record


# --- all that runs under the App ID ---------------------------------------------------------------------------


class SessionReader(Observer, Protocol):
    """An observer that can also read an agent's turns, the only read whose reply holds the channel."""

    def turns(self, agent_id: str) -> Steps[Any]: ...


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A live agent with its age in seconds; `channel` is None if the service does not return it."""

    agent: ObservedAgent
    age: float
    channel: str | None = None


def survey(
    reader: SessionReader, *, parallelism: int, channels: Mapping[str, str] | None = None
) -> Steps[tuple[Surveyed, ...]]:
    """Return every live agent, oldest first, by reads alone: one list, then a query and the turns of each.

    `channels` holds channels known by agent id. Raises what a list or query raises. If turns cannot be read the channel
    stays unknown, because they are documented for ended sessions only (v2 API reference: turns).
    """
    listed = yield from reader.live_agents(parallelism=parallelism)
    now: float = (yield Now()) + (reader.clock_skew or 0.0)
    agents = yield from _each(reader.query, [each.agent_id for each in listed], parallelism)
    live = [each for each in agents if each is not None and each.status.is_live]
    known = dict(channels or {})
    unplaced = [each.agent_id for each in live if each.agent_id not in known]
    turns = yield from _each(lambda agent_id: _turns(reader, agent_id), unplaced, parallelism)
    told = {agent_id: each for agent_id, each in zip(unplaced, turns, strict=True) if each is not None}
    return tuple(
        Surveyed(
            each if each.name or each.agent_id not in told else replace(each, name=told[each.agent_id].name),
            max(0.0, now - each.started_at),
            known.get(each.agent_id)
            or (told[each.agent_id].channel or None if each.agent_id in told else None),
        )
        for each in live
    )


def _turns(reader: SessionReader, agent_id: str) -> Steps[Any]:
    try:
        return (yield from reader.turns(agent_id))
    except (AuthenticationFailed, ReadAbandoned):
        raise
    except ReconcilerError:
        return None


def _each(ask: Callable[[str], Steps[Any]], agent_ids: list[str], parallelism: int) -> Steps[list[Any]]:
    """Return the answers for all agent ids; raise the first exception among them."""

    def task(agent_id: str) -> Callable[[], Steps[Any]]:
        return lambda: ask(agent_id)

    if not agent_ids:
        return []
    answers: list[Any] = yield Gather([task(each) for each in agent_ids], parallelism)
    for each in answers:
        if isinstance(each, BaseException):
            raise each
    return answers
