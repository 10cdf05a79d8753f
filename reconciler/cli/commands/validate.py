"""`reconciler validate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.report.formats import Format, RenderOptions, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("validate")
@options.many_fleets_options
@options.format_option(ReportKind.PROBLEMS)
@options.output_options
def command(fleets: options.ManyFlags, output: Output, form: Format) -> int:
    """Check a fleet's files. Offline, without credentials; every problem at once, each with its place.

    Without -e every environment is checked, and the fleet without one.

    \b
    reconciler validate
    reconciler validate hotels -e prod
    reconciler validate fleets/*                 several fleets, one report
    reconciler validate --format github          annotations on the lines of a pull request
    reconciler validate --format codequality > gl-code-quality-report.json
    reconciler explain uid-clash                 what the word in brackets at the end of a message means
    """
    from reconciler.cli import several_fleets
    from reconciler.cli.validating import check, explain_rule
    from reconciler.config import read_source
    from reconciler.report.problems import summary

    def look(fleet: options.FleetFlags) -> several_fleets.FleetSeen:
        directory = Path(fleet.directory)
        found = check(directory, fleet.environment, dict(fleet.variables))
        head = (("directory", fleet.directory), ("environment", fleet.environment))
        shown = RenderOptions(
            read_source=partial(read_source, directory),
            explain_rule=explain_rule,
            head=head if several_fleets.are_several(fleets) else (),
        )
        verdict = summary(found.diagnostics) if found.diagnostics else "valid"
        return several_fleets.FleetSeen(found, verdict, int(found.has_errors), not found.diagnostics, shown)

    return several_fleets.report_each(fleets, output, form, ReportKind.PROBLEMS, look)
