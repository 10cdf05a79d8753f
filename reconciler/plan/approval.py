"""The changes of a plan that a review covers: reviewed ones, what is left of them, and some that end no conversation.

A review is a plan of the same files, made without the service. By the time it is applied agents have ended, aged or
were taken back, so some kinds of change may be added to it. Every other change is held, above all one that hangs up.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import field

from reconciler.model.address import Address
from reconciler.model.tree import Path
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
    Renew,
    Replace,
    Rotate,
    Update,
    act_of,
    action_of,
    diffs_of,
)
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Review:
    """The content of a reviewed plan: the acts of each address, the paths that change, the secrets of its danger lines.

    Each secret comes with its new host. A join shows the whole agent, so it has no paths.
    """

    acts: Mapping[Address, frozenset[Action]] = field(default_factory=dict)
    paths: Mapping[Address, frozenset[Path]] = field(default_factory=dict)
    secrets: frozenset[tuple[str, str]] = frozenset()

    def covers(self, act: Act, ran: Container[Address]) -> bool:
        """Return whether an act may be done. `ran` are the addresses that have run under this state before.

        An act that ends an agent is covered only if the review has it, or an act that includes it, with the differences
        that it has now. A rotation is always covered, because the service ends that agent in any case.
        """
        seen = self.acts.get(act.address, frozenset())
        if any(action_of(act) in _COVERED.get(each, ()) for each in seen) and self._shows(act, seen):
            return True
        match act:
            case Renew() | Rotate() | Adopt():
                return True
            case Join():
                return act.formerly is not None or act.address in ran
            case Update():
                return act.reason.because is Because.UNSENT and not act.diffs
            case _:
                return False

    def _shows(self, act: Act, seen: frozenset[Action]) -> bool:
        """Return whether the differences that an act applies were all shown in the review of its address."""
        match act:
            case Replace():
                differs = {each.path for each in act.diffs if each.forces_replacement}
                if act.reason.because is Because.FORCED and not differs:
                    return False  # the review's replacement was for other fields, and those are what runs already
            case Update() if seen.isdisjoint((Action.JOIN, Action.ADOPT)):
                differs = {each.path for each in act.diffs}
            case _:
                return True
        return differs <= self.paths.get(act.address, frozenset())


# What a reviewed act may have become, or have left to do, when it is applied: it never ends more than it did.
_COVERED: Mapping[Action, frozenset[Action]] = {
    Action.JOIN: frozenset({Action.JOIN, Action.UPDATE}),
    Action.UPDATE: frozenset({Action.UPDATE}),
    Action.REPLACE: frozenset({Action.REPLACE, Action.JOIN, Action.UPDATE, Action.LEAVE}),
    Action.ADOPT: frozenset({Action.ADOPT, Action.JOIN, Action.UPDATE}),
    Action.LEAVE: frozenset({Action.LEAVE, Action.FORGET}),
    Action.FORGET: frozenset({Action.FORGET}),
}


def review_of(changes: Iterable[Change], secrets: Iterable[tuple[str, str]] = ()) -> Review:
    """Return the review of a plan's changes. A hold with an end time counts: its act was shown as about to follow."""
    acts: dict[Address, frozenset[Action]] = {}
    paths: dict[Address, frozenset[Path]] = {}
    for change in changes:
        if isinstance(change, Keep) or (isinstance(change, Hold) and change.until is None):
            continue
        act = act_of(change)
        acts[act.address] = acts.get(act.address, frozenset()) | {action_of(act)}
        paths[act.address] = paths.get(act.address, frozenset()) | {each.path for each in diffs_of(act)}
    return Review(acts, paths, frozenset(secrets))


def hold_unreviewed(
    changes: tuple[Change, ...], review: Review | None, ran: Container[Address]
) -> tuple[Change, ...]:
    """Return an address's changes, all but renewals and rotations held if the review does not cover one of them."""
    if review is None or all(isinstance(each, (Hold, Keep)) or review.covers(each, ran) for each in changes):
        return changes
    return tuple(
        each if isinstance(each, (Hold, Keep, Renew, Rotate)) else Hold(each, _reason(each))
        for each in changes
    )


def _reason(act: Act) -> Reason:
    text = (
        f"nobody has reviewed this change ({action_of(act)}): plan again, and have that reviewed "
        "(`--allow unreviewed` does it at once)"
    )
    return Reason(Because.UNREVIEWED, text)
