"""`reconciler state`: the group; its commands are in `cli.state_commands`."""

from __future__ import annotations

import click

from reconciler.cli.state_commands import COMMANDS


@click.group("state", commands=COMMANDS)
def command() -> None:
    """Look at what is remembered of the agents, copy it, put it back, or move it to another backend.

    None of this calls the service, and no agent is joined, changed or left by it.

    \b
    reconciler state list                                 the addresses recorded
    reconciler state show lobby/greeter                   all that is remembered of one
    reconciler state pull > state.json                    a copy, whole; no secret is in it
    reconciler state push state.json                      put one back, unless something would be lost
    reconciler state migrate --from local --to git:origin
    """
