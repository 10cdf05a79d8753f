"""Groups the changes of a plan that differ only in values, so that a report does not grow with copies.

The only place that decides which changes are similar; every format shows these groups, and JSON each change. Reasons of
a group are in the plural: "they are new" where the reason of one change is "it is new".
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from operator import itemgetter
from typing import Any, TypeAlias

from reconciler.model.record import Record
from reconciler.model.tree import LEAVES, Path, Tree
from reconciler.plan.build import Plan
from reconciler.plan.change import (
    Act,
    Action,
    Adopt,
    Because,
    Change,
    Hold,
    Join,
    Keep,
    Reason,
    Replace,
    Rotate,
    Update,
    act_of,
    action_of,
    diffs_of,
    order_of,
)
from reconciler.plan.dangers import sent_to
from reconciler.plan.diff import ABSENT, Absent, FieldDiff
from reconciler.plan.steps import overlaps
from reconciler.report.alike import grouped_by
from reconciler.report.masked_values import UNKNOWN, Side
from reconciler.values import dataclass

# Words that identify one agent: ids of the service, names, digests. Each run of such characters is searched once, from its
# beginning: a search from every place in it would take time quadratic in its length.
_ID = re.compile(r"(?<![\w.-])([.-]*+)(?=[\w.-]*\d)\w[\w.-]{7,}")

# Reasons whose texts hold details of one agent: another agent, an earlier address, a count.
_OF_ONE = frozenset({Because.RENAMED, Because.BESIDE, Because.BACKING_OFF})


@dataclass(frozen=True, slots=True)
class BodyPart:
    """A part of a body before and after, as far as known; a whole subtree if all of it is added or removed."""

    path: Path
    before: Side
    after: Side
    forces: bool = False


_Row: TypeAlias = tuple[Change, tuple[BodyPart, ...]]
# The values at one place in all changes of a group, in their order; a single one where all read alike.
Column: TypeAlias = Sequence[Side]


@dataclass(frozen=True, slots=True)
class PartColumns:
    """One part of all changes of a group: the leaves of each side, keys sorted, each with its path and its column."""

    path: Path
    forces: bool
    befores: Column
    afters: Column
    leaves_before: tuple[tuple[Path, Column], ...]
    leaves_after: tuple[tuple[Path, Column], ...]


@dataclass(frozen=True)
class Group:
    """Changes that are shown as one, in the order of their addresses; their `parts` differ in values only."""

    changes: tuple[Change, ...]
    parts: tuple[tuple[BodyPart, ...], ...]

    @cached_property
    def columns(self) -> tuple[PartColumns, ...]:
        """The parts of all changes, column by column."""
        return tuple(map(_columns, zip(*self.parts, strict=True)))


class _Mixed(Exception):
    """The trees of a column do not have the same keys."""


def _columns(parts: Sequence[BodyPart]) -> PartColumns:
    path = parts[0].path
    befores, afters = [each.before for each in parts], [each.after for each in parts]
    leaves = (tuple(_leaves(path, column)) for column in (befores, afters))
    return PartColumns(path, parts[0].forces, befores, afters, *leaves)


def _leaves(path: Path, column: Sequence[Any]) -> Iterator[tuple[Path, Column]]:
    """Yield the leaves of the trees of a column, or raise `_Mixed`. A subtree that all share is walked once."""
    kinds = set(map(type, column))
    if kinds <= LEAVES:
        yield path, column
        return
    if _are_copies(column):
        column = column[:1]
    first = column[0]
    keys: Iterable[str | int] = ()
    if isinstance(first, Mapping) and all(issubclass(each, Mapping) for each in kinds):
        keys = sorted(first)
    elif isinstance(first, (list, tuple)) and all(issubclass(each, (list, tuple)) for each in kinds):
        keys = range(len(first))
    elif len(kinds) > 1:
        raise _Mixed
    if isinstance(first, (Mapping, list, tuple)) and len(set(map(len, column))) > 1:
        raise _Mixed
    if not keys:
        yield path, column
    for key in keys:
        try:
            below = list(map(itemgetter(key), column))
        except KeyError:
            raise _Mixed from None
        yield from _leaves((*path, key), below)


def _are_copies(column: Sequence[Any]) -> bool:
    """Return whether all values are one object, or a few objects that read alike.

    Agents that were rendered together share what does not vary, so columns of it are long runs of a few objects.
    """
    if len(column) < 2 or column[0] is not column[1]:
        return len(column) == 1
    objects = [column[0], *(each for before, each in pairwise(column) if each is not before)]
    # Copies that fewer agents share take longer to compare than to walk.
    return len(objects) == 1 or (len(objects) <= len(column) // 8 and len(set(map(repr, objects))) == 1)


def grouped(
    changes: Iterable[Change], plan: Plan, *, full: bool = False, bare: frozenset[Action] = frozenset()
) -> tuple[Group, ...]:
    """Return the changes in groups, in the order of their first addresses; `full` makes a group of each.

    For acts in `bare` no parts are shown.
    """
    found: dict[Hashable, list[_Row]] = {}
    risky = frozenset((each.reference, each.host) for each in plan.dangers)
    for number, change in enumerate(sorted(changes, key=order_of)):
        act = act_of(change)
        parts = () if action_of(act) in bare else tuple(parts_of(act))
        endangers = sent_to(change) & risky if risky else None
        where = tuple((part.path, part.forces) for part in parts)
        # A reviewer has to check which address adopts which agent, so each is shown by itself.
        alone = full or act.reason.because is Because.ADOPT_DECLARED
        key = number if alone else (_kind(change, act), endangers, where)
        found.setdefault(key, []).append((change, parts))
    alike = [group for rows in found.values() for group in _of_one_shape(rows)]
    return tuple(sorted(alike, key=lambda group: order_of(group.changes[0])))


def _of_one_shape(rows: list[_Row]) -> Iterable[Group]:
    """Return the rows in groups whose trees have the same keys; usually that is one group, which is found quickly."""
    group = _group(rows)
    try:
        group.columns  # noqa: B018  computed here, since that is the test
        return [group]
    except _Mixed:
        shapes = _Shapes()
        return [_group(alike) for alike in grouped_by(rows, lambda row: shapes.of_parts(row[1]))]


def _group(rows: Iterable[_Row]) -> Group:
    changes, parts = zip(*rows, strict=True)
    return Group(changes, parts)


def nameless(text: str, *own: str) -> str:
    """Return a text without the words that identify one agent: `own` words, ids and names of the service."""
    for word in own:
        text = text.replace(word, "\0") if word else text
    return _ID.sub(lambda found: f"{found[1]}\0", text)


def _kind(change: Change, act: Act | Keep) -> Hashable:
    """Return what the changes of one group have in common besides their fields."""
    held = change.reason if isinstance(change, Hold) else None
    address = change.address
    own = (str(address), address.channel, address.name)
    return (
        action_of(change),
        action_of(act),
        _why(act.reason, own),
        held and _why(held, own),
        isinstance(act, (Replace, Rotate)) and overlaps(act),
        isinstance(act, Update) and not act.values,
        isinstance(act, Join) and (bool(act.awaits), act.formerly is not None),
    )


def _why(reason: Reason, own: Sequence[str]) -> Hashable:
    return (reason.because, "" if reason.because in _OF_ONE else nameless(reason.text, *own))


# --- what changes, before anything of it is compared or rendered ----------------------------------------------


def parts_of(act: Act | Keep) -> Iterable[BodyPart]:
    """Return the parts of a body that an act changes, at their paths in the body's tree."""
    if isinstance(act, Join):
        return _whole(act, ABSENT)
    if isinstance(act, Replace) and act.target.record is None:
        return _whole(act, UNKNOWN)  # its body is not known, so all fields may be new
    if isinstance(act, Adopt):
        return _sent(act.values)
    if isinstance(act, Update) and act.target.record is not None and act.target.record.unsent:
        sent = {("properties", *path) for path in act.values}
        rest = [row for row in act.diffs if not any(row.path[: len(each)] == each for each in sent)]
        return [*_sent(act.values), *(_difference(row, act.target.record) for row in rest)]
    if isinstance(act, (Update, Replace, Rotate)):
        return [_difference(row, act.target.record) for row in diffs_of(act)]
    return ()


