"""`reconciler show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.report.formats import Format, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("show")
@options.address_argument
@options.fleet_options_with_c
@options.format_option(ReportKind.TREE)
@options.output_options
def command(address: str, fleet: options.FleetFlags, output: Output, form: Format) -> int:
    """Show what files, state and service say of one agent, and the last changes that were made to it.

    \b
    reconciler show lobby/greeter
    reconciler show lobby/greeter -e prod --format json
    """
    from reconciler import workflow
    from reconciler.cli import wiring
    from reconciler.cli.jobs import Flags, make_job, parse_address
    from reconciler.report.address_report import address_tree

    where = parse_address(address)
    with wiring.open_session(fleet, output) as session:
        found = session.run(workflow.address_report(make_job(session, Flags()), session.provider, where))
        tree = address_tree(found, session.store.history(where, 10))
    output.report(form, ReportKind.TREE, tree)
    return 0
