"""`reconciler doctor`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.report.formats import Format, RenderOptions, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("doctor")
@options.fleet_options
@options.format_option(ReportKind.CHECKUP)
@options.output_options
def command(fleet: options.FleetFlags, output: Output, form: Format) -> int:
    """Check all that an apply needs, before it: files, credentials, clock, App ID, state, secrets, hosts, quota.

    Every finding in one run, each with what to do; exit 1 where there is one. Lists and queries agents, reads the
    values behind references, and changes nothing.

    \b
    reconciler doctor
    reconciler doctor hotels -e prod
    reconciler doctor hotels -e prod --format json      for a monitor
    """
    from reconciler.cli.examining import examine
    from reconciler.cli.streams import is_terminal
    from reconciler.config import read_source
    from reconciler.errors import ExitCode

    found = examine(fleet, output)
    reader = partial(read_source, Path(fleet.directory))
    shown = RenderOptions(read_source=reader, wraps=is_terminal(sys.stdout))
    output.report(form, ReportKind.CHECKUP, found, shown)
    return int(ExitCode.ERROR if found.findings else ExitCode.DONE)
