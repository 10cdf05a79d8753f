"""Lower changes to steps, and order all steps of a plan, as data.

`plan --explain` prints the same tuples that an apply runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, assert_never

from reconciler.model.spec import UID, ReplaceOrder
from reconciler.model.tree import Path, Tree
from reconciler.plan.build import Plan
from reconciler.plan.change import (
    Adopt,
    Because,
    Change,
    Forget,
    Hold,
    Join,
    Keep,
    Leave,
    Renew,
    Replace,
    Rotate,
    Target,
    Update,
)
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class CallLeave:
    """Ask the service to end an agent."""

    target: Target


@dataclass(frozen=True, slots=True)
class AwaitGone:
    """Wait until the service says that an agent has ended."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class CallJoin:
    """Start the next generation of an agent; `other_uid` if it joins while the agent that it replaces runs."""

    other_uid: bool = False


@dataclass(frozen=True, slots=True)
class AwaitRunning:
    """Wait until the agent just started runs, before its predecessor leaves."""


@dataclass(frozen=True, slots=True)
class CallUpdate:
    """Send complete in-place values; also a new token if one is due or `token` is True."""

    values: Mapping[Path, Tree]
    token: bool = False


@dataclass(frozen=True, slots=True)
class Remember:
    """Record the running agent as it is."""


@dataclass(frozen=True, slots=True)
class DropMemory:
    """Drop the record."""


Step: TypeAlias = CallLeave | AwaitGone | CallJoin | AwaitRunning | CallUpdate | Remember | DropMemory


@dataclass(frozen=True, slots=True)
class Task:
    """A change with all of its steps, or with the part of them that must come first or last."""

    change: Change
    steps: tuple[Step, ...]


# One channel's tasks, in order; channels are independent of each other.
Program: TypeAlias = tuple[Task, ...]


def steps_of(change: Change) -> tuple[Step, ...]:
    """Return the steps of a change; empty for a hold and for an agent in sync."""
    match change:
        case Join():
            return (*(AwaitGone(each) for each in change.awaits), CallJoin())
        case Replace() | Rotate():
            if overlaps(change):
                return (CallJoin(other_uid=True), AwaitRunning(), *_leave(change))
            return (*_leave(change), CallJoin())
        case Leave():
            return _leave(change)
        case Update():
            calls = change.values or change.reason.because is Because.UNSENT
            return (CallUpdate(change.values),) if calls else (Remember(),)
        case Renew():
            return (CallUpdate({}, token=True),)
        case Adopt():
            if change.target.record is not None:
                return (Remember(),)
            return (Remember(), CallUpdate(change.values, token=True))
        case Forget():
            return (DropMemory(),)
        case Hold() | Keep():
            return ()
        case _:
            assert_never(change)


def _leave(change: Replace | Rotate | Leave) -> tuple[Step, ...]:
    return (CallLeave(change.target), AwaitGone(change.target.agent_id))


def overlaps(change: Replace | Rotate) -> bool:
    """Return whether the new agent joins while the old one runs: the files ask for it, and their uids can differ.

    Not for an adopted agent: only its record proves that it is ours, and the new agent's record replaces that one.
    """
    spec, record = change.spec, change.target.record
    if spec.lifecycle.replace is not ReplaceOrder.JOIN_FIRST or record is None or record.declared:
        return False
    return spec.body.uid is None or any(row.path == ("properties", *UID) for row in change.diffs)


def waves(plan: Plan) -> tuple[tuple[Program, ...], ...]:
    """Return the programs of a plan as waves: waves run one after the other, the programs of a wave side by side.

    Leaves come in a wave before the rest, so that there is room for joins, unless the quota has room for both: then no
    join waits for a leaving agent to end. Within a channel the order is fixed.
    """
    acts = plan.acts
    leaves = [each for each in acts if isinstance(each, Leave)]
    others = [each for each in acts if not isinstance(each, Leave)]
    joins = sum(1 for each in others if isinstance(each, Join))
    quota = plan.cost.quota
    room = quota is not None and plan.cost.before + joins <= quota
    if leaves and joins and not room:
        return (_programs(leaves), _programs(others))
    return (_programs(acts),) if acts else ()


def _programs(changes: Iterable[Change]) -> tuple[Program, ...]:
    by_channel: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        by_channel[change.address.channel].append(change)
    return tuple(_program(by_channel[channel]) for channel in sorted(by_channel))


def _program(changes: Sequence[Change]) -> Program:
    """Return the tasks of one channel: leaves, then replacements, then joins, then changes that take no seat.

    Where a replacement needs the uid of another agent that is replaced too, all leaves come first; join-first is not
    possible then.
    """
    ranked = sorted(changes, key=lambda each: (_RANK[type(each)], each.address))
    replaced = [each for each in ranked if isinstance(each, (Replace, Rotate))]
    held = {each.target.uid: each for each in replaced if each.target.uid}
    tangled = any(
        each.spec.body.uid in held and held[each.spec.body.uid] is not each
        for each in replaced
        if each.spec.body.uid
    )
    if not tangled:
        return tuple(Task(each, steps_of(each)) for each in ranked)
    first = tuple(Task(each, _leave(each)) for each in replaced)
    rest = tuple(Task(each, (CallJoin(),) if each in replaced else steps_of(each)) for each in ranked)
    leaves = tuple(each for each in rest if isinstance(each.change, Leave))
    return (*leaves, *first, *(each for each in rest if not isinstance(each.change, Leave)))


_RANK: Mapping[type, int] = {
    Leave: 0,
    Forget: 1,
    Replace: 2,
    Rotate: 2,
    Join: 3,
    Update: 4,
    Adopt: 4,
    Renew: 5,
    Hold: 6,
    Keep: 6,
}
