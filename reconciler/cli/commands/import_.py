"""`reconciler import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("import")
@click.argument("words", metavar="[FILE…] [DIR]", nargs=-1, type=options.Name())
@click.option(
    "--from",
    "sources",
    type=options.Name(),
    multiple=True,
    metavar="FILE",
    help="JSON join bodies, or a text with curl commands; - is standard input. Repeatable.",
)
@click.option("--running", is_flag=True, help="What runs under the App ID; beside --from, what each body is.")
@options.area_option
@options.parallelism_option
@options.output_options
def command(
    words: tuple[str, ...],
    sources: tuple[str, ...],
    running: bool,
    area: str | None,
    parallelism: int,
    output: Output,
) -> int:
    """Write a new fleet into DIR from join bodies, from curl commands, or from what runs. Never overwrites.

    Credentials become references: their names are printed, to be set where apply runs, and their values nowhere.
    What the service does not tell of a running agent is left for you to fill in; `validate` points at it.

    \b
    reconciler import --from start-agents.sh my-fleet
    reconciler import --from bodies/*.json my-fleet
    reconciler import --from start-agents.sh --running my-fleet      with `adopt: ID` for what runs
    reconciler import --running my-fleet
    """
    if not sources and not running:
        raise click.UsageError("say what to import: --from FILE, or --running")
    if (sources and len(words) > 1) or (words and sources and Path(words[-1]).is_file()):
        is_file = Path(words[-1]).is_file()  # `--from *.json` gives the others here
        sources, words = (*sources, *(words if is_file else words[:-1])), (() if is_file else words[-1:])
    if len(words) > 1:
        raise click.UsageError(f"one DIR, and it comes last; not {len(words)}")
    from reconciler.cli.importing import import_fleet, tell

    directory = Path(words[0] if words else ".")
    made = import_fleet(
        directory, sources, running=running, area=area, parallelism=parallelism, output=output
    )
    tell(made, directory, output)
    return 0
