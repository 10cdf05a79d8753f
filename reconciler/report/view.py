"""Makes rows from a plan: the values that text, Markdown and JSON show, each in its own way.

Rows hold foreign text as it is; escaping belongs to the sink. Literal credentials are masked here already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.diagnostics import Span
from reconciler.model.address import Address
from reconciler.model.record import Record
from reconciler.model.spec import AgentSpec, describe
from reconciler.model.tree import MISSING, Path, Tree, leaves, starts_with, value_at
from reconciler.plan.build import Plan
from reconciler.plan.change import (
    Act,
    Action,
    Adopt,
    Change,
    Forget,
    Hold,
    Join,
    Keep,
    Reason,
    Replace,
    Rotate,
    Update,
    action_of,
    diffs_of,
    target_of,
)
from reconciler.plan.diff import ABSENT, Absent, FieldDiff
from reconciler.plan.steps import overlaps
from reconciler.report.sentences import headline
from reconciler.report.shown import UNKNOWN, Side, masked, parts
from reconciler.report.style import SYMBOLS


@dataclass(frozen=True, slots=True)
class Field:
    """One difference of one leaf; `path` as users know it."""

    sign: str
    path: str
    before: Side
    after: Side
    forces: bool = False


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One pending change: `action` is what happens, `wanted` what would happen were it not held."""

    address: Address
    action: Action
    wanted: Action
    symbol: str
    headline: str
    because: Reason
    held: Reason | None
    location: Span | None
    agent_id: str
    agent_name: str
    fields: tuple[Field, ...]
    unchanged: int | None
    change: Change

    @property
    def ends_conversation(self) -> bool:
        """Whether this change, as it will be carried out, hangs up on somebody."""
        return self.action in (Action.REPLACE, Action.ROTATE, Action.LEAVE)


def change_rows(plan: Plan) -> tuple[ChangeRow, ...]:
    """Every pending change in the order of the addresses; several at one address by action and agent."""
    rows = (_row(plan, change) for change in plan.pending)
    return tuple(sorted(rows, key=lambda row: (row.address, row.wanted.value, row.agent_id)))


def location_of(plan: Plan, change: Change) -> Span | None:
    """The place in the files that asks for a change: of the path that forces it, else of the first, else the
    agent's own."""
    if plan.fleet is None:
        return None
    diffs = sorted(diffs_of(change), key=lambda each: not each.forces_replacement)
    paths: list[Path] = [each.path for each in diffs]
    found = (plan.fleet.locate(change.address, path) for path in [*paths, ()])
    return next((each for each in found if each is not None), None)


def inner(change: Change) -> Act | Keep:
    """The change itself, also where it is held."""
    return change.change if isinstance(change, Hold) else change


def _row(plan: Plan, change: Change) -> ChangeRow:
    act = inner(change)
    target = target_of(change)
    fields = tuple(_fields(act))
    symbol = SYMBOLS[action_of(change)]
    if isinstance(act, (Replace, Rotate)) and overlaps(act) and not isinstance(change, Hold):
        symbol = "+/-"
    return ChangeRow(
        address=change.address,
        action=action_of(change),
        wanted=action_of(act),
        symbol=symbol,
        headline=headline(act, held=isinstance(change, Hold)),
        because=act.reason,
        held=change.reason if isinstance(change, Hold) else None,
        location=location_of(plan, change),
        agent_id=target.agent_id if target else act.record.agent_id if isinstance(act, Forget) else "",
        agent_name=target.name if target else act.record.name if isinstance(act, Forget) else "",
        fields=fields,
        unchanged=_unchanged(act),
        change=change,
    )


# --- fields -------------------------------------------------------------------------------------------------


def _fields(act: Act | Keep) -> Iterator[Field]:
    match act:
        case Join():
            tree = body_tree(act.spec)
            yield from (Field("+", describe(path), ABSENT, value) for path, value in parts((), tree))
        case Replace() if act.target.record is None:
            # Nobody knows what it has: all that its successor is sent may be new.
            tree = body_tree(act.spec)
            yield from (Field("~", describe(path), UNKNOWN, value) for path, value in parts((), tree))
        case Update() if act.target.record is not None and act.target.record.unsent:
            yield from _sent(act.spec, act.values)
            sent = [("properties", *path) for path in act.values]
            rest = [row for row in act.diffs if not any(starts_with(row.path, each) for each in sent)]
            yield from _differences(act.spec, act.target.record, rest)
        case Update() | Replace() | Rotate():
            yield from _differences(act.spec, act.target.record, act.diffs)
        case Adopt():
            yield from _sent(act.spec, act.values)
        case _:
            return


def _sent(spec: AgentSpec, values: Mapping[Path, Tree]) -> Iterator[Field]:
    """In-place values that are sent to an agent of which nobody knows what it has."""
    tree = body_tree(spec)
    for path in sorted(values, key=str):
        for leaf, value in parts(("properties", *path), _side(tree, ("properties", *path), values[path])):
            yield Field("~", describe(leaf), UNKNOWN, value)


def _differences(spec: AgentSpec, record: Record | None, diffs: Iterable[FieldDiff]) -> Iterator[Field]:
    old = record_tree(record) if record is not None else {}
    new = body_tree(spec)
    for diff in diffs:
        before, after = _side(old, diff.path, diff.before), _side(new, diff.path, diff.after)
        if record is not None and _is_declared_only(diff, record) and not isinstance(before, Absent):
            before = UNKNOWN
        yield from _split(diff, before, after)


def _is_declared_only(diff: FieldDiff, record: Record) -> bool:
    """Whether a recorded value is what the files said at an adoption: the service never tells what an agent runs with."""
    return record.declared and diff.forces_replacement and diff.path[:1] == ("properties",)


def _split(diff: FieldDiff, before: Side, after: Side) -> Iterator[Field]:
    """A difference as leaves: a whole mapping that comes or goes is shown key by key."""
    old, new = dict(parts(diff.path, before)), dict(parts(diff.path, after))
    is_both = not isinstance(before, Absent) and not isinstance(after, Absent)
    if is_both and diff.path in old and diff.path in new:
        yield Field("~", describe(diff.path), before, after, diff.forces_replacement)
        return
    forces = diff.forces_replacement
    if not isinstance(before, Absent):
        yield from (Field("-", describe(path), value, ABSENT, forces) for path, value in old.items())
    if not isinstance(after, Absent):
        yield from (Field("+", describe(path), ABSENT, value, forces) for path, value in new.items())


def _side(tree: Tree, path: Path, given: Side) -> Side:
    """One side of a difference, taken from the masked tree wherever it stands there."""
    if isinstance(given, Absent):
        return given
    found = value_at(tree, path)
    return given if found is MISSING else found  # type: ignore[return-value]  # not MISSING


def body_tree(spec: AgentSpec) -> dict[str, Tree]:
    """The body of a spec, literal credentials masked."""
    return {**spec.body.tree(), "properties": masked(spec.body.properties)[0]}


def record_tree(record: Record) -> dict[str, Tree]:
    """The body of a record, literal credentials masked."""
    return {**record.body.tree(), "properties": masked(record.body.properties)[0]}


def _unchanged(act: Act | Keep) -> int | None:
    """How many leaves stay as they are; None where the change is not about fields, or nobody knows."""
    if (
        not isinstance(act, (Update, Replace, Rotate))
        or act.target.record is None
        or act.target.record.unsent
    ):
        return None
    touched = [each.path for each in act.diffs]
    every = leaves(act.spec.body.tree())
    return sum(1 for path, _ in every if not any(starts_with(path, each) for each in touched))
