"""One container of a YAML document while it is being read."""

from __future__ import annotations

from typing import Any, Final

NO_KEY: Final = object()  # a mapping waits for a key, or this is a list
MERGE: Final = object()  # the key was `<<`
DROP: Final = object()  # the key was written before: its value is read and let go


class Frame:
    """One container being read."""

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

    @property
    def state(self) -> tuple[Any, list[int], bool, Any, int]:
        """What a loop over scalars keeps at hand."""
        return self.into, self.marks, self.takes_keys, self.key, self.key_mark
