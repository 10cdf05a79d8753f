"""Policy over a whole plan: which changes are held, and which limits refuse the whole apply.

Here are selections, limits, quota and cost. The protection of one address is decided in `decide`, which rotations wait
in `rotations`. The hosts that secrets go to are checked in `dangers`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import field, replace

from reconciler.diagnostics import plural
from reconciler.model.address import Address
from reconciler.model.capabilities import Capabilities
from reconciler.model.fleet import Limit, Limits
from reconciler.plan.approval import Review
from reconciler.plan.basis import Basis
from reconciler.plan.change import (
    Action,
    Because,
    Change,
    Hold,
    Join,
    Keep,
    Leave,
    Reason,
    Replace,
    Rotate,
    action_of,
    finishes_begun,
)
from reconciler.plan.rotations import LAST_CALL
from reconciler.values import dataclass

MINUTES_A_DAY = 1440


@dataclass(frozen=True, slots=True)
class Policy:
    """The permissions of this run. `allow` raises limits once, by name; `only` (by `only_flag`) holds all other kinds.

    Without `first_joins` an address that has not run before under this state is not joined. `allow_beside` are selectors of addresses that may join beside a foreign agent. `ends_are_limited` is False for
    `destroy`, whose purpose is to end the fleet. `override_freeze` is the reason why freezes hold nothing in this run.
    What a `review` does not cover is held. From the team's policy are `secret_hosts`, all hosts that secrets may go to
    (None: not restricted), `protect`, selectors of addresses whose agents are neither replaced nor left, and
    `tightened`, the names of limits. `heal_stops` is how often within an hour an agent that was ended through the API
    is joined again; None: without a limit. An agent with less than `last_call` seconds left is rotated even
    beyond `max_unavailable`: 2 h for a run after which the next one may come in an hour.
    """

    allow: Mapping[str, float] = field(default_factory=dict)
    allow_hosts: frozenset[str] = frozenset()
    allow_beside: tuple[str, ...] = ()
    only: frozenset[Action] | None = None
    prune_unrecorded: bool = False
    ends_are_limited: bool = True
    override_freeze: str = ""
    review: Review | None = None
    secret_hosts: tuple[str, ...] | None = None
    protect: tuple[str, ...] = ()
    tightened: frozenset[str] = frozenset()
    heal_stops: int | None = None
    last_call: float = LAST_CALL
    only_flag: str = "--only"
    first_joins: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """A limit that this plan exceeds: the apply changes nothing until the limit is raised."""

    limit: str
    planned: float
    allowed: float
    text: str


@dataclass(frozen=True, slots=True)
class Cost:
    """The number of running agents before and after, and its price in USD a day at `usd_per_minute`."""

    before: int
    after: int
    usd_per_minute: float
    quota: int | None = None
    default_quota: int | None = None

    @property
    def passes_default_quota(self) -> bool:
        """Whether an apply would exceed the service's default quota while the files declare no quota."""
        known = self.quota is None and self.default_quota is not None
        return known and self.after > max(self.before, self.default_quota or 0)

    @property
    def usd_per_day(self) -> float:
        return self.after * self.usd_per_minute * MINUTES_A_DAY

    @property
    def usd_change(self) -> float:
        return (self.after - self.before) * self.usd_per_minute * MINUTES_A_DAY


def hold_by_policy(
    change: Change,
    policy: Policy,
    beside: frozenset[Address] = frozenset(),
    protected: frozenset[Address] = frozenset(),
) -> Change:
    """Return the change as the policy permits it: as it is, held, or with a hold lifted.

    `beside` are the addresses that may join beside foreign agents, `protected` those that the team's policy protects.
    """
    if isinstance(change, Hold) and change.reason.because is Because.UNRECORDED and policy.prune_unrecorded:
        change = change.change
    if isinstance(change, Hold) and change.reason.because is Because.BESIDE and change.address in beside:
        change = change.change
    if isinstance(change, (Hold, Keep)):
        return change
    reason = why_not_permitted(policy, action_of(change), is_protected=change.address in protected)
    if reason is None or (finishes_begun(change) and _permits_replacements(policy)):
        return change
    return Hold(change, reason)


