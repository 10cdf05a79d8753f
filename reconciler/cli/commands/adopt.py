"""`reconciler adopt`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.cli.address_command import AddressCommand

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("adopt", cls=AddressCommand)
@options.address_argument
@click.argument("agent_id")
@options.fleet_options_with_c
@options.lock_option
@options.output_options
def command(
    address: str, agent_id: str, fleet: options.FleetFlags, output: Output, lock_timeout: float
) -> int:
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
    return 0
