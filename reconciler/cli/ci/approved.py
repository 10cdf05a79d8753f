"""`reconciler ci approved`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("approved", short_help="Print the token of the plan that was reviewed.")
@options.fleet_options
@click.option("--commit", metavar="SHA", help="The commit on the default branch; else that of this job.")
@options.output_options
def command(fleet: options.FleetFlags, commit: str | None, output: Output) -> int:
    """Print the token of the plan that was reviewed in the pull request which this commit has merged.

    It is printed where the files here are those that were reviewed, by their Git tree; else this exits 1 and says why.

    \b
    token=$(reconciler ci approved hotels -e prod)
    reconciler apply hotels -e prod --approved "$token" --auto-approve
    """
    from reconciler.cli.ci.approving import reviewed

    output.result(str(reviewed(fleet, commit, output)))
    return 0
