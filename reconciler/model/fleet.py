"""The desired state: every agent that the files of one fleet and environment ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from enum import StrEnum
from typing import Final

from reconciler.diagnostics import Problem, Span
from reconciler.model.address import Address, Owner
from reconciler.model.spec import AgentSpec
from reconciler.model.tree import Path
from reconciler.services import DEFAULT_KIND, ServiceEntry, entry_of
from reconciler.values import dataclass

# A directory with this file is a fleet.
FLEET_FILE: Final = "fleet.yaml"


class Area(StrEnum):
    """The service's areas; mainland China is a service of its own (v2 API reference: base URLs)."""

    US = "US"
    EU = "EU"
    AP = "AP"
    CN = "CN"


@dataclass(frozen=True, slots=True)
class Service:
    """The `service:` block: one of `services.SERVICES`, its area, and the App ID that the fleet expects, if given."""

    kind: str = DEFAULT_KIND
    area: Area | None = None
    app_id: str | None = None

    @property
    def entry(self) -> ServiceEntry:
        """The line of `services.SERVICES` for this kind."""
        return entry_of(self.kind)


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit as written: an absolute number, or a share of the agents.

    A limit of a team's policy holds the fleet's limit in `own`; the smaller of the two counts.
    """

    number: int | None = None
    percent: float | None = None
    own: Limit | None = None

    def of(self, total: int) -> int:
        """Return how many of `total` the limit allows; a share is rounded up, so that small fleets can change."""
        allowed = self.number
        if allowed is None:
            allowed = math.ceil(total * (self.percent or 0.0) / 100 - 1e-9)
        return allowed if self.own is None else min(allowed, self.own.of(total))

    def binding(self, total: int) -> Limit:
        """Return which of the two limits counts for `total`: this one, or the fleet's `own`."""
        return (
            self.own
            if self.own is not None and self.own.of(total) <= replace(self, own=None).of(total)
            else self
        )

    def __str__(self) -> str:
        return f"{self.number}" if self.number is not None else f"{self.percent:g}%"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one apply. `quota` is the number of live agents that the App ID may have.

    `hang_ups` bounds the conversations that leaves and replacements end together, `max_unavailable` the rotations.
    """

    hang_ups: Limit = Limit(percent=30.0)
    max_unavailable: Limit = Limit(percent=10.0)
    leave: Limit = Limit(percent=30.0)
    replace: Limit | None = None
    join: Limit | None = None
    usd_per_day: float | None = None
    usd_per_minute: float | None = None
    quota: int | None = None


@dataclass(frozen=True, slots=True)
class Freeze:
    """An entry of `freeze`: changes of these kinds at these addresses are held until a time (epoch seconds).

    `targets` are selectors of addresses; `kinds` are values of `plan.change.Action`.
    """

    until: float
    reason: str
    targets: tuple[str, ...]
    kinds: frozenset[str]
    at: Span | None = None


@dataclass(frozen=True, slots=True)
class Archive:
    """The directory of transcripts, in the fleet's; if `required`, no leave is sent without one. `every` in seconds."""

    directory: str
    required: bool = False
    every: float = 300.0


def _nowhere(address: Address, path: Path) -> Span | None:
    return None


# What is said of a fleet without agents, which nothing but `destroy` accepts.
EMPTY = "the files declare no agent at all"
EMPTY_HINT = "an empty fleet is taken for a mistake; `reconciler destroy` leaves a whole fleet"


@dataclass(frozen=True, slots=True)
class DesiredFleet:
    """The desired state; `digest` covers the contents of every file and variable that was read.

    `files` are the digests of those files by name. `locate(address, path)` returns the place in the files that decided
    the value at a path of an agent's body, or the agent's own place for the empty path. `accepted` are warnings that
    the files ignore; `unused` are problems for each place that ignores a warning which does not occur.
    """

    owner: Owner
    agents: Mapping[Address, AgentSpec]
    service: Service = Service()
    limits: Limits = Limits()
    freezes: tuple[Freeze, ...] = ()
    archive: Archive | None = None
    digest: str = ""
    locate: Callable[[Address, Path], Span | None] = field(default=_nowhere, compare=False)
    warnings: tuple[Problem, ...] = ()
    accepted: tuple[Problem, ...] = ()
    unused: tuple[Problem, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def channels(self) -> frozenset[str]:
        return frozenset(address.channel for address in self.agents)
