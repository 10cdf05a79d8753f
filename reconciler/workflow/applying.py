"""`apply`: takes the lock, looks again, and makes exactly the approved changes; and `keep_transcripts` of what runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping

from reconciler.apply.afterwards import await_started, close_unwanted, sweep
from reconciler.apply.archiving import archive_ended, archive_running
from reconciler.apply.context import Context
from reconciler.apply.events import Ledger, Notice, Result
from reconciler.apply.executor import execute
from reconciler.apply.journal import Journal
from reconciler.diagnostics import first_of, plural
from reconciler.errors import ReconcilerError, Refused, StalePlan
from reconciler.model.address import Address
from reconciler.model.fingerprint import digest
from reconciler.model.record import Entry, Pins
from reconciler.model.writes import (
    Append,
    DropForeign,
    DropReleased,
    PutApplying,
    PutForeign,
    PutPins,
    StateView,
    Write,
)
from reconciler.observe import foreign_seen
from reconciler.plan.basis import Basis
from reconciler.plan.build import Plan
from reconciler.plan.change import Action, Because, Leave, Renew, Replace, Rotate, Update, diffs_of
from reconciler.plan.guard import MINUTES_A_DAY
from reconciler.ports import Emit, Provider, Steps, Stopping
from reconciler.values import dataclass
from reconciler.workflow.job import Job, exclusive, look, plan_for
from reconciler.workflow.readiness import require_ready


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan that an apply runs, computed under the lock; an event."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Approved:
    """The plan that the user approved, by its digest; `rows` and `files` only of a saved plan, which can be resumed."""

    digest: str
    files: str | None = None
    rows: frozenset[tuple[str, str]] = frozenset()


def apply(job: Job, provider: Provider, *, approved: Approved | None = None) -> Steps[Ledger]:
    """Make the changes of the job's plan, which must be the `approved` one if that is given; return the ledger.

    Raises `StateLocked`, `StalePlan` and `Refused` before any change. Everything later is in the ledger, also the error
    that stopped the run.
    """
    return (yield from exclusive(job, _apply(job, provider, approved)))


def _apply(job: Job, provider: Provider, approved: Approved | None) -> Steps[Ledger]:
    # The approval is compared with a plan made under the lock, from a fresh look: earlier it would prove nothing.
    basis, settled = yield from look(job, provider)
    intended = plan_for(job, basis, provider)
    yield Emit(Planned(intended))
    confirm(
        intended, approved, is_begun=approved is not None and basis.state.applying == _apply_id(job, approved)
    )
    yield from require_ready(job, provider, intended)
    journal = Journal(StateView.of(basis.state), lambda: provider.clock_skew)
    context = Context(
        provider,
        job.fleet.owner,
        journal,
        job.settings,
        gone=set(basis.ended),
        archive=job.fleet.archive,
        declared=frozenset(job.fleet.agents),
        policy=job.policy,
        freezes=job.fleet.freezes,
    )
    try:
        begun, ended = _marks(job, approved)
        if basis.state.applying is not None and not begun and _supersedes(job, intended):
            begun = (PutApplying(None),)
        thawed = _freeze_override_entries(intended, job.policy.override_freeze, basis.now)
        # One commit before the first call. `begun` lets an interrupted apply of a saved plan be resumed.
        yield from journal.write(*settled, *_housekeeping(basis, job.pins), *thawed, *begun)
        yield from archive_ended(context, basis)
        yield from _carry_out(context, job, basis, intended)
        if context.ledger.is_complete:
            # Only a complete apply removes the mark: the same plan file goes on with an incomplete one.
            yield from journal.write(*ended)
    except ReconcilerError as problem:
        yield from context.say(Notice(f"stopped: {problem.with_hint}"))
        context.ledger.broken = problem
    context.ledger.interrupted = yield Stopping()
    return context.ledger


def confirm(intended: Plan, approved: Approved | None, *, is_begun: bool = False) -> None:
    """Raise `StalePlan` for a plan that was not approved, and `Refused` for one that a limit forbids.

    `is_begun` says that an apply of the approved plan has begun and not ended.
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
    """Raise `StalePlan` if a saved plan lists other changes than its digest stands for, renewals excepted."""
    odd = sorted(
        f"{action} {address}" for action, address in intended.rows ^ approved.rows if action != "renew"
    )
    if odd:
        raise StalePlan(
            f"the plan file and its digest disagree about {first_of(odd, _NAMED)}; nothing was done",
            hint="somebody has edited it: plan again, and approve that",
        )


def _resumes(intended: Plan, approved: Approved) -> bool:
    """Return whether this is the rest of a saved plan whose apply was interrupted: same files, no additional change."""
    # What waits for its time is left to do, too: a predecessor's leave waits until its successor has run for a while.
    is_left = intended.acts or any(each.reason.because is Because.DEFERRED for each in intended.pending)
    if approved.files != intended.fleet_digest or not is_left:
        return False
    rest = {(left, address) for action, address in approved.rows for left in _RESTS.get(action, ())}
    return intended.rows <= approved.rows | rest


# The kinds of change that an interrupted change may leave open: an update, the join alone, the predecessor's leave.
_RESTS: Mapping[str, tuple[str, ...]] = {
    "join": ("update",),
    "adopt": ("update", "renew", "join"),
    "update": ("join",),
    "renew": ("update", "join"),
    "replace": ("join", "update", "leave"),
    "rotate": ("join", "update", "leave"),
}


