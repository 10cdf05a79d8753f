"""The format `text`: for people at a terminal, and for logs.

A run renders one kind of report: modules for other kinds are not imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.report.folding import LONGEST, folded
from reconciler.report.formats import RenderOptions

if TYPE_CHECKING:
    from reconciler.plan.build import Plan
    from reconciler.report.checkup import Examined
    from reconciler.report.ledger import Finish
    from reconciler.report.moved import ReviewDifference
    from reconciler.report.problems import Checked
    from reconciler.report.records import StateReport
    from reconciler.report.status import StatusReport
    from reconciler.report.survey import SurveyReport
    from reconciler.workflow import Drift


def plan(value: Plan, options: RenderOptions) -> str:
    """Return a plan in Terraform's format."""
    from reconciler.report.text import render_brief, render_plan

    if options.quiet:
        return render_brief(value, colour=options.colour, width=options.width or LONGEST)
    width = options.width or LONGEST
    return render_plan(value, colour=options.colour, explain=options.explain, full=options.full, width=width)


def moved(value: ReviewDifference, options: RenderOptions) -> str:
    """Return the difference from a reviewed plan, one line a row."""
    from reconciler.report.moved import render_text

    return render_text(value, colour=options.colour, width=options.width)


def drift(value: Drift, options: RenderOptions) -> str:
    """Return drift as the changes of a plan."""
    from reconciler.report.drift import render_brief, render_text

    if options.quiet:
        return render_brief(value, colour=options.colour, width=options.width or LONGEST)
    return render_text(value, colour=options.colour, full=options.full, width=options.width or LONGEST)


def status(value: StatusReport, options: RenderOptions) -> str:
    """Return a table of the running agents."""
    from reconciler.report.status import render_text

    return render_text(value, width=options.width, quiet=options.quiet)


def survey(value: SurveyReport, options: RenderOptions) -> str:
    """Return every agent that runs under the App ID."""
    from reconciler.report.survey import render_text

    return render_text(value, width=options.width)


def ledger(value: Finish, options: RenderOptions) -> str:
    """Return the summary at the end of an apply."""
    from reconciler.report.ledger import render

    return render(
        value.ledger,
        value.ending,
        colour=options.colour,
        quiet=options.quiet,
        full=options.full,
        width=options.width or LONGEST,
    )


def problems(value: Checked, options: RenderOptions) -> str:
    """Return every problem with its code frame, then a line for each valid environment."""
    from reconciler.report.problems import render_text

    found = value.diagnostics
    text = (
        render_text(found, options.read_source, colour=options.colour, width=options.width) if found else ""
    )
    lines = (folded(line, options.width or LONGEST) for line in value.last_lines)
    return text + "".join(f"{line}\n" for line in lines)


def records(value: StateReport, options: RenderOptions) -> str:
    """Return a table of a state's content."""
    from reconciler.report.records import render_text

    return render_text(value, width=options.width, quiet=options.quiet)


def checkup(value: Examined, options: RenderOptions) -> str:
    """Return a row for each check, with a remedy for each finding."""
    from reconciler.report.checkup import render_text

    width = options.width if options.wraps else None
    return render_text(value, options.read_source, colour=options.colour, width=width)
