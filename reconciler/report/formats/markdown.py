"""The format `markdown`: for the comments of a pull request and the page of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.report.formats import RenderOptions

if TYPE_CHECKING:
    from reconciler.plan.build import Plan
    from reconciler.report.ledger import Finish
    from reconciler.report.moved import ReviewDifference
    from reconciler.report.problems import Checked
    from reconciler.workflow import Drift


def plan(value: Plan, options: RenderOptions) -> str:
    """Return a plan that fits into a comment."""
    from reconciler.report.markdown import BUDGET, render_plan

    budget = options.budget or BUDGET
    return render_plan(value, full=options.full, budget=budget, explain=options.explain)


def moved(value: ReviewDifference, options: RenderOptions) -> str:
    """Return the difference from a reviewed plan, one line a row."""
    from reconciler.report.moved import render_markdown

    return render_markdown(value)


def drift(value: Drift, options: RenderOptions) -> str:
    """Return drift that fits into a comment."""
    from reconciler.report.drift import render_markdown
    from reconciler.report.markdown import BUDGET

    return render_markdown(value, full=options.full, budget=options.budget or BUDGET)


def problems(value: Checked, options: RenderOptions) -> str:
    """Return every problem with its code frame; a problem that one place causes for many agents is shown once."""
    from reconciler.report.problems import render_markdown

    return render_markdown(value, options.read_source, budget=options.budget)


def ledger(value: Finish, options: RenderOptions) -> str:
    """Return the summary at the end of an apply."""
    from reconciler.report.ledger import render_markdown

    return render_markdown(value.ledger, value.ending, full=options.full)