# How many changes an error names.
_NAMED = 5


def _what_moved(intended: Plan, approved: Approved) -> str:
    if approved.files is not None and approved.files != intended.fleet_digest:
        return "the files or variables have changed since: plan again, and approve that"
    if approved.files is not None and not intended.pending:
        return "nothing of it is left to do: it was applied already, or the same was done otherwise"
    added = sorted(f"{action} {address}" for action, address in intended.rows - approved.rows)
    gone = sorted(f"{action} {address}" for action, address in approved.rows - intended.rows)
    moved = [
        f"now also: {first_of(added, _NAMED)}" if added else "",
        f"not any more: {first_of(gone, _NAMED)}" if gone else "",
    ]
    told = "; ".join(each for each in moved if each) if approved.files is not None else ""
    return f"{told or 'the agents or the state have moved on'}: plan again, and approve that"


def _marks(job: Job, approved: Approved | None) -> tuple[tuple[Write, ...], tuple[Write, ...]]:
    """Return the writes that mark in the state that a saved plan's apply has begun, and that it has ended."""
    if approved is None or approved.files is None:
        return (), ()
    return (PutApplying(_apply_id(job, approved)),), (PutApplying(None),)


def _supersedes(job: Job, intended: Plan) -> bool:
    """Return whether an apply ends the right of an interrupted saved plan to go on.

    Otherwise the saved plan could hang up a second time on what it had replaced, after somebody went back to older
    files and then to its own. Renewals and plain rotations do not end it, nor do the joins of a run that is limited to
    some kinds of changes, as a controller's is.
    """
    is_edit = any(isinstance(each, (Update, Replace, Leave)) or diffs_of(each) for each in intended.acts)
    others = [each for each in intended.acts if not isinstance(each, (Renew, Rotate))]
    return is_edit or (job.policy.only is None and bool(others))


def _apply_id(job: Job, approved: Approved) -> str:
    """Return the digest that identifies the apply of a saved plan; a plan file edited meanwhile has another one."""
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
            job.settings.horizon,
        ],
        size=32,
    )


def _freeze_override_entries(intended: Plan, reason: str, now: float) -> tuple[Write, ...]:
    """Return history entries for the freezes that this run overrides, with the reason."""
    return tuple(
        Append(Entry(now, each.address, "override-freeze", "done", detail=f"{reason} ({each.reason.text})"))
        for each in intended.thawed
    )


def _carry_out(context: Context, job: Job, basis: Basis, intended: Plan) -> Steps[None]:
    known = frozenset(each.agent_id for each in basis.live)
    yield from execute(context, intended)
    if context.joined and job.settings.turn is None:  # else the next turn looks at the new agents
        rows = yield from await_started(context)
        # A weak server or another writer may have started a second agent at an address.
        yield from sweep(context, known, rows)
    wanted = frozenset(
        address
        for address, spec in job.fleet.agents.items()
        if not spec.lifecycle.paused and not job.destroying
    )
    yield from _say_quota(context, intended)
    open_at = {each.address for each in context.journal.view.intents.values()}
    # All addresses of the plan: among fewer, a target like `room[1]/a` would be read as a pattern.
    addresses = open_at | set(job.fleet.agents) | set(basis.state.records)
    not_selected = open_at - job.selection.selected(addresses)
    if context.halted is None:
        yield from close_unwanted(context, wanted | not_selected)


def _say_quota(context: Context, intended: Plan) -> Steps[None]:
    """Emit how many agents run and what they cost, if the service refused a join because the quota is used up."""
    if not context.joins_halted:
        return
    done = Counter(row.action for row in context.ledger.finished if row.result is Result.DONE)
    running = intended.cost.before + done[Action.JOIN] - done[Action.LEAVE]
    a_day = running * intended.cost.usd_per_minute * MINUTES_A_DAY
    now = plural(running, "agent runs", "agents run")
    text = f"{context.joins_halted}; no more joins were started: {now}, about {a_day:,.2f} USD a day"
    yield from context.say(Notice(text))


def _housekeeping(basis: Basis, pins: Pins) -> tuple[Write, ...]:
    """Return writes for what a look showed: the owner of a new state, foreign agents, ended released agents."""
    state = basis.state
    live = {each.agent_id for each in basis.live}
    writes: list[Write] = [] if state.pins is not None else [PutPins(pins)]
    writes += [PutForeign(each) for each in foreign_seen(basis) if state.foreign.get(each.agent_id) != each]
    writes += [DropForeign(agent_id) for agent_id in sorted(set(state.foreign) - live)]
    writes += [DropReleased(agent_id) for agent_id in sorted(state.released - live)]
    return tuple(writes)


def keep_transcripts(job: Job, provider: Provider, addresses: Container[Address]) -> Steps[None]:
    """Update the archives of some addresses, and close those of their agents that have ended.

    Only the archive is written, so no lock is needed. A transcript that cannot be archived is reported as a notice.
    """
    basis, _ = yield from look(job, provider)
    journal = Journal(StateView.of(basis.state))
    context = Context(provider, job.fleet.owner, journal, job.settings, archive=job.fleet.archive)
    yield from archive_running(context, basis, addresses)
    yield from archive_ended(context, basis, addresses)
