"""Makes the rows of `status` from a plan and its basis, with ages, which differ from run to run."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.capabilities import Capabilities
from reconciler.model.observed import ObservedAgent
from reconciler.plan.basis import Basis
from reconciler.plan.build import Plan
from reconciler.plan.change import Change, Keep, action_of, target_of
from reconciler.report.status import Conversation, StatusReport, StatusRow, UnmanagedRow


def status_of(
    plan: Plan, basis: Basis, able: Capabilities, conversations: Mapping[str, Conversation] | None = None
) -> StatusReport:
    """Return the agents of a fleet with their difference from the files, and conversations if they were read."""
    return StatusReport(
        fleet=plan.owner.fleet,
        environment=plan.owner.environment,
        rows=tuple(_row(change, basis, able) for change in plan.changes),
        unmanaged=tuple(
            UnmanagedRow(
                each.channel or "",
                each.agent.agent_id,
                each.agent.name or "",
                each.agent.status,
                _age(each.agent, basis),
            )
            for each in plan.unmanaged
        ),
        elsewhere=plan.elsewhere,
        running=plan.cost.before,
        quota=plan.cost.quota,
        usd_per_day=plan.cost.before * plan.cost.usd_per_minute * 1440,
        conversations=conversations,
    )


def _row(change: Change, basis: Basis, able: Capabilities) -> StatusRow:
    target = target_of(change)
    in_sync = isinstance(change, Keep)
    sync = "in sync" if in_sync else action_of(change).value
    detail = "" if in_sync else change.reason.text
    if target is None:
        return StatusRow(str(change.address), "", "", "absent", None, None, None, sync, detail)
    age = _age(target.agent, basis)
    life = able.lifetime(target.record.body.properties) if target.record else able.max_lifetime
    expires = target.record.token_expires_at if target.record else None
    return StatusRow(
        address=str(change.address),
        agent_id=target.agent_id,
        name=target.name,
        status=target.agent.status.value,
        age=age,
        left=max(0.0, life - age),
        token_left=None if expires is None else max(0.0, expires - basis.now),
        sync=sync,
        detail=detail,
    )


def _age(agent: ObservedAgent, basis: Basis) -> float:
    return max(0.0, basis.now - agent.started_at)
