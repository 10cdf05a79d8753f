"""The format `github`: annotations on the lines of a pull request, the most important first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.report import problem_formats
from reconciler.report.formats import RenderOptions
from reconciler.report.problems import Checked

if TYPE_CHECKING:
    from reconciler.plan.build import Plan
    from reconciler.workflow import Drift


def problems(value: Checked, options: RenderOptions) -> str:
    """Return one workflow command for each problem."""
    return problem_formats.render_github(value.diagnostics, root=options.root)


def plan(value: Plan, options: RenderOptions) -> str:
    """Return the plan in a line, then a command for each line of the files that ends conversations or risks secrets."""
    from reconciler.report import findings, sentences

    notice = (f"Plan of {value.owner}", sentences.in_short(value))
    return problem_formats.as_annotations(findings.of_plan(value), root=options.root, notice=notice)


def drift(value: Drift, options: RenderOptions) -> str:
    """Return drift in one line, then a command for each line of the files whose agents drifted."""
    from reconciler.report import findings
    from reconciler.report.drift import headline

    notice = (f"Drift of {value.plan.owner}", headline(value))
    return problem_formats.as_annotations(findings.of_drift(value.plan), root=options.root, notice=notice)