def why_not_permitted(policy: Policy, action: Action, *, is_protected: bool) -> Reason | None:
    """Return why a policy holds a kind of change at an address that the team's policy may protect; None if it does not."""
    if is_protected and action in (Action.REPLACE, Action.LEAVE):
        return Reason(Because.PROTECTED, "the team's policy protects it")
    if policy.only is not None and action not in policy.only:
        return Reason(Because.NOT_IN_ONLY, f"{policy.only_flag} leaves {action} out")
    return None


def _permits_replacements(policy: Policy) -> bool:
    return policy.only is None or not policy.only.isdisjoint((Action.REPLACE, Action.ROTATE))


def hold_first_join(change: Change, policy: Policy, ran: Container[Address]) -> Change:
    """Return the change, held if it is a first join and the policy allows none; `ran` are the addresses that have run."""
    if policy.first_joins or not isinstance(change, Join) or change.formerly or change.address in ran:
        return change
    text = f"{policy.only_flag} leaves out the join of what has not run before"
    return Hold(change, Reason(Because.NOT_IN_ONLY, text))


def is_begun(change: Change, leaving: Container[str]) -> bool:
    """Return whether a duplicate was told to leave by an earlier run: that leave is finished, and is no new change.

    With join-first it is the predecessor in a replacement or rotation, and two agents talk until it has left.
    """
    if not isinstance(change, Leave) or change.reason.because is not Because.DUPLICATE:
        return False
    return change.target.agent_id in leaving


def refusals(
    changes: Iterable[Change], limits: Limits, policy: Policy, basis: Basis, cost: Cost
) -> tuple[Refusal, ...]:
    """Return a refusal for every limit that the changes exceed, in a fixed order."""
    changes = tuple(changes)
    # What ended in order to be replaced runs again after that, and is no more than what ran before.
    cost = replace(cost, before=cost.before + sum(map(finishes_begun, changes)))
    leaving = basis.state.told_to_leave
    changes = tuple(each for each in changes if not (finishes_begun(each) or is_begun(each, leaving)))
    counts = Counter(map(action_of, changes))
    found: list[Refusal] = _hang_ups(changes, limits, policy, basis) if policy.ends_are_limited else []
    for action, limit in (
        (Action.LEAVE, limits.leave),
        (Action.REPLACE, limits.replace),
        (Action.JOIN, limits.join),
    ):
        if limit is None or not counts[action] or (action is Action.LEAVE and not policy.ends_are_limited):
            continue
        total = max(len(basis.state.records), _ours(basis))
        found += _count(action, counts[action], limits, total, policy)
    if limits.quota is not None:
        found += (
            _amount("quota", "live agents", cost.after, limits, policy) if cost.after > cost.before else []
        )
    if limits.usd_per_day is not None and cost.usd_change > 0:
        found += _amount("usd_per_day", "USD a day", cost.usd_per_day, limits, policy)
    return tuple(found)


def _where(limits: Limits, policy: Policy, name: str, total: int = 0) -> str:
    """Return where the limit in force is written: in the fleet's files, or in the team's policy."""
    limit = getattr(limits, name)
    is_the_fleets = isinstance(limit, Limit) and limit.binding(total) is limit.own
    return "in the fleet" if name not in policy.tightened or is_the_fleets else "in the team's policy"


def _count(action: Action, planned: int, limits: Limits, total: int, policy: Policy) -> list[Refusal]:
    limit: Limit = getattr(limits, action.value)
    allowed = max(limit.of(total), int(policy.allow.get(action.value, 0)))
    if planned <= allowed:
        return []
    limit = limit.binding(total)
    share = f" ({limit} of {total:,})" if limit.percent is not None else ""
    text = (
        f"{plural(planned, 'agent', 'agents')} to {action} but limits.{action} allows {allowed:,}{share}; "
        f"raise it once with --allow {action}={planned}, or change limits.{action} {_where(limits, policy, action.value, total)}"
    )
    return [Refusal(action.value, planned, allowed, text)]


