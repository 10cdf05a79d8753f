"""What the shell offers for an address, an environment or a kind of change, by click's own mechanism.

Silent where nothing can be told: files that are broken, a directory that is no fleet's, a state of the shell's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click

# Of a command that takes one, and of one that takes several.
_DIRECTORY = ("directory", "directories")


def addresses(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """The addresses that the files declare for the environment that stands on the line so far."""
    found: list[str] = []
    with suppress(
        Exception
    ):  # also a bug of ours: a message here would stand in the middle of somebody's line
        from reconciler.config.load import load

        fleet = load(
            _directory(context),
            environment=_first(context, "environment", "environments"),
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
    """The fleet's directory, the first of several; click has not read one that stands before a value being typed."""
    takes_some = any(
        isinstance(each, click.Argument) and each.name in _DIRECTORY for each in context.command.params
    )
    unread = context.args[0] if takes_some and context.args else None
    return Path(unread or _first(context, *_DIRECTORY) or ".")


def _first(context: click.Context, *names: str) -> str | None:
    """The text of the parameter that has one of some names; the first one where a command takes several."""
    for value in map(context.params.get, names):
        first = next(iter(value), None) if isinstance(value, (tuple, list)) else value
        if isinstance(first, str):
            return first
    return None


def _listed(words: Iterable[str], typed: str) -> list[str]:
    """The words that go on with a list of words with commas between them."""
    before, comma, _ = typed.rpartition(",")
    used = before.split(",")
    return _offered([f"{before}{comma}{word}" for word in words if word not in used], typed)


def _offered(words: Iterable[str], typed: str) -> list[str]:
    return [word for word in words if word.startswith(typed)]
