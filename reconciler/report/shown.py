"""Values as they may be shown: references as text, literal credentials never; as trees and in lines.

Validation refuses a literal credential long before; this wall stands for what an earlier version recorded, or
what slipped through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from reconciler.model.properties import credential_paths, url_paths
from reconciler.model.secret import references
from reconciler.model.tree import MISSING, Path, Tree, starts_with, value_at
from reconciler.plan.diff import Absent
from reconciler.report.escape import visible


class Unknown:
    """A value that nobody can know: the service returns no configuration."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "(unknown)"


UNKNOWN: Final = Unknown()
Side: TypeAlias = "Tree | Absent | Unknown"


class Masked(str):
    """What stands for a literal credential; a type of its own, so that it is never taken for a value."""

    __slots__ = ()


SENSITIVE: Final = Masked("(sensitive)")

# What may surround a reference without being a secret itself: the scheme of an Authorization header.
_SCHEME = re.compile(r"[A-Za-z]{0,10}[ :]?")
_USER = re.compile(r"(?<=://)[^/?#@\s]+@")
_QUERY = re.compile(r"(?i)([?&][^=&#\s]*(?:key|token|secret|sig|pass|auth|cred)[^=&#\s]*=)(?!ref\+)[^&#\s]+")


def masked(properties: Tree) -> tuple[Tree, tuple[Path, ...]]:
    """Properties without literal credentials, and where those stood; the same tree when there are none."""
    hidden: list[tuple[Path, Tree]] = []
    for path in credential_paths(properties):
        value = value_at(properties, path)
        if value not in ("", None, MISSING) and not _is_reference(value):
            hidden.append((path, SENSITIVE))
    for path in url_paths(properties):
        url = value_at(properties, path)
        if isinstance(url, str) and (safe := _safe_url(url)) != url:
            hidden.append((path, safe))
    tree = properties
    for path, instead in hidden:
        tree = _replaced(tree, path, instead)
    return tree, tuple(path for path, instead in hidden if instead is SENSITIVE)


def _is_reference(value: object) -> bool:
    if not isinstance(value, str):
        return False
    found = list(references(value))
    rest = value
    for reference in found:
        rest = (
            rest.replace(reference.text + "+", "", 1)
            if reference.text + "+" in rest
            else rest.replace(reference.text, "", 1)
        )
    return bool(found) and _SCHEME.fullmatch(rest) is not None


def _safe_url(url: str) -> str:
    return _QUERY.sub(rf"\1{SENSITIVE}", _USER.sub(f"{SENSITIVE}@", url))


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


def plain(tree: Tree) -> Tree:
    """The tree as JSON carries it: keys sorted, literal credentials as null."""
    if isinstance(tree, Masked):
        return None
    if isinstance(tree, Mapping):
        return {key: plain(tree[key]) for key in sorted(tree)}
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [plain(each) for each in tree]
    return tree


def sensitivity(tree: Tree, paths: Sequence[Path]) -> Tree:
    """`true` at each of the paths, in the tree's shape: lists keep their length, other values are absent."""
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


def in_line(value: Side) -> str:
    """A value as one line, every character of it visible."""
    if isinstance(value, (Masked, Absent, Unknown)):
        return str(value)
    return visible(json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=True))


def parts(path: Path, value: Side) -> Iterator[tuple[Path, Side]]:
    """A value's leaves with their paths, keys sorted; an empty container and what is no tree are leaves."""
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from parts((*path, key), value[key])
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for index, each in enumerate(value):
            yield from parts((*path, index), each)
    else:
        yield path, value
