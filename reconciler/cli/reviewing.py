"""Reviews of pull requests: the token of a plan, and the checks of `apply --approved` before it asks.

A token names the files (Git tree) and the state (snapshot) of a reviewed plan. The plan is not stored: it is computed
again from both.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

from reconciler import config, workflow
from reconciler.cli.base_policy import team_part
from reconciler.cli.jobs import Flags
from reconciler.cli.limits import load_limits
from reconciler.cli.options import FleetFlags
from reconciler.cli.revisions import tree_files, tree_of, uncommitted
from reconciler.errors import InvalidConfig, StalePlan, UsageError
from reconciler.model.approval import Approval
from reconciler.model.fleet import DesiredFleet
from reconciler.plan.approval import Review, review_of
from reconciler.plan.build import Plan
from reconciler.plan.guard import Policy
from reconciler.providers import capabilities_of
from reconciler.state.log.snapshots import Snapshot, at, ref_of
from reconciler.state.opening import is_in_git
from reconciler.values import dataclass
from reconciler.workflow import Job

_AGAIN = "check out the commit that was reviewed; or plan this one, and have that reviewed"


def plan_at(job: Job, flags: FleetFlags, chosen: Flags, snapshot: Snapshot) -> Plan:
    """Return the plan against a snapshot of a state in Git, with its approval token or the reason why it has none."""
    plan = _offline(job, snapshot)
    tree = tree_of(Path(flags.directory))
    reason = _unapprovable(job.fleet, flags, chosen, tree)
    if reason is not None or tree is None:
        return replace(plan, no_approval=reason or "")
    return replace(plan, approval=Approval(tree, snapshot.commit))


def _offline(job: Job, snapshot: Snapshot) -> Plan:
    able = capabilities_of(job.fleet.service)
    return workflow.offline_plan(job, snapshot.state, able, against="the state")


def _unapprovable(fleet: DesiredFleet, flags: FleetFlags, chosen: Flags, tree: str | None) -> str | None:
    given = [*chosen.shaping(), *(["--var"] if flags.variables else [])]
    if given:
        return f"{', '.join(given)} made it another plan than that of the commit"
    if tree is None:
        return "the fleet's directory is in no commit"
    return uncommitted(Path(flags.directory), tree, fleet.files)


def reviewed_plan(approval: Approval, plan: Plan, flags: FleetFlags, team: Policy) -> tuple[Plan | None, str]:
    """Return the plan of an approval under the team's policy, and how its files differ from those of `plan`.

    The plan is None if the reviewed files are missing in this checkout or do not load.
    """
    directory = Path(flags.directory)
    snapshot = at(directory, ref_of(plan.owner), approval.snapshot)
    tree = tree_of(directory)
    assert plan.fleet is not None, "a plan that was just made has its fleet"
    differs = None if tree is None else uncommitted(directory, tree, plan.fleet.files)
    if tree == approval.tree and differs is None:
        return _offline(Job(plan.fleet, policy=team), snapshot), ""
    said = (
        f"other files were reviewed: {differs}"
        if tree == approval.tree
        else (
            f"other files were reviewed: their tree is {approval.tree[:12]}, that of the last commit here "
            f"{tree[:12] if tree else 'missing'}"
        )
    )
    with tree_files(directory, approval.tree) as place:
        if place is None:
            return None, said
        try:
            fleet = config.load(place, environment=flags.environment, limits=load_limits())
        except InvalidConfig:
            return None, f"{said}, which does not load"
        return _offline(Job(fleet, policy=team), snapshot), said


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The input of `apply --approved`: the approval, if any, and whether unreviewed changes are allowed."""

    flags: FleetFlags
    approval: Approval | None
    allows_unreviewed: bool = False

    @classmethod
    def of(cls, token: str, flags: FleetFlags, chosen: Flags) -> Self:
        """Return the review that a token and the flags name.

        Raises `UsageError`, and `StalePlan` if this checkout has other files than the approval.
        """
        if not is_in_git(flags.state):
            raise UsageError(
                "--approved needs the state that was reviewed, which is one in Git; nothing was done",
                hint="say which with --state git:REMOTE or RECONCILER_STATE",
            )
        if flags.variables:
            raise UsageError(
                "--var gives the files values that nobody has reviewed; nothing was done",
                hint="write them into the fleet's files, under `variables` or an environment",
            )
        if not token.strip():
            if chosen.allows_unreviewed:
                return cls(flags, None, allows_unreviewed=True)
            raise UsageError(
                "there is no review: the token is empty; nothing was done",
                hint="`--allow unreviewed` applies what nobody has reviewed",
            )
        approval = Approval.parse(token)
        tree = tree_of(Path(flags.directory))
        if tree != approval.tree:
            raise StalePlan(
                f"other files were reviewed: their tree is {approval.tree[:12]}, and that of {flags.directory} in the last "
                f"commit is {tree[:12] if tree else 'missing'}; nothing was done",
                hint=_AGAIN,
            )
        return cls(flags, approval, chosen.allows_unreviewed)

    def accept(self, fleet: DesiredFleet) -> None:
        """Raise `StalePlan` if the files read are not those of the approved commit."""
        if self.approval is None:
            return
        differs = uncommitted(Path(self.flags.directory), self.approval.tree, fleet.files)
        if differs is not None:
            raise StalePlan(
                f"these are not the files that were reviewed: {differs}; nothing was done", hint=_AGAIN
            )

    def review(self, job: Job) -> Review | None:
        """Return what the reviewed plan showed, computed again from the files and the state of that time.

        Only the job's fleet and the team's policy count: what this apply's own flags allow was not part of the review.
        """
        if self.approval is None:
            return None
        snapshot = at(Path(self.flags.directory), ref_of(job.fleet.owner), self.approval.snapshot)
        if self.allows_unreviewed:
            return None
        plan = _offline(Job(job.fleet, policy=team_part(job.policy)), snapshot)
        return review_of(plan.changes, ((each.reference, each.host) for each in plan.dangers))
