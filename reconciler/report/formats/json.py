"""The format `json`, for programs. Every document has a version; events and the ledger are one line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from reconciler.report import documents
from reconciler.report.formats import RenderOptions

if TYPE_CHECKING:
    from reconciler.apply.events import Event
    from reconciler.model.tree import Tree
    from reconciler.plan.build import Plan
    from reconciler.report.checkup import Examined
    from reconciler.report.ledger import Finish
    from reconciler.report.moved import ReviewDifference
    from reconciler.report.problems import Checked
    from reconciler.report.records import StateReport
    from reconciler.report.status import StatusReport
    from reconciler.report.survey import SurveyReport
    from reconciler.report.traced import TracedValue
    from reconciler.workflow import Drift, Planned


def plan(value: Plan, options: RenderOptions) -> Iterator[str]:
    """Yield a plan in Terraform's shape, change by change; `reconciler schema plan` prints its schema."""
    from reconciler.report.json_plan import plan_pieces

    return plan_pieces(value)


def moved(value: ReviewDifference, options: RenderOptions) -> str:
    """Return the difference from a reviewed plan."""
    from reconciler.report.moved import tree

    return documents.to_json(tree(value))


def drift(value: Drift, options: RenderOptions) -> Iterator[str]:
    """Yield drift, change by change, with its changes under `resource_drift`."""
    from reconciler.report.drift import json_pieces

    return json_pieces(value)


def status(value: StatusReport, options: RenderOptions) -> str:
    """Return the status of a fleet; durations in seconds."""
    from reconciler.report.status import tree

    return documents.to_json(tree(value))


def survey(value: SurveyReport, options: RenderOptions) -> str:
    """Return the status of a fleet, if there is one, and all other running agents."""
    from reconciler.report.survey import tree

    return documents.to_json(tree(value))


def event(value: Event | Planned, options: RenderOptions) -> str | Iterator[str]:
    """Return an event of an apply, the first of which is its plan; `type` names the event."""
    from reconciler.report import json_plan, progress
    from reconciler.workflow import Planned

    if isinstance(value, Planned):
        head = {"format_version": progress.FORMAT_VERSION, "type": "planned"}
        return json_plan.plan_line(head, value.plan)
    return progress.json_line(value)


def ledger(value: Finish, options: RenderOptions) -> str:
    """Return the last line of an apply."""
    from reconciler.report.ledger import tree

    return documents.as_json_line(tree(value.ledger))


def problems(value: Checked, options: RenderOptions) -> str:
    """Return problems in the order of the files."""
    from reconciler.report.problem_formats import render_json

    return render_json(value.diagnostics, options.head, ignored=len(value.accepted))


def records(value: StateReport, options: RenderOptions) -> str:
    """Return the content of a state, an object for each address."""
    from reconciler.report.records import tree

    return documents.to_json(tree(value))


def tree(value: Tree, options: RenderOptions) -> str:
    """Return a tree in its own order."""
    return documents.to_json(value)


def trace(value: Iterable[TracedValue], options: RenderOptions) -> str:
    """Return one row for each value."""
    from reconciler.report.traced import tree

    return documents.to_json(tree(value))


def checkup(value: Examined, options: RenderOptions) -> str:
    """Return the results of `doctor`; `ready` is true if there is no finding."""
    from reconciler.report.checkup import tree

    return documents.to_json(tree(value))
