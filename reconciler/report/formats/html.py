"""The format `html`: one page that opens without a network, for an artifact of a job or an e-mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.report.formats import RenderOptions

if TYPE_CHECKING:
    from reconciler.plan.build import Plan
    from reconciler.report.ledger import Finish
    from reconciler.report.problems import Checked
    from reconciler.workflow import Drift


def plan(value: Plan, options: RenderOptions) -> str:
    """Return a plan as a page with its changes folded, except those that end conversations."""
    from reconciler.report.html import render_plan

    return render_plan(value, full=options.full, explain=options.explain)


def drift(value: Drift, options: RenderOptions) -> str:
    """Return drift as a page with the changes that undo it."""
    from reconciler.report.html import render_drift

    return render_drift(value, full=options.full)


def ledger(value: Finish, options: RenderOptions) -> str:
    """Return the summary at the end of an apply, and its plan."""
    from reconciler.report.html import render_ledger

    return render_ledger(value, full=options.full)


def problems(value: Checked, options: RenderOptions) -> str:
    """Return every problem with its lines of the files."""
    from reconciler.report.html import render_problems

    return render_problems(value, options.read_source)
