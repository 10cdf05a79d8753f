"""One turn on one fleet: looks without the lock, and takes the lock only if there is something to do.

A turn is bounded and waits for nothing. What it does not finish is in the state, as after a crash, and the next turn
goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum

from reconciler import workflow
from reconciler.apply.context import LOOK_AGAIN
from reconciler.apply.events import Finished, Ledger, Result
from reconciler.controller.roll import OnRoll, Roll
from reconciler.errors import ReconcilerError, Refused, StateLocked
from reconciler.model.address import Address
from reconciler.plan.basis import Basis
from reconciler.plan.build import Plan
from reconciler.plan.change import Action, Because, Hold, Join, action_of
from reconciler.plan.due import Due, due
from reconciler.plan.end_classes import EndClass, class_of_record
from reconciler.plan.facts import gather_facts
from reconciler.ports import Knocked, Provider, Steps
from reconciler.values import dataclass
from reconciler.workflow.job import Job, plan_for

# The kinds of change made for the last good fleet while the files do not load: none of them ends an agent for good.
WITHOUT_FILES = frozenset({Action.RENEW, Action.ROTATE, Action.JOIN})
# Seconds during which a turn starts new calls; the last call that it starts has a deadline of its own, 30 s.
SECONDS = 30.0


class TurnResult(StrEnum):
    """The result of a turn; the words are part of its JSON and of the metrics."""

    UNCHANGED = "unchanged"
    DONE = "done"
    INCOMPLETE = "incomplete"
    LOCKED = "locked"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AgentEnd:
    """The end of a recorded agent that a turn has found; an event."""

    address: Address
    agent_id: str
    kind: EndClass


@dataclass(frozen=True, slots=True)
class Turned:
    """A turn's result, each change with its own result, and when the fleet is due again (epoch seconds).

    `due` is None if nothing falls due by the clock. `plan` is the plan of the turn, None if the state or the service
    could not be read. `refused` says which limits keep some kinds of change from being made.
    """

    result: TurnResult
    changes: tuple[Finished, ...] = ()
    due: Due | None = None
    plan: Plan | None = None
    basis: Basis | None = None
    ends: tuple[AgentEnd, ...] = ()
    problem: ReconcilerError | None = None
    refused: tuple[str, ...] = ()


def turn(job: Job, provider: Provider, roll: Roll) -> Steps[Turned]:
    """Make one bounded turn. A `ReconcilerError` becomes part of the result and is not raised."""
    try:
        return (yield from _turn(_of_a_turn(job), OnRoll(provider, roll), roll))
    except StateLocked as problem:
        return Turned(TurnResult.LOCKED, problem=problem)
    except Refused as problem:
        return Turned(TurnResult.REFUSED, problem=problem)
    except ReconcilerError as problem:
        return Turned(TurnResult.FAILED, problem=problem)


def _of_a_turn(job: Job) -> Job:
    """Return the job with no waits, one attempt per call, and the time limit of a turn."""
    settings = replace(job.settings, wait=0.0, farewell=0.0, attempts=1, turn=SECONDS)
    return replace(job, settings=settings, lock_timeout=0.0)


def _turn(job: Job, provider: OnRoll, roll: Roll) -> Steps[Turned]:
    job = replace(job, memory=roll.memory)
    basis, settled = yield from roll.noting(workflow.look(job, provider))
    plan = plan_for(job, basis, provider)
    refused: tuple[str, ...] = ()
    if plan.refusals:
        job, plan, refused = _within_limits(job, basis, provider, plan)
    if not (plan.acts or settled or plan.interrupted):
        held = tuple(map(_held, _holds(plan)))
        result = _result(held, TurnResult.UNCHANGED)
        return Turned(result, held, _due(job, basis, provider, plan), plan, basis, refused=refused)
    # Another run waits for the lock and goes first: this turn ends, and the next one looks and plans anew.
    knocked: bool = yield Knocked()
    if knocked:
        waits = StateLocked("somebody else waits for the state", hint="the next turn goes on")
        return Turned(TurnResult.LOCKED, plan=plan, basis=basis, problem=waits, refused=refused)
    job = replace(job, memory=roll.memory)
    # The lock is taken only here. The apply looks again under it, with the same roll unless that is too old.
    ledger = yield from roll.noting(workflow.apply(job, provider))
    return Turned(
        _result(ledger.finished, TurnResult.DONE) if ledger.broken is None else TurnResult.FAILED,
        ledger.finished,
        _due_after(basis, ledger),
        plan,
        basis,
        tuple(_ends(basis, provider, plan, ledger)),
        ledger.broken,
        refused,
    )


def _within_limits(
    job: Job, basis: Basis, provider: Provider, plan: Plan
) -> tuple[Job, Plan, tuple[str, ...]]:
    """Return the job and plan without the kinds that a limit refuses: a limit on joins must not stop renewals.

    Nor must one on hang-ups stop the joins of what has ended. What has not run before is not joined then: it may be the
    other name of an agent whose leave is refused.
    """
    refused = tuple(each.text for each in plan.refusals)
    keeping = {Action.RENEW, Action.ROTATE, Action.ADOPT, Action.FORGET}
    for kinds in ({*keeping, Action.JOIN}, keeping, {Action.RENEW}):
        only = frozenset(kinds) if job.policy.only is None else job.policy.only & kinds
        policy = replace(job.policy, only=only, only_flag="a limit that is exceeded", first_joins=False)
        job = replace(job, policy=policy)
        plan = plan_for(job, basis, provider)
        if not plan.refusals:
            break
    return job, plan, refused


def _holds(plan: Plan) -> Iterable[Hold]:
    return (each for each in plan.pending if isinstance(each, Hold))


def _held(hold: Hold) -> Finished:
    """Return a hold as a row of the turn: the kind of change that is not made, and why."""
    result = Result.DEFERRED if hold.reason.because is Because.DEFERRED else Result.HELD
    return Finished(hold.address, action_of(hold.change), result, hold.reason.text, until=hold.until)


def _result(rows: Sequence[Finished], otherwise: TurnResult) -> TurnResult:
    """Return INCOMPLETE if a row is unfinished, else `otherwise`. A hold waits for a person and does not count."""
    is_open = any(each.result not in (Result.DONE, Result.HELD) for each in rows)
    return TurnResult.INCOMPLETE if is_open else otherwise


def _due(job: Job, basis: Basis, provider: Provider, plan: Plan) -> Due | None:
    """Return when the clock alone may next change what is decided for an address."""
    found = [due(facts) for facts in gather_facts(job.fleet, basis, provider.capabilities)]
    found += [Due(each.until, each.address, each.reason.because) for each in _holds(plan) if each.until]
    return min((each for each in found if each is not None and each.at > basis.now), default=None)


def _due_after(basis: Basis, ledger: Ledger) -> Due | None:
    """Return when to look again after a turn that made changes: at the agents it joined, and at unfinished changes."""
    soon = basis.now + LOOK_AGAIN
    # A failed change is tried again after the next roll, and not at once.
    rows = (each for each in ledger.finished if each.result not in (Result.HELD, Result.FAILED))
    found = (
        Due(soon if each.until is None else each.until, each.address, Because.UNFINISHED) for each in rows
    )
    return min(found, default=None)


def _ends(basis: Basis, provider: Provider, plan: Plan, ledger: Ledger) -> Iterable[AgentEnd]:
    """Yield the ends of agents that this turn has replaced by a join, so that each end is reported once."""
    joined = {row.address for row in ledger.finished if row.result is Result.DONE}
    for change in plan.acts:
        record = basis.state.records.get(change.address)
        if not isinstance(change, Join) or change.address not in joined or record is None or record.replacing:
            continue
        kind = class_of_record(provider.capabilities, record, basis.ended.get(record.agent_id), basis.now)
        yield AgentEnd(change.address, record.agent_id, kind)
