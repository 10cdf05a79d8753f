"""The plan as JSON, in Terraform's shape, with a version and a schema of its own (`plan_document`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from reconciler.diagnostics import Problem, Span
from reconciler.instants import timestamp
from reconciler.model.spec import Body, describe
from reconciler.model.tree import Tree
from reconciler.plan.build import Plan, Unmanaged
from reconciler.plan.change import (
    Act,
    Action,
    Change,
    Forget,
    Hold,
    Keep,
    Leave,
    act_of,
    action_of,
    diffs_of,
    order_of,
    spec_of,
    target_of,
)
from reconciler.report.documents import as_ascii_json
from reconciler.report.masked_values import masked, plain, sensitivity
from reconciler.report.plan_document import (
    BodyChange,
    CostTree,
    Held,
    Location,
    PlanDocument,
    ProblemTree,
    ResourceChange,
    TerraformAction,
    UnmanagedTree,
    Why,
    plan_schema,
)
from reconciler.report.view import location_of

__all__ = ["FORMAT_VERSION", "plan_schema", "plan_tree", "render_plan"]

FORMAT_VERSION: Literal["1.0"] = "1.0"

# Our word for a change -> the actions that readers of Terraform's plans know.
TERRAFORM_ACTIONS: Mapping[Action, Sequence[TerraformAction]] = {
    Action.JOIN: ("create",),
    Action.UPDATE: ("update",),
    Action.RENEW: ("update",),
    Action.REPLACE: ("delete", "create"),
    Action.ROTATE: ("delete", "create"),
    Action.LEAVE: ("delete",),
    Action.ADOPT: ("no-op",),
    Action.FORGET: ("forget",),
    Action.HOLD: ("no-op",),
    Action.NONE: ("no-op",),
}


def render_plan(plan: Plan) -> str:
    """Return a plan as JSON text; equal plans give equal bytes."""
    whole = as_ascii_json(_document(plan, []))
    if not plan.changes:
        return f"{whole}\n"
    # Rendered one change at a time, because one tree of all changes takes several times the memory of their text.
    texts = (as_ascii_json(change_tree(plan, each)) for each in sorted(plan.changes, key=order_of))
    changes = ",\n".join(f"    {each}".replace("\n", "\n    ") for each in texts)
    before, after = whole.split(_NO_CHANGES)
    return f"{before}{_NO_CHANGES[:-1]}\n{changes}\n  ]{after}\n"


# The line of an empty list, where the changes are put in; texts of JSON contain no line break, so it is there once.
_NO_CHANGES = '\n  "resource_changes": []'


def plan_tree(plan: Plan) -> PlanDocument:
    """Return a plan as a plain tree."""
    return _document(plan, [change_tree(plan, each) for each in sorted(plan.changes, key=order_of)])


def _document(plan: Plan, changes: list[ResourceChange]) -> PlanDocument:
    return {
        "format_version": FORMAT_VERSION,
        "fleet": plan.owner.fleet,
        "environment": plan.owner.environment,
        "digest": plan.digest,
        "against": plan.against or None,
        "approval": None if plan.approval is None else str(plan.approval),
        "no_approval": plan.no_approval or None,
        "complete": plan.count(Action.HOLD) == 0 and not plan.refusals,
        "applyable": bool(plan.acts) and not plan.refusals,
        "summary": {action: plan.count(action) for action in Action},
        "hang_ups": len(plan.ended),
        "cost": cost_tree(plan),
        "dangers": [
            {
                "reference": each.reference,
                "host": each.host,
                "before": list(each.before),
                "allowed": each.allowed,
                "held": each.held,
                "forbidden": each.forbidden,
            }
            for each in plan.dangers
        ],
        "refusals": [
            {"limit": each.limit, "planned": each.planned, "allowed": each.allowed, "text": each.text}
            for each in plan.refusals
        ],
        "interrupted": plan.interrupted,
        "ignored": [
            {"address": str(each.address), "paths": [describe(path) for path in each.paths]}
            for each in plan.ignored
        ],
        "new_secrets": [{"reference": reference, "agents": count} for reference, count in plan.new_secrets],
        "resource_changes": changes,
        "unmanaged": [unmanaged_tree(each) for each in plan.unmanaged],
        "unmanaged_elsewhere": plan.elsewhere,
        "warnings": [diagnostic_tree(each) for each in sorted(plan.warnings, key=Problem.sort_key)],
    }


def cost_tree(plan: Plan) -> CostTree:
    """Return the number of agents before and after, and their cost."""
    cost = plan.cost
    return {
        "running_before": cost.before,
        "running_after": cost.after,
        "quota": cost.quota,
        "usd_per_day": round(cost.usd_per_day, 2),
        "usd_per_day_change": round(cost.usd_change, 2),
    }


def change_tree(plan: Plan, change: Change) -> ResourceChange:
    """Return a change: our word for it and Terraform's, and the whole body before and after."""
    act = act_of(change)
    target = target_of(change)
    return {
        "address": str(change.address),
        "mode": "managed",
        "type": "agent",
        "channel": change.address.channel,
        "name": change.address.name,
        "action": action_of(change),
        "reason": _why(act),
        "held": _held(change, act) if isinstance(change, Hold) else None,
        "agent_id": target.agent_id if target else act.record.agent_id if isinstance(act, Forget) else None,
        "change": _terraform_change(change),
        "location": location_tree(location_of(plan, change)),
    }


