"""The format `json`: for programs. Every document says its version; events and the ledger are one line each."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.apply.events import Event
from reconciler.model.tree import Tree
from reconciler.plan.build import Plan
from reconciler.report import documents, json_plan, problem_formats, progress, traced
from reconciler.report import drift as drift_report
from reconciler.report import ledger as ledger_report
from reconciler.report import status as status_report
from reconciler.report.formats import RenderOptions
from reconciler.report.problems import Checked
from reconciler.workflow import Drift, Planned


def plan(value: Plan, options: RenderOptions) -> str:
    """A plan in Terraform's shape; `reconciler schema plan` prints its schema."""
    return json_plan.render_plan(value)


def drift(value: Drift, options: RenderOptions) -> str:
    """Drift, its changes under `resource_drift`."""
    return documents.to_json(drift_report.tree(value))


def status(value: status_report.StatusReport, options: RenderOptions) -> str:
    """What runs; durations in seconds."""
    return documents.to_json(status_report.tree(value))


def event(value: Event | Planned, options: RenderOptions) -> str:
    """What happens during an apply, the plan first; `type` says which event it is."""
    if isinstance(value, Planned):
        head = {"format_version": progress.FORMAT_VERSION, "type": "planned"}
        return documents.as_json_line({**head, "plan": json_plan.plan_tree(value.plan)})
    return progress.json_line(value)


def ledger(value: ledger_report.Finish, options: RenderOptions) -> str:
    """The last line of an apply."""
    return documents.as_json_line(ledger_report.tree(value.ledger))


def problems(value: Checked, options: RenderOptions) -> str:
    """Problems in the order of the files."""
    return problem_formats.render_json(value.diagnostics)


def tree(value: Tree, options: RenderOptions) -> str:
    """A tree in its own order."""
    return documents.to_json(value)


def trace(value: Iterable[traced.TracedValue], options: RenderOptions) -> str:
    """One row a value."""
    return documents.to_json(traced.tree(value))
