"""`reconciler turns`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.address_command import AddressCommand


@click.command("turns", cls=AddressCommand)
@options.address_argument
@options.talking_options
def command(address: str, **flags: Any) -> int:
    """Print the turns of an agent's session, with their latencies where the service gives them.

    \b
    reconciler turns lobby/greeter --format json
    """
    from reconciler.cli.talking import talk

    return talk(address, lambda provider, agent_id: provider.turns(agent_id), **flags)
