"""`reconciler completion`: click's own completion scripts."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    reconciler completion bash > ~/.local/share/bash-completion/completions/reconciler
    reconciler completion zsh  > "${fpath[1]}/_reconciler"
    reconciler completion fish > ~/.config/fish/completions/reconciler.fish
    """
    from reconciler.cli.main import cli
    from reconciler.cli.output import write

    kind = get_completion_class(shell)
    assert kind is not None, "the choices are click's own shells"
    write(kind(cli, {}, "reconciler", "_RECONCILER_COMPLETE").source() + "\n")
