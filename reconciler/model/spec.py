"""The desired spec of one agent: the service's properties as the files write them, and our own lifecycle keys.

No default of the service is added to `properties`: digests and diffs cover exactly what was written. Defaults of *ours*
(lifecycle, the RTC uid) are applied where they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from enum import StrEnum
from functools import cached_property

from reconciler.model.address import Address, Owner, default_uid, revision_of
from reconciler.model.capabilities import Capabilities
from reconciler.model.fingerprint import canonical, digest
from reconciler.model.tree import Path, Tree, dotted, references_in, without
from reconciler.secrets import SecretRef
from reconciler.values import dataclass

HOUR = 3600.0

UID: Path = ("agent_rtc_uid",)


# The age in seconds before which every agent is rotated, even if the files say later: the service ends it at 72 h.
LATEST_ROTATION = 70 * HOUR


class Beside(StrEnum):
    """Whether an agent may join a channel for the first time while a foreign agent runs there."""

    HOLD = "hold"
    ALLOW = "allow"


class ReplaceOrder(StrEnum):
    """Which comes first when an agent is replaced; join-first needs two uids and one more place in the quota."""

    LEAVE_FIRST = "leave-first"
    JOIN_FIRST = "join-first"


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The lifecycle keys of one agent. Durations in seconds; the service ends agents at 72 h and tokens at 24 h.

    `protect` is None where the files do not say: then the record's protection stays. `rotate_spread` is the time after
    `rotate_after` over which the rotations of a fleet are distributed.
    """

    rotate_after: float = 60 * HOUR
    rotate_spread: float = 8 * HOUR
    token_ttl: float = 24 * HOUR
    replace: ReplaceOrder = ReplaceOrder.LEAVE_FIRST
    protect: bool | None = None
    paused: bool = False
    beside: Beside = Beside.HOLD
    ignore_changes: tuple[Path, ...] = ()

    def rotates_at(self, share: float) -> float:
        """Return the age in seconds at which an agent is rotated; `share` in [0, 1) is its place in the spread."""
        return self.rotate_after + share * max(
            0.0, min(self.rotate_spread, LATEST_ROTATION - self.rotate_after)
        )

    def renews_at(self, share: float) -> float:
        """Return the remaining life in seconds at which a token is renewed: in the sixth tenth of its life."""
        return self.token_ttl * (0.5 - share / 10)


@dataclass(frozen=True)
class Body:
    """The body of a join as the files write it: references as text, without name, channel and token."""

    properties: Mapping[str, Tree]
    preset: str | None = None
    pipeline_id: str | None = None

    @cached_property
    def references(self) -> frozenset[SecretRef]:
        """The references to secrets in the properties, searched for once: an apply checks them, then resolves them."""
        return references_in(self.properties)

    def tree(self) -> dict[str, Tree]:
        """Return the body as one tree, absent parts left out; the paths of a diff are paths of this tree."""
        tree: dict[str, Tree] = {"properties": self.properties}
        if self.preset is not None:
            tree["preset"] = self.preset
        if self.pipeline_id is not None:
            tree["pipeline_id"] = self.pipeline_id
        return tree

    @property
    def uid(self) -> str | None:
        """The RTC uid in the files, or None."""
        uid = self.properties.get("agent_rtc_uid")
        return uid if isinstance(uid, str) else None


def body_digest(body: Body) -> str:
    """Return the digest of a whole body as the files write it, in-place fields included."""
    return digest(body.tree(), size=16)


@dataclass(frozen=True)
class AgentSpec:
    """The declaration of one address in the files; `adopt` is the id of a running agent to adopt."""

    address: Address
    body: Body
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    previously: tuple[Address, ...] = ()
    adopt: str | None = None

    def uid(self, owner: Owner, *, shifted: bool = False) -> str:
        """Return the RTC uid of a new agent: the one in the files, else the address's own.

        `shifted` returns the address's second uid, for an agent that joins beside the first one.
        """
        if shifted:
            return default_uid(owner, replace(self.address, name=f"{self.address.name}~"))
        return self.body.uid or default_uid(owner, self.address)

    @cached_property
    def _revisions(self) -> dict[tuple[frozenset[Path], bool], str]:
        return {}

    def revision(self, able: Capabilities, *, shifted: bool = False) -> str:
        """Return the versioned digest of the join-only fields, ignored paths left out.

        No read of the service returns an agent's uid, so the digest also covers whether the uid is the shifted one.
        """
        known = self._revisions.get((able.updatable, shifted))
        if known is None:
            fields = join_only(self.body, able, self.lifecycle.ignore_changes)
            known = revision_of(canonical({**fields, "shifted": True} if shifted else fields))
            self._revisions[able.updatable, shifted] = known
        return known


def join_only(body: Body, able: Capabilities, ignored: tuple[Path, ...] = ()) -> dict[str, Tree]:
    """Return the part of a body that cannot change on a running agent, ignored paths left out."""
    properties: Tree = body.properties
    for path in able.updatable:
        properties = without(properties, path)
    for path in ignored:
        properties = without(properties, path)
    tree = body.tree()
    tree["properties"] = properties
    return tree


def describe(path: Path) -> str:
    """Return a path of a body as the files write it: paths below `properties` without that word."""
    return dotted(path[1:] if path[:1] == ("properties",) and len(path) > 1 else path)
