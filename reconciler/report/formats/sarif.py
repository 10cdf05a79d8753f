"""The format `sarif`: problems, and what a plan ends or risks, as SARIF 2.1.0 for code scanning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.report import problem_formats
from reconciler.report.formats import RenderOptions
from reconciler.report.problems import Checked

if TYPE_CHECKING:
    from reconciler.plan.build import Plan


def problems(value: Checked, options: RenderOptions) -> str:
    """Return one run with every problem."""
    return problem_formats.render_sarif(
        value.diagnostics, root=options.root, explain_rule=options.explain_rule
    )


def plan(value: Plan, options: RenderOptions) -> str:
    """Return one run with what the plan ends or risks."""
    from reconciler.report import findings

    found = findings.of_plan(value)
    return problem_formats.render_sarif(found, root=options.root, explain_rule=findings.explained)
