"""Refuses `apply` and reading secrets in a GitHub job for a pull request that is not merged.

Its files decide which agents run and which secrets are read, and have not been approved. GitHub's environment variables
say which event a job runs for; an event that cannot be read counts as not merged.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.errors import UsageError

_LARGEST = 64 * 1024 * 1024


class RefusedOnPullRequest(NamedTuple):
    """A refusal for a pull request: the end of a sentence about its files, and what to do instead."""

    refused: str
    instead: str


CHANGES = RefusedOnPullRequest(
    "are not applied",
    "run `plan` here, and `apply` in the job for pushes to the branch that it is merged into",
)
SECRETS = RefusedOnPullRequest(
    "do not say which secrets are read",
    "leave out --check-secrets here; it belongs into a job for what is merged, such as the one for drift",
)
DOCTOR = RefusedOnPullRequest(
    SECRETS.refused, "run doctor in a job for what is merged, such as the one for drift"
)


def refuse_unmerged(environment: Mapping[str, str], what: RefusedOnPullRequest) -> None:
    """Raise `UsageError` in a job for a pull request that is not merged; the hint is what to do instead."""
    name = environment.get("GITHUB_EVENT_NAME", "")
    if not name.startswith("pull_request"):
        return
    request = _request(environment.get("GITHUB_EVENT_PATH", ""))
    if request.get("merged") is True:
        return
    whose = " of a fork" if _repository(request, "head") != _repository(request, "base") else ""
    raise UsageError(
        f"this job runs for a pull request{whose} that is not merged (GITHUB_EVENT_NAME is {name[:40]}), and files that "
        f"nobody has approved {what.refused}; nothing was done",
        hint=what.instead,
    )


def github_event(path: str) -> Mapping[str, Any]:
    """Return the event that a GitHub job runs for, from the file that GITHUB_EVENT_PATH names.

    Raises `UsageError` if it cannot be read.
    """
    import orjson

    try:
        with Path(path).open("rb") as file:
            event = orjson.loads(file.read(_LARGEST))
    except (OSError, ValueError):
        raise UsageError("the event cannot be read (GITHUB_EVENT_PATH)") from None
    return event if isinstance(event, dict) else {}


def _request(path: str) -> Mapping[str, Any]:
    """Return the pull request of the event; empty if there is none or it cannot be read."""
    try:
        request = github_event(path).get("pull_request")
    except UsageError:
        return {}
    return request if isinstance(request, dict) else {}


def _repository(request: Mapping[str, Any], side: str) -> object:
    try:
        return request[side]["repo"]["full_name"]
    except (KeyError, TypeError):  # the repository of a fork may be gone
        return None
