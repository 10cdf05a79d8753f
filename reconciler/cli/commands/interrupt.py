"""`reconciler interrupt`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.address_command import AddressCommand


@click.command("interrupt", cls=AddressCommand)
@options.address_argument
@options.talking_options
def command(address: str, **flags: Any) -> int:
    """Stop what an agent is saying or thinking.

    \b
    reconciler interrupt lobby/greeter
    """
    from reconciler.cli.talking import talk

    return talk(address, lambda provider, agent_id: provider.interrupt(agent_id), **flags)
