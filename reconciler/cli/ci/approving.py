"""Finds the review of a merge: the token in the comment on the pull request that a commit has merged."""

from __future__ import annotations

from pathlib import Path

from reconciler.cli.ci.job import git_says, merged_for, perform, this_job
from reconciler.cli.loading import outline
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output
from reconciler.codehosts import sticky
from reconciler.codehosts.settings import CodeHostJob, commit_id
from reconciler.errors import ReconcilerError, UsageError
from reconciler.git import Git
from reconciler.model.address import Owner
from reconciler.model.approval import Approval
from reconciler.ports import Steps
from reconciler.report import markers


class NoReview(ReconcilerError):
    """No review was found for these files, or only reviews of other files."""

    rule = "no-review"


def reviewed(flags: FleetFlags, commit: str | None, output: Output) -> Approval:
    """Return the approval for the files of a fleet as they are. Raises `NoReview` with the reason if there is none."""
    settings = this_job()
    owner = _owner(flags)
    git = Git(Path(flags.directory))
    tree = git_says(git, "rev-parse", "--verify", "HEAD:./")
    if commit is not None and commit_id(commit) is None:
        raise UsageError("--commit is not the full id of a commit")
    sha = commit or settings.commit or git_says(git, "rev-parse", "HEAD")
    found = perform(_approvals(settings, owner, sha))
    for number, approval in found:
        if approval is not None and approval.tree == tree:
            output.detail(f"reviewed in #{number}")
            return approval
    raise _why(found, owner, sha, tree)


def _approvals(settings: CodeHostJob, owner: Owner, sha: str) -> Steps[list[tuple[int, Approval | None]]]:
    """Return the pull requests that a commit has merged, each with the token that the comment on it shows."""
    numbers = yield from merged_for(settings, sha)
    if not numbers:
        raise NoReview(
            f"no pull request that was merged into the default branch has the commit {sha[:12]}",
            hint="it was pushed directly; `reconciler apply --allow unreviewed` applies it all the same",
        )
    login = yield from settings.host.login()
    found: list[tuple[int, Approval | None]] = []
    for number in numbers:
        shelf = settings.host.comments(number)
        comments = yield from sticky.own(shelf, login, markers.marker(markers.PLAN, owner))
        if comments:
            found.append((number, markers.approval_in(comments[0].body)))
    if not found:
        names = ", ".join(f"#{each}" for each in numbers)
        raise NoReview(
            f"no plan of {owner} stands as a comment of {login} on {names}",
            hint="`reconciler ci comment` with the token of the same user or app posts it; `reconciler apply --allow unreviewed` goes without",
        )
    return found


def _why(found: list[tuple[int, Approval | None]], owner: Owner, sha: str, tree: str) -> NoReview:
    """Return the reason why none of the comments approves these files."""
    shown = [(number, approval) for number, approval in found if approval is not None]
    if not shown:
        return NoReview(
            f"the plan of {owner} on #{found[0][0]} shows no token",
            hint="a plan shows one with --offline on a Git state: `reconciler plan --offline --state git:origin --format markdown`",
        )
    number, approval = shown[0]
    return NoReview(
        f"the plan of {owner} on #{number} is of other files: tree {approval.tree[:12]}, and here is {tree[:12]} "
        f"(commit {sha[:12]})",
        hint="something else was merged in between; open a pull request that plans what stands on the branch now",
    )


def _owner(flags: FleetFlags) -> Owner:
    """Return the fleet and environment of the files, without reading more of them."""
    fleet = outline(flags)
    if fleet is None:
        raise UsageError(
            f"{flags.directory} does not say which fleet it is"
            + (f", or has no environment {flags.environment}" if flags.environment else ""),
            hint="`reconciler validate` says what is wrong with it",
        )
    return fleet.owner
