"""Options that several commands share, and the values that they are gathered into. Importing this needs click alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import click

from reconciler.cli import parameters
from reconciler.cli.parameters import FleetDirectory
from reconciler.report.formats import ReportKind, formats_for, named
from reconciler.values import dataclass

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class FleetFlags:
    """One fleet to work on: the directory of its files, its environment, the variables of `--var`, and its state.

    `state` is `git:REMOTE` or a path; None stands for the file beside the fleet.
    """

    directory: str
    environment: str | None = None
    variables: tuple[tuple[str, str], ...] = ()
    state: str | None = None


@dataclass(frozen=True, slots=True)
class ManyFlags:
    """The fleets that a command reads: directories, and the text of `-e`: a name, several, `all`, or None."""

    directories: tuple[str, ...] = (".",)
    environments: str | None = None
    variables: tuple[tuple[str, str], ...] = ()
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Against:
    """The flags for a plan without the service: its base of comparison, and the reviewed plan for `--check`."""

    offline: bool = False
    base: str | None = None
    check: str | None = None


def stacked(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return several options as one decorator, in the order in which help lists them."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def gathered(
    name: str, keys: Sequence[str], make: Callable[..., object]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that passes the flags named `keys` as one argument `name`, the result of `make`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def gathering(**flags: Any) -> Any:
            value = make(*(flags.pop(key) for key in keys))
            return command(**{name: value}, **flags)

        return gathering

    return decorate


def _output(no_color: bool, color: str, *flags: Any) -> object:
    from reconciler.cli.output import Output

    return Output("never" if no_color else color, *flags)


address_argument = click.argument("address", shell_complete=parameters.addresses)
directory_argument = click.argument("directory", metavar="[DIR]", default=".", type=FleetDirectory())
_directory_option = click.option(
    "-C",
    "directory",
    type=FleetDirectory(),
    metavar="DIR",
    default=".",
    show_default=True,
    help="The fleet's directory.",
)
_variables_option = click.option(
    "--var",
    "variables",
    type=parameters.variable,
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a variable; repeatable.",
)
_state_option = click.option(
    "--state",
    type=parameters.name,
    envvar="RECONCILER_STATE",
    metavar="URL",
    help="Where the state is: git:REMOTE, or a file; RECONCILER_STATE. [default: a file beside the fleet]",
)
_environment_options = stacked(
    click.option(
        "-e",
        "--env",
        "environment",
        type=parameters.one_name,
        metavar="NAME",
        shell_complete=parameters.environments,
        help="The environment, one of `environments:`.",
    ),
    _variables_option,
    _state_option,
    gathered("fleet", ("directory", "environment", "variables", "state"), FleetFlags),
)
# The fleet, as the command's argument `fleet`: its directory is an argument, or -C in commands with other arguments.
fleet_options = stacked(directory_argument, _environment_options)
fleet_options_with_c = stacked(_directory_option, _environment_options)
# Several fleets and environments, as the command's argument `fleets`; `cli.several_fleets` looks at each.
many_fleets_options = stacked(
    click.argument("directories", metavar="[DIR]...", nargs=-1, type=FleetDirectory()),
    click.option(
        "-e",
        "--env",
        "environments",
        type=parameters.name,
        metavar="NAMES",
        shell_complete=parameters.environments,
        help="The environment; several as a,b; all for every one of `environments:`.",
    ),
    _variables_option,
    _state_option,
    gathered(
        "fleets",
        ("directories", "environments", "variables", "state"),
        lambda directories, *others: ManyFlags(directories or (".",), *others),
    ),
)

# The settings for printing, as the command's argument `output`.
output_options = stacked(
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="Colours; auto: at a terminal, unless NO_COLOR is set, and with FORCE_COLOR everywhere.",
    ),
    click.option("--no-color", is_flag=True, hidden=True),
    click.option("-q", "--quiet", is_flag=True, help="Only problems and the last line; for cron."),
    click.option("-v", "--verbose", count=True, help="Say more of what is done."),
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        help="Write what goes to stderr as a log, with time and run id.",
    ),
    click.option(
        "--log-file",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="Append the log to this file, too; also what -q leaves out.",
    ),
    click.option("--debug", is_flag=True, help="Show a traceback where something breaks."),
    gathered("output", ("no_color", "color", "quiet", "verbose", "debug", "log_format", "log_file"), _output),
)


def format_option(kind: ReportKind) -> Callable[[Command], Command]:
    """Return the option `--format`, as the command's argument `form`: a format that can render a kind of report."""
    names = [each.name for each in formats_for(kind)]
    return click.option(
        "--format",
        "form",
        type=click.Choice(names),
        default=names[0],
        show_default=True,
        callback=lambda _ctx, _param, name: named(name),
        help="Output format.",
    )


