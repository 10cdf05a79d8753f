"""`reconciler drift`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options
from reconciler.report.formats import Format, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("drift")
@options.many_fleets_options
@options.format_option(ReportKind.DRIFT)
@options.parallelism_option
@options.output_options
def command(fleets: options.ManyFlags, output: Output, form: Format, **flags: Any) -> int:
    """Show what changed behind our back, apart from what the files changed. Exits 0, 1 or 2.

    \b
    reconciler drift prod                        0 no drift, 2 drift, 1 it cannot be told
    reconciler drift prod --format json          for a machine
    reconciler drift fleets/* -e all -q          for cron: what drifted, and one line
    """
    from reconciler import workflow
    from reconciler.cli import many, wiring
    from reconciler.cli.jobs import Flags, make_job
    from reconciler.report.sentences import short_counts

    chosen = Flags(**flags)

    def look(fleet: options.FleetFlags) -> many.FleetSeen:
        with wiring.open_session(fleet, output) as session:
            found = session.run(workflow.drift(make_job(session, chosen), session.provider))
        drifted = bool(found.plan.pending)
        verdict = f"drift: {short_counts(found.plan)}" if drifted else "no drift"
        return many.FleetSeen(found, verdict, 2 if drifted else 0, not drifted)

    return many.report_each(fleets, output, form, ReportKind.DRIFT, look)
