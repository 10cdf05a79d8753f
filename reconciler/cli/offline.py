"""Plans without the service: `plan --offline` and `--base`, and the reviewed plan of `--check` and `apply --approved`.

No socket is opened, and no credential or other variable of the service is read.

A token names the files (Git tree) and the state (snapshot) of a reviewed plan. The plan is not stored: it is computed
again from both.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Self

from reconciler import workflow
from reconciler.cli.jobs import Flags, team_part, with_team_policy
from reconciler.cli.loading import load_files, load_fleet
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output
from reconciler.cli.revisions import files_at, tree_files, tree_of, uncommitted
from reconciler.errors import InvalidConfig, StalePlan, UsageError
from reconciler.model.address import Owner
from reconciler.model.approval import Approval
from reconciler.model.fleet import FLEET_FILE, DesiredFleet
from reconciler.model.record import State
from reconciler.plan.approval import Review, review_of
from reconciler.plan.build import Plan
from reconciler.plan.guard import Policy
from reconciler.providers import capabilities_of
from reconciler.state.log.snapshots import Snapshot, at, latest, ref_of
from reconciler.state.opening import is_in_git, open_state
from reconciler.values import dataclass
from reconciler.workflow import Job


def plan_offline(flags: FleetFlags, output: Output, chosen: Flags, *, base: str | None) -> Plan:
    """Return the plan of the files against the state, or against the files of the commit `base`."""
    fleet = load_fleet(flags, output)
    fleet, policy = with_team_policy(fleet, chosen, flags.directory, output)
    job = Job(fleet, selection=chosen.selection(), policy=policy)
    if base is not None:
        return _plan(job, _state_at(flags, base), against=f"the files of {base}")
    if is_in_git(flags.state):
        return _plan_at(job, flags, chosen, latest(Path(flags.directory), ref_of(fleet.owner)))
    return _plan(job, _state_here(flags, fleet.owner))


def _plan(job: Job, state: State, *, against: str = "the state") -> Plan:
    return workflow.offline_plan(job, state, capabilities_of(job.fleet.service), against=against)


def _state_here(flags: FleetFlags, owner: Owner) -> State:
    with closing(open_state(flags.state, Path(flags.directory), flags.environment, owner, {})) as store:
        return store.read()


def _state_at(flags: FleetFlags, base: str) -> State:
    """Return the state that a complete apply of a commit's files would leave; empty if it has no fleet there."""
    with files_at(Path(flags.directory), base) as place:
        if not (place / FLEET_FILE).exists():
            return State("", 0, b"")
        try:
            fleet = load_files(place, flags.environment, flags.variables)
        except InvalidConfig as problem:
            first = next((each for each in problem.diagnostics if each.is_error), None)
            said = f": {first.where}: {first.summary}" if first is not None else ""
            raise UsageError(
                f"the files of {base} do not load{said}",
                hint="compare with another commit, or with the state: plan --offline",
            ) from None
        return workflow.state_of(fleet)


# --- reviews


def _plan_at(job: Job, flags: FleetFlags, chosen: Flags, snapshot: Snapshot) -> Plan:
    """Return the plan against a snapshot of a state in Git, with its approval token or the reason why it has none."""
    plan = _plan(job, snapshot.state)
    tree = tree_of(Path(flags.directory))
    reason = _unapprovable(job.fleet, flags, chosen, tree)
    if reason is not None or tree is None:
        return replace(plan, no_approval=reason or "")
    return replace(plan, approval=Approval(tree, snapshot.commit))


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
        return _plan(Job(plan.fleet, policy=team), snapshot.state), ""
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
            fleet = load_files(place, flags.environment)
        except InvalidConfig:
            return None, f"{said}, which does not load"
        return _plan(Job(fleet, policy=team), snapshot.state), said


_AGAIN = "check out the commit that was reviewed; or plan this one, and have that reviewed"


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
        plan = _plan(Job(job.fleet, policy=team_part(job.policy)), snapshot.state)
        return review_of(plan.changes, ((each.reference, each.host) for each in plan.dangers))