full_option = click.option(
    "--full", is_flag=True, help="Show each change by itself, also those that differ only in values."
)

# The options of every command on one running agent besides its own arguments, as `talking.talk` accepts them.
talking_options = stacked(fleet_options_with_c, format_option(ReportKind.TREE), output_options)

parallelism_option = click.option(
    "--parallelism",
    type=click.IntRange(1, 200),
    default=10,
    show_default=True,
    help="Calls at a time, reads included.",
)
rate_option = click.option(
    "--rate",
    type=click.FloatRange(0.5, 2000),
    metavar="N",
    help="Calls a second to begin with; the pace then adapts. [default: that of the last run, or 50]",
)
grace_option = click.option(
    "--grace",
    type=parameters.duration,
    help="How long after a lost reply the service may still execute the call: 5m, and 5s on the embedded simulator.",
)

# What a controller may do without approval, and how fast; `turning.StandingFlags` accepts these.
standing_options = stacked(
    click.option(
        "--allow-kinds",
        default="renew,rotate,join,adopt,forget",
        show_default=True,
        metavar="KINDS",
        shell_complete=parameters.kinds,
        help="Kinds of change to make without asking; all for every kind. The others are shown as held.",
    ),
    click.option(
        "--heal-stops",
        type=click.IntRange(0, 100),
        default=1,
        show_default=True,
        metavar="N",
        help="How often an hour to join an agent again that somebody has stopped through the API.",
    ),
    parallelism_option,
    rate_option,
    grace_option,
)

area_option = click.option(
    "--area",
    type=click.Choice(["US", "EU", "AP", "CN"]),
    help="Without a fleet: the area of the service; else the global host.",
)
lock_option = click.option(
    "--lock-timeout",
    type=parameters.duration,
    default="1m",
    show_default=True,
    help="How long to wait for the state's lock.",
)

# How an apply makes its calls, and how long it waits.
calling_options = stacked(parallelism_option, rate_option, lock_option, grace_option)


def _selector(flag: str, help: str) -> Callable[[Command], Command]:
    return click.option(
        f"--{flag}",
        f"{flag}s",
        multiple=True,
        metavar="GLOB",
        shell_complete=parameters.addresses,
        help=help,
    )


selection_options = stacked(
    _selector("target", "Only addresses that match; repeatable."),
    _selector("exclude", "Not the addresses that match; repeatable."),
    _selector("replace", "Replace what matches in any case."),
)

horizon_option = click.option(
    "--horizon",
    type=parameters.duration,
    default=0.0,
    metavar="DURATION",
    help="The time until the next run: also renew and rotate what would end before it, or a tenth later, such as 12h.",
)

freeze_option = click.option(
    "--override-freeze",
    metavar="REASON",
    help="Do what `freeze` holds, for once; the reason is recorded.",
)

policy_options = stacked(
    click.option(
        "--policy-from",
        metavar="REV",
        envvar="RECONCILER_POLICY_FROM",
        help="Under the team's policy, .reconciler/policy.yaml of that commit: the base branch, not the change itself.",
    ),
    click.option(
        "--allow",
        "allows",
        type=parameters.allowance,
        multiple=True,
        metavar="LIMIT=N",
        help="Raise a limit for once: hang_ups=5, leave=5, replace=3, join=40, quota=30, usd_per_day=500, secret-host=HOST, beside=ADDRESS; and unreviewed, of `apply --approved`.",
    ),
    click.option(
        "--only",
        metavar="KINDS",
        shell_complete=parameters.kinds,
        help="Do these kinds of change and hold the rest: renew,rotate,join.",
    ),
    click.option(
        "--prune-unrecorded",
        is_flag=True,
        help="Leave agents with our mark that neither files nor state know.",
    ),
    freeze_option,
    horizon_option,
)

against_options = stacked(
    click.option("--offline", is_flag=True, help="Compare with the state alone: no network, no credentials."),
    click.option(
        "--base", metavar="REF", help="Compare with the files of a commit: no network, no credentials."
    ),
    click.option(
        "--check",
        metavar="FILE|TOKEN",
        help="Compare with a plan that was reviewed: 0 the same changes, 2 others, which are shown.",
    ),
    gathered("against", ("offline", "base", "check"), Against),
)
