"""`plan --check`: compares today's plan with the one that was reviewed, for merge queues."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from reconciler.cli import offline, several_fleets
from reconciler.cli.jobs import team_part, with_team_policy
from reconciler.cli.options import FleetFlags, ManyFlags
from reconciler.cli.planning import Planning
from reconciler.errors import ExitCode, UsageError
from reconciler.model.address import Owner
from reconciler.model.approval import Approval
from reconciler.plan.build import Plan
from reconciler.plan.change import Hold, Keep, Renew, Rotate
from reconciler.plan.guard import Policy
from reconciler.plan.planfile import FORMAT, LARGEST, load
from reconciler.report.formats import Format, ReportKind, formats_for
from reconciler.report.json_plan import change_tree
from reconciler.report.moved import ReviewDifference, Row
from reconciler.values import dataclass

# Changes that fall due by the clock alone; a review does not cover them.
_BY_TIME = frozenset({"renew", "rotate"})
_NO_ACTS = frozenset({"none", "hold"})


class _Change(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    address: str
    action: str
    change: dict[str, Any]


class _ComparedPlan(BaseModel):
    """The fields of a JSON plan that are compared."""

    model_config = ConfigDict(extra="ignore", strict=True)

    fleet: str
    environment: str | None
    resource_changes: list[_Change]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The reviewed rows, each with its change (None if unknown), and how the reviewed files differ from today's."""

    rows: Mapping[Row, object]
    files: str = ""


def run_check(reviewed: str, fleets: ManyFlags, planning: Planning, form: Format) -> int:
    """Compare the plan of one fleet with the reviewed one, and report the difference; return 0 if none, else 2."""
    several_fleets.only_one(fleets, "--check")
    if planning.out is not None or planning.against.base is not None or planning.flags.shaping():
        raise UsageError(
            "--check compares the whole plan; it goes with --offline and with no other choice of what is planned"
        )
    if ReportKind.MOVED not in form.kinds:
        known = ", ".join(each.name for each in formats_for(ReportKind.MOVED))
        raise UsageError(f"--check is shown in {known}; not in {form.name}")
    (flags,) = several_fleets.fleets_of(fleets)
    plan = planning.plan_of(flags)
    assert plan.fleet is not None, "a plan that was just made has its fleet"
    _, policy = with_team_policy(plan.fleet, planning.flags, flags.directory, planning.output)
    moved = moved_since(reviewed, plan, flags, team_part(policy))
    planning.output.report(form, ReportKind.MOVED, moved)
    return ExitCode.CHANGES if moved else ExitCode.DONE


def moved_since(reviewed: str, plan: Plan, flags: FleetFlags, team: Policy) -> ReviewDifference:
    """Return how a plan differs from the reviewed one, which is a token or a file written by `plan`.

    Raises `UsageError` if it is neither, and for the plan of another fleet.
    """
    path = Path(reviewed)
    seen = _of_file(path, plan) if path.is_file() else _of_token(reviewed, plan, flags, team)
    now = _rows(plan)
    both = now.keys() & seen.rows.keys()
    changed = {row for row in both if seen.rows[row] is not None and seen.rows[row] != now[row]}
    return ReviewDifference(
        plan.owner,
        tuple(sorted(now.keys() - seen.rows.keys())),
        tuple(sorted(seen.rows.keys() - now.keys())),
        tuple(sorted(changed)),
        seen.files,
        len(both) - len(changed),
    )


def _rows(plan: Plan) -> dict[Row, object]:
    """Return the plan's changes without renewals and rotations, each with its body before and after."""
    acts = (each for each in plan.changes if not isinstance(each, (Hold, Keep, Renew, Rotate)))
    trees = (change_tree(plan, each) for each in acts)
    # As JSON, so that it compares with what was read from a file.
    return {
        (each["action"].value, each["address"]): orjson.loads(orjson.dumps(each["change"])) for each in trees
    }


def _of_token(text: str, plan: Plan, flags: FleetFlags, team: Policy) -> _Seen:
    try:
        approval = Approval.parse(text)
    except UsageError as problem:
        raise UsageError(f"--check: no file, and {problem.message}", hint=problem.hint) from None
    reviewed, files = offline.reviewed_plan(approval, plan, flags, team)
    return _Seen(_rows(reviewed) if reviewed is not None else {}, files)


def _of_file(path: Path, plan: Plan) -> _Seen:
    data = path.read_bytes()[: LARGEST + 1]
    if FORMAT.encode() in data[:4096]:
        saved = load(data, str(path))
        _check_owner(saved.owner, plan)
        same = saved.files == plan.fleet_digest
        rows = {row: None for row in saved.rows if row[0] not in _BY_TIME}
        return _Seen(rows, "" if same else "the files or variables have changed since the plan was saved")
    try:
        if len(data) > LARGEST:
            raise ValueError
        document = _ComparedPlan.model_validate_json(data)
    except (ValidationError, ValueError):
        raise UsageError(
            f"{path} is no plan: neither what `plan --out` writes, nor what `plan --format json` prints",
            hint="give one of these, or the token of the review",
        ) from None
    _check_owner(Owner(document.fleet, document.environment), plan)
    acts = (each for each in document.resource_changes if each.action not in _BY_TIME | _NO_ACTS)
    return _Seen({(each.action, each.address): each.change for each in acts})


def _check_owner(owner: Owner, plan: Plan) -> None:
    if owner != plan.owner:
        raise UsageError(
            f"the plan is for {owner}, and this run is for {plan.owner}",
            hint="give the directory and --env for which it was made",
        )
