"""`reconciler destroy`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options


@click.command("destroy", short_help="Leave the whole fleet.")
@options.directory_argument
@options.fleet_options
@options.format_option("text", "json", "markdown")
@click.option("--auto-approve", is_flag=True, help="Do not ask for the fleet's name.")
@options.parallelism_option
@options.lock_option
@options.grace_option
@options.output_options
def command(directory: str, environment: str | None, variables: Any, style: str, **flags: Any) -> int:
    """End every agent of the fleet, protected ones excepted. The files stay as they are.

    \b
    reconciler destroy demo                      shows the plan, asks for the fleet's name
    reconciler destroy demo --auto-approve       without a terminal
    """
    from reconciler.cli.applying import Approval, run_apply
    from reconciler.cli.jobs import Flags
    from reconciler.cli.output import Output

    output = Output.taken_from(flags)
    approval = Approval(flags.pop("auto_approve"))
    return run_apply(
        directory, environment, variables, Flags(**flags), approval, output, style, destroying=True
    )
