"""The format `junit`: one test case an address, for whoever shows the tests of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.report.formats import RenderOptions
from reconciler.report.problems import Checked

if TYPE_CHECKING:
    from reconciler.plan.build import Plan
    from reconciler.workflow import Drift


def problems(value: Checked, options: RenderOptions) -> str:
    """Errors fail, warnings and valid addresses pass."""
    from reconciler.report import junit

    return junit.of_checked(value, options.root)


def plan(value: Plan, options: RenderOptions) -> str:
    """Dangers and refusals fail, holds are skipped; a change that is planned is no failure."""
    from reconciler.report import junit

    return junit.of_plan(value)


def drift(value: Drift, options: RenderOptions) -> str:
    """What drifted fails."""
    from reconciler.report import junit

    return junit.of_drift(value.plan)
