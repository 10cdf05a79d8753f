"""A parsed YAML document: a tree of exact dicts and lists, and the places of everything, by identity.

Also what there is only while it is read: its open containers, and the mappings that the key `<<` merges.
"""

from __future__ import annotations

from array import array
from dataclasses import field
from typing import Any, Final

from reconciler.config.yaml import errors
from reconciler.diagnostics import Problem
from reconciler.values import dataclass

# One place packed into an integer: the lower bits are the column, the rest the line (both from 0).
COLUMN_BITS: Final = 24
_COLUMN_MASK: Final = (1 << COLUMN_BITS) - 1


class OpenMap(dict[str, Any]):
    """A mapping that still holds a template to render, or a null that removes a key."""

    __slots__ = ()


class OpenList(list[Any]):
    """A list that still holds a template to render."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class YamlLimits:
    """The bounds on one file."""

    depth: int = 50
    nodes: int = 20_000_000


@dataclass(slots=True)
class Parsed:
    """The tree of one text, the places of everything in it, and its problems.

    `places` are the marks of all containers, one after the other: of a mapping its beginning, then key and value in
    turn; of a list its beginning, then its items. `containers` are the containers by identity, and `offsets` where the
    marks of each begin. They are arrays because there are millions; an index of them is made at the first query.
    """

    root: Any = None
    places: array[int] = field(default_factory=lambda: array("Q"))
    containers: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    problems: list[Problem] = field(default_factory=list)
    _index: dict[int, int] = field(default_factory=dict, repr=False, compare=False)

    def _offset(self, container: object) -> int:
        if not self._index:
            self._index.update(zip(self.containers, self.offsets, strict=True))
        return self._index[id(container)]

    def start(self, container: object) -> tuple[int, int]:
        """Return where a container begins: line and column from 0."""
        return unpack(self.places[self._offset(container)])

    def place(self, container: Any, key: str | int) -> tuple[int, int]:
        """Return where the value under `key` begins."""
        offset = self._offset(container)
        if isinstance(container, dict):
            return unpack(self.places[offset + 2 + 2 * list(container).index(str(key))])
        return unpack(self.places[offset + 1 + int(key)])

    def key_place(self, container: Any, key: str | int) -> tuple[int, int]:
        """Return the place of the key itself; for a list, of the item."""
        if isinstance(container, dict):
            offset = self._offset(container)
            return unpack(self.places[offset + 1 + 2 * list(container).index(str(key))])
        return self.place(container, key)


def unpack(mark: int) -> tuple[int, int]:
    """Return the line and column of a packed place."""
    return mark >> COLUMN_BITS, mark & _COLUMN_MASK


NO_KEY: Final = object()  # a mapping waits for a key, or this is a list
MERGE: Final = object()  # the key was `<<`
DROP: Final = object()  # the key is a duplicate: its value is read and dropped


class Frame:
    """One container that is being read."""

    __slots__ = ("anchor", "into", "key", "key_mark", "left_open", "marks", "merges", "size", "takes_keys")

    def __init__(self, into: Any, start: int, anchor: str | None) -> None:
        self.into = into
        self.takes_keys = into.__class__ is dict
        self.marks = [start]
        self.anchor = anchor
        self.key: Any = NO_KEY
        self.key_mark = 0
        self.left_open = False
        self.merges: list[tuple[Any, int]] | None = None
        self.size = 0


class Merges:
    """The merges of one document by `<<`; merged keys keep the places where they were written."""

    def __init__(self, parsed: Parsed) -> None:
        self._parsed = parsed
        self._anchored: dict[int, int] = {}

    def anchor(self, container: object) -> None:
        """Note that the container completed last has an anchor, so that it may be merged later."""
        self._anchored[id(container)] = self._parsed.offsets[-1]

    def remember(self, frame: Frame, value: Any, at: int) -> None:
        """Keep the mappings that `<<` names until their mapping is complete, since written keys win."""
        assert frame.merges is not None
        for source in value if isinstance(value, list) else [value]:
            if isinstance(source, dict):
                frame.merges.append((source, at))
            else:
                self._parsed.problems.append(errors.bad_merge(unpack(at)))

    def apply(self, frame: Frame) -> None:
        """Add the merged keys to a mapping that is complete."""
        assert frame.merges is not None
        written, merged = set(frame.into), set[str]()
        for source, at in frame.merges:
            offset = self._offset(source)
            for index, (key, value) in enumerate(source.items()):
                if key in written:
                    continue
                if key in merged:
                    self._parsed.problems.append(errors.ambiguous_merge(unpack(at), key))
                    continue
                merged.add(key)
                frame.into[key] = value
                frame.marks.extend(self._parsed.places[offset + 1 + 2 * index : offset + 3 + 2 * index])
            if source.__class__ is OpenMap:
                frame.left_open = True

    def _offset(self, container: object) -> int:
        """Return where the marks of a merged mapping begin: it has an anchor, or was written in place."""
        known = self._anchored.get(id(container))
        if known is not None:
            return known
        latest = reversed(range(len(self._parsed.containers)))
        return self._parsed.offsets[next(n for n in latest if self._parsed.containers[n] == id(container))]
