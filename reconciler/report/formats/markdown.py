"""The format `markdown`: for the comments of a pull request and the page of a job."""

from __future__ import annotations

from reconciler.plan.build import Plan
from reconciler.report import drift as drift_report
from reconciler.report import ledger as ledger_report
from reconciler.report import markdown
from reconciler.report.formats import RenderOptions
from reconciler.workflow import Drift


def plan(value: Plan, options: RenderOptions) -> str:
    """A plan that fits into a comment."""
    return markdown.render_plan(value)


def drift(value: Drift, options: RenderOptions) -> str:
    """Drift that fits into a comment."""
    return drift_report.render_markdown(value)


def ledger(value: ledger_report.Finish, options: RenderOptions) -> str:
    """The summary at the end of an apply."""
    return ledger_report.render_markdown(value.ledger, value.ending)