def _whole(act: Join | Replace, before: Side) -> list[BodyPart]:
    tree = act.spec.body.tree()
    return [BodyPart((key,), before, tree[key]) for key in sorted(tree)]


def _sent(values: Mapping[Path, Tree]) -> list[BodyPart]:
    return [BodyPart(("properties", *path), UNKNOWN, values[path]) for path in sorted(values, key=str)]


def _difference(diff: FieldDiff, record: Record | None) -> BodyPart:
    before: Side = diff.before
    if record is not None and _is_declared_only(diff, record) and not isinstance(before, Absent):
        before = UNKNOWN
    return BodyPart(diff.path, before, diff.after, diff.forces_replacement)


def _is_declared_only(diff: FieldDiff, record: Record) -> bool:
    """Return whether a recorded value was only declared, at an adoption; the agent's own value is unknown."""
    return record.declared and diff.forces_replacement and diff.path[:1] == ("properties",)


class _Shapes:
    """Numbers the shapes of trees: equal for the same keys. A subtree that agents share is walked once."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._known: dict[int, int] = {}
        self._kept: list[object] = []  # an id is unique only among living objects
        self._keys: dict[tuple[str, ...], tuple[str, ...]] = {}

    def of_parts(self, parts: Sequence[BodyPart]) -> Hashable:
        """Return what the parts of similar changes have in common: everything but the values."""
        return tuple((part.path, part.forces, self._of(part.before), self._of(part.after)) for part in parts)

    def _of(self, value: Side) -> int:
        if value.__class__ in LEAVES:
            return 0
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = self._numbers.setdefault(
                self._shape(value), len(self._numbers) + 1
            )
            self._kept.append(value)
        return known

    def _shape(self, value: Side) -> Hashable:
        if value.__class__ is dict or isinstance(value, Mapping):
            keys = tuple(value)
            inner = [(key, self._of(each)) for key, each in value.items() if each.__class__ not in LEAVES]
            known = self._keys.get(keys)
            if known is None:
                known = self._keys[keys] = tuple(sorted(keys))
            return (known, *sorted(inner)) if inner else known
        if isinstance(value, (list, tuple)):
            return (list, *map(self._of, value))
        return value.__class__.__name__


# The beginnings of reasons (`plan.decide`, `plan.join_reasons`, `plan.holds`) for one agent and for several.
_PLURAL = (
    ("it bears our mark but is not in the state; another checkout may want it (--prune-unrecorded leaves it)",
     "they bear our mark but are not in the state; another checkout may want them (--prune-unrecorded leaves them)"),
    ("it runs but is not in the state", "they run but are not in the state"),
    ("it runs, is not in the state, and was started", "they run, are not in the state, and were started"),
    ("it is ", "they are "),
    ("its agent is gone, and the files do not want it", "their agents are gone, and the files do not want them"),
    ("its agent is ", "their agents are "),
    ("its agent has ", "their agents have "),
    ("its agent was ", "their agents were "),
    ("its agent ended because nobody was in the channel", "their agents ended because nobody was in the channels"),
    ("its agent ", "their agents "),
    ("its replacement was not finished: its agent has left, and none has come in its place",
     "their replacements were not finished: their agents have left, and none have come in their place"),
    ("the service ends it within ", "the service ends them within "),
    ("its token ends within ", "their tokens end within "),
    ("its token is past half of its life", "their tokens are past half of their lives"),
    ("the service does not know its agent any more", "the service does not know their agents any more"),
    ("the files do not want it any more", "the files do not want them any more"),
    ("the team's policy protects it", "the team's policy protects them"),
    ("only its record changes", "only their records change"),
    ("--replace asks for it", "--replace asks for them"),
    ("another agent of ours runs at this address", "other agents of ours run at these addresses"),
)  # fmt: skip


# A command for one address in a reason; for several it stands once.
_COMMAND = re.compile(r"(`reconciler apply --replace) [^`]+`")


def of_many(reason: str, count: int) -> str:
    """Return a reason as that of `count` changes; one without such words stays as it is."""
    if count > 1:
        reason = _COMMAND.sub(r"\1 ADDRESS`", reason)
    for one, many in _PLURAL if count > 1 else ():
        if reason.startswith(one):
            return many + reason.removeprefix(one)
    return reason
