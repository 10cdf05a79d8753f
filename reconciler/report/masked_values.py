"""Values for display, as trees and in lines: references as text, literal credentials hidden.

Validation refuses a literal credential long before; this masking is for records of earlier versions, and for what
validation missed. Which parts of a text may be shown is decided in `credentials`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeAlias

from reconciler.contract.places import (
    credential_paths,
    holds_credential,
    is_credential_path,
    is_prose,
    is_url_path,
    url_paths,
)
from reconciler.model.tree import MISSING, Path, Tree, starts_with, value_at
from reconciler.plan.diff import Absent
from reconciler.report.credentials import SENSITIVE, Masked, address, credential
from reconciler.report.escape import visible


class UnknownValue:
    """A value that cannot be known, because the service returns no configuration."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "(unknown)"


UNKNOWN: Final = UnknownValue()
Side: TypeAlias = "Tree | Absent | UnknownValue"


def masked(properties: Tree) -> tuple[Tree, tuple[Path, ...]]:
    """Return properties without literal credentials, and their paths; the same tree if there are none."""
    hidden: list[tuple[Path, Tree]] = []
    for path in credential_paths(properties):
        value = value_at(properties, path)
        if value not in ("", None, MISSING):
            hidden.append((path, credential(path, value)))  # type: ignore[arg-type]  # not MISSING
    for path in url_paths(properties):
        value = value_at(properties, path)
        if isinstance(value, str):
            hidden.append((path, address(value)))
    tree = properties
    for path, instead in hidden:
        if instead is SENSITIVE or instead != value_at(properties, path):
            tree = _replaced(tree, path, instead)
    return tree, tuple(path for path, instead in hidden if instead is SENSITIVE)


def _replaced(tree: Tree, path: Path, value: Tree) -> Tree:
    if not path:
        return value
    if isinstance(tree, Mapping):
        return {
            key: _replaced(each, path[1:], value) if key == path[0] else each for key, each in tree.items()
        }
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [
            _replaced(each, path[1:], value) if index == path[0] else each for index, each in enumerate(tree)
        ]
    return tree


def leaf(path: Path, value: Side) -> Side:
    """Return a leaf of a body as `masked` would leave it; `path` begins with `properties` if it is below them."""
    if path[:1] != ("properties",) or not isinstance(value, (str, int, float)) or value == "":
        return value  # only texts and numbers can be secrets
    below = path[1:]
    if isinstance(value, str) and is_url_path(below) and (url := address(value)) != value:
        return url
    return credential(below, value) if holds_credential(below, value) else value


def shows_every_text(path: Path) -> bool:
    """Return whether `leaf` returns every text at a path as it is."""
    below = path[1:]
    return path[:1] != ("properties",) or (
        is_prose(below) and not is_credential_path(below) and not is_url_path(below)
    )


def plain(tree: Tree) -> Tree:
    """Return the tree for JSON: keys sorted, literal credentials as null."""
    if isinstance(tree, str):
        return None if isinstance(tree, Masked) else tree
    if isinstance(tree, (dict, Mapping)):
        return {key: plain(tree[key]) for key in sorted(tree)}
    if isinstance(tree, Sequence):
        return [plain(each) for each in tree]
    return tree


def sensitivity(tree: Tree, paths: Sequence[Path]) -> Tree:
    """Return `true` at each of the paths, in the tree's shape: lists keep their length, other values are absent."""
    here = [path for path in paths if path]
    if any(not path for path in paths):
        return True
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [
            sensitivity(each, [path[1:] for path in here if path[0] == index]) if here else {}
            for index, each in enumerate(tree)
        ]
    if isinstance(tree, Mapping):
        heads = sorted({str(path[0]) for path in here})
        return {
            head: sensitivity(tree[head], [path[1:] for path in here if starts_with(path, (head,))])
            for head in heads
        }
    return {}


# The longest text, in characters, that is shown on the line of its field; longer text is shown as lines.
_SHORT_TEXT = 80


def is_text(value: Side) -> bool:
    """Return whether a value is a text that is shown as it is."""
    return isinstance(value, str) and not isinstance(value, Masked)


def is_long(value: Side) -> bool:
    """Return whether a value is shown as lines of its own."""
    return isinstance(value, str) and (len(value) > _SHORT_TEXT or "\n" in value) and is_text(value)


def any_long(texts: Collection[str]) -> bool:
    """Return whether some of these texts, of which there is one at least, is shown as lines of its own."""
    return max(map(len, texts)) > _SHORT_TEXT or any("\n" in each for each in texts)


def in_line(value: Side) -> str:
    """Return a value as one line, with invisible characters escaped."""
    if isinstance(value, (Masked, Absent, UnknownValue)):
        return str(value)
    return visible(json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=True))
