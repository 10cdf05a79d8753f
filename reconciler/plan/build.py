"""Build a plan from a desired fleet and a basis: a value that is shown, guarded, approved and applied."""

from __future__ import annotations

from collections import Counter
from dataclasses import field, replace
from functools import cached_property

from reconciler.diagnostics import Problem
from reconciler.errors import Refused
from reconciler.model.address import Address, Owner
from reconciler.model.approval import Approval
from reconciler.model.capabilities import Capabilities
from reconciler.model.fingerprint import digest
from reconciler.model.fleet import EMPTY, EMPTY_HINT, DesiredFleet
from reconciler.model.observed import ObservedAgent
from reconciler.model.record import Operation
from reconciler.model.tree import Path
from reconciler.plan.basis import Basis
from reconciler.plan.change import (
    Action,
    Adopt,
    Change,
    Hold,
    Keep,
    Renew,
    Update,
    act_of,
    action_of,
    diffs_of,
    target_of,
)
from reconciler.plan.dangers import (
    Danger,
    allowed_dangers,
    dangers,
    dangers_that_refuse,
    forbidden_dangers,
    hold_dangerous,
)
from reconciler.plan.decide import ignored_diffs, renewal_while_held
from reconciler.plan.diff import Absent
from reconciler.plan.facts import gather_facts
from reconciler.plan.freeze import Freezes, without_target
from reconciler.plan.guard import (
    Cost,
    Policy,
    Refusal,
    cost_of,
    ends_conversation,
    hold_by_policy,
    hold_for_uids,
    is_begun,
    refusals,
)
from reconciler.plan.permits import Permits
from reconciler.plan.plan_warnings import adoptions_over, ended_between_runs
from reconciler.plan.rotations import LAST_CALL, is_urgent, postpone, turns
from reconciler.plan.selection import Selection, check_selectors
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Unmanaged:
    """A foreign agent in a channel of ours. `channel` is None where it is not known."""

    agent: ObservedAgent
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """The ignored paths at which a running agent differs from the files; its next join sends the files' values."""

    address: Address
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Plan:
    """All changes in the order of their addresses, with what was compared and what refuses or warns.

    `interrupted` counts open intents of an earlier run that an apply settles. `elsewhere` counts foreign agents that
    are not known to run in a channel of ours. `new_secrets` are references whose values have changed, each with the
    number of agents that still have the old value, if that was asked for. `ignored` are the ignored paths at which
    running agents differ from the files. `thawed` are the changes that a freeze would hold if this run did not override
    it. `against` names what the fleet was compared with where the service was not asked; then `approval` is the token
    that binds an apply to this plan, or `no_approval` says why there is none.
    """

    owner: Owner
    changes: tuple[Change, ...]
    fleet_digest: str
    cost: Cost
    refusals: tuple[Refusal, ...] = ()
    dangers: tuple[Danger, ...] = ()
    unmanaged: tuple[Unmanaged, ...] = ()
    elsewhere: int = 0
    interrupted: int = 0
    new_secrets: tuple[tuple[str, int], ...] = ()
    warnings: tuple[Problem, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    thawed: tuple[Hold, ...] = ()
    against: str = ""
    approval: Approval | None = None
    no_approval: str = ""
    fleet: DesiredFleet | None = field(default=None, compare=False)

    @cached_property
    def pending(self) -> tuple[Change, ...]:
        """The changes of all addresses that are not in sync, holds included."""
        return tuple(each for each in self.changes if not isinstance(each, Keep))

    @cached_property
    def acts(self) -> tuple[Change, ...]:
        """The changes that an apply makes: pending ones that are not held."""
        return tuple(each for each in self.pending if action_of(each) is not Action.HOLD)

    @cached_property
    def ended(self) -> tuple[Change, ...]:
        """The acts that end a running agent, and with it a conversation that it may be having."""
        return tuple(each for each in self.acts if ends_conversation(each))

    def count(self, action: Action) -> int:
        return self._counts[action]

    @cached_property
    def _counts(self) -> Counter[Action]:
        return Counter(map(action_of, self.changes))

    @property
    def rows(self) -> frozenset[tuple[str, str]]:
        """The acts, as (action, address)."""
        return frozenset((action_of(each).value, str(each.address)) for each in self.acts)

    @cached_property
    def digest(self) -> str:
        """The digest of what is approved: the files and the decided changes.

        The state's serial, unmanaged agents and renewals that fall due are left out, so that a reviewed plan stays
        valid until something changes that a reviewer has to see.
        """
        rows = [_decided(each) for each in self.pending if not isinstance(each, Renew)]
        return digest({"files": self.fleet_digest, "owner": str(self.owner), "changes": rows}, size=32)


def _decided(change: Change) -> dict[str, object]:
    target = target_of(change)
    row: dict[str, object] = {
        "action": action_of(change).value,
        "address": str(change.address),
        "reason": change.reason.because.value,
        "agent": target.agent_id if target else None,
        "diffs": [
            [list(map(str, each.path)), _side(each.before), _side(each.after)] for each in diffs_of(change)
        ],
    }
    return row


def _side(value: object) -> list[object]:
    return [] if isinstance(value, Absent) else [value]


def build_plan(
    fleet: DesiredFleet,
    basis: Basis,
    able: Capabilities,
    *,
    selection: Selection = Selection(),
    policy: Policy = Policy(),
    allow_empty: bool = False,
    destroying: bool = False,
) -> Plan:
    """Return the plan that brings the basis to the desired fleet, or ends the fleet (`destroying`).

    Pure: the same inputs give the same plan. Raises `Refused` for a fleet without agents (unless `allow_empty`), and
    `UsageError` for a selector that matches nothing.
    """
    if not fleet.agents and not allow_empty:
        raise Refused(f"{EMPTY}; nothing was done", hint=EMPTY_HINT)
    everything = list(gather_facts(fleet, basis, able, destroying=destroying))
    addresses = [each.address for each in everything]
    selection.check(addresses)
    chosen = everything
    if selection != Selection():
        selected, forced = selection.selected(addresses), selection.forced(addresses)
        chosen = [
            replace(each, forced=True) if each.address in forced else each
            for each in everything
            if each.address in selected
        ]
    check_selectors("--allow beside", policy.allow_beside, addresses)
    permits = Permits.of(policy, basis, addresses)
    decided = [
        (facts, changes)
        for facts, changes in zip(chosen, map(permits.decisions, chosen), strict=True)
        if changes
    ]
    freezes = Freezes(fleet.freezes, addresses, basis.now)
    # After the decisions, because the limit counts the rotations of the whole fleet.
    now = turns(
        [changes[0] for _, changes in decided],
        fleet.limits,
        basis,
        able,
        max(policy.last_call, basis.horizon),
        lambda address: not policy.override_freeze and freezes.holding(Action.ROTATE, address) is not None,
    )
    if now.early:
        decided = [
            (facts, permits.with_early_rotation(facts, each) if facts.address in now.early else each)
            for facts, each in decided
        ]
    thawed: list[Hold] = []

    def frozen(change: Change) -> Change:
        held = (
            None
            if is_urgent(change, basis.now, able, max(LAST_CALL, basis.horizon))
            else freezes.hold(change)
        )
        if held is None:
            return change
        if policy.override_freeze:
            thawed.append(held)
            return change
        return held

    firsts = [frozen(postpone(first, now.postponed)) for _, (first, *_) in decided]
    pending = [change for change in firsts if not isinstance(change, Keep)]
    # Over the whole plan: whether a host is new for a secret depends on all other agents.
    risky = dangers(pending, basis, policy) if pending else ()
    safe = [hold_dangerous(change, risky, policy) for change in firsts] if risky else firsts
    changes: list[Change] = []
    for (facts, (_, *more)), held in zip(decided, hold_for_uids(safe, basis), strict=True):
        changes.append(held)
        renewal = renewal_while_held(held, facts)
        if renewal is not None:
            changes.append(hold_by_policy(renewal, policy))
        changes += (each if is_begun(each, permits.leaving) else frozen(each) for each in more)
    plan = _assemble(fleet, basis, able, tuple(changes), risky, policy)
    told = map(_ignored, firsts)
    return replace(
        plan,
        ignored=tuple(each for each in told if each is not None),
        thawed=tuple(thawed),
        warnings=(
            *plan.warnings,
            *adoptions_over(fleet, chosen),
            *ended_between_runs(fleet, chosen, basis.now),
            *without_target(fleet, addresses),
        ),
    )


def _ignored(change: Change) -> Ignored | None:
    """Return the ignored paths at which a kept agent differs from the files, or None. A replacement shows its own."""
    act = act_of(change)
    if not isinstance(act, (Keep, Update, Renew, Adopt)) or act.target.record is None:
        return None
    rows = ignored_diffs(act.spec, act.target.record)
    return Ignored(act.address, tuple(row.path for row in rows)) if rows else None


# Intents that no apply settles: each ends when its time is over.
_NOTES = frozenset({Operation.LATE_COPY, Operation.REFUSED})


def _assemble(
    fleet: DesiredFleet,
    basis: Basis,
    able: Capabilities,
    changes: tuple[Change, ...],
    risky: tuple[Danger, ...],
    policy: Policy,
) -> Plan:
    cost = cost_of(changes, basis, fleet.limits, able)
    refused = list(refusals(changes, fleet.limits, policy, basis, cost))
    risks = dangers_that_refuse(risky, policy)
    refused += (each for each in (allowed_dangers(risks), forbidden_dangers(risks)) if each is not None)
    channels = {address.channel for address in fleet.agents}
    # An agent that the files adopt is listed as that change, not as an unmanaged agent.
    adopted = {(spec.adopt, address.channel) for address, spec in fleet.agents.items() if spec.adopt}
    foreign = [
        each
        for each in basis.foreign
        if each.status.is_live and (each.agent_id, basis.channels.get(each.agent_id)) not in adopted
    ]
    unmanaged = tuple(
        Unmanaged(each, basis.channels.get(each.agent_id))
        for each in sorted(foreign, key=lambda agent: (agent.name or "", agent.agent_id))
        if basis.channels.get(each.agent_id) in channels
    )
    return Plan(
        owner=fleet.owner,
        changes=changes,
        fleet_digest=fleet.digest,
        cost=cost,
        refusals=tuple(refused),
        dangers=risky,
        unmanaged=unmanaged,
        elsewhere=len(foreign) - len(unmanaged),
        interrupted=sum(1 for each in basis.state.intents if each.operation not in _NOTES),
        warnings=fleet.warnings,
        fleet=fleet,
    )
