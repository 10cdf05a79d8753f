"""Compare two bodies and list the field differences between them.

Mappings are compared key by key, and equal values are skipped, since most of a fleet is equal. Only lists that differ
are given to deepdiff, which aligns their items and takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter

from reconciler.model.fingerprint import digest
from reconciler.model.tree import MISSING, Path, Tree, value_at
from reconciler.values import dataclass

# Longer texts are compared by their digest: deepdiff would compute a line diff that is not used.
_LONG_TEXT = 120


class Absent:
    """The type of `ABSENT`, the side of a difference that has no value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """One difference: its path in the body's tree, both values, and whether it needs a new agent."""

    path: Path
    before: Tree | Absent
    after: Tree | Absent
    forces_replacement: bool = False


def field_diffs(before: Tree, after: Tree) -> tuple[FieldDiff, ...]:
    """Return every difference of two trees, in the order of their paths; empty when they are equal."""
    # Parts at one depth are of one kind: where a list and a mapping meet, the difference is one row above.
    return tuple(sorted(_rows((), before, after), key=attrgetter("path")))


def _rows(path: Path, before: Tree, after: Tree) -> Iterator[FieldDiff]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key, value in before.items():
            if key in after:
                yield from _rows((*path, key), value, after[key])
            else:
                yield FieldDiff((*path, key), value, ABSENT)
        for key in after:
            if key not in before:
                yield FieldDiff((*path, key), ABSENT, after[key])
    elif isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)):
        yield from _aligned(path, before, after)
    else:
        yield FieldDiff(path, before, after)


def _aligned(path: Path, before: Tree, after: Tree) -> Iterator[FieldDiff]:
    from deepdiff import DeepDiff  # a quarter of a second to import: only for lists that changed

    for level in (
        level
        for found in DeepDiff(_shorten(before), _shorten(after), view="tree").values()
        for level in found
    ):
        old_path: Path = tuple(level.path(output_format="list"))
        new_path: Path = tuple(level.path(output_format="list", use_t2=True))
        old, new = value_at(before, old_path), value_at(after, new_path)
        kind = level.report_type
        yield FieldDiff(
            (*path, *(new_path if kind.endswith("added") else old_path)),
            ABSENT if kind.endswith("added") or old is MISSING else old,  # type: ignore[arg-type]  # not MISSING
            ABSENT if kind.endswith("removed") or new is MISSING else new,  # type: ignore[arg-type]  # not MISSING
        )


def _shorten(value: Tree) -> Tree:
    if isinstance(value, str):
        return value if len(value) < _LONG_TEXT else digest(value)
    if isinstance(value, Mapping):
        return {key: _shorten(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shorten(each) for each in value]
    return value
