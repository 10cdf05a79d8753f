"""`reconciler speak`."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.address_command import AddressCommand


@click.command("speak", cls=AddressCommand)
@options.address_argument
@click.argument("text")
@click.option(
    "--priority",
    type=click.Choice(["INTERRUPT", "APPEND", "IGNORE"]),
    default="INTERRUPT",
    show_default=True,
    help="Cut in, wait for the end of what is said, or only when nothing is said.",
)
@options.talking_options
def command(address: str, text: str, priority: str, **flags: Any) -> int:
    """Let an agent say a text of at most 512 bytes.

    \b
    reconciler speak lobby/greeter 'We close in ten minutes.'
    reconciler speak lobby/greeter 'Excuse me.' --priority APPEND
    """
    from reconciler.cli.talking import talk

    return talk(
        address,
        lambda provider, agent_id: provider.speak(agent_id, text, priority=priority),
        **flags,
    )
