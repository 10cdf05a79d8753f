"""Reads a saved plan from its file, for `apply --plan` and `show`, and turns it into a tree. Needs pydantic, as no plan does."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from reconciler.contract.literals import KEY_LIKE
from reconciler.durations import spelled
from reconciler.errors import UsageError
from reconciler.model.address import Address
from reconciler.model.tree import Tree
from reconciler.plan.planfile import LARGEST, SavedPlan, load

_FORMAT = b"reconciler-plan-"


def is_plan_file(text: str) -> bool:
    """Return whether an argument names a plan file: its content is a saved plan, or its name is no address."""
    path = Path(text)
    if not path.is_file():
        return False
    try:
        Address.parse(text)
    except ValueError:
        return True
    with path.open("rb") as file:
        return _FORMAT in file.read(4096)


def read_plan(path: str) -> SavedPlan:
    """Return the plan of a file. Raises `UsageError` if it is not one, or holds text that looks like a key."""
    with Path(path).open("rb") as file:
        data = file.read(LARGEST + 1)
    saved = load(data, path)
    if KEY_LIKE.search(data.decode()):
        raise UsageError(
            f"the plan file {path} holds what looks like a key, which no plan needs; nothing was done",
            hint="if it is one, revoke it: plans are shown around; then plan again: `reconciler plan --out FILE`",
        )
    return saved


def plan_tree(saved: SavedPlan) -> dict[str, Tree]:
    """Return a saved plan as a tree: its fleet, its changes and holds, and the selection and policy it was made with."""
    changes: dict[str, list[Tree]] = defaultdict(list)
    for action, address in sorted(saved.rows):
        changes[action].append(address)
    chosen, policy = saved.selection, saved.policy
    restricted = {
        "target": list(chosen.targets),
        "exclude": list(chosen.excludes),
        "replace": list(chosen.replaces),
        "only": sorted(each.value for each in policy.only or ()),
    }
    tree: dict[str, Tree] = {
        "fleet": saved.owner.fleet,
        "environment": saved.owner.environment,
        "digest": saved.digest,
        "files_digest": saved.files,
        **{key: each for key, each in restricted.items() if each},
    }
    if policy.prune_unrecorded:
        tree["prune_unrecorded"] = True
    if saved.horizon:
        tree["horizon"] = spelled(saved.horizon)
    if saved.hang_ups:
        tree["hang_ups"] = saved.hang_ups
    tree["summary"] = {key: len(each) for key, each in changes.items()} | (
        {"hold": len(saved.held)} if saved.held else {}
    )
    tree["changes"] = dict(changes)
    if saved.held:
        tree["held"] = [asdict(each) for each in saved.held]
    return tree
