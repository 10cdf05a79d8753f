"""`reconciler status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.report.formats import Format, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("status")
@options.many_fleets_options
@options.format_option(ReportKind.STATUS)
@click.option(
    "--all", "everything", is_flag=True, help="All that runs under the App ID; works before there is a fleet."
)
@options.area_option
@click.option("--watch", is_flag=True, help="Look again every few seconds until stopped.")
@click.option(
    "--interval", type=options.Duration(), default="5s", show_default=True, help="With --watch: how often."
)
@click.option("--conversation", is_flag=True, help="Show turns, silence, and what was said last.")
@options.parallelism_option
@options.output_options
def command(
    fleets: options.ManyFlags,
    output: Output,
    form: Format,
    everything: bool,
    area: str | None,
    watch: bool,
    interval: float,
    conversation: bool,
    parallelism: int,
) -> int:
    """List what runs: address, status, age, time left of 72 h, token, sync, unmanaged agents, cost.

    \b
    reconciler status
    reconciler status -e prod --watch
    reconciler status hotels support -e prod,test
    reconciler status --conversation             two more reads an agent
    reconciler status --all                      what runs already, with the line that adopts each
    """
    from reconciler.cli import several_fleets, wiring

    if everything:
        from reconciler.cli.surveying import report_all

        several_fleets.only_one(fleets, "--all")
        if watch:
            raise click.UsageError("--watch is for the agents of a fleet, and --all looks once")
        one = next(several_fleets.fleets_of(fleets))
        output.report(form, ReportKind.SURVEY, report_all(one, area, output, parallelism))
        return 0
    if area is not None:
        raise click.UsageError("--area is for --all, where there is no fleet to say it")
    from reconciler.cli.jobs import Flags, make_job
    from reconciler.cli.talking import status_steps
    from reconciler.report.status import counts

    chosen = Flags(parallelism=parallelism)

    def look(fleet: options.FleetFlags) -> several_fleets.FleetSeen:
        with wiring.open_session(fleet, output) as session:
            steps = status_steps(make_job(session, chosen), session.provider, conversation=conversation)
            plan, found = session.run(steps, is_watch=watch)
        return several_fleets.FleetSeen(found, counts(found), is_fine=not plan.pending)

    def report() -> int:
        return several_fleets.report_each(fleets, output, form, ReportKind.STATUS, look)

    return several_fleets.report_repeatedly(report, interval, output) if watch else report()
