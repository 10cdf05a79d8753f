"""`reconciler plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli import options


@click.command("plan", short_help="Show what apply would do; reads, never writes.")
@options.directory_argument
@options.fleet_options
@options.format_option("text", "json", "markdown")
@click.option(
    "--out", type=click.Path(dir_okay=False), metavar="FILE", help="Save the plan for `apply --plan FILE`."
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when changes are present.")
@click.option("--explain", is_flag=True, help="Show the steps of each change.")
@click.option(
    "--check-secrets", is_flag=True, help="Compare the values behind references (trusted runs only)."
)
@options.selection_options
@options.policy_options
@options.parallelism_option
@options.output_options
def command(directory: str, environment: str | None, variables: Any, style: str, **flags: Any) -> int:
    """Show what apply would do, and why. Reads the files, the state and the service; writes nothing.

    \b
    reconciler plan                              the fleet in this directory
    reconciler plan hotels -e prod               another directory, one environment
    reconciler plan --format markdown            for a pull request
    reconciler plan --detailed-exitcode          0 nothing to do, 1 error, 2 changes
    reconciler plan --target 'paris-*/*'         some addresses only
    """
    from reconciler import workflow
    from reconciler.cli import again, wiring
    from reconciler.cli.jobs import Flags, make_job
    from reconciler.cli.output import Output
    from reconciler.errors import ExitCode, ReconcilerError, Refused
    from reconciler.plan.planfile import save
    from reconciler.report.escape import visible

    output = Output.taken_from(flags)
    out, detailed, explain = flags.pop("out"), flags.pop("detailed_exitcode"), flags.pop("explain")
    secrets = flags.pop("check_secrets")
    chosen = Flags(**flags)
    with wiring.open_session(directory, environment, variables, output, reads_secrets=secrets) as session:
        job = make_job(session, chosen)
        try:
            plan = session.run(workflow.plan(job, session.provider, check_secrets=secrets))
        except Refused as problem:
            # Published recipes take any code but 0, 1 and 2 for success.
            raise ReconcilerError(problem.message, hint=problem.hint) from problem
    if out is not None:
        Path(out).write_bytes(save(plan, job.selection, job.policy))
        command = again.apply_saved(directory, environment, variables, str(out), chosen.allows)
        output.say(f"saved the plan to {visible(str(out))}; `{command}` applies it or refuses")
    output.result(_rendered(plan, style, explain=explain, colour=output.colour()))
    return int(ExitCode.CHANGES if detailed and plan.pending else ExitCode.DONE)


def _rendered(plan: Any, style: str, *, explain: bool, colour: bool) -> str:
    if style == "json":
        from reconciler.report import json_plan

        return json_plan.render_plan(plan)
    if style == "markdown":
        from reconciler.report import markdown

        return markdown.render_plan(plan)
    from reconciler.report import text

    return text.render_plan(plan, colour=colour, explain=explain)
