"""The format `codequality`: problems, and what a plan ends or risks, for GitLab's `artifacts:reports:codequality`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.report import problem_formats
from reconciler.report.formats import RenderOptions
from reconciler.report.problems import Checked

if TYPE_CHECKING:
    from reconciler.plan.build import Plan


def problems(value: Checked, options: RenderOptions) -> str:
    """Return a list with every problem."""
    return problem_formats.render_code_quality(value.diagnostics, root=options.root)


def plan(value: Plan, options: RenderOptions) -> str:
    """Return a list of what the plan ends or risks."""
    from reconciler.report import findings

    return problem_formats.render_code_quality(findings.of_plan(value), root=options.root)
