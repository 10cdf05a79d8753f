"""`reconciler completion`: click's own completion scripts."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell: bash (4.4 or newer), zsh or fish.

    \b
    reconciler completion bash > ~/.local/share/bash-completion/completions/reconciler
    reconciler completion zsh  > "${fpath[1]}/_reconciler"
    reconciler completion fish > ~/.config/fish/completions/reconciler.fish
    """
    from reconciler.cli.main import cli

    kind = get_completion_class(shell)
    # Not `kind.source`: that of bash first starts a bash to ask for its version.
    assert kind is not None, "the choices are click's own shells"
    click.echo(ShellComplete.source(kind(cli, {}, "reconciler", "_RECONCILER_COMPLETE")))
