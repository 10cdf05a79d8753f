"""The format `sarif`: problems as SARIF 2.1.0, for code scanning."""

from __future__ import annotations

from reconciler.report import problem_formats
from reconciler.report.formats import RenderOptions
from reconciler.report.problems import Checked


def problems(value: Checked, options: RenderOptions) -> str:
    """One run with every problem."""
    return problem_formats.render_sarif(
        value.diagnostics, root=options.root, explain_rule=options.explain_rule
    )
