"""What the shell offers for an address, an environment or a kind of change, by click's own mechanism.

Silent where nothing can be told: files that are broken, a directory that is no fleet's, a state of the shell's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click


def addresses(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """The addresses that the files declare for the environment that stands on the line so far."""
    found: list[str] = []
    with suppress(
        Exception
    ):  # also a bug of ours: a message here would stand in the middle of somebody's line
        from reconciler.config.load import load

        fleet = load(
            _directory(context),
            environment=_text(context.params.get("environment")),
            variables=dict(context.params.get("variables") or ()),
        )
        found = sorted(map(str, fleet.agents))
    return _offered(found, typed)


def environments(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """The environments that the fleet declares; after a comma, those that are not named yet."""
    found: list[str] = []
    with suppress(Exception):
        from reconciler.config.load import environments as declared

        found = list(declared(_directory(context)))
    return _listed(found, typed)


def kinds(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """The kinds of change that `--only` takes, one after the other."""
    from reconciler.cli.jobs import KINDS

    return _listed(KINDS, typed)


def _directory(context: click.Context) -> Path:
    """The fleet's directory; click has not read a DIR that stands before an option whose value is being typed."""
    is_argument = any(
        isinstance(each, click.Argument) and each.name == "directory" for each in context.command.params
    )
    unread = context.args[0] if is_argument and context.args else None
    return Path(unread or _text(context.params.get("directory")) or ".")


def _text(value: object) -> str | None:
    """A parameter's text; the first one where a command takes several."""
    first = next(iter(value), None) if isinstance(value, (tuple, list)) else value
    return first if isinstance(first, str) else None


def _listed(words: Iterable[str], typed: str) -> list[str]:
    """The words that go on with a list of words with commas between them."""
    before, comma, _ = typed.rpartition(",")
    used = before.split(",")
    return _offered([f"{before}{comma}{word}" for word in words if word not in used], typed)


def _offered(words: Iterable[str], typed: str) -> list[str]:
    return [word for word in words if word.startswith(typed)]
