"""The verbs: plan, apply, drift, destroy, adopt, forget, each as steps from the first read to the last write.

Sans-I/O like all of the core: who performs the effects, and what is shown to whom, is decided above.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from reconciler.apply.afterwards import await_started, close_unwanted, sweep
from reconciler.apply.context import Context, Settings
from reconciler.apply.events import Ledger, Notice
from reconciler.apply.executor import execute
from reconciler.apply.journal import Journal
from reconciler.errors import ReconcilerError, Refused, StalePlan, StateError, UsageError, put_back
from reconciler.model.address import Address, AgentName, Owner
from reconciler.model.fingerprint import digest, keyed_digest
from reconciler.model.fleet import DesiredFleet
from reconciler.model.observed import ObservedAgent
from reconciler.model.record import Entry, Pins, Record, State
from reconciler.model.secret import Secret, SecretRef, tree_references
from reconciler.model.spec import AgentSpec, Lifecycle
from reconciler.model.writes import (
    Append,
    DropForeign,
    DropRecord,
    DropReleased,
    PutApplying,
    PutForeign,
    PutGeneration,
    PutPins,
    PutRecord,
    PutReleased,
    StateView,
    Write,
)
from reconciler.observe import foreign_seen, observe
from reconciler.plan.basis import Basis, settle
from reconciler.plan.build import Plan, Selection, build_plan
from reconciler.plan.change import Because, Change, Keep, Renew, Rotate, Update, target_of
from reconciler.plan.guard import Policy
from reconciler.ports import Emit, Lock, Now, Observer, Provider, ReadState, Resolve, Steps, Stopping, Unlock

T = TypeVar("T")

# How far an intent may lie ahead of the service's clock, seconds: no machine whose clock is off by more mints tokens.
_MOST_AHEAD = 3600.0


@dataclass(frozen=True, slots=True)
class Job:
    """What a verb works on. `app_id` is the project that the provider talks to; `lock_timeout` in seconds."""

    fleet: DesiredFleet
    app_id: str | None = None
    selection: Selection = Selection()
    policy: Policy = Policy()
    settings: Settings = field(default_factory=Settings)
    lock_timeout: float = 60.0
    destroying: bool = False

    @property
    def pins(self) -> Pins:
        owner = self.fleet.owner
        return Pins(owner.fleet, owner.environment, self.fleet.service.kind.value, self.app_id)


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan that an apply is about to run, now that it holds the lock; an event."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Drift:
    """What the world changed. `file_changes` counts what the files ask for besides; `adopted` tells their basis."""

    plan: Plan
    file_changes: int


# --- plan -----------------------------------------------------------------------------------------------------


def plan(job: Job, observer: Observer, *, check_secrets: bool = False) -> Steps[Plan]:
    """The plan for a job. Reads only: it is given nothing that could write.

    `check_secrets` also resolves every reference (trusted runs only) and says which have new values behind them.
    """
    basis, _ = yield from look(job, observer)
    built = _build(job, basis, observer)
    if check_secrets:
        built = replace(built, new_secrets=(yield from _new_secrets(job.fleet, basis.state)))
    return built


def _new_secrets(fleet: DesiredFleet, state: State) -> Steps[tuple[tuple[str, int], ...]]:
    """The references whose value is not the one that went out, with the number of agents that have an old one."""
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


def look(job: Job, observer: Observer) -> Steps[tuple[Basis, tuple[Write, ...]]]:
    """The basis as an apply will see it, and the writes that settle what earlier runs left open."""
    state: State = yield ReadState()
    check_pins(state, job.pins)
    basis = yield from observe(
        observer, state, job.fleet.owner, job.fleet.channels, parallelism=job.settings.parallelism
    )
    _check_times(basis)
    return settle(basis, job.settings.certain_after)


def _check_times(basis: Basis) -> None:
    """Refuse a state that means to do what lies ahead of the service's clock: its waits would never end."""
    for intent in basis.state.intents:
        ahead = max(intent.created_at, intent.unknown_since or 0.0) - basis.now
        if ahead > _MOST_AHEAD:
            raise StateError(
                f"the state means to {intent.operation} {intent.address} since a time {ahead / 3600:.0f} h in the future: "
                "somebody has edited it, or a clock was wrong; nothing was done",
                hint=put_back("a good copy"),
            )


