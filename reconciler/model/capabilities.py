"""The capabilities of a provider for running agents, as data. Diff and plan use nothing else of a service."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from reconciler.model.tree import Path, Tree, starts_with
from reconciler.values import dataclass


class EndKind(StrEnum):
    """The kinds of an agent's end, as read from the service's message."""

    LIFETIME = "lifetime"  # the service's own limit
    IDLE = "idle"  # no user was in its channel
    ASKED = "asked"  # a leave was sent for it
    NO_ENTRY = "no_entry"  # it could not enter its channel, or stay there
    NO_START = "no_start"  # it did not come up in time
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class EndMeaning:
    """The meaning of a service's message about an agent's end, with advice where there is some."""

    words: str
    kind: EndKind
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The abilities of one provider instance (they differ between the global service and mainland China).

    `updatable` are the paths below `properties` that change on a running agent; each is sent and replaced as a whole.
    Anything else needs a new agent, and so does *removing* an updatable value, since no source documents what leaving
    it out of an update means. Durations are in seconds. `part_lives` are paths of properties with which an agent lives
    for less than `max_lifetime`, and how long. `default_quota` is how many agents a project may run without a raised
    quota. `ends` are the beginnings of the messages by which the service explains an agent's end.
    """

    updatable: frozenset[Path]
    max_lifetime: float
    max_token_ttl: float
    usd_per_minute: float
    part_lives: tuple[tuple[Path, float], ...] = ()
    default_quota: int | None = None
    ends: tuple[EndMeaning, ...] = ()

    def end_of(self, message: str) -> EndMeaning:
        """Return the meaning of the service's message about an agent's end; `OTHER` for an unknown message."""
        known = (each for each in self.ends if message.startswith(each.words))
        return next(known, EndMeaning(message, EndKind.OTHER)) if message else EndMeaning("", EndKind.OTHER)

    def lifetime(self, properties: Mapping[str, Tree]) -> float:
        """Return how long the service lets an agent of these properties live, in seconds."""
        return min([self.max_lifetime, *(life for path, life in self.part_lives if _is_on(properties, path))])

    def updatable_prefix(self, path: Path) -> Path | None:
        """Return the updatable path that is `path` or a path above it; None if there is none."""
        return next((prefix for prefix in self.updatable if starts_with(path, prefix)), None)

    def in_place(self, properties: Tree) -> dict[Path, Tree]:
        """Return the updatable values in a tree of properties, by path."""
        found: dict[Path, Tree] = {}
        for path in sorted(self.updatable):
            node: object = properties
            for part in path:
                node = node.get(str(part)) if isinstance(node, dict) else None
            if node is not None:
                found[path] = node  # type: ignore[assignment]  # narrowed by hand: a tree's values are trees
        return found


def _is_on(properties: object, path: Path) -> bool:
    """Return whether a tree has a value at a path, with no part above it disabled by `enable: false`."""
    for part in path:
        if not isinstance(properties, Mapping) or properties.get("enable") is False:
            return False
        properties = properties.get(str(part))
    return bool(properties)
