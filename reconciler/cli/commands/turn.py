"""`reconciler turn`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("turn")
@options.fleet_options
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
@options.standing_options
@options.parallelism_option
@options.rate_option
@options.grace_option
@options.output_options
def command(fleet: options.FleetFlags, output: Output, as_json: bool, **flags: Any) -> int:
    """Do one bounded turn of the controller: what `watch` does over and over, for cron, a timer or a queue.

    A turn waits for nothing: what is not finished is in the state, and the next turn goes on. Any number of them may run
    at the same time, on any machine that reaches the state; one does the work, the others say that it is locked.

    \b
    reconciler turn my-fleet --json                 what was done, and when the next turn is due
    reconciler turn my-fleet --allow-kinds renew    only keep tokens alive
    """
    from reconciler.cli.turning import StandingFlags, run_turn

    return run_turn(fleet, StandingFlags(**flags), output, as_json=as_json)
