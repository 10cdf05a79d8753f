"""The format `junit`: one test case for each address, for viewers of a job's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.report.formats import RenderOptions
from reconciler.report.problems import Checked

if TYPE_CHECKING:
    from reconciler.plan.build import Plan
    from reconciler.workflow import Drift


def problems(value: Checked, options: RenderOptions) -> str:
    """Return a suite in which errors fail, and warnings and valid addresses pass."""
    from reconciler.report import junit

    return junit.of_checked(value, options.root)


def plan(value: Plan, options: RenderOptions) -> str:
    """Return a suite in which dangers and refusals fail and holds are skipped; a planned change is no failure."""
    from reconciler.report import junit

    return junit.of_plan(value)


def drift(value: Drift, options: RenderOptions) -> str:
    """Return a suite in which every address that drifted fails."""
    from reconciler.report import junit

    return junit.of_drift(value.plan)
