"""The engine's values -> the checker's plain words (`witness.words`). Fields are copied here, and nothing is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.apply.events import Ledger, Result
from reconciler.controller.turn import Turned, TurnResult
from reconciler.errors import ReconcilerError, Refused, StalePlan, StateError, StateLocked
from reconciler.model.fleet import DesiredFleet, Limit
from reconciler.model.record import Record
from reconciler.model.spec import AgentSpec, Beside, ReplaceOrder
from reconciler.model.writes import Append, PutRecord, Write
from reconciler.plan.build import Plan
from reconciler.plan.change import Change, Hold, Join, action_of, target_of
from reconciler.workflow import Job

from .witness.words import Approval, Bound, Files, Known, Outcome, Shown, Terms, Wish, Wrote


def files_of(fleet: DesiredFleet) -> Files:
    wishes = {str(address): _wish(spec) for address, spec in fleet.agents.items()}
    limits = fleet.limits
    return Files(str(fleet.owner), wishes, _bound(limits.hang_ups), _bound(limits.max_unavailable))


def _bound(limit: Limit) -> Bound:
    return Bound(limit.number, limit.percent)


def _wish(spec: AgentSpec) -> Wish:
    life = spec.lifecycle
    uid = spec.body.properties.get("agent_rtc_uid")
    return Wish(
        address=str(spec.address),
        properties=spec.body.properties,
        uid=uid if isinstance(uid, str) else None,
        protect=life.protect,
        paused=life.paused,
        join_first=life.replace is ReplaceOrder.JOIN_FIRST,
        may_join_beside=life.beside is Beside.ALLOW,
        rotate_after=life.rotate_after,
        rotate_spread=life.rotate_spread,
        token_life=life.token_ttl,
        ignored=tuple(tuple(map(str, path)) for path in life.ignore_changes),
        previously=tuple(map(str, spec.previously)),
        adopt=spec.adopt,
    )


def terms_of(
    job: Job,
    *,
    approval: Approval | None = None,
    about: frozenset[str] | None = None,
    beside: frozenset[str] = frozenset(),
) -> Terms:
    return Terms(
        files_of(job.fleet),
        in_flight=job.settings.parallelism,
        more_hang_ups=job.policy.allow.get("hang_ups", 0.0),
        beside=beside,
        forced=frozenset(job.selection.replaces),
        destroying=job.destroying,
        about=about,
        approval=approval,
        horizon=job.settings.reach,
    )


def known_of(record: Record) -> Known:
    return Known(
        str(record.address),
        record.agent_id,
        record.name,
        record.uid,
        record.protect,
        record.declared,
        replacing=record.replacing,
    )


def plan_rows(plan: Plan) -> tuple[Shown, ...]:
    return tuple(map(_shown, plan.changes))


def _shown(change: Change) -> Shown:
    target = target_of(change)
    formerly = change.formerly if isinstance(change, Join) else None
    return Shown(
        str(change.address),
        action_of(change).value,
        "" if target is None or isinstance(change, Hold) else target.agent_id,
        change.reason.because.value,
        "" if formerly is None else str(formerly),
    )


def approval_of(plan: Plan) -> Approval:
    """What a person approves who looks at a plan: its acts, and the agents that they touch."""
    acts = [_shown(each) for each in plan.acts]
    return Approval(
        frozenset((each.action, each.address) for each in acts),
        {each.agent_id: each.action for each in acts if each.agent_id},
    )


def outcome_of(result: Any, error: BaseException | None) -> Outcome:
    if error is not None and not isinstance(error, ReconcilerError):
        return Outcome("foreign", repr(error))
    if error is not None:
        kinds: Mapping[type, str] = {StateLocked: "locked", StalePlan: "stale", Refused: "refused"}
        kind = next((word for each, word in kinds.items() if isinstance(error, each)), "other")
        return Outcome(kind, repr(error))
    if isinstance(result, Turned):
        return _outcome_of_turn(result)
    if not isinstance(result, Ledger):
        return Outcome("other")
    pending = frozenset(str(row.address) for row in result.finished if row.result is not Result.DONE)
    return Outcome("ledger", "", result.is_complete, pending)


def _outcome_of_turn(turned: Turned) -> Outcome:
    """A turn says of no fleet that it is complete: what is not done is done by the next one."""
    text = repr(turned.problem) if turned.problem is not None else ""
    if turned.result is TurnResult.FAILED and turned.changes:
        return Outcome("ledger", text)
    done = (TurnResult.DONE, TurnResult.INCOMPLETE)
    return Outcome("ledger" if turned.result in done else str(turned.result), text)


def writes_of(writes: Sequence[Write]) -> tuple[Wrote, ...]:
    return tuple(map(_wrote, writes))


def _wrote(write: Write) -> Wrote:
    kind = type(write).__name__
    if isinstance(write, PutRecord):
        return Wrote(kind, known_of(write.record), unsent=write.record.unsent)
    return Wrote(kind, detail=write.entry.detail if isinstance(write, Append) else "")


def problem_of(problem: BaseException | None) -> str:
    """The word for what became of a commit; empty where it was made."""
    if problem is None:
        return ""
    return (
        "stale"
        if isinstance(problem, StateLocked)
        else "failed"
        if isinstance(problem, StateError)
        else "other"
    )


def deferred_until(result: Any) -> float:
    """The time from which everything that a run has deferred goes on; 0.0 where nothing was."""
    rows = result.finished if isinstance(result, Ledger) else ()
    return max((row.until for row in rows if row.until is not None), default=0.0)
