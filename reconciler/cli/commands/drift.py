"""`reconciler drift`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options


@click.command("drift", short_help="Show what the world changed; for cron.")
@options.directory_argument
@options.fleet_options
@options.format_option("text", "json", "markdown")
@options.parallelism_option
@options.output_options
def command(directory: str, environment: str | None, variables: Any, style: str, **flags: Any) -> int:
    """Show what changed behind our back, apart from what the files changed. Exits 0, 1 or 2.

    \b
    reconciler drift prod                        0 no drift, 2 drift, 1 it cannot be told
    reconciler drift prod --format json          for a machine
    """
    from reconciler import workflow
    from reconciler.cli import wiring
    from reconciler.cli.jobs import Flags, make_job
    from reconciler.cli.output import Output
    from reconciler.errors import ExitCode, ReconcilerError, Refused

    output = Output.taken_from(flags)
    with wiring.open_session(directory, environment, variables, output) as session:
        try:
            found = session.run(workflow.drift(make_job(session, Flags(**flags)), session.provider))
        except Refused as problem:
            raise ReconcilerError(problem.message, hint=problem.hint) from problem
    output.result(_rendered(found, style, colour=output.colour()))
    return int(ExitCode.CHANGES if found.plan.pending else ExitCode.DONE)


def _rendered(found: Any, style: str, *, colour: bool) -> str:
    from reconciler.report import documents, drift

    if style == "json":
        return documents.as_json(drift.tree(found))
    if style == "markdown":
        return drift.render_markdown(found)
    return drift.render_text(found, colour=colour)
