"""`reconciler history`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.address_command import AddressCommand


@click.command("history", cls=AddressCommand)
@options.address_argument
@options.talking_options
def command(address: str, **flags: Any) -> int:
    """Print what was said so far by and to a running agent.

    \b
    reconciler history lobby/greeter
    """
    from reconciler.cli.talking import talk

    return talk(address, lambda provider, agent_id: provider.history(agent_id), **flags)