def check_pins(state: State, pins: Pins) -> None:
    """Refuse a state that belongs to another fleet, environment, service or App ID, or would have us claim others.

    An intent to join finds its agent by the name in it; a name without our mark is a name that we never gave.
    """
    mark = Owner(pins.fleet, pins.environment)
    for intent in state.intents:
        claimed = AgentName.parse(intent.name)
        if intent.is_of_a_join and (claimed is None or claimed.owner != mark):
            raise StateError(
                f"the state means to join {intent.address} as {intent.name!r}, which is no name of {mark}; nothing was done",
                hint=f"somebody has edited it: {put_back('a good copy')}",
            )
    if state.pins is None:
        return
    for name, label in _PINNED.items():
        mine, its = getattr(pins, name), getattr(state.pins, name)
        if mine != its:
            raise StateError(
                f"the state belongs to {label} {its or '(none)'}, and this run is for {mine or '(none)'}; nothing was done",
                hint="check the directory, --env and AGORA_APP_ID; a fleet that really moves starts with a new state",
            )


_PINNED = {"fleet": "fleet", "environment": "environment", "service": "service", "app_id": "App ID"}


def _build(job: Job, basis: Basis, observer: Observer) -> Plan:
    policy = replace(job.policy, leave_is_limited=False) if job.destroying else job.policy
    return build_plan(
        job.fleet,
        basis,
        observer.capabilities,
        selection=job.selection,
        policy=policy,
        allow_empty=job.destroying,
        destroying=job.destroying,
    )


# --- apply ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Approved:
    """What somebody has seen and approved. `rows` and `files` are known of a saved plan only: it can be resumed."""

    digest: str
    files: str | None = None
    rows: frozenset[tuple[str, str]] = frozenset()


def apply(job: Job, provider: Provider, *, approved: Approved | None = None) -> Steps[Ledger]:
    """Bring the world to the fleet, exactly as `approved` if anybody has approved a plan.

    Raises `StateLocked`, `StalePlan` and `Refused` before anything was done; what happens afterwards is in the
    ledger, whatever becomes of the run.
    """
    return (yield from _exclusive(job, _apply(job, provider, approved)))


def _apply(job: Job, provider: Provider, approved: Approved | None) -> Steps[Ledger]:
    basis, settled = yield from look(job, provider)
    intended = _build(job, basis, provider)
    yield Emit(Planned(intended))
    confirm(
        intended, approved, is_begun=approved is not None and basis.state.applying == _mark(job, approved)
    )
    journal = Journal(StateView.of(basis.state), lambda: provider.clock_skew)
    context = Context(provider, job.fleet.owner, journal, job.settings, gone=frozenset(basis.ended))
    try:
        begun, ended = _marks(job, approved)
        yield from journal.write(*settled, *_housekeeping(basis, job.pins), *begun)
        yield from _carry_out(context, job, basis, intended)
        if context.ledger.is_complete:
            yield from journal.write(*ended)
    except ReconcilerError as problem:
        yield from context.say(
            Notice(f"stopped: {problem.message}" + (f" ({problem.hint})" if problem.hint else ""))
        )
        context.ledger.broken = problem
    context.ledger.interrupted = yield Stopping()
    return context.ledger


def confirm(intended: Plan, approved: Approved | None, *, is_begun: bool = False) -> None:
    """Refuse what was not approved, and what a limit forbids; only then may anything be done.

    `is_begun` says that an apply of what was approved has begun, and not ended.
    """
    if (
        approved is not None
        and approved.digest != intended.digest
        and not (is_begun and _resumes(intended, approved))
    ):
        raise StalePlan(
            "what would be done now is not what was approved; nothing was done",
            hint=_what_moved(intended, approved),
        )
    if approved is not None and approved.files is not None and approved.digest == intended.digest:
        _check_rows(intended, approved)
    if intended.refusals:
        raise Refused("; ".join(each.text for each in intended.refusals), hint="nothing was done")


def _check_rows(intended: Plan, approved: Approved) -> None:
    """Refuse a saved plan that lists other changes than its digest stands for. Renewals fall due by the clock."""
    odd = sorted(
        f"{action} {address}" for action, address in intended.rows ^ approved.rows if action != "renew"
    )
    if odd:
        raise StalePlan(
            f"the plan file and its digest disagree about {', '.join(odd[:5])}; nothing was done",
            hint="somebody has edited it: plan again, and approve that",
        )


