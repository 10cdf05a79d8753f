"""`reconciler status`."""

from __future__ import annotations

import signal
import time
from typing import Any

import click

from reconciler.cli import options


@click.command("status", short_help="List what runs: age, token, sync, cost.")
@options.directory_argument
@options.fleet_options
@options.format_option("text", "json")
@click.option("--watch", is_flag=True, help="Look again every few seconds until stopped.")
@click.option(
    "--interval", type=options.Duration(), default="5s", show_default=True, help="With --watch: how often."
)
@options.parallelism_option
@options.output_options
def command(directory: str, environment: str | None, variables: Any, style: str, **flags: Any) -> int:
    """List what runs: address, status, age, time left of 72 h, token, sync, unmanaged agents, cost.

    \b
    reconciler status
    reconciler status -e prod --watch
    """
    from reconciler import workflow
    from reconciler.cli import wiring
    from reconciler.cli.jobs import Flags, make_job
    from reconciler.cli.output import Output
    from reconciler.report import documents, overview
    from reconciler.report import status as report

    output = Output.taken_from(flags)
    with wiring.open_session(directory, environment, variables, output) as session:
        while True:
            job = make_job(session, Flags(parallelism=flags["parallelism"]))
            steps = workflow.status(job, session.provider)
            plan, basis = session.run(steps, is_watch=flags["watch"])
            found = overview.status_of(plan, basis, session.provider.capabilities)
            if flags["watch"] and output.colour():
                click.clear()
            output.result(
                documents.to_json(report.tree(found)) if style == "json" else report.render_text(found)
            )
            if not flags["watch"]:
                return 0
            try:
                time.sleep(flags["interval"])
            except KeyboardInterrupt:  # how a watch ends
                return 128 + signal.SIGINT
