"""The format `yaml`: trees that our own reader reads back, and the origins of their values."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.tree import Tree
from reconciler.report import documents, traced
from reconciler.report.formats import RenderOptions


def tree(value: Tree, options: RenderOptions) -> str:
    """Return a tree in its own order."""
    return documents.to_yaml(value)


def trace(value: Iterable[traced.TracedValue], options: RenderOptions) -> str:
    """Return one line a value: path, value, place, layer."""
    return traced.render(value)