def _resumes(intended: Plan, approved: Approved) -> bool:
    """Whether this is the rest of a saved plan whose apply was interrupted: the same files, and nothing besides."""
    if approved.files != intended.fleet_digest or not intended.acts:
        return False
    restarted = {("join", address) for action, address in approved.rows if action in _RESTARTS}
    return intended.rows <= approved.rows | restarted


# What an interrupted change of these kinds has left to do may be the join alone, or sending values once.
_RESTARTS = frozenset({"replace", "rotate", "update", "renew"})


def _what_moved(intended: Plan, approved: Approved) -> str:
    if approved.files is not None and approved.files != intended.fleet_digest:
        return "the files or variables have changed since: plan again, and approve that"
    if approved.files is not None and not intended.pending:
        return "nothing of it is left to do: it was applied already, or the same was done otherwise"
    added = sorted(f"{action} {address}" for action, address in intended.rows - approved.rows)
    gone = sorted(f"{action} {address}" for action, address in approved.rows - intended.rows)
    moved = [
        f"now also: {', '.join(added[:5])}" if added else "",
        f"not any more: {', '.join(gone[:5])}" if gone else "",
    ]
    told = "; ".join(each for each in moved if each) if approved.files is not None else ""
    return f"{told or 'the agents or the state have moved on'}: plan again, and approve that"


def _marks(job: Job, approved: Approved | None) -> tuple[tuple[Write, ...], tuple[Write, ...]]:
    """The writes that say that a saved plan's apply has begun, and that it has ended."""
    if approved is None or approved.files is None:
        return (), ()
    return (PutApplying(_mark(job, approved)),), (PutApplying(None),)


def _mark(job: Job, approved: Approved) -> str:
    """What the apply of a saved plan is known by. A plan that was edited after it had begun is another one."""
    policy = job.policy
    return digest(
        [
            [approved.digest, approved.files, sorted(approved.rows)],
            [job.selection.targets, job.selection.excludes, job.selection.replaces],
            [
                dict(policy.allow),
                sorted(policy.allow_hosts),
                None if policy.only is None else sorted(policy.only),
            ],
            policy.prune_unrecorded,
        ],
        size=32,
    )


def _carry_out(context: Context, job: Job, basis: Basis, intended: Plan) -> Steps[None]:
    known = frozenset(each.agent_id for each in basis.live)
    yield from execute(context, intended)
    if context.joined:
        yield from await_started(context)
        yield from sweep(context, known)
    wanted = frozenset(
        address
        for address, spec in job.fleet.agents.items()
        if not spec.lifecycle.paused and not job.destroying
    )
    if context.halted is None:
        yield from close_unwanted(context, wanted)


def _housekeeping(basis: Basis, pins: Pins) -> tuple[Write, ...]:
    """What the state learns from looking: whose it is, and foreign agents that need no second query."""
    state = basis.state
    live = {each.agent_id for each in basis.live}
    writes: list[Write] = [] if state.pins is not None else [PutPins(pins)]
    writes += [PutForeign(each) for each in foreign_seen(basis) if state.foreign.get(each.agent_id) != each]
    writes += [DropForeign(agent_id) for agent_id in sorted(set(state.foreign) - live)]
    writes += [DropReleased(agent_id) for agent_id in sorted(state.released - live)]
    return tuple(writes)


def _exclusive(job: Job, steps: Steps[T]) -> Steps[T]:
    """Run steps while holding the lock; it is given back whatever they raise."""
    yield Lock(job.lock_timeout)
    try:
        result = yield from steps
    except ReconcilerError:
        yield Unlock()
        raise
    yield Unlock()
    return result


# --- drift ----------------------------------------------------------------------------------------------------


def drift(job: Job, observer: Observer) -> Steps[Drift]:
    """What the world changed, apart from what the files changed: the plan back to what was last applied."""
    basis, _ = yield from look(job, observer)
    files = _build(job, basis, observer)
    applied = _as_applied(job.fleet, basis.state)
    world = build_plan(
        applied, basis, observer.capabilities, selection=job.selection, policy=job.policy, allow_empty=True
    )
    moved = tuple(each for each in world.changes if _is_drift(each))
    drifted = {each.address for each in moved}
    besides = sum(1 for each in files.pending if each.address not in drifted)
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
    """Whether a change answers the world: what falls due by the clock, or is only unsent, does not."""
    if isinstance(change, Update):
        return change.reason.because is not Because.UNSENT
    return not isinstance(change, (Keep, Renew, Rotate))


