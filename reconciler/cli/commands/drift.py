"""`reconciler drift`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options
from reconciler.report.formats import Format, RenderOptions, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("drift")
@options.many_fleets_options
@options.format_option(ReportKind.DRIFT)
@options.full_option
@options.parallelism_option
@options.output_options
def command(fleets: options.ManyFlags, output: Output, form: Format, full: bool, **flags: Any) -> int:
    """Show what changed behind our back, apart from what the files changed. Exits 0, 1 or 2.

    \b
    reconciler drift prod                        0 no drift, 2 drift, 1 it cannot be told
    reconciler drift prod --full                 each change by itself, also copies
    reconciler drift prod --format json          for a machine
    reconciler drift prod --format junit         each address that drifted as a test that failed
    reconciler drift fleets/* -e all -q          for cron: what drifted, and one line
    """
    from reconciler import workflow
    from reconciler.cli import several_fleets, wiring
    from reconciler.cli.jobs import Flags, make_job
    from reconciler.report.sentences import short_counts

    chosen = Flags(**flags)

    def look(fleet: options.FleetFlags) -> several_fleets.FleetSeen:
        with wiring.open_session(fleet, output) as session:
            found = session.run(workflow.drift(make_job(session, chosen), session.provider))
        drifted = bool(found.plan.pending)
        verdict = f"drift: {short_counts(found.plan)}" if drifted else "no drift"
        return several_fleets.FleetSeen(
            found, verdict, 2 if drifted else 0, not drifted, RenderOptions(full=full)
        )

    return several_fleets.report_each(fleets, output, form, ReportKind.DRIFT, look)
