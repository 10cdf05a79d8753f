"""What every command of `ci` needs of its job: the code host, a way to perform steps on it, and the job's pull request.

The pull request is given by hand, by the runner, or by the commit that the job runs for. A job that runs after another
workflow (`workflow_run`) gets commit and repository from GitHub itself; a number that a fork wrote down is never used.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from reconciler.cli.output import MASKER
from reconciler.cli.pull_requests import github_event
from reconciler.cli.wiring import http_sender
from reconciler.codehosts import Head
from reconciler.codehosts.settings import CodeHostJob, commit_id, from_environment
from reconciler.errors import UsageError
from reconciler.git import Git
from reconciler.ports import Sleep, Steps

T = TypeVar("T")

_LARGEST = 16 * 1024 * 1024


def this_job() -> CodeHostJob:
    """Return the settings of this job, and teach the masker its token."""
    settings = from_environment(os.environ)
    MASKER.learn_all([settings.token])
    return settings


def perform(steps: Steps[T]) -> T:
    """Perform steps that need neither state nor secrets: HTTP calls, times and pauses."""
    from reconciler.driver.loop import Driver

    async def run() -> T:
        sender = http_sender()
        try:
            return await Driver(sender).run(steps)
        finally:
            await sender.aclose()

    return asyncio.run(run())


def text_of(file: str) -> str:
    """Return the text of a Markdown file. Raises `UsageError` if it is too large or not UTF-8."""
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise UsageError(f"{file} is larger than {_LARGEST >> 20} MiB")
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no UTF-8 text", hint="write it with --format markdown") from None


def git_says(git: Git, *arguments: str) -> str:
    """Return the output of a git command. Raises `UsageError` with git's message if it fails."""
    done = git.run(*arguments)
    if done.code:
        raise UsageError(
            f"git cannot read a commit in {git.directory.absolute()}",
            hint=f"run it in a checkout; git says: {done.err[:600] or 'nothing'}",
        )
    return done.text


# Pauses between look-ups, seconds: a code host may know the pull request of a commit only a moment after the push.
_LATE = (0.5, 2.0)


def request_of(settings: CodeHostJob, said: int | None) -> Steps[int]:
    """Return the number of the pull request. Raises `UsageError` if there is none, or more than one."""
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
    """Return the pull requests that a commit has merged into the default branch; asks again while there is none."""
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
    """Return the number of the pull request that an event is about; None if it is about none."""
    request, issue = event.get("pull_request"), event.get("issue")
    if not isinstance(request, dict) and isinstance(issue, dict) and issue.get("pull_request"):
        request = issue  # the event of a comment on a pull request
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
