"""`reconciler ci discover`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("discover", short_help="Print the fleets that a change touches.")
@click.argument("directories", metavar="[DIR]...", nargs=-1, type=options.Name())
@click.option(
    "--changed-since", "revision", metavar="REV", help="Only what differs from this commit; else every fleet."
)
@options.output_options
def command(directories: tuple[str, ...], revision: str | None, output: Output) -> int:
    """Print the fleets and environments below DIR that a change touches, as a matrix in JSON on one line.

    Each has `directory`, `fleet` and `environment` (empty where a fleet has none), and `name`, as markers write it.
    Where nothing is touched it is {"include":[]}, which a workflow has to test: GitHub takes no empty matrix.

    \b
    reconciler ci discover --changed-since origin/main
    reconciler ci discover --changed-since "$BASE" fleets
    """
    from reconciler.cli.ci.discovering import matrix

    output.result(matrix(directories or (".",), revision, output))
    return 0
