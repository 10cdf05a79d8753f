"""`reconciler think`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.address_command import AddressCommand


@click.command("think", cls=AddressCommand)
@options.address_argument
@click.argument("text")
@options.talking_options
def command(address: str, text: str, **flags: Any) -> int:
    """Put a text before an agent's model as if somebody had said it; the agent answers.

    \b
    reconciler think lobby/greeter 'The guest in room 12 is waiting for a taxi.'
    """
    from reconciler.cli.talking import talk

    return talk(address, lambda provider, agent_id: provider.think(agent_id, text), **flags)
