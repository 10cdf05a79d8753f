"""The commands on what is remembered of the agents: `adopt`, `forget` and the group `state`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.cli.parameters import AddressCommand
from reconciler.report.formats import Format, ReportKind

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("adopt", cls=AddressCommand)
@options.address_argument
@click.argument("agent_id")
@options.fleet_options_with_c
@options.lock_option
@options.output_options
def adopt(
    address: str, agent_id: str, fleet: options.FleetFlags, output: Output, lock_timeout: float
) -> None:
    """Record a running agent that this tool did not start as the agent of a declared address.

    Nothing is sent and nobody is hung up on: its join-only fields count as declared, and the next apply sends
    its in-place fields once. It gets a name of ours at its next rotation.

    \b
    reconciler status                            lists unmanaged agents with their ids
    reconciler adopt lobby/greeter 1NT29X10YHXX
    """
    from reconciler import workflow
    from reconciler.cli import wiring
    from reconciler.cli.jobs import Flags, make_job, parse_address

    where = parse_address(address)
    with wiring.open_session(fleet, output) as session:
        job = make_job(session, Flags(lock_timeout=lock_timeout))
        record = session.run(workflow.adopt(job, session.provider, where, agent_id))
    output.result(
        f"adopted agent {record.agent_id} as {where}; the next apply sends its in-place fields once"
    )


@click.command("forget", cls=AddressCommand)
@options.address_argument
@options.fleet_options_with_c
@options.lock_option
@options.output_options
def forget(address: str, fleet: options.FleetFlags, output: Output, lock_timeout: float) -> None:
    """Drop the record of an address and release its agent, which runs on: its name does not bring it back.

    \b
    reconciler forget lobby/greeter
    """
    from reconciler import workflow
    from reconciler.cli import wiring
    from reconciler.cli.jobs import Flags, make_job, parse_address

    where = parse_address(address)
    with wiring.open_session(fleet, output) as session:
        job = make_job(session, Flags(lock_timeout=lock_timeout))
        agent_id = session.run(workflow.forget(job, where))
    output.result(
        f"forgot {where}; agent {agent_id} is not ours any more, and runs on if it still ran"
        if agent_id
        else f"forgot the interrupted join of {where}; an agent that it may still start is looked for by its name"
    )


@click.group("state")
def state() -> None:
    """Look at what is remembered of the agents, copy it, put it back, or move it to another backend.

    None of this calls the service, and no agent is joined, changed or left by it.

    \b
    reconciler state list                                 the addresses recorded
    reconciler state show lobby/greeter                   all that is remembered of one
    reconciler state pull > state.json                    a copy, whole; no secret is in it
    reconciler state push state.json                      put one back, unless something would be lost
    reconciler state migrate --from local --to git:origin
    """


@state.command("list", short_help="List the addresses recorded.")
@options.fleet_options_with_c
@options.format_option(ReportKind.RECORDS)
@options.output_options
def list_command(fleet: options.FleetFlags, output: Output, form: Format) -> None:
    """List the addresses recorded: agent id, generation, uid, start, and what is open.

    \b
    reconciler state list
    reconciler state list -C hotels -e prod --format json
    """
    from reconciler.cli import states

    output.report(form, ReportKind.RECORDS, states.report(fleet, output))


@state.command("show", short_help="Show what is remembered of one address.", cls=AddressCommand)
@options.address_argument
@options.fleet_options_with_c
@options.format_option(ReportKind.TREE)
@options.output_options
def show_command(address: str, fleet: options.FleetFlags, output: Output, form: Format) -> None:
    """Show what is remembered of one address: its agent, what was applied to it, its last changes.

    \b
    reconciler state show lobby/greeter
    reconciler state show lobby/greeter --format json
    """
    from reconciler.cli import states

    output.report(form, ReportKind.TREE, states.record(fleet, output, address))


@state.command("pull", short_help="Print the whole state as one JSON document.")
@options.fleet_options_with_c
@options.output_options
def pull_command(fleet: options.FleetFlags, output: Output) -> None:
    """Print the whole state as one JSON document, in the form of `reconciler schema state`.

    It holds references to secrets, no values, and not the key that digests of secret values are made with. The same state
    is the same bytes.

    \b
    reconciler state pull > state.json
    reconciler state pull | jq '.records | keys'
    """
    from reconciler.cli import states
    from reconciler.report.formats import named

    output.result(states.pulled(fleet, output), named("json"))


@state.command("push", short_help="Put a pulled state in the place of the present one.")
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
) -> None:
    """Put a state that `state pull` has printed in the place of the present one; "-" reads it from stdin.

    Refused where something would be lost: another lineage, a serial that is not higher, another fleet's, damaged. A local
    state is copied aside first. Whoever edits the document raises its `serial` and takes the line `checksum` out.

    \b
    reconciler state push state.json
    reconciler state push --force-lineage state.json      back to an older copy
    """
    from reconciler.cli import states

    output.result(states.push(fleet, output, file, force=force_lineage, lock_timeout=lock_timeout))


@state.command("migrate", short_help="Move the state to another backend.")
@click.option(
    "--from", "source", required=True, metavar="URL", help="Where the state is: local, or git:REMOTE."
)
@click.option("--to", "target", required=True, metavar="URL", help="Where it goes: local, or git:REMOTE.")
@options.fleet_options_with_c
@options.lock_option
@options.output_options
def migrate_command(
    source: str, target: str, fleet: options.FleetFlags, output: Output, lock_timeout: float
) -> None:
    """Move the state to another backend; nobody is hung up on, and the next plan there is empty.

    The target must hold no state, or an older version of this one. The source is marked, and refuses later runs with
    where it went; moving back the other way takes the mark away. After a crash the same command goes on.

    \b
    reconciler state migrate --from local --to git:origin
    reconciler state migrate --from git:origin --to local
    """
    from reconciler.cli import states

    output.result(states.migrate(fleet, output, source, target, lock_timeout=lock_timeout))
