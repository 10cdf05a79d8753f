"""The commands that need no fleet: `simulator`, `schema`, `version` and `completion`."""

from __future__ import annotations

import os

import click
from click.shell_completion import ShellComplete, get_completion_class

from reconciler import __version__
from reconciler.cli import parameters


@click.command("simulator", short_help="Serve the embedded service on loopback.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: a free port.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Listen here; others only in a container."
)
@click.option(
    "--switch",
    "switches",
    type=parameters.switch,
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a switch; repeatable.",
)
@click.option("--world", type=click.Path(dir_okay=False), metavar="FILE", help="Keep the world in this file.")
@click.option(
    "--speed",
    type=click.FloatRange(1, 1_000_000),
    default=1.0,
    metavar="N",
    help="Let its clock run N times as fast.",
)
@click.option("--list-switches", is_flag=True, help="List every switch with its meaning and default.")
def simulator(
    port: int,
    host: str,
    switches: tuple[tuple[str, str], ...],
    world: str | None,
    speed: float,
    list_switches: bool,
) -> None:
    """Serve the simulated service on a loopback port, for other clients and other people's CI.

    It takes the AGORA_* credentials of its environment and refuses others, or takes any where none are set. It
    does by default what was seen of the live service, else what the vendor's pages say; switches such as strict_vendors,
    missing_parts or rtc_failure change that. GET and POST /simulator/clock tell and advance its time. With --speed a
    reconciler on this machine takes its time from it: 3600 lets 72 hours pass in 72 seconds (examples/rehearsal).

    \b
    reconciler simulator --port 8080
    reconciler simulator --speed 3600 --switch quota=200 --switch conflict_body=agent_id
    AGORA_AGENTS_API_BASE_URL=http://127.0.0.1:8080 reconciler plan -e prod
    """
    from reconciler.cli.embedded import serve_on, write_switches
    from reconciler.errors import UsageError
    from reconciler.simulator import Credentials, Simulator, Store, SwitchError

    if list_switches:
        write_switches()
        return
    simulator = Simulator(Store(world), credentials=Credentials.from_environment(os.environ), speed=speed)
    try:
        simulator.set_switches(dict(switches))
    except SwitchError as problem:
        raise UsageError(
            str(problem), hint="`reconciler simulator --list-switches` lists every switch with its values"
        ) from problem
    serve_on(simulator, host, port)


@click.command("schema")
@click.argument("name", type=click.Choice(["fleet", "rendered", "plan", "policy", "state"]), default="fleet")
def schema(name: str) -> None:
    """Print the JSON Schema of a format.

    \b
    reconciler schema fleet > fleet.schema.json      for editors; `init` writes the lines that name it
    reconciler schema plan                           what `plan --format json` prints
    """
    from reconciler.cli.output import write
    from reconciler.cli.schemas import SCHEMAS
    from reconciler.report.documents import to_json

    write(to_json(SCHEMAS[name]()))


@click.command("version")
def version() -> None:
    """Print the version.

    \b
    reconciler version
    """

    click.echo(f"reconciler {__version__}")


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
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
