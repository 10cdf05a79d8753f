"""The commands on one running agent: `history`, `turns`, `speak`, `interrupt` and `think`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options, parameters
from reconciler.cli.parameters import AddressCommand
from reconciler.report.formats import Format

if TYPE_CHECKING:
    from reconciler.cli.output import Output


@click.command("history", cls=AddressCommand)
@click.argument("address", required=False, shell_complete=parameters.addresses)
@click.option(
    "--all", "everything", is_flag=True, help="Every archived session of the address, the oldest first."
)
@click.option("--agent", "agent_id", metavar="ID", help="The archived session of this agent.")
@click.option("--follow", "follows", is_flag=True, help="Go on with what is said, until the agent ends.")
@options.talking_options
def history(
    address: str | None,
    everything: bool,
    agent_id: str | None,
    follows: bool,
    fleet: options.FleetFlags,
    form: Format,
    output: Output,
) -> None:
    """Print what was said so far by and to a running agent, or what the fleet's archive keeps of ended ones.

    \b
    reconciler history lobby/greeter
    reconciler history lobby/greeter --follow
    reconciler history lobby/greeter --all       from the archive (`archive` in fleet.yaml)
    reconciler history --agent A42AC47Hw7Yo      one archived session
    """
    if (address is None) == (agent_id is None):
        raise click.UsageError("name an address, or an agent with --agent ID")
    if follows and (everything or agent_id):
        raise click.UsageError("--follow is for what runs, --all and --agent for the archive")
    from reconciler.cli import talking

    if everything or agent_id is not None:
        talking.show_archived(address, agent_id, fleet, form, output)
        return
    assert address is not None
    if follows:
        talking.follow(address, fleet, form, output)
    else:
        talking.talk(address, lambda provider, agent_id: provider.history(agent_id), fleet, form, output)


@click.command("turns", cls=AddressCommand)
@options.address_argument
@options.talking_options
def turns(address: str, **flags: Any) -> None:
    """Print the turns of an agent's session, with their latencies where the service gives them.

    \b
    reconciler turns lobby/greeter --format json
    """
    from reconciler.cli.talking import talk

    talk(address, lambda provider, agent_id: provider.turns(agent_id), **flags)


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
def speak(address: str, text: str, priority: str, **flags: Any) -> None:
    """Let an agent say a text of at most 512 bytes.

    \b
    reconciler speak lobby/greeter 'We close in ten minutes.'
    reconciler speak lobby/greeter 'Excuse me.' --priority APPEND
    """
    from reconciler.cli.talking import talk

    talk(
        address,
        lambda provider, agent_id: provider.speak(agent_id, text, priority=priority),
        **flags,
    )


@click.command("interrupt", cls=AddressCommand)
@options.address_argument
@options.talking_options
def interrupt(address: str, **flags: Any) -> None:
    """Stop what an agent is saying or thinking.

    \b
    reconciler interrupt lobby/greeter
    """
    from reconciler.cli.talking import talk

    talk(address, lambda provider, agent_id: provider.interrupt(agent_id), **flags)


@click.command("think", cls=AddressCommand)
@options.address_argument
@click.argument("text")
@options.talking_options
def think(address: str, text: str, **flags: Any) -> None:
    """Put a text before an agent's model as if somebody had said it; the agent answers.

    \b
    reconciler think lobby/greeter 'The guest in room 12 is waiting for a taxi.'
    """
    from reconciler.cli.talking import talk

    talk(address, lambda provider, agent_id: provider.think(agent_id, text), **flags)
