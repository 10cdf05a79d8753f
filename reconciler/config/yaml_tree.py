"""A parsed YAML document: a tree of exact dicts and lists, and beside it, by identity, the place of everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.config.yaml_errors import Trouble

# One place packed into an integer: the lower bits are the column, the rest the line (both from 0).
COLUMN_BITS: Final = 24
_COLUMN_MASK: Final = (1 << COLUMN_BITS) - 1
# In the marks of a mapping, key and value share one integer.
PAIR_BITS: Final = 48
_PAIR_MASK: Final = (1 << PAIR_BITS) - 1


class OpenMap(dict[str, Any]):
    """A mapping below which something is left to do: a template to render, or a null that removes a key."""

    __slots__ = ()


class OpenList(list[Any]):
    """A list below which a template waits to be rendered."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class YamlLimits:
    """Bounds on one file."""

    depth: int = 50
    nodes: int = 20_000_000


@dataclass(slots=True)
class Parsed:
    """The tree of one text, the marks of its containers by identity, and what is wrong with it."""

    root: Any = None
    marks: dict[int, list[int]] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)

    def start(self, container: object) -> tuple[int, int]:
        """Where a container begins: line and column from 0."""
        return unpack(self.marks[id(container)][0])

    def place(self, container: Any, key: str | int) -> tuple[int, int]:
        """Where the value under `key` begins."""
        marks = self.marks[id(container)]
        if isinstance(container, dict):
            return unpack(marks[1 + list(container).index(str(key))] & _PAIR_MASK)
        return unpack(marks[1 + int(key)])

    def key_place(self, container: Any, key: str | int) -> tuple[int, int]:
        """Where the key itself stands; for a list, the item."""
        if isinstance(container, dict):
            return unpack(self.marks[id(container)][1 + list(container).index(str(key))] >> PAIR_BITS)
        return self.place(container, key)


def unpack(mark: int) -> tuple[int, int]:
    """Line and column of a packed place."""
    return mark >> COLUMN_BITS, mark & _COLUMN_MASK
