"""`reconciler show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import completing, options
from reconciler.cli.address_command import AddressCommand
from reconciler.report.formats import Format, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("show", cls=AddressCommand)
@click.argument("address", metavar="ADDRESS|FILE", shell_complete=completing.addresses)
@options.fleet_options_with_c
@options.format_option(ReportKind.TREE)
@options.output_options
def command(address: str, fleet: options.FleetFlags, output: Output, form: Format) -> int:
    """Show what files, state and service say of one agent, and its last changes; or what a saved plan would do.

    A saved plan needs no credentials and no fleet. An address that begins with "-" comes after "--".

    \b
    reconciler show lobby/greeter
    reconciler show lobby/greeter -e prod --format json
    reconciler show reviewed.plan                what `plan --out reviewed.plan` has saved
    """
    from reconciler import workflow
    from reconciler.cli import wiring
    from reconciler.cli.jobs import Flags, make_job, parse_address
    from reconciler.cli.plan_files import is_plan_file, plan_tree, read_plan
    from reconciler.report.address_report import address_tree

    if is_plan_file(address):
        output.report(form, ReportKind.TREE, plan_tree(read_plan(address)))
        return 0
    where = parse_address(address, or_file=True)
    with wiring.open_session(fleet, output) as session:
        found = session.run(workflow.address_report(make_job(session, Flags()), session.provider, where))
        tree = address_tree(found, session.store.history(where, 10))
    output.report(form, ReportKind.TREE, tree)
    return 0
