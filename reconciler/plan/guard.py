"""Policy over a whole plan: what is held, and what refuses the apply as a whole.

A limit that is exceeded refuses the whole apply. The protection of one address is decided with the address (`decide`);
here are selections, limits, quota and cost, and in `dangers` the hosts that secrets go to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.model.fleet import Limit, Limits
from reconciler.plan.basis import Basis
from reconciler.plan.change import (
    Action,
    Because,
    Change,
    Hold,
    Keep,
    Reason,
    action_of,
)

MINUTES_A_DAY = 1440


@dataclass(frozen=True, slots=True)
class Policy:
    """What this run allows. `allow` raises limits once, by their names; `only` holds every other kind."""

    allow: Mapping[str, float] = field(default_factory=dict)
    allow_hosts: frozenset[str] = frozenset()
    only: frozenset[Action] | None = None
    prune_unrecorded: bool = False
    leave_is_limited: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """A limit that this plan exceeds: the apply does nothing at all until it is raised."""

    limit: str
    planned: float
    allowed: float
    text: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What runs before and after, in agents and in USD a day at `usd_per_minute`."""

    before: int
    after: int
    usd_per_minute: float
    quota: int | None = None

    @property
    def usd_per_day(self) -> float:
        return self.after * self.usd_per_minute * MINUTES_A_DAY

    @property
    def usd_change(self) -> float:
        return (self.after - self.before) * self.usd_per_minute * MINUTES_A_DAY


def hold_by_policy(change: Change, policy: Policy) -> Change:
    """The change as this run's selection lets it stand."""
    if isinstance(change, Hold) and change.reason.because is Because.UNRECORDED and policy.prune_unrecorded:
        change = change.change
    if isinstance(change, (Hold, Keep)) or policy.only is None or action_of(change) in policy.only:
        return change
    return Hold(change, Reason(Because.NOT_IN_ONLY, f"--only leaves {action_of(change)} out"))


def refusals(
    changes: Iterable[Change], limits: Limits, policy: Policy, basis: Basis, cost: Cost
) -> tuple[Refusal, ...]:
    """Every limit that the changes exceed, in a fixed order."""
    counts = Counter(action_of(each) for each in changes)
    found: list[Refusal] = []
    for action, limit in (
        (Action.LEAVE, limits.leave),
        (Action.REPLACE, limits.replace),
        (Action.JOIN, limits.join),
    ):
        if limit is None or not counts[action] or (action is Action.LEAVE and not policy.leave_is_limited):
            continue
        total = max(len(basis.state.records), _ours(basis))
        found += _count(action, counts[action], limit, total, policy)
    if limits.quota is not None:
        found += (
            _amount("quota", "live agents", cost.after, limits.quota, policy)
            if cost.after > cost.before
            else []
        )
    if limits.usd_per_day is not None and cost.usd_change > 0:
        found += _amount("usd_per_day", "USD a day", cost.usd_per_day, limits.usd_per_day, policy)
    return tuple(found)


def _count(action: Action, planned: int, limit: Limit, total: int, policy: Policy) -> list[Refusal]:
    allowed = max(limit.of(total), int(policy.allow.get(action.value, 0)))
    if planned <= allowed:
        return []
    share = f" ({limit} of {total})" if limit.percent is not None else ""
    text = (
        f"{planned} agents to {action} but limits.{action} allows {allowed}{share}; "
        f"raise it once with --allow {action}={planned}, or change limits.{action} in the fleet"
    )
    return [Refusal(action.value, planned, allowed, text)]


def _amount(name: str, unit: str, planned: float, limit: float, policy: Policy) -> list[Refusal]:
    allowed = max(limit, policy.allow.get(name, 0.0))
    if planned <= allowed + 1e-9:
        return []
    text = (
        f"{planned:,.10g} {unit} after apply but limits.{name} allows {allowed:,.10g}; "
        f"raise it once with --allow {name}={planned:.10g}, or change limits.{name} in the fleet"
    )
    return [Refusal(name, planned, allowed, text)]


def _ours(basis: Basis) -> int:
    return sum(1 for each in basis.live if each.bears(basis.owner))


def cost_of(changes: Iterable[Change], basis: Basis, limits: Limits, usd_per_minute: float) -> Cost:
    """What runs before and after; every live agent of the App ID counts, ours or not."""
    before = sum(1 for each in basis.live if each.status.is_live)
    counts = Counter(action_of(each) for each in changes)
    after = before + counts[Action.JOIN] - counts[Action.LEAVE]
    return Cost(before, after, limits.usd_per_minute or usd_per_minute, limits.quota)