def ends_conversation(change: Change) -> bool:
    """Return whether a change ends a running agent, and with it a conversation that it may be having."""
    return isinstance(change, (Leave, Replace, Rotate)) and change.target.agent.status.is_live


def _hang_ups(changes: Iterable[Change], limits: Limits, policy: Policy, basis: Basis) -> list[Refusal]:
    """Return the refusal of more leaves and replacements than `hang_ups` allows; `max_unavailable` limits rotations."""
    planned = sum(1 for each in changes if ends_conversation(each) and not isinstance(each, Rotate))
    total = sum(1 for each in basis.ours if each.status.is_live)
    allowed = max(limits.hang_ups.of(total), int(policy.allow.get("hang_ups", 0)))
    if planned <= allowed:
        return []
    limit = limits.hang_ups.binding(total)
    share = f" ({limit} of {total:,} running)" if limit.percent is not None else ""
    text = (
        f"{plural(planned, 'conversation', 'conversations')} would end (leaves and replacements) but limits.hang_ups allows {allowed:,}{share}; "
        f"raise it once with --allow hang_ups={planned}, or change limits.hang_ups {_where(limits, policy, 'hang_ups', total)}"
    )
    return [Refusal("hang_ups", planned, allowed, text)]


def hold_for_uids(changes: Sequence[Change], basis: Basis) -> list[Change]:
    """Return the changes, with each new agent held whose uid an agent of ours that stays in the channel has.

    Otherwise a replacement or rotation would end a conversation and then could not join. An agent whose replacement is
    held keeps its uid. Where the files give no uid, the new agent takes its address's second one.
    """
    done = list(changes)
    waiting = {
        (each.address.channel, each.spec.body.uid): (place, each)
        for place, each in enumerate(done)
        if isinstance(each, (Join, Replace, Rotate)) and each.spec.body.uid is not None
    }
    if not waiting:
        return done
    going = {each.target.agent_id for each in done if isinstance(each, (Replace, Rotate, Leave))}
    # What an interrupted run has told to leave is going, too: the join of its successor waits for its end.
    going.update(agent_id for each in done if isinstance(each, Join) for agent_id in each.awaits)
    stay = {each.agent_id for each in basis.live if each.agent_id not in going}
    records = basis.state.records
    staying = [each for each in records.values() if each.agent_id in stay]
    while staying:
        holder = staying.pop()
        found = waiting.pop((holder.address.channel, holder.uid), None)
        if found is None or found[1].address == holder.address:
            continue
        place, change = found
        text = (
            f"uid {holder.uid} of channel {holder.address.channel} belongs to the agent of {holder.address}, which this run does not end; "
            f"the {'join' if isinstance(change, Join) else 'replacement'} follows once that agent has another uid, or has left"
        )
        done[place] = Hold(change, Reason(Because.SEAT_TAKEN, text))
        if change.address in records and not isinstance(change, Join):
            staying.append(records[change.address])
    return done


def _amount(name: str, unit: str, planned: float, limits: Limits, policy: Policy) -> list[Refusal]:
    limit: float = getattr(limits, name)
    allowed = max(limit, policy.allow.get(name, 0.0))
    if planned <= allowed + 1e-9:
        return []
    text = (
        f"{planned:,.10g} {unit} after apply but limits.{name} allows {allowed:,.10g}; "
        f"raise it once with --allow {name}={planned:.10g}, or change limits.{name} {_where(limits, policy, name)}"
    )
    return [Refusal(name, planned, allowed, text)]


def _ours(basis: Basis) -> int:
    return sum(1 for each in basis.live if each.bears(basis.owner))


def cost_of(changes: Iterable[Change], basis: Basis, limits: Limits, able: Capabilities) -> Cost:
    """Return how many agents run before and after; every live agent of the App ID counts, also foreign ones."""
    # The quota is the App ID's, so agents of other fleets count too.
    before = sum(1 for each in basis.live if each.status.is_live)
    counts = Counter(action_of(each) for each in changes)
    after = before + counts[Action.JOIN] - counts[Action.LEAVE]
    price = limits.usd_per_minute or able.usd_per_minute
    return Cost(before, after, price, limits.quota, able.default_quota)
