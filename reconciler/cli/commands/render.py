"""`reconciler render`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli import options


@click.command("render", short_help="Print the final agents, secrets as references.")
@options.directory_argument
@options.fleet_options
@options.format_option("yaml", "json")
@click.option("--trace", is_flag=True, help="Name the file, line and layer of every value.")
@options.output_options
def command(
    directory: str, environment: str | None, variables: Any, style: str, trace: bool, **flags: Any
) -> int:
    """Print every agent as it stands after templates, profiles and environments. Offline; secrets as references.

    \b
    reconciler render -e prod
    reconciler render --trace                    where each value comes from
    reconciler render --trace --format json      the same for a program
    """
    from reconciler import config
    from reconciler.cli.limits import load_limits
    from reconciler.cli.output import Output
    from reconciler.cli.wiring import load_fleet
    from reconciler.report import documents, traced

    output = Output.taken_from(flags)
    if trace:
        found = config.trace(
            Path(directory), environment=environment, variables=dict(variables), limits=load_limits()
        )
        output.result(documents.to_json(traced.tree(found)) if style == "json" else traced.render(found))
        return 0
    fleet = load_fleet(directory, environment, variables, output)
    tree = config.rendered(fleet)
    output.result(documents.to_json(tree) if style == "json" else documents.to_yaml(tree))
    return 0
