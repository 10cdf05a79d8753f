"""`reconciler forget`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.cli.address_command import AddressCommand

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("forget", cls=AddressCommand)
@options.address_argument
@options.fleet_options_with_c
@options.lock_option
@options.output_options
def command(address: str, fleet: options.FleetFlags, output: Output, lock_timeout: float) -> int:
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
    return 0
