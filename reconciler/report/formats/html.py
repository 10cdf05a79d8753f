"""The format `html`: one page that opens without a network, for an artifact of a job or an e-mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.report.formats import RenderOptions

if TYPE_CHECKING:
    from reconciler.plan.build import Plan


def plan(value: Plan, options: RenderOptions) -> str:
    """A plan with its changes folded, those that hang up open."""
    from reconciler.report.html import render_plan

    return render_plan(value, full=options.full)
