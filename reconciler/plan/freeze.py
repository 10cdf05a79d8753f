"""Freezes: times until which the files hold kinds of changes, each with a reason.

A renewal is never frozen: an agent whose token runs out is lost to its callers. A rotation is frozen until its agent
has less than 2 h left: the service would end it anyway, at a time that the fleet does not choose.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from reconciler.diagnostics import Problem, Severity
from reconciler.instants import moment
from reconciler.model.address import Address
from reconciler.model.fleet import DesiredFleet, Freeze
from reconciler.plan.change import Action, Because, Change, Hold, Keep, Reason, action_of, finishes_begun
from reconciler.plan.selection import matching_any

EVERYTHING = "*"
# Every kind of change that can be frozen, with what a freeze of it means.
FREEZABLE: Mapping[str, str] = {
    Action.JOIN.value: "no agent is started, also none that died; a replacement or rotation that has begun is finished",
    Action.UPDATE.value: "running agents keep their prompts and parameters",
    Action.REPLACE.value: "no running agent is ended to start a changed one",
    Action.ROTATE.value: "no old agent is started anew before its last two hours",
    Action.LEAVE.value: "no running agent is ended",
    Action.ADOPT.value: "no running agent is taken over",
    Action.FORGET.value: "no record is dropped",
}
USUALLY_FROZEN = frozenset({Action.UPDATE.value, Action.REPLACE.value, Action.LEAVE.value})


class Freezes:
    """The freezes at one time (`now`, epoch seconds), with the addresses that each of them matches."""

    def __init__(self, freezes: Iterable[Freeze], addresses: Collection[Address], now: float) -> None:
        lasting = sorted((each for each in freezes if each.until > now), key=lambda each: -each.until)
        self._reach = [(each, matching_any(each.targets, addresses)) for each in lasting]

    def holding(self, kind: Action, address: Address) -> Freeze | None:
        """Return the freeze that holds a kind of change at an address, the one that ends last, or None."""
        found = (each for each, frozen in self._reach if kind in each.kinds and address in frozen)
        return next(found, None)

    def hold(self, change: Change) -> Hold | None:
        """Return the hold of a change that is frozen; None if it is not frozen, is held already, or finishes another one."""
        if isinstance(change, (Hold, Keep)) or finishes_begun(change):
            return None
        freeze = self.holding(action_of(change), change.address)
        return None if freeze is None else Hold(change, Reason(Because.FROZEN, told(freeze)), freeze.until)


def told(freeze: Freeze) -> str:
    """Return a freeze as text: its end and its reason."""
    return f"frozen until {moment(freeze.until)}: {freeze.reason}"


def without_target(fleet: DesiredFleet, addresses: Collection[Address]) -> Iterable[Problem]:
    """Yield a warning for each selector of a freeze that matches no address; it is probably misspelt."""
    for each in fleet.freezes:
        for selector in each.targets:
            if selector != EVERYTHING and not matching_any([selector], addresses):
                summary = f'the freeze until {moment(each.until)} is for "{selector}", which matches no agent'
                help = "an address is <channel>/<agent>; `reconciler status` lists them"
                yield Problem(
                    "freeze-nothing", summary, each.at, help, severity=Severity.WARNING, path="freeze"
                )


def unknown_offline(fleet: DesiredFleet) -> Iterable[Problem]:
    """Yield a warning for each freeze in an offline plan, which does not know the time and applies no freeze."""
    for each in fleet.freezes:
        kinds = ", ".join(sorted(each.kinds))
        summary = (
            f"until {moment(each.until)} an apply holds {kinds} of {', '.join(each.targets)}: {each.reason}"
        )
        why = "this plan asks no clock, and shows the changes as if nothing were frozen"
        yield Problem("freeze-offline", summary, each.at, why=why, severity=Severity.WARNING, path="freeze")
