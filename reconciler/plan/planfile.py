"""Write and read a saved plan: what was approved, as data that is never executed or trusted.

An apply derives its plan again from the files, the state and the service, and compares the digests. The file holds only
the approved digest, the selection, the rows that the digest stood for, and for whoever reads it what is held and how
many conversations end; a checksum over all of it shows damage and careless edits. Raised limits are not in it: `apply`
must be given them again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconciler.errors import StalePlan, UsageError
from reconciler.model.address import Owner
from reconciler.model.fingerprint import digest
from reconciler.plan.build import Plan
from reconciler.plan.change import Action, Hold, act_of, action_of, order_of
from reconciler.plan.guard import Policy
from reconciler.plan.selection import Selection
from reconciler.values import dataclass

FORMAT: Literal["reconciler-plan-1"] = "reconciler-plan-1"
LARGEST = 64 * 1024 * 1024
_AGAIN = "plan again, and approve that: `reconciler plan --out FILE`"


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class _SelectionDocument(_Document):
    targets: list[str]
    excludes: list[str]
    replaces: list[str]


class _PolicyDocument(_Document):
    only: list[str] | None
    prune_unrecorded: bool
    horizon: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)


class _Row(_Document):
    action: str
    address: str


class _HeldDocument(_Document):
    address: str
    action: str
    reason: str


class _PlanDocument(_Document):
    format: Literal["reconciler-plan-1"]
    fleet: str
    environment: str | None
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    files: str
    selection: _SelectionDocument
    policy: _PolicyDocument
    rows: list[_Row]
    # Written where they say something, and never compared.
    held: list[_HeldDocument] = Field(default_factory=list)
    hang_ups: int = 0
    check: str = ""


@dataclass(frozen=True, slots=True)
class SavedHold:
    """A change that the plan held: what it would be, and why it was held."""

    address: str
    action: str
    reason: str


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """The content of a plan file. `rows` are the approved acts as (action, address), `files` is the files' digest.

    Its `policy` raises no limit and allows no host. `horizon` is the time until the next run, in seconds. `held` and
    `hang_ups` are for readers: an apply decides both anew.
    """

    owner: Owner
    digest: str
    files: str
    selection: Selection
    policy: Policy
    rows: frozenset[tuple[str, str]]
    horizon: float = 0.0
    held: tuple[SavedHold, ...] = ()
    hang_ups: int = 0

    def check_owner(self, owner: Owner) -> None:
        """Raise `StalePlan` if the plan is of another fleet or environment; this is checked first."""
        if self.owner != owner:
            raise StalePlan(
                f"the plan is for {self.owner}, and this run is for {owner}; nothing was done",
                hint="give the directory and --env for which it was made",
            )


def save(
    plan: Plan,
    selection: Selection,
    policy: Policy,
    horizon: float = 0.0,
    mask: Callable[[str], str] = str,
) -> bytes:
    """Return the bytes of a plan file; the same plan gives the same bytes. `mask` hides secrets in reasons of holds."""
    held = [
        _HeldDocument(
            address=str(each.address), action=action_of(act_of(each)), reason=mask(each.reason.text)
        )
        for each in sorted(plan.changes, key=order_of)
        if isinstance(each, Hold)
    ]
    for_readers: dict[str, Any] = ({"held": held} if held else {}) | (
        {"hang_ups": len(plan.ended)} if plan.ended else {}
    )
    document = _PlanDocument(
        format=FORMAT,
        fleet=plan.owner.fleet,
        environment=plan.owner.environment,
        digest=plan.digest,
        files=plan.fleet_digest,
        selection=_SelectionDocument(
            targets=list(selection.targets),
            excludes=list(selection.excludes),
            replaces=list(selection.replaces),
        ),
        policy=_PolicyDocument(
            only=None if policy.only is None else sorted(each.value for each in policy.only),
            prune_unrecorded=policy.prune_unrecorded,
            **({"horizon": horizon} if horizon else {}),
        ),
        rows=[_Row(action=action, address=address) for action, address in sorted(plan.rows)],
        **for_readers,
    )
    whole = document.model_dump(exclude_unset=True) | {"check": _check(document)}
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _check(document: _PlanDocument) -> str:
    # Keys that a plan of an earlier release does not have are no part of its checksum.
    return digest(document.model_dump(exclude={"check"}, exclude_unset=True), size=16)


def load(data: bytes, name: str = "") -> SavedPlan:
    """Return the plan in a file's bytes; raise `UsageError` if they are none of this format. `name` is the file's."""
    what = f"the plan file {name}".rstrip()
    if len(data) > LARGEST:
        raise UsageError(f"{what} is too large to be one; nothing was done", hint=_AGAIN)
    try:
        tree = orjson.loads(data)
    except (orjson.JSONDecodeError, RecursionError):
        raise UsageError(
            f"{what} is not JSON, and so no plan of ours; nothing was done", hint=_AGAIN
        ) from None
    found = tree.get("format") if isinstance(tree, dict) else None
    if isinstance(found, str) and found != FORMAT:
        raise UsageError(
            f'{what} has the format "{found[:40]}", and this reconciler knows "{FORMAT}"; nothing was done',
            hint="apply it with the release that wrote it, or plan again with this one: `reconciler plan --out FILE`",
        )
    try:
        document = _PlanDocument.model_validate(tree)
        if document.check != _check(document):
            raise ValueError("the checksum does not agree")
        return _saved(document)
    except (ValidationError, ValueError, RecursionError):
        # The errors' details may quote the file's content, so they are left out.
        raise UsageError(
            f"{what} is damaged, or somebody has edited it: it is not what `plan --out` wrote; nothing was done",
            hint=_AGAIN,
        ) from None


def _saved(document: _PlanDocument) -> SavedPlan:
    only = document.policy.only
    policy = Policy(
        only=None if only is None else frozenset(Action(each) for each in only),
        prune_unrecorded=document.policy.prune_unrecorded,
    )
    chosen = document.selection
    return SavedPlan(
        Owner(document.fleet, document.environment),
        document.digest,
        document.files,
        Selection(tuple(chosen.targets), tuple(chosen.excludes), tuple(chosen.replaces)),
        policy,
        frozenset((Action(row.action).value, row.address) for row in document.rows),
        document.policy.horizon,
        tuple(SavedHold(each.address, Action(each.action).value, each.reason) for each in document.held),
        document.hang_ups,
    )
