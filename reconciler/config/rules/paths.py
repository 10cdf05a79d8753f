"""Sets of paths with `*` for any key or index, asked many times for each agent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from reconciler.model.tree import Path

_END: Final = object()  # unlike any key of a tree


class PathSet:
    """Paths as a tree, so that asking costs a look-up for each part."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._root: dict[Any, Any] = {}
        for path in paths:
            node = self._root
            for part in path:
                node = node.setdefault(part, {})
            node[_END] = True

    def __contains__(self, path: Path) -> bool:
        nodes = [self._root]
        for part in path:
            nodes = [below for node in nodes for key in (part, "*") if (below := node.get(key)) is not None]
            if not nodes:
                return False
        return any(_END in node for node in nodes)