def _terraform_change(change: Change) -> BodyChange:
    act = act_of(change)
    target = target_of(change)
    record = act.record if isinstance(act, Forget) else target.record if target else None
    spec = None if isinstance(act, (Leave, Forget)) else spec_of(change)
    before, before_hidden = _body(record.body if record else None)
    is_same = record is not None and spec is not None and record.body == spec.body
    after, after_hidden = (before, before_hidden) if is_same else _body(spec.body if spec else None)
    forcing = [each for each in diffs_of(change) if each.forces_replacement]
    return {
        "actions": list(TERRAFORM_ACTIONS[action_of(change)]),
        "before": before,
        "after": after,
        "replace_paths": [list(each.path) for each in forcing],
        "before_sensitive": before_hidden,
        "after_sensitive": after_hidden,
        # The service returns no configuration: what an agent runs with is known only if we sent it.
        "before_unknown": target is not None and (record is None or record.declared or record.unsent),
    }


def _body(body: Body | None) -> tuple[dict[str, Tree] | None, bool | dict[str, Tree]]:
    """Return a body for JSON, and where parts of it were hidden; null and false without a body."""
    if body is None:
        return None, False
    properties, hidden = masked(body.properties)
    tree = {**body.tree(), "properties": properties}
    shape = {"properties": sensitivity(properties, hidden)} if hidden else {}
    return {key: plain(tree[key]) for key in sorted(tree)}, shape


def _why(act: Act | Keep) -> Why:
    return {"because": act.reason.because, "text": act.reason.text}


def _held(hold: Hold, act: Act | Keep) -> Held:
    until = None if hold.until is None else timestamp(hold.until)
    return {
        "action": action_of(act),
        "because": hold.reason.because,
        "text": hold.reason.text,
        "retry_after": until,
    }


def location_tree(where: Span | None) -> Location | None:
    """Return a place in the files as a tree."""
    return None if where is None else _place(where)


def _place(where: Span) -> Location:
    return {"file": where.file, "line": where.line, "column": where.column}


def diagnostic_tree(found: Problem) -> ProblemTree:
    """Return a problem of the files as a tree."""
    return {
        "severity": "error" if found.is_error else "warning",
        "rule": found.rule,
        "summary": found.summary,
        "why": found.why,
        "help": found.help,
        "path": found.path,
        "location": location_tree(found.where),
        "related": [{"location": _place(where), "text": text} for where, text in found.related],
    }


def unmanaged_tree(row: Unmanaged) -> UnmanagedTree:
    """Return a foreign agent as a tree."""
    return {
        "agent_id": row.agent.agent_id,
        "name": row.agent.name,
        "channel": row.channel,
        "status": row.agent.status.value,
    }
