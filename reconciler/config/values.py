"""What a template gives, as plain data of exact types: nothing else leaves a template."""

from __future__ import annotations

import math
import types
from collections.abc import Iterable
from typing import Any, Final

from jinja2.runtime import Undefined

from reconciler.config.sandbox import Forbidden
from reconciler.config.yaml_scalars import INTEGERS

MAX_DEPTH: Final = 50

# What an expression may give that is a list in all but name.
_LISTS: tuple[type[Iterable[Any]], ...] = (
    *(list, tuple, range, types.GeneratorType),
    *(type({}.items()), type({}.keys()), type({}.values())),
)


def plain(value: Any, depth: int = 0) -> Any:
    """A value as plain data of exact types; raises for what is no data."""
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
    if isinstance(value, _LISTS):
        return [plain(each, depth + 1) for each in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise Forbidden("a mapping with keys that are not texts")
        return {str(key): plain(each, depth + 1) for key, each in value.items()}
    raise Forbidden(f"a {type(value).__name__}, which is no data")
