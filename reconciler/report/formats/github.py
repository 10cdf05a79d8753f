"""The format `github`: problems as annotations on the lines of a pull request."""

from __future__ import annotations

from reconciler.report import problem_formats
from reconciler.report.formats import RenderOptions
from reconciler.report.problems import Checked


def problems(value: Checked, options: RenderOptions) -> str:
    """One workflow command a problem."""
    return problem_formats.render_github(value.diagnostics, root=options.root)
