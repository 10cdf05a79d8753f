"""`reconciler version`."""

from __future__ import annotations

import click

from reconciler import __version__


@click.command("version")
def command() -> None:
    """Print the version.

    \b
    reconciler version
    """
    from reconciler.cli.output import write

    write(f"reconciler {__version__}\n")
