"""One container of a YAML document while it is being read."""

from __future__ import annotations

from typing import Any, Final

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
