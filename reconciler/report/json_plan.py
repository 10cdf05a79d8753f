"""The plan as JSON, in Terraform's shape, with a version and a schema of its own (`plan_document`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeAlias

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
    act_of,
    action_of,
    diffs_of,
    order_of,
    spec_of,
    target_of,
)
from reconciler.report.actions import WORDS
from reconciler.report.body_texts import BodyTexts
from reconciler.report.documents import as_ascii_json, as_json_line
from reconciler.report.formats import RenderOptions
from reconciler.report.masked_values import masked, plain, sensitivity
from reconciler.report.plan_document import (
    BodyChange,
    CostTree,
    Held,
    Location,
    PlanDocument,
    ProblemTree,
    ResourceChange,
    UnmanagedTree,
    Why,
)
from reconciler.report.view import location_of

FORMAT_VERSION: Literal["1.0"] = "1.0"


def render_json(plan: Plan, options: RenderOptions = RenderOptions()) -> Iterator[str]:
    """Return a plan as JSON text in pieces of whole lines, each change by itself; equal plans give equal bytes.

    No tree of all changes is ever made: it would take several times the memory of their text.
    """
    bodies = BodyTexts()
    texts = (_change_text(plan, change, bodies) for change in sorted(plan.changes, key=order_of))
    return with_changes(as_ascii_json(_document(plan, [])), "resource_changes", texts, len(plan.changes))


def with_changes(document: str, key: str, texts: Iterable[str], count: int) -> Iterator[str]:
    """Yield a document of JSON in pieces of whole lines, with so many texts as the elements of its empty list at a key."""
    # Texts of JSON contain no line break, so this line is there once.
    empty = f'\n  "{key}": []'
    before, after = document.split(empty)
    yield f"{before}{empty[:-1]}\n" if count else f"{document}\n"
    for number, text in enumerate(texts, start=1):
        yield f"    {text}{',' if number < count else ''}\n"
    if count:
        yield f"  ]{after}\n"


def _change_text(plan: Plan, change: Change, bodies: BodyTexts) -> str:
    """Return a change as JSON, its lines after the first indented for their place in a plan."""
    before, after = _bodies(change)
    texts = {"before": bodies.text(before)}
    texts["after"] = texts["before"] if after is before else bodies.text(after)
    trees = (
        (None, {}) if texts[side] else _body(body) for side, body in zip(texts, (before, after), strict=True)
    )
    shown = as_ascii_json(_change_tree(plan, change, *trees)).replace("\n", "\n    ")
    for side, text in texts.items():
        if text:
            # The only line of this key with this indent: what is below a body has a greater one.
            key = f'\n        "{side}": '
            shown = shown.replace(f"{key}null", key + text.replace("\n", "\n        "), 1)
    return shown


def plan_line(head: Mapping[str, object], plan: Plan) -> Iterator[str]:
    """Yield an object with a plan as its last value, as JSON on one line, in pieces: each change by itself."""
    before, after = as_json_line({**head, "plan": _document(plan, [])}).split('"resource_changes":[]')
    yield f'{before}"resource_changes":['
    for number, change in enumerate(sorted(plan.changes, key=order_of)):
        yield f"{',' if number else ''}{as_json_line(change_tree(plan, change))}"
    yield f"]{after}"


def render_numbers(plan: Plan, options: RenderOptions) -> str:
    """Return the numbers of agents to create, change and delete, for GitLab's terraform reports.

    Its readers know these three keys, and some refuse others. How many conversations end is therefore said on stderr. A
    replacement counts as one deletion and one creation, as in Terraform.
    """
    found = Counter(word for each in plan.changes for word in WORDS[action_of(each)].terraform)
    return as_json_line({word: found[word] for word in ("create", "update", "delete")})


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
    before, after = _bodies(change)
    shown = _body(before)
    return _change_tree(plan, change, shown, shown if after is before else _body(after))


# A body for JSON, and where parts of it were hidden; null and false without a body.
_ShownBody: TypeAlias = "tuple[dict[str, Tree] | None, bool | dict[str, Tree]]"


def _change_tree(plan: Plan, change: Change, before: _ShownBody, after: _ShownBody) -> ResourceChange:
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
        "change": _terraform_change(change, before, after),
        "location": location_tree(location_of(plan, change)),
    }


def _terraform_change(change: Change, before: _ShownBody, after: _ShownBody) -> BodyChange:
    target = target_of(change)
    record = target.record if target else None
    forcing = [each for each in diffs_of(change) if each.forces_replacement]
    return {
        "actions": list(WORDS[action_of(change)].terraform),
        "before": before[0],
        "after": after[0],
        "replace_paths": [list(each.path) for each in forcing],
        "before_sensitive": before[1],
        "after_sensitive": after[1],
        # The service returns no configuration: what an agent runs with is known only if we sent it.
        "before_unknown": target is not None and (record is None or record.declared or record.unsent),
    }


def _bodies(change: Change) -> tuple[Body | None, Body | None]:
    """Return the bodies before and after a change, as far as they are known; equal ones are one object."""
    act = act_of(change)
    target = target_of(change)
    record = act.record if isinstance(act, Forget) else target.record if target else None
    spec = spec_of(change)
    before = record.body if record else None
    after = spec.body if spec else None
    return before, before if after == before else after


def _body(body: Body | None) -> _ShownBody:
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
