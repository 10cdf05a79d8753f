"""`reconciler status`."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.report.formats import Format, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("status")
@options.fleet_options
@options.format_option(ReportKind.STATUS)
@click.option(
    "--all", "everything", is_flag=True, help="All that runs under the App ID; works before there is a fleet."
)
@options.area_option
@click.option("--watch", is_flag=True, help="Look again every few seconds until stopped.")
@click.option(
    "--interval", type=options.Duration(), default="5s", show_default=True, help="With --watch: how often."
)
@options.parallelism_option
@options.output_options
def command(
    fleet: options.FleetFlags,
    output: Output,
    form: Format,
    everything: bool,
    area: str | None,
    watch: bool,
    interval: float,
    parallelism: int,
) -> int:
    """List what runs: address, status, age, time left of 72 h, token, sync, unmanaged agents, cost.

    \b
    reconciler status
    reconciler status -e prod --watch
    reconciler status --all                      what runs already, with the line that adopts each
    """
    if everything:
        from reconciler.cli.surveying import report_all

        if watch:
            raise click.UsageError("--watch is for the agents of a fleet, and --all looks once")
        output.report(form, ReportKind.SURVEY, report_all(fleet, area, output, parallelism))
        return 0
    if area is not None:
        raise click.UsageError("--area is for --all, where there is no fleet to say it")
    from reconciler import workflow
    from reconciler.cli import wiring
    from reconciler.cli.jobs import Flags, make_job
    from reconciler.report import overview

    with wiring.open_session(fleet, output) as session:
        while True:
            job = make_job(session, Flags(parallelism=parallelism))
            plan, basis = session.run(workflow.status(job, session.provider), is_watch=watch)
            if watch and output.colour():
                click.clear()
            output.report(
                form, ReportKind.STATUS, overview.status_of(plan, basis, session.provider.capabilities)
            )
            if not watch:
                return 0
            try:
                time.sleep(interval)
            except KeyboardInterrupt:  # how a watch ends
                return 128 + signal.SIGINT
