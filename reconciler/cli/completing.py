"""Shell completion of addresses, environments and kinds of change, by click's own mechanism.

Nothing is offered, and no error is printed, if the files are broken or the directory holds no fleet.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click

# The parameter of a command that takes one directory, and of one that takes several.
_DIRECTORY = ("directory", "directories")


def addresses(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the addresses that the files declare for the environment named on the line so far."""
    found: list[str] = []
    with suppress(
        Exception
    ):  # bugs of ours included: a message would be printed into the line that the user types
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
    """Return the kinds of change that `--only` accepts; after a comma, those that are not named yet."""
    from reconciler.cli.jobs import KINDS

    return _listed(KINDS, typed)


def _directory(context: click.Context) -> Path:
    """Return the fleet's directory, the first if there are several; also one that click has not consumed yet."""
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
