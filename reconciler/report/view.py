"""Makes rows from a plan: the values that text, Markdown and HTML show, each in its own way.

A row is a group of changes. Foreign text in rows is not escaped: that belongs to the sink. Literal credentials are
masked here already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from reconciler.diagnostics import Span, plural
from reconciler.model.address import Address
from reconciler.model.spec import Body, describe
from reconciler.model.tree import Path, Tree, leaves, starts_with
from reconciler.plan.build import Plan
from reconciler.plan.change import (
    Act,
    Action,
    Change,
    Forget,
    Hold,
    Keep,
    Replace,
    Rotate,
    Update,
    act_of,
    action_of,
    diffs_of,
    target_of,
)
from reconciler.plan.diff import Absent
from reconciler.plan.steps import overlaps
from reconciler.report.actions import WORDS
from reconciler.report.alike import grouped_by
from reconciler.report.escape import visible
from reconciler.report.groups import Column, Group, PartColumns, grouped, of_many
from reconciler.report.masked_values import Side, UnknownValue, any_long, leaf, masked, shows_every_text
from reconciler.report.sentences import headline
from reconciler.values import dataclass

# How many values of a varying field are shown; of long texts all are kept, to be merged.
FEW = 3


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a field before and after in some agents of a row, the first of their addresses, and their number."""

    before: Side
    after: Side
    first: Address
    agents: int = 1


@dataclass(frozen=True, slots=True)
class Field:
    """One difference of one leaf; `path` as users write it. `count` is the number of values, `values` those to show."""

    sign: str
    path: str
    values: tuple[Value, ...]
    count: int
    forces: bool = False


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """Pending changes shown as one: `action` is what happens, `wanted` what would happen if they were not held.

    `reasons` and `holds` are the distinct texts of the reasons; `agent_id` is set for a single change. `unchanged_leaves`
    is how many leaves are unchanged, at least and at most, if that is known.
    """

    addresses: tuple[Address, ...]
    action: Action
    wanted: Action
    symbol: str
    headline: str
    reasons: tuple[str, ...]
    holds: tuple[str, ...]
    places: tuple[Span, ...]
    agent_id: str
    agent_name: str
    fields: tuple[Field, ...]
    unchanged_leaves: tuple[int, int] | None
    change: Change

    @property
    def address(self) -> Address:
        """The first address."""
        return self.addresses[0]

    @property
    def subject(self) -> str:
        """The address, or the number of agents, with invisible characters escaped."""
        if len(self.addresses) == 1:
            return visible(str(self.address))
        return plural(len(self.addresses), "agent", "agents")

    @property
    def place(self) -> str:
        """The place in the files that asks for this, or the first and the last place."""
        if not self.places:
            return ""
        first, last = min(self.places), max(self.places)
        if (first.file, first.line) == (last.file, last.line):
            return f"{first.file}:{first.line}"
        file = last.file if last.file != first.file else ""
        return f"{first.file}:{first.line} … {file}:{last.line} ({len(self.places):,} places)"

    @property
    def agent(self) -> str:
        """The id and name of the agent of a single change that has no fields, with invisible characters escaped."""
        return visible(f"{self.agent_id} {self.agent_name}".rstrip()) if not self.fields else ""

    @property
    def unchanged(self) -> str:
        """How many leaves of each agent are unchanged; empty if that is zero or unknown."""
        if self.unchanged_leaves is None or not self.unchanged_leaves[1]:
            return ""
        least, most = self.unchanged_leaves
        return f"{least:,} unchanged" if least == most else f"{least:,} to {most:,} unchanged"

    @property
    def ends_conversation(self) -> bool:
        """Whether this change, as it will be made, ends a running conversation."""
        return self.action in (Action.REPLACE, Action.ROTATE, Action.LEAVE)


def change_rows(
    plan: Plan, *, full: bool = False, bare: frozenset[Action] = frozenset(), by_place: bool = False
) -> tuple[ChangeRow, ...]:
    """Return every pending change, those that differ only in values as one row, in the order of first addresses.

    `full` makes a row of each; for acts in `bare` no fields are shown. `by_place` separates changes that different
    lines of the files ask for.
    """
    groups = grouped(plan.pending, plan, full=full, bare=bare)
    if by_place:
        groups = tuple(part for group in groups for part in _by_place(plan, group))
    return tuple(_row(plan, group) for group in groups)


def _by_place(plan: Plan, group: Group) -> Iterator[Group]:
    rows = zip(group.changes, group.parts, strict=True)
    for alike in grouped_by(rows, lambda row: location_of(plan, row[0])):
        yield Group(*map(tuple, zip(*alike, strict=True)))


def location_of(plan: Plan, change: Change) -> Span | None:
    """Return the place that asks for a change: of the path that forces it, else of the first, else of the agent."""
    if plan.fleet is None:
        return None
    for diff in sorted(diffs_of(change), key=lambda each: not each.forces_replacement):
        found = plan.fleet.locate(change.address, diff.path)
        if found is not None:
            return found
    return plan.fleet.locate(change.address, ())


