"""`reconciler render`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.report.formats import Format, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("render")
@options.fleet_options
@options.format_option(ReportKind.TREE)
@click.option("--trace", is_flag=True, help="Name the file, line and layer of every value.")
@options.output_options
def command(fleet: options.FleetFlags, output: Output, form: Format, trace: bool) -> int:
    """Print every agent as it stands after templates, profiles and environments. Offline; secrets as references.

    \b
    reconciler render -e prod
    reconciler render --trace                    where each value comes from
    reconciler render --trace --format json      the same for a program
    """
    from reconciler import config
    from reconciler.cli.limits import load_limits
    from reconciler.cli.wiring import load_fleet

    if trace:
        found = config.trace(
            Path(fleet.directory),
            environment=fleet.environment,
            variables=dict(fleet.variables),
            limits=load_limits(),
        )
        output.report(form, ReportKind.TRACE, found)
    else:
        output.report(form, ReportKind.TREE, config.rendered(load_fleet(fleet, output)))
    return 0