# --- one agent ------------------------------------------------------------------------------------------------


def adopt(job: Job, observer: Observer, address: Address, agent_id: str) -> Steps[Record]:
    """Take a running foreign agent into the state, by id, as the agent of a declared address."""
    return (yield from _exclusive(job, _adopt(job, observer, address, agent_id)))


def _adopt(job: Job, observer: Observer, address: Address, agent_id: str) -> Steps[Record]:
    state: State = yield ReadState()
    check_pins(state, job.pins)
    spec = job.fleet.agents.get(address)
    if spec is None:
        raise UsageError(
            f"the files do not declare {address}", hint="declare it first; adopt then takes the agent over"
        )
    holder = next((each for each in state.records.values() if each.agent_id == agent_id), None)
    if holder is not None:
        raise UsageError(f"agent {agent_id} is recorded as {holder.address} already")
    agent = yield from _running(observer, agent_id)
    current = state.records.get(address)
    if current is not None:
        running = yield from observer.query(current.agent_id)
        if running is not None and not running.status.is_terminal:
            raise UsageError(
                f"{address} has a running agent already ({current.agent_id})",
                hint=f"`reconciler forget {address}` releases it first; it then runs on, unmanaged, until somebody ends it",
            )
    record = _adopted_record(job, spec, agent)
    journal = Journal(StateView.of(state))
    now: float = yield Now()
    pins: tuple[Write, ...] = () if state.pins is not None else (PutPins(job.pins),)
    entry = Entry(now, address, "adopt", "done", agent_id)
    yield from journal.write(
        *pins, PutRecord(record), DropForeign(agent_id), DropReleased(agent_id), Append(entry)
    )
    return record


def _running(observer: Observer, agent_id: str) -> Steps[ObservedAgent]:
    agent = yield from observer.query(agent_id)
    if agent is None:
        raise UsageError(
            f"the service does not know an agent {agent_id}", hint="`reconciler status` lists what runs"
        )
    if not agent.status.is_live:
        raise UsageError(f"agent {agent_id} is {agent.status}; only a running agent can be adopted")
    return agent


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
        protect=spec.lifecycle.protect,
        unsent=True,
        declared=True,
    )


def forget(job: Job, address: Address) -> Steps[Record]:
    """Drop the record of an address and release its agent: its name does not bring it back."""
    return (yield from _exclusive(job, _forget(job, address)))


def _forget(job: Job, address: Address) -> Steps[Record]:
    state: State = yield ReadState()
    check_pins(state, job.pins)
    record = state.records.get(address)
    if record is None:
        known = ", ".join(str(each) for each in sorted(state.records)[:5])
        raise UsageError(
            f"the state has no record of {address}", hint=f"it has {known}" if known else "it is empty"
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


@dataclass(frozen=True, slots=True)
class Portrait:
    """What files, state and service say of one address."""

    address: Address
    spec: AgentSpec | None
    record: Record | None
    change: Change | None


def portrait(job: Job, observer: Observer, address: Address) -> Steps[Portrait]:
    """Everything known of one address; `UsageError` where nothing is."""
    basis, _ = yield from look(job, observer)
    changes = build_plan(job.fleet, basis, observer.capabilities, allow_empty=True).changes
    change = next((each for each in changes if each.address == address), None)
    spec, record = job.fleet.agents.get(address), basis.state.records.get(address)
    if change is None and spec is None and record is None:
        declared = ", ".join(str(each) for each in sorted(job.fleet.agents)[:5])
        raise UsageError(f"nobody knows an agent {address}", hint=f"declared are {declared or 'none'}")
    return Portrait(address, spec, record, change)


def agent_of(job: Job, observer: Observer, address: Address) -> Steps[tuple[ObservedAgent, Record | None]]:
    """The running agent of an address: the recorded one, else the one found by its name."""
    found = yield from portrait(job, observer, address)
    target = target_of(found.change) if found.change is not None else None
    if target is None:
        raise UsageError(f"no agent of ours runs at {address}", hint="`reconciler status` lists what runs")
    return target.agent, target.record


def status(job: Job, observer: Observer) -> Steps[tuple[Plan, Basis]]:
    """What runs, with the plan that says how far it is from the files."""
    basis, _ = yield from look(job, observer)
    return build_plan(job.fleet, basis, observer.capabilities, allow_empty=True), basis
