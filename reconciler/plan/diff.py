"""Two bodies -> the field differences between them.

Equal values never reach deepdiff: it costs milliseconds, and a fleet is mostly equal. What is left after the
equal subtrees are cut away is small, and deepdiff aligns its lists as people would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.model.fingerprint import digest
from reconciler.model.tree import MISSING, Path, Tree, value_at

# Longer texts are compared by digest: deepdiff would run a line diff that nobody looks at.
_LONG_TEXT = 120


class Absent:
    """The side of a difference on which there is no value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """One difference: `path` in the body's tree, and whether it forces a new agent."""

    path: Path
    before: Tree | Absent
    after: Tree | Absent
    forces_replacement: bool = False


def field_diffs(before: Tree, after: Tree) -> tuple[FieldDiff, ...]:
    """Every difference of two trees, in the order of their paths; empty when they are equal."""
    if before == after:
        return ()
    pruned_before, pruned_after = _prune(before, after)
    return tuple(sorted(_rows(pruned_before, pruned_after, before, after), key=_order))


def _prune(before: Tree, after: Tree) -> tuple[Tree, Tree]:
    """Both trees without what they share: equal values under equal keys, all the way down."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        left: dict[str, Tree] = {}
        right: dict[str, Tree] = {}
        for key, value in before.items():
            if key not in after:
                left[key] = _shorten(value)
            elif value != after[key]:
                left[key], right[key] = _prune(value, after[key])
        right.update({key: _shorten(value) for key, value in after.items() if key not in before})
        return left, right
    return _shorten(before), _shorten(after)


def _shorten(value: Tree) -> Tree:
    if isinstance(value, str):
        return value if len(value) < _LONG_TEXT else digest(value)
    if isinstance(value, Mapping):
        return {key: _shorten(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shorten(each) for each in value]
    return value


def _rows(left: Tree, right: Tree, before: Tree, after: Tree) -> Iterator[FieldDiff]:
    from deepdiff import DeepDiff  # a quarter of a second to import: only for what changed

    for level in (level for found in DeepDiff(left, right, view="tree").values() for level in found):
        old_path: Path = tuple(level.path(output_format="list"))
        new_path: Path = tuple(level.path(output_format="list", use_t2=True))
        old, new = value_at(before, old_path), value_at(after, new_path)
        kind = level.report_type
        yield FieldDiff(
            new_path if kind.endswith("added") else old_path,
            ABSENT if kind.endswith("added") or old is MISSING else old,  # type: ignore[arg-type]  # not MISSING
            ABSENT if kind.endswith("removed") or new is MISSING else new,  # type: ignore[arg-type]  # not MISSING
        )


def _order(row: FieldDiff) -> tuple[tuple[int, str], ...]:
    return tuple((part if isinstance(part, int) else -1, str(part)) for part in row.path)
