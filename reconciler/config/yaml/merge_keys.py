"""The key `<<`: add the keys of other mappings that a mapping does not write itself."""

from __future__ import annotations

from typing import Any

from reconciler.config.yaml import errors
from reconciler.config.yaml.tree import Frame, OpenMap, Parsed, unpack


class Merges:
    """The merges of one document; merged keys keep the places where they were written."""

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
