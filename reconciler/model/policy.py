"""What a team lets no change of its fleets do: a policy, which only tightens what a fleet's own files say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, Final

from reconciler.model.fleet import DesiredFleet, Freeze, Limit
from reconciler.values import dataclass

_PLAIN: Final = re.compile(r"[a-z0-9.-]+(?::[0-9]+)?|vendor:[a-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class TeamPolicy:
    """`secret_hosts` are all that secrets may go to (None: not restricted); `limits` are those that it sets, by name.

    `protect` are selectors of addresses whose agents nobody ends, `freezes` times until which changes are held.
    """

    secret_hosts: tuple[str, ...] | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    protect: tuple[str, ...] = ()
    freezes: tuple[Freeze, ...] = ()

    def over(self, fleet: DesiredFleet) -> DesiredFleet:
        """A fleet under this policy: of two limits the smaller one counts, and of freezes each."""
        own = fleet.limits
        changed = {name: _smaller(getattr(own, name), ours) for name, ours in self.limits.items()}
        limits = replace(own, **changed)
        return replace(fleet, limits=limits, freezes=(*fleet.freezes, *self.freezes))


def _smaller(own: Any, ours: Any) -> Any:
    if isinstance(ours, Limit):
        return replace(ours, own=own) if own is not None else ours
    return ours if own is None else min(own, ours)


def is_listed(host: str, listed: tuple[str, ...]) -> bool:
    """Whether a host of a secret is among those of a list; `*.` at the beginning stands for any name below a domain.

    What is no plain host, such as an address that is a reference itself, is matched by nothing but itself.
    """
    if host in listed:
        return True
    plain = host.lower()
    if _PLAIN.fullmatch(plain) is None:
        return False
    return any(
        plain == each.lower() or (each.startswith("*.") and plain.endswith(each[1:].lower()))
        for each in listed
    )
