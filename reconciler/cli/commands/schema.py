"""`reconciler schema`."""

from __future__ import annotations

import click


@click.command("schema")
@click.argument("name", type=click.Choice(["fleet", "rendered", "plan", "policy", "state"]), default="fleet")
def command(name: str) -> int:
    """Print the JSON Schema of a format.

    \b
    reconciler schema fleet > fleet.schema.json      for editors; `init` writes the lines that name it
    reconciler schema plan                           what `plan --format json` prints
    """
    from reconciler.cli.output import write
    from reconciler.cli.schemas import SCHEMAS
    from reconciler.report.documents import to_json

    write(to_json(SCHEMAS[name]()))
    return 0
