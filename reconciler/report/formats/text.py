"""The format `text`: for people at a terminal, and for logs."""

from __future__ import annotations

from reconciler.plan.build import Plan
from reconciler.report import drift as drift_report
from reconciler.report import ledger as ledger_report
from reconciler.report import problems as problems_report
from reconciler.report import status as status_report
from reconciler.report import text
from reconciler.report.formats import RenderOptions
from reconciler.workflow import Drift


def plan(value: Plan, options: RenderOptions) -> str:
    """A plan in Terraform's format."""
    return text.render_plan(value, colour=options.colour, explain=options.explain)


def drift(value: Drift, options: RenderOptions) -> str:
    """Drift as the changes of a plan."""
    return drift_report.render_text(value, colour=options.colour)


def status(value: status_report.StatusReport, options: RenderOptions) -> str:
    """A table of what runs."""
    return status_report.render_text(value)


def ledger(value: ledger_report.Finish, options: RenderOptions) -> str:
    """The summary at the end of an apply."""
    return ledger_report.render(value.ledger, value.ending, colour=options.colour)


def problems(value: problems_report.Checked, options: RenderOptions) -> str:
    """Every problem with its code frame, then a line for each environment that is right."""
    found = value.diagnostics
    text = problems_report.render_text(found, options.read_source, colour=options.colour) if found else ""
    return text if value.has_errors else text + "\n".join(value.verdicts)
