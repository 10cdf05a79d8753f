"""The team's policy from a commit that the planned change cannot alter, such as the base branch's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.cli.jobs import Flags
from reconciler.cli.output import Output
from reconciler.cli.revisions import commit_named
from reconciler.config import POLICY_FILE, load_policy
from reconciler.errors import InvalidConfig, UsageError
from reconciler.git import Git
from reconciler.model.fleet import DesiredFleet
from reconciler.plan.guard import Policy


def with_team_policy(
    fleet: DesiredFleet, flags: Flags, directory: str, output: Output
) -> tuple[DesiredFleet, Policy]:
    """Return the fleet and the run's policy, both restricted by the policy of the commit that `--policy-from` names.

    Raises `UsageError` if the commit is missing or its policy cannot be read.
    """
    policy = flags.policy()
    if flags.policy_from is None:
        return fleet, policy
    git = Git(Path(directory))
    commit = commit_named(git, flags.policy_from)
    if not git.read("ls-tree", "--full-tree", commit, POLICY_FILE):
        output.warn_once(f"{flags.policy_from} has no {POLICY_FILE}: no policy restricts this plan")
        return fleet, policy
    text = git.read("cat-file", "blob", f"{commit}:{POLICY_FILE}")
    try:
        team = load_policy((text or b"").decode("utf-8"), POLICY_FILE)
    except UnicodeDecodeError:
        raise UsageError(f"{POLICY_FILE} of {flags.policy_from} is not UTF-8; nothing was done") from None
    except InvalidConfig as problem:
        first = next(each for each in problem.diagnostics if each.is_error)
        more = len(problem.diagnostics) - 1
        raise UsageError(
            f"{first.where}: {first.summary}{f' (and {more} more)' if more else ''}; this is the policy of "
            f"{flags.policy_from}, and without it nothing was done",
            hint=first.help
            or "correct it in a change of its own: no plan goes without the policy that it names",
        ) from None
    under = team.over(fleet)
    tightened = frozenset(
        name for name in team.limits if getattr(under.limits, name) != getattr(fleet.limits, name)
    )
    policy = replace(policy, secret_hosts=team.secret_hosts, protect=team.protect, tightened=tightened)
    return under, policy


def team_part(policy: Policy) -> Policy:
    """Return the team's part of a policy: secret hosts and protection, without what the flags of this run allow."""
    return Policy(secret_hosts=policy.secret_hosts, protect=policy.protect)
