"""`reconciler drift`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options
from reconciler.report.formats import Format, RenderOptions, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("drift")
@options.fleet_options
@options.format_option(ReportKind.DRIFT)
@options.full_option
@options.parallelism_option
@options.output_options
def command(fleet: options.FleetFlags, output: Output, form: Format, full: bool, **flags: Any) -> int:
    """Show what changed behind our back, apart from what the files changed. Exits 0, 1 or 2.

    \b
    reconciler drift prod                        0 no drift, 2 drift, 1 it cannot be told
    reconciler drift prod --full                 each change by itself, also copies
    reconciler drift prod --format json          for a machine
    """
    from reconciler import workflow
    from reconciler.cli import wiring
    from reconciler.cli.jobs import Flags, make_job
    from reconciler.errors import ExitCode, ReconcilerError, Refused

    with wiring.open_session(fleet, output) as session:
        try:
            found = session.run(workflow.drift(make_job(session, Flags(**flags)), session.provider))
        except Refused as problem:
            raise ReconcilerError(problem.message, hint=problem.hint) from problem
    output.report(form, ReportKind.DRIFT, found, RenderOptions(full=full))
    return int(ExitCode.CHANGES if found.plan.pending else ExitCode.DONE)
