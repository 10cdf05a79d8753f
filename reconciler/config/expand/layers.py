"""Merge layers (mappings merge, lists and scalars replace, null removes), and find the layer that decided a value.

The files' own trees are merged before anything is rendered, and every subtree that only one layer has is shared. A
template that may produce a mapping cannot be merged yet: it is stacked, and merged when its value is known. Values do
not carry their origin: the layers are kept, and searched when a place is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast

from reconciler.config.files.documents import Document
from reconciler.config.yaml.scalars import Templated
from reconciler.config.yaml.tree import OpenMap
from reconciler.diagnostics import Span
from reconciler.model.tree import Path, Tree, value_at
from reconciler.values import dataclass

# Stands in a rendered tree for each value whose template has failed.
FAILED: Final = cast("Tree", object())


class Stack(tuple[Tree, ...]):
    """The values of one key, lowest layer first; at least one is an expression that may produce a mapping."""

    __slots__ = ()


def may_be_mapping(value: object) -> bool:
    """Return whether a value is a single expression or a stack, so that only rendering shows if it is a mapping."""
    if value.__class__ is Templated:
        text = str(value).strip()
        return text.startswith("{{") and text.endswith("}}")
    return value.__class__ is Stack


def merged(lower: Tree, upper: Tree) -> Tree:
    """Return `upper` merged over `lower`. Nulls stay, so that a layer can remove what a lower one gives."""
    if not isinstance(upper, dict):
        if may_be_mapping(upper) and (isinstance(lower, dict) or may_be_mapping(lower)):
            return _stacked(lower, upper)
        return upper
    if not isinstance(lower, dict):
        if lower is FAILED:  # what it would have added is not known
            return FAILED
        return _stacked(lower, upper) if may_be_mapping(lower) else upper
    if not upper:
        return lower
    if not lower:
        return upper
    both = {**lower, **upper}
    for key in lower.keys() & upper.keys():
        both[key] = merged(lower[key], upper[key])
    if lower.__class__ is OpenMap or upper.__class__ is OpenMap:
        return OpenMap(both)
    return both


def _stacked(lower: Tree, upper: Tree) -> Stack:
    below = tuple(lower) if isinstance(lower, Stack) else (lower,)
    above = tuple(upper) if isinstance(upper, Stack) else (upper,)
    return Stack(below + above)


def without_nulls(tree: Tree) -> Tree:
    """Return the tree without keys whose value is null; the same object if there are none."""
    if not isinstance(tree, dict):
        return tree
    kept = {key: without_nulls(value) for key, value in tree.items() if value is not None}
    if len(kept) == len(tree) and all(value is tree[key] for key, value in kept.items()):
        return tree
    return kept


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an agent: its name in messages, and its mapping in one file."""

    name: str
    document: Document
    tree: Mapping[str, Tree]


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a value: its layer, the container in it and the key; no container means the layer itself."""

    layer: Layer
    container: Tree = None
    key: str | int = ""

    @property
    def span(self) -> Span:
        """The place of the key, or of the item of a list."""
        if self.container is None:
            return self.layer.document.at(self.layer.tree)
        return self.layer.document.key(self.container, self.key)

    @property
    def value_span(self) -> Span:
        """The place where the value itself begins."""
        if self.container is None:
            return self.layer.document.at(self.layer.tree)
        return self.layer.document.value(self.container, self.key)

    @property
    def source(self) -> object:
        """The value as the file writes it."""
        return self.layer.tree if self.container is None else value_at(self.container, (self.key,))


def deciding(layers: Sequence[Layer], path: Path) -> Place | None:
    """Return the place that decided the value at a path, given the layers from the lowest to the highest."""
    for layer in reversed(layers):
        place = _descend(layer, path)
        if place is not None:
            return place
    return None


def removing(layers: Sequence[Layer], path: Path) -> Place | None:
    """Return the null that removed the value at a path, which a lower layer gives; None where no null did."""
    for index in range(len(layers) - 1, 0, -1):
        place = _descend(layers[index], path)
        if place is not None:
            below = deciding(layers[:index], path) if place.source is None else None
            return place if below is not None and below.source is not None else None
    return None


def _descend(layer: Layer, path: Path) -> Place | None:
    """Return the place of a path in one layer; None where the layer does not have it."""
    node = layer.tree
    place = Place(layer)
    for part in path:
        if isinstance(node, dict):
            if part not in node:
                return None
        elif not (isinstance(node, list) and isinstance(part, int) and part < len(node)):
            return place  # a scalar or an expression decides everything below it
        place = Place(layer, node, part)
        node = node[part]
    return place
