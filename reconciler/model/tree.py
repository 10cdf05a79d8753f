"""Plain JSON trees and the paths into them: the form in which `properties` are kept, compared and sent.

A tree is made of dict, list, str, int, float, bool and None. Only functions that read trees are here; no tree is ever
changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from reconciler.secrets import MARK, SecretRef, references

Tree: TypeAlias = "Mapping[str, Tree] | Sequence[Tree] | str | int | float | bool | None"
Path: TypeAlias = tuple[str | int, ...]


# The types of leaves: those that are not texts, and all.
NON_TEXTS: Final = frozenset({int, float, bool, type(None)})
LEAVES: Final = NON_TEXTS | {str}


class _Missing:
    """The type of `MISSING`, the value at a path that does not exist."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


def dotted(path: Path) -> str:
    """Return a path as users write it: `llm.system_messages[0].content`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def value_at(tree: Tree, path: Path) -> Tree | _Missing:
    """Return the value at a path, or MISSING."""
    for part in path:
        if isinstance(part, str):
            if not isinstance(tree, Mapping) or part not in tree:
                return MISSING
            tree = tree[part]
        else:
            if isinstance(tree, str) or not isinstance(tree, Sequence) or part >= len(tree):
                return MISSING
            tree = tree[part]
    return tree


def is_deeper(tree: object, depth: int) -> bool:
    """Return whether dicts and lists are nested in more than `depth` levels; without recursion."""
    level: list[object] = [tree]
    for _ in range(depth):
        below: list[object] = [
            each for node in level for each in _children(node) if isinstance(each, (dict, list))
        ]
        if not below:
            return False
        level = below
    return True


def _children(node: object) -> Iterable[object]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def leaves(tree: Tree, path: Path = ()) -> Iterator[tuple[Path, Tree]]:
    """Yield every leaf with its path, in the tree's own order; an empty container is a leaf."""
    if isinstance(tree, str) or not tree:
        yield path, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    elif isinstance(tree, Sequence):
        for index, value in enumerate(tree):
            yield from leaves(value, (*path, index))
    else:
        yield path, tree


def without(tree: Tree, path: Path) -> Tree:
    """Return a copy of the tree without the value at `path`; the same tree when there is no value.

    Mappings that become empty are removed too, so that ignoring the only key of a mapping leaves no trace of it.
    """
    if not path or not isinstance(tree, (dict, Mapping)) or path[0] not in tree:
        return tree
    head = str(path[0])
    rest: Tree = without(tree[head], path[1:]) if len(path) > 1 else {}
    if rest is tree[head]:
        return tree
    made = {**tree, head: rest}
    if isinstance(rest, (dict, Mapping)) and not rest:
        del made[head]
    return made


def starts_with(path: Path, prefix: Path) -> bool:
    """Return whether `path` is `prefix` or a path below it."""
    return path[: len(prefix)] == prefix


def parse_dotted(text: str) -> Path:
    """Return the path that `dotted` would print as `text`; raise ValueError when it is malformed."""
    if not text or text.startswith(".") or text.endswith(".") or ".." in text:
        raise ValueError(f"not a path: {text!r}")
    path: list[str | int] = []
    for piece in text.split("."):
        name, *indexes = piece.replace("]", "").split("[")
        if name:
            path.append(name)
        path.extend(int(index) for index in indexes)
    return tuple(path)


def texts_with_references(tree: Tree) -> Iterator[str]:
    """Yield every text in a tree that may hold a reference to a secret, in any order; with a stack, for speed."""
    stack: list[Iterable[Tree]] = [(tree,)]
    while stack:
        for node in stack.pop():
            if type(node) in NON_TEXTS:
                continue
            if isinstance(node, str):
                if MARK in node:
                    yield node
            elif isinstance(node, (dict, Mapping)):
                stack.append(node.values())
            elif isinstance(node, (list, tuple)):
                stack.append(node)


def references_in(*trees: Tree) -> frozenset[SecretRef]:
    """Return every reference to a secret in some trees."""
    texts = (text for tree in trees for text in texts_with_references(tree))
    return frozenset(reference for text in texts for reference in references(text))


def tree_references(tree: Tree) -> Iterator[tuple[Path, SecretRef]]:
    """Yield every reference to a secret in a tree with its path, in the tree's order."""
    for path, value in leaves(tree):
        if isinstance(value, str) and MARK in value:
            for ref in references(value):
                yield path, ref
