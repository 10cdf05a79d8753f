"""`reconciler ci issue`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("issue", short_help="Keep one issue for each fleet that has drifted.")
@click.option(
    "--report",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="The Markdown of `drift`; after a check that failed it may be empty or missing.",
)
@click.option(
    "--exit-code",
    "code",
    required=True,
    type=click.IntRange(0, 255),
    metavar="N",
    help="With what `drift` ended: 0 closes the issue, 2 opens it, anything else says in it that the check failed.",
)
@click.option(
    "--fleet",
    "owner",
    metavar="FLEET.ENV",
    help="Whose issue it is, where the report does not say it: hotel-desk.prod, or hotel-desk.- without environments.",
)
@options.output_options
def command(report: str, code: int, owner: str | None, output: Output) -> int:
    """Let the repository have one issue for each fleet and environment that has drifted.

    It is opened, written anew, closed and opened again; it says when the check last ran.

    \b
    reconciler drift -e prod --format markdown > drift.md; code=$?
    reconciler ci issue --report drift.md --exit-code $code --fleet hotel-desk.prod
    """
    from reconciler.cli.ci.issuing import keep_issues

    return keep_issues(report, code, owner, output)
