"""Which pull request a job is about: said by hand, by the runner, or found by the commit that it runs for.

A job that runs for what somebody else's workflow did (`workflow_run`) is told a commit and a repository by GitHub itself;
no number that a fork wrote down is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.cli.pull_requests import github_event
from reconciler.codehosts import Head
from reconciler.codehosts.settings import CodeHostJob, commit_id
from reconciler.errors import UsageError
from reconciler.ports import Sleep, Steps

# A code host may know which pull request a commit belongs to only a moment after the push, seconds.
_LATE = (0.5, 2.0)


def request_of(settings: CodeHostJob, said: int | None) -> Steps[int]:
    """The number of the pull request; `UsageError` where there is none, or more than one."""
    if said is not None:
        return said
    if settings.number is not None:
        return settings.number
    event = github_event(settings.event) if settings.event else {}
    if number := _number(event):
        return number
    run = event.get("workflow_run")
    if isinstance(run, dict):
        head = _head(run)
        if run.get("event") == "push":
            return _only((yield from merged_for(settings, head.commit)), "merged", head.commit)
        return _only((yield from settings.host.open_pull_requests(head)), "open", head.commit)
    if settings.commit is None:
        raise UsageError(
            "this job runs for no pull request, and for no commit",
            hint="say which with --pull-request N, or run it in a job for a pull request",
        )
    return _only((yield from merged_for(settings, settings.commit)), "merged", settings.commit)


def merged_for(settings: CodeHostJob, commit: str) -> Steps[tuple[int, ...]]:
    """The pull requests that a commit has merged into the default branch; asked again where there is none yet."""
    found = yield from settings.host.merged_pull_requests(commit)
    for pause in _LATE:
        if found:
            break
        yield Sleep(pause)
        found = yield from settings.host.merged_pull_requests(commit)
    return found


def _only(found: tuple[int, ...], kind: str, commit: str) -> int:
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(
            f"no {kind} pull request has the commit {commit[:12]}",
            hint="it has moved on, or was closed; say which one is meant with --pull-request N",
        )
    names = ", ".join(f"#{each}" for each in found[:10])
    raise UsageError(
        f"{len(found)} {kind} pull requests have the commit {commit[:12]}: {names}",
        hint="say which one is meant with --pull-request N",
    )


def _number(event: Mapping[str, Any]) -> int | None:
    """The number of the pull request that an event is about."""
    request, issue = event.get("pull_request"), event.get("issue")
    if not isinstance(request, dict) and isinstance(issue, dict) and issue.get("pull_request"):
        request = issue  # somebody has commented on it
    number = request.get("number") if isinstance(request, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else None


def _head(run: Mapping[str, Any]) -> Head:
    repository = run.get("head_repository")
    name = repository.get("full_name") if isinstance(repository, dict) else None
    commit, branch = commit_id(run.get("head_sha")), run.get("head_branch")
    if commit is None or not isinstance(name, str) or not isinstance(branch, str):
        raise UsageError(
            "the event names no commit, branch and repository of a workflow's run (GITHUB_EVENT_PATH)",
            hint="say which pull request is meant with --pull-request N",
        )
    return Head(name, branch, commit)
