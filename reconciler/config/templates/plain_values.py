"""Convert a template's result to plain data of exact types; nothing else leaves a template."""

from __future__ import annotations

import math
import types
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from jinja2.runtime import Undefined

from reconciler.config.templates.sandbox import Forbidden
from reconciler.config.yaml.scalars import INTEGERS

MAX_DEPTH: Final = 50
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
