"""The commands of `reconciler state`: options, one call, one report. Importing this needs click alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.cli.address_command import AddressCommand
from reconciler.report.formats import Format, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("list", short_help="List the addresses recorded.")
@options.fleet_options_with_c
@options.format_option(ReportKind.RECORDS)
@options.output_options
def list_command(fleet: options.FleetFlags, output: Output, form: Format) -> int:
    """List the addresses recorded: agent id, generation, uid, start, and what is open.

    \b
    reconciler state list
    reconciler state list -C hotels -e prod --format json
    """
    from reconciler.cli import states

    output.report(form, ReportKind.RECORDS, states.report(fleet, output))
    return 0


@click.command("show", short_help="Show what is remembered of one address.", cls=AddressCommand)
@options.address_argument
@options.fleet_options_with_c
@options.format_option(ReportKind.TREE)
@options.output_options
def show_command(address: str, fleet: options.FleetFlags, output: Output, form: Format) -> int:
    """Show what is remembered of one address: its agent, what was applied to it, its last changes.

    \b
    reconciler state show lobby/greeter
    reconciler state show lobby/greeter --format json
    """
    from reconciler.cli import states

    output.report(form, ReportKind.TREE, states.record(fleet, output, address))
    return 0


@click.command("pull", short_help="Print the whole state as one JSON document.")
@options.fleet_options_with_c
@options.output_options
def pull_command(fleet: options.FleetFlags, output: Output) -> int:
    """Print the whole state as one JSON document, in the form of `reconciler schema state`.

    It holds references to secrets, no values, and not the key that digests of secret values are made with. The same state
    is the same bytes.

    \b
    reconciler state pull > state.json
    reconciler state pull | jq '.records | keys'
    """
    from reconciler.cli import states

    output.result(states.pulled(fleet, output))
    return 0


@click.command("push", short_help="Put a pulled state in the place of the present one.")
@click.argument("file", metavar="FILE")
@click.option(
    "--force-lineage",
    is_flag=True,
    help="Also put another lineage, or an older version, in its place; never another fleet's.",
)
@options.fleet_options_with_c
@options.lock_option
@options.output_options
def push_command(
    file: str, fleet: options.FleetFlags, output: Output, force_lineage: bool, lock_timeout: float
) -> int:
    """Put a state that `state pull` has printed in the place of the present one; "-" reads it from stdin.

    Refused where something would be lost: another lineage, a serial that is not higher, another fleet's, damaged. A local
    state is copied aside first. Whoever edits the document raises its `serial` and takes the line `checksum` out.

    \b
    reconciler state push state.json
    reconciler state push --force-lineage state.json      back to an older copy
    """
    from reconciler.cli import states

    output.result(states.push(fleet, output, file, force=force_lineage, lock_timeout=lock_timeout))
    return 0


@click.command("migrate", short_help="Move the state to another backend.")
@click.option(
    "--from", "source", required=True, metavar="URL", help="Where the state is: local, or git:REMOTE."
)
@click.option("--to", "target", required=True, metavar="URL", help="Where it goes: local, or git:REMOTE.")
@options.fleet_options_with_c
@options.lock_option
@options.output_options
def migrate_command(
    source: str, target: str, fleet: options.FleetFlags, output: Output, lock_timeout: float
) -> int:
    """Move the state to another backend; nobody is hung up on, and the next plan there is empty.

    The target must hold no state, or an older version of this one. The source is marked, and refuses later runs with
    where it went; moving back the other way takes the mark away. After a crash the same command goes on.

    \b
    reconciler state migrate --from local --to git:origin
    reconciler state migrate --from git:origin --to local
    """
    from reconciler.cli import states

    output.result(states.migrate(fleet, output, source, target, lock_timeout=lock_timeout))
    return 0


COMMANDS = [list_command, show_command, pull_command, push_command, migrate_command]
