"""Data at the border of templates: what `load('data/hotels.yaml')` gives them, and what leaves them.

Each data file is read once, and a bad one is reported once, at its own place. A result is plain data of exact types;
nothing else leaves a template.
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from jinja2.runtime import Undefined

from reconciler.config.files.data import MAX_DEPTH, SUFFIXES, reader_of
from reconciler.config.files.documents import Files
from reconciler.config.templates.progress import WorkProgress
from reconciler.config.templates.sandbox import Forbidden
from reconciler.config.yaml.scalars import INTEGERS
from reconciler.diagnostics import Problems

# Enough for the data of a hundred thousand agents; a hundred bytes or so each.
MAX_NODES: Final = 5_000_000

# Types of results that are treated as lists.
_LISTS: tuple[type[Iterable[Any]], ...] = (
    *(list, tuple, range, types.GeneratorType),
    *(type({}.items()), type({}.keys()), type({}.values())),
)


def plain(value: Any) -> Any:
    """Return a value as plain data of exact types; raise `Forbidden` for other values, or too many of them."""
    return _plain(value, 0, [MAX_NODES])


def _plain(value: Any, depth: int, room: list[int]) -> Any:
    kind = value.__class__
    if value is None or kind is bool or kind is str:
        return value
    if isinstance(value, Undefined):
        str(value)  # raises NotThere
    if kind is int:
        if value not in INTEGERS:
            raise Forbidden("a number of more than 64 bits")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise Forbidden("a number that is not finite")
        return value
    if depth > MAX_DEPTH:
        raise Forbidden(f"a value nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, str):
        return str(value)
    if isinstance(value, types.GeneratorType):
        value = list(islice(value, room[0] + 1))
    if isinstance(value, (*_LISTS, dict)):
        # A list that is repeated by reference takes no memory until it is copied, so it is counted before.
        room[0] -= len(value)  # type: ignore[arg-type]  # a generator is a list by now
        if room[0] < 0:
            raise Forbidden(f"a value of more than {MAX_NODES:,} parts")
    if isinstance(value, _LISTS):
        return [_plain(each, depth + 1, room) for each in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise Forbidden("a mapping with keys that are not texts")
        return {str(key): _plain(each, depth + 1, room) for key, each in value.items()}
    raise Forbidden(f"a {type(value).__name__}, which is no data")


class DataDamaged(Exception):
    """A data file has problems that were reported already."""


class DataFiles:
    """The `load` function of templates."""

    def __init__(self, files: Files, problems: Problems, progress: WorkProgress) -> None:
        self._files = files
        self._problems = problems
        self._progress = progress
        self._loaded: dict[str, Any] = {}

    def load(self, name: object) -> Any:
        """Return the contents of a data file.

        Raises `Forbidden` for a name that is not a data file's, `Unreadable` for a file that cannot be read,
        `DataDamaged` for a bad one.
        """
        if not isinstance(name, str):
            raise Forbidden("load() wants a file's name, such as load('data/hotels.yaml')")
        if name not in self._loaded:
            self._loaded[name] = self._read(name)
        return self._loaded[name]

    def _read(self, name: str) -> Any:
        reader = reader_of(name)
        if reader is None:
            raise Forbidden(
                f'load("{name}"): only {", ".join(SUFFIXES)} files that are not hidden can be loaded'
            )
        before = len(self._problems.found)
        # This time does not count as the template's; the bound on a file's size bounds it.
        with self._progress.uninterrupted():
            self._progress.reads(len(self._files.text(name)))
            data = reader(self._files, name, self._problems)
        self._files.forget(name)
        if len(self._problems.found) > before:
            raise DataDamaged(name)
        return data
