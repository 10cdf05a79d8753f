"""A team's policy: rules that the changes of its fleets must keep. It can only tighten what a fleet's files say."""

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
    """The rules of a team. `secret_hosts` are all hosts that secrets may go to (None: not restricted).

    `limits` are the limits that it sets, by name; `protect` are selectors of addresses whose agents are never replaced
    or left; `freezes` are times until which changes are held.
    """

    secret_hosts: tuple[str, ...] | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    protect: tuple[str, ...] = ()
    freezes: tuple[Freeze, ...] = ()

    def over(self, fleet: DesiredFleet) -> DesiredFleet:
        """Return a fleet under this policy: of two limits the smaller one counts, and all freezes apply."""
        own = fleet.limits
        changed = {name: _smaller(getattr(own, name), ours) for name, ours in self.limits.items()}
        limits = replace(own, **changed)
        return replace(fleet, limits=limits, freezes=(*fleet.freezes, *self.freezes))


def _smaller(own: Any, ours: Any) -> Any:
    if isinstance(ours, Limit):
        return replace(ours, own=own) if own is not None else ours
    return ours if own is None else min(own, ours)


def is_listed(host: str, listed: tuple[str, ...]) -> bool:
    """Return whether a secret's host is in a list; an entry that begins with `*.` matches all names below its domain.

    A text that is not a plain host, such as a URL that is a reference, matches only itself.
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
