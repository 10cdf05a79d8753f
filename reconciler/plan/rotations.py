"""Which agents one run rotates, over the whole fleet: at most `limits.max_unavailable`, and all before their end.

Agents that started together end together. Where the runs that come before their end cannot rotate all of them within
the limit, some are rotated early, before `rotate_after`, so that the last run does not have to rotate the rest at once.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from math import ceil
from typing import NamedTuple

from reconciler.model.address import Address
from reconciler.model.capabilities import Capabilities
from reconciler.model.fleet import Limits
from reconciler.model.spec import HOUR
from reconciler.plan.basis import Basis
from reconciler.plan.change import Adopt, Because, Change, Hold, Keep, Reason, Renew, Rotate, Target, Update
from reconciler.values import dataclass

# An agent with less than this left (seconds) is rotated even in a freeze. It is rotated even beyond `max_unavailable`
# in a run that may be the last one before the agent's end.
LAST_CALL = 2 * HOUR


@dataclass(frozen=True, slots=True)
class RotationTurns:
    """The addresses that this run rotates before their time, and those whose rotation waits for a later run."""

    early: frozenset[Address]
    postponed: frozenset[Address]


class _Ending(NamedTuple):
    """An agent that the service ends in `left` seconds, unless it is rotated before."""

    left: float
    address: Address
    is_due: bool
    is_young: bool


def turns(
    changes: Sequence[Change],
    limits: Limits,
    basis: Basis,
    able: Capabilities,
    last_call: float,
    is_kept: Callable[[Address], bool] = lambda _: False,
) -> RotationTurns:
    """Return which agents of the whole fleet rotate early in this run, and which rotations wait for a later one.

    The next run is expected in `last_call` seconds: agents that end before it never wait. Of the others, those that end
    first rotate first, at most `max_unavailable` in one run. A horizon tells how many runs are left; if these cannot keep
    the limit, each of them rotates the same number of agents. An agent whose rotation is held in this run (`is_kept`) is
    not rotated early.
    """
    # An agent that an earlier run rotated and did not join again is down, too. Addresses are counted, not agents: a successor
    # beside its predecessor makes no fleet larger.
    live = {each.agent_id for each in basis.live if each.status.is_live}
    records = basis.state.records.values()
    down = sum(1 for each in records if each.replacing and each.agent_id not in live)
    total = down + sum(1 for each in records if each.agent_id in live)
    limit = limits.max_unavailable.of(total)
    # Agents that end later than this can wait: the runs before then are enough for the whole fleet.
    reach = last_call * (total / limit + 1) + _LATE if limit else 0.0
    ending = sorted(_endings(changes, basis.now, able, last_call, reach, is_kept))
    if not ending:
        return RotationTurns(frozenset(), frozenset())
    needed, even = _needed(ending, limit, last_call)
    most = max(limit, even) if limit and basis.horizon else limit
    first = ending[: max(0, min(needed, most - down - _just_rotated(basis, live, last_call)))]
    due = [each.address for each in ending if each.is_due]
    now = {each.address for each in ending if each.is_due and each.left < last_call}
    now.update(each.address for each in first if each.is_due or not each.is_young)
    now.update([each for each in due if each not in now][: max(0, limit - down - len(now))])
    return RotationTurns(frozenset(now.difference(due)), frozenset(due) - now)


# So many seconds later than expected a run may come, and so many seconds after the begin of a run it may start an agent.
_LATE = 600.0
# Runs that are closer together than this part of the expected time count as one: they share its early rotations.
_ONE_RUN = 0.6


def _endings(
    changes: Iterable[Change],
    now: float,
    able: Capabilities,
    last_call: float,
    reach: float,
    is_kept: Callable[[Address], bool],
) -> Iterator[_Ending]:
    """Yield the recorded agents whose rotation is due, and those that may rotate early and may end within `reach` seconds.

    A young agent was started after the last run. It is not rotated early: its successor would end at the same time.
    """
    shortest = min([able.max_lifetime, *(life for _, life in able.part_lives)])
    for each in changes:
        if not isinstance(each, (Keep, Update, Renew, Adopt, Rotate)) or each.target.record is None:
            continue
        age = now - each.target.agent.started_at
        is_due = isinstance(each, Rotate)
        if is_due or (shortest - age <= reach and not is_kept(each.address)):
            left = _left(each.target, now, able)
            if is_due or left > last_call:
                yield _Ending(left, each.address, is_due, age <= last_call * _ONE_RUN)


def _just_rotated(basis: Basis, live: Container[str], last_call: float) -> int:
    """Return how many agents earlier runs have started in the place of others, if they count as one run with this one."""
    since = basis.now - last_call * _ONE_RUN
    records = basis.state.records.values()
    return sum(
        1 for each in records if each.started_at > since and each.generation > 1 and each.agent_id in live
    )


def _needed(ending: Sequence[_Ending], limit: int, last_call: float) -> tuple[int, int]:
    """Return how many must rotate in this run because later runs cannot within the limit, and how many if all runs are equal."""
    needed = even = 0
    for count, each in enumerate(ending, start=1):
        runs = max(1, ceil((each.left - _LATE) / last_call))  # until its end, this one included
        needed = max(needed, count - limit * (runs - 1))
        even = max(even, ceil(count / runs))
    return needed, even


def is_urgent(change: Change, now: float, able: Capabilities, last_call: float = LAST_CALL) -> bool:
    """Return whether a change is a rotation that cannot wait: its agent ends within `last_call` seconds."""
    if not isinstance(change, Rotate):
        return False
    return _left(change.target, now, able) < last_call


def _left(target: Target, now: float, able: Capabilities) -> float:
    """Return the seconds until the service ends a recorded agent by its age."""
    assert target.record is not None, "only recorded agents rotate"
    return able.lifetime(target.record.body.properties) - (now - target.agent.started_at)


def postpone(change: Change, postponed: frozenset[Address]) -> Change:
    """Return the change, held if it is a rotation that waits for a later run."""
    if not isinstance(change, Rotate) or change.address not in postponed:
        return change
    text = "limits.max_unavailable lets no more agents rotate in one run; the next run goes on"
    return Hold(change, Reason(Because.MAX_UNAVAILABLE, text))
