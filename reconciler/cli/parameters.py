"""Functions that read the values of parameters or complete them, and the command whose ADDRESS may begin with `-`.

They need click alone. A completion offers nothing, and prints no error, if the files are broken or the directory holds no fleet.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST = 366 * 86400.0


def duration(value: object) -> float:
    """Return the seconds of a duration such as `2m` or `1h30m`, or of a number of seconds."""
    if isinstance(value, (int, float)):
        return float(value)
    from reconciler import durations

    try:
        seconds = durations.parse(str(value).strip(), bare_seconds=True)
    except ValueError:
        raise click.BadParameter(f'"{value}" is not a duration; write 30s, 2m or 1h') from None
    if seconds > _LONGEST:
        raise click.BadParameter(f'"{value}" is longer than a year')
    return seconds


def name(value: object) -> str:
    """Return a text that can be encoded as UTF-8: arguments may hold bytes that are no text in any encoding."""
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.BadParameter(f"{text!a} is not UTF-8") from None
    return text


def one_name(value: object) -> str:
    """Return the name of one environment, for commands that work on one fleet."""
    text = name(value)
    if "," in text:
        raise click.BadParameter("this command takes one environment; run it once for each")
    return text


class FleetDirectory(click.Path):
    """The directory of a fleet, which may be missing; the error for a file says what is to be named."""

    def __init__(self) -> None:
        super().__init__(exists=False, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            from pathlib import Path  # imported only after a mistake

            if not Path(value).is_file():
                raise
            place = shlex.quote(str(Path(value).parent))
            what = f"name its directory: {place}" if Path(value).suffix != ".json" else "name a directory"
            saved = "; a saved plan is given with --plan FILE" if ctx and ctx.command.name == "apply" else ""
            self.fail(f'"{value}" is a file; {what}{saved}', param, ctx)


def pair(value: object, form: str = "KEY=VALUE") -> tuple[str, str]:
    """Return key and value of a text of the form `KEY=VALUE`."""
    key, equals, text = name(value).partition("=")
    if not equals or not key.strip():
        raise click.BadParameter(f'"{value}" is not of the form {form}')
    return key.strip(), text


def switch(value: object) -> tuple[str, str]:
    """Return name and value of a switch of the simulator."""
    return pair(value, "NAME=VALUE")


def variable(value: object) -> tuple[str, str]:
    """Return a `KEY=VALUE` of `--var`. A value that looks like a key is refused: other processes can read our arguments."""
    key, text = pair(value)
    from reconciler.contract.literals import KEY_LIKE

    if KEY_LIKE.search(text):
        raise click.BadParameter(
            f"--var {key} holds what looks like a key, and arguments can be read by everybody; if it is one, revoke "
            "it, and write a reference (ref+env://NAME) in the fleet's files"
        )
    return key, text


# The only key of `--allow` that takes no value.
UNREVIEWED = "unreviewed"


def allowance(value: object) -> tuple[str, str]:
    """Return a `KEY=VALUE` of `--allow`, or the word `unreviewed`, which takes no value."""
    return (UNREVIEWED, "") if value == UNREVIEWED else pair(value)


class AddressCommand(click.Command):
    """A command with an ADDRESS; its errors say how to type one that begins with `-`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as problem:
            taken = next((each for each in words if each.startswith("-") and _is_address(each)), None)
            if taken is None or "--" in words:
                raise
            said = problem.format_message().strip()
            if isinstance(problem, click.NoSuchOption):  # click's own words differ from release to release
                said = f"No such option {problem.option_name}."
            raise click.UsageError(
                f'{said} An address that begins with "-" comes after "--", and options before it: '
                f"{ctx.command_path} {shlex.join(_with_dashes(words, taken))}",
                ctx,
            ) from problem


def _with_dashes(words: list[str], address: str) -> list[str]:
    """Return the words with `--` before the address; those after it only if none of them is an option."""
    place = words.index(address)
    before, after = words[:place], words[place + 1 :]
    return [*before, "--", address, *([] if any(each.startswith("-") for each in after) else after)]


def _is_address(text: str) -> bool:
    from reconciler.model.address import Address

    try:
        Address.parse(text)
    except ValueError:
        return False
    return True


# --- completion, by click's own mechanism

# The parameter of a command that takes one directory, and of one that takes several.
_DIRECTORY = ("directory", "directories")


def addresses(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the addresses that the files declare for the environment named on the line so far."""
    found: list[str] = []
    # Bugs of ours are suppressed too: a message would be printed into the line that the user types.
    with suppress(Exception):
        from reconciler.config.load import load

        fleet = load(
            _directory(context),
            environment=_first(context, "environment", "environments"),
            variables=dict(context.params.get("variables") or ()),
        )
        found = sorted(map(str, fleet.agents))
    return _offered(found, typed)


def environments(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the environments that the fleet declares; after a comma, those that are not named yet."""
    found: list[str] = []
    with suppress(Exception):
        from reconciler.config.load import environments as declared

        found = list(declared(_directory(context)))
    return _listed(found, typed)


def kinds(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the kinds of change that `--only` and `--allow-kinds` accept; after a comma, those that are not named yet."""
    from reconciler.cli.jobs import KINDS

    return _listed(KINDS, typed)


def _directory(context: click.Context) -> Path:
    """Return the fleet's directory, the first if there are several; also one that click has not consumed yet."""
    from pathlib import Path  # a command that completes nothing does not need it

    takes_some = any(
        isinstance(each, click.Argument) and each.name in _DIRECTORY for each in context.command.params
    )
    unread = context.args[0] if takes_some and context.args else None
    return Path(unread or _first(context, *_DIRECTORY) or ".")


def _first(context: click.Context, *names: str) -> str | None:
    """Return the first text among the values of the named parameters."""
    for value in map(context.params.get, names):
        first = next(iter(value), None) if isinstance(value, (tuple, list)) else value
        if isinstance(first, str):
            return first
    return None


def _listed(words: Iterable[str], typed: str) -> list[str]:
    """Return the completions of the last word of a comma-separated list, without words that are listed already."""
    before, comma, _ = typed.rpartition(",")
    used = before.split(",")
    return _offered([f"{before}{comma}{word}" for word in words if word not in used], typed)


def _offered(words: Iterable[str], typed: str) -> list[str]:
    return [word for word in words if word.startswith(typed)]