def _row(plan: Plan, group: Group) -> ChangeRow:
    change = group.changes[0]
    act = act_of(change)
    symbol = WORDS[action_of(change)].sign
    if isinstance(act, (Replace, Rotate)) and overlaps(act) and not isinstance(change, Hold):
        symbol = "+/-"
    count = len(group.changes)
    alone = count == 1
    target = target_of(change) if alone else None
    forgotten = act.record if isinstance(act, Forget) and alone else None
    held = dict.fromkeys(each.reason.text for each in group.changes if isinstance(each, Hold))
    texts = dict.fromkeys(act_of(each).reason.text for each in group.changes)
    places = dict.fromkeys(location_of(plan, each) for each in group.changes)
    return ChangeRow(
        addresses=tuple(each.address for each in group.changes),
        action=action_of(change),
        wanted=action_of(act),
        symbol=symbol,
        headline=headline(act, held=isinstance(change, Hold), count=count),
        reasons=tuple(dict.fromkeys(of_many(each, count) for each in texts)),
        holds=tuple(dict.fromkeys(of_many(each, count) for each in held)),
        places=tuple(each for each in places if each is not None),
        agent_id=target.agent_id if target else forgotten.agent_id if forgotten else "",
        agent_name=target.name if target else forgotten.name if forgotten else "",
        fields=tuple(_fields(group)),
        unchanged_leaves=_unchanged(group),
        change=change,
    )


# --- fields -------------------------------------------------------------------------------------------------


def _fields(group: Group) -> Iterator[Field]:
    """Yield the leaves that change, each with its values in all changes."""
    addresses = [each.address for each in group.changes]
    for part in group.columns:
        for sign, path, before, after in _leaf_rows(part):
            values, count = _values(path, before, after, addresses)
            yield Field(sign, describe(path), values, count, part.forces)


def _leaf_rows(part: PartColumns) -> Iterator[tuple[str, Path, Column, Column]]:
    """Yield a part as leaves: a whole mapping that is added or removed is shown key by key."""
    before, after = part.befores[0], part.afters[0]
    if isinstance(before, UnknownValue):
        yield from (("~", path, part.befores, column) for path, column in part.leaves_after)
    elif isinstance(before, Absent) or isinstance(after, Absent) or _is_tree(before) or _is_tree(after):
        if not isinstance(before, Absent):
            yield from (("-", path, column, _GONE) for path, column in part.leaves_before)
        if not isinstance(after, Absent):
            yield from (("+", path, _GONE, column) for path, column in part.leaves_after)
    else:
        yield "~", part.path, part.befores, part.afters


_GONE: Column = (Absent(),)


def _is_tree(value: Side) -> bool:
    """Return whether a value has leaves of its own."""
    return isinstance(value, (Mapping, list, tuple)) and bool(value)


def _values(
    path: Path, befores: Column, afters: Column, addresses: Sequence[Address]
) -> tuple[tuple[Value, ...], int]:
    """Return the different values of a leaf that are shown, masked, and their number."""
    size = max(len(befores), len(afters))
    columns = [_identities(column) for column in (befores, afters) if len(column) == size]
    keys = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    counts = Counter(keys)
    texts = any(_has_long(counts if column is keys else column) for column in (befores, afters))
    shown = list(counts) if texts else list(islice(counts, FEW + 1))
    firsts = dict(zip(reversed(keys), range(size - 1, -1, -1), strict=True)) if texts else {}
    found = []
    is_shown = shows_every_text(path)
    for key in shown:
        at = firsts[key] if texts else keys.index(key)
        before, after = befores[at % len(befores)], afters[at % len(afters)]
        if not is_shown:
            before, after = leaf(path, before), leaf(path, after)
        found.append(Value(before, after, addresses[at], counts[key] if size > 1 else len(addresses)))
    return tuple(found), len(counts)


def _has_long(values: Iterable[Any]) -> bool:
    """Return whether some value is shown as lines of its own."""
    texts = {each for each in values if each.__class__ is str}
    return bool(texts) and any_long(texts)


def _identities(column: Column) -> Sequence[Hashable]:
    """Return for each value a key that is equal for values that read alike; 1, 1.0 and true do not."""
    kinds = set(map(type, column))
    if len(kinds) == 1:
        return column if kinds <= {str, int} else list(map(repr, column))
    return [each if each.__class__ is str else (each.__class__, repr(each)) for each in column]


def body_tree(body: Body) -> dict[str, Tree]:
    """Return a body as a tree, with literal credentials masked."""
    return {**body.tree(), "properties": masked(body.properties)[0]}


def _unchanged(group: Group) -> tuple[int, int] | None:
    """Return how many leaves are unchanged, at least and at most; None if that is not known for every change."""
    counts = [_unchanged_in(act_of(each)) for each in group.changes]
    known = [each for each in counts if each is not None]
    return (min(known), max(known)) if len(known) == len(counts) else None


def _unchanged_in(act: Act | Keep) -> int | None:
    if (
        not isinstance(act, (Update, Replace, Rotate))
        or act.target.record is None
        or act.target.record.unsent
    ):
        return None
    touched = [each.path for each in act.diffs]
    every = leaves(act.spec.body.tree())
    return sum(1 for path, _ in every if not any(starts_with(path, each) for each in touched))
