"""The commands that keep fleets standing: `watch` and `turn`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options, parameters

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("watch")
@options.many_fleets_options
@click.option(
    "--interval",
    type=parameters.duration,
    default="30s",
    show_default=True,
    help="Between two listings of an App ID.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Serve /livez, /readyz and /metrics there; a port alone is on loopback. Prometheus knows 9464.",
)
@click.option(
    "--metrics-per-agent",
    "per_agent",
    is_flag=True,
    help="With --listen: also the age, token and sync of each agent, by its address.",
)
@click.option(
    "--notify",
    envvar="RECONCILER_NOTIFY",
    metavar="URL",
    help="Post what a person should know to this webhook, once. [env: RECONCILER_NOTIFY]",
)
@click.option(
    "--git",
    "pinned",
    metavar="REMOTE/BRANCH",
    help="Keep the checkout at the tip of this branch: fetch in each interval, fast-forward only.",
)
@options.standing_options
@options.output_options
def watch(
    fleets: options.ManyFlags,
    output: Output,
    interval: float,
    listen: str | None,
    per_agent: bool,
    notify: str | None,
    pinned: str | None,
    **flags: Any,
) -> None:
    """Keep fleets standing: join what has ended, renew tokens, rotate before 72 hours, until SIGTERM (then exit 0).

    Stopping it touches no agent, and neither does its death: another one goes on from the state. It reads the files again
    when they change. Files that do not load stop nothing: the last good ones go on, and nothing of them is ever left.
    With --git only commits of that branch count. A rewritten branch and changes made here are refused in the same way;
    a remote that does not answer changes nothing.

    \b
    reconciler watch my-fleet                         heals within half a minute
    reconciler watch hotels support -e prod --interval 5s
    reconciler watch my-fleet --listen 127.0.0.1:9464    with metrics for Prometheus
    reconciler watch my-fleet --git origin/main --allow-kinds all    a merge is the approval
    """
    from reconciler.cli.turning import StandingFlags
    from reconciler.cli.watching import WatchFlags, run_watch

    run_watch(fleets, WatchFlags(interval, StandingFlags(**flags), listen, notify, pinned, per_agent), output)


@click.command("turn")
@options.fleet_options
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
@options.standing_options
@options.output_options
def turn(fleet: options.FleetFlags, output: Output, as_json: bool, **flags: Any) -> int:
    """Do one bounded turn of the controller: what `watch` does over and over, for cron, a timer or a queue.

    A turn waits for nothing: what is not finished is in the state, and the next turn goes on. Any number of them may run
    at the same time, on any machine that reaches the state; one does the work, the others say that it is locked.

    \b
    reconciler turn my-fleet --json                 what was done, and when the next turn is due
    reconciler turn my-fleet --allow-kinds renew    only keep tokens alive
    """
    from reconciler.cli.turning import StandingFlags, run_turn

    return run_turn(fleet, StandingFlags(**flags), output, as_json=as_json)
