"""The changes of one address as a run permits them: decided, then held by the policy, a review and earlier ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from reconciler.model.address import Address
from reconciler.plan.approval import hold_unreviewed
from reconciler.plan.basis import Basis
from reconciler.plan.change import Change, Rotate
from reconciler.plan.decide import decide, duplicates
from reconciler.plan.facts import Facts
from reconciler.plan.guard import (
    Policy,
    ends_conversation,
    hold_by_policy,
    hold_first_join,
    is_begun,
)
from reconciler.plan.holds import held_if_ended_repeatedly, held_if_unproven
from reconciler.plan.selection import matching_any
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Permits:
    """What a policy permits at each address, found once for a whole plan.

    `beside` are the addresses that may join beside a foreign agent, `protected` those that the team's policy protects,
    `ran` those that have run before, if that decides anything, and `leaving` the agents that were told to leave.
    """

    policy: Policy
    beside: frozenset[Address]
    protected: frozenset[Address]
    ran: frozenset[Address]
    leaving: frozenset[str]

    @classmethod
    def of(cls, policy: Policy, basis: Basis, addresses: Sequence[Address]) -> Self:
        asks = policy.review is not None or not policy.first_joins
        return cls(
            policy,
            matching_any(policy.allow_beside, addresses),
            matching_any(policy.protect, addresses),
            frozenset((*basis.state.records, *basis.state.generations)) if asks else frozenset(),
            basis.state.told_to_leave,
        )

    def decisions(self, facts: Facts) -> tuple[Change, ...]:
        """Return the permitted change of an address, and those of the duplicates there; nothing if it needs none."""
        change = decide(facts)
        if change is None:
            return ()
        change = held_if_ended_repeatedly(facts, change, self.policy.heal_stops)
        change = hold_first_join(
            hold_by_policy(change, self.policy, self.beside, self.protected), self.policy, self.ran
        )
        twins = duplicates(facts)
        begun: list[Change] = [each for each in twins if is_begun(each, self.leaving)]
        copies = [
            hold_by_policy(each, self.policy, self.beside, self.protected)
            for each in twins
            if each not in begun
        ]
        first, *others = hold_unreviewed((change, *copies), self.policy.review, self.ran)
        if not ends_conversation(first):
            begun = [held_if_unproven(facts, each) for each in begun]
        return (first, *others, *begun)

    def with_early_rotation(self, facts: Facts, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        """Return an address's changes with its agent rotated early; as they were where that rotation would be held."""
        early = self.decisions(replace(facts, is_early=True))
        return early if isinstance(early[0], Rotate) else changes
