"""The code host, repository and token of a job, from the runner's own variables and nowhere else.

Messages name variables, never values. If the variables of both code hosts are set, the runner's own mark decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.codehosts import CodeHost, github, gitlab
from reconciler.errors import UsageError
from reconciler.secrets import Secret
from reconciler.secrets.endpoints import ALLOWED, taken_apart
from reconciler.values import dataclass

GITHUB_TOKEN = "GITHUB_TOKEN"
GITLAB_TOKEN = "GITLAB_TOKEN"
_PUBLIC_GITHUB = "https://api.github.com"
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/(?!\.{1,2}$)[A-Za-z0-9_.-]{1,100}")
_PROJECT = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class CodeHostJob:
    """One job on one code host. `page` is the job's address for people, empty if it is not known.

    `event` is the path of the file with GitHub's event; `number` and `commit` are taken from the variables.
    """

    host: CodeHost
    token: Secret
    page: str = ""
    event: str = ""
    number: int | None = None
    commit: str | None = None


def from_environment(env: Mapping[str, str]) -> CodeHostJob:
    """Return the settings in a job's environment. Raises `UsageError` that names the missing or wrong variables."""
    return _of_gitlab(env) if _is_gitlab(env) else _of_github(env)


def _is_gitlab(env: Mapping[str, str]) -> bool:
    has_github = bool(env.get("GITHUB_REPOSITORY") or env.get("GITHUB_API_URL"))
    has_gitlab = bool(env.get("CI_PROJECT_ID") or env.get("CI_API_V4_URL"))
    if has_github and has_gitlab:
        if (env.get("GITHUB_ACTIONS") == "true") == (env.get("GITLAB_CI") == "true"):
            raise UsageError(
                "the variables of GitHub and of GitLab are set, and neither GITHUB_ACTIONS nor GITLAB_CI says which is meant"
            )
        return env.get("GITLAB_CI") == "true"
    if not has_github and not has_gitlab:
        raise UsageError(
            "this is no job of GitHub or GitLab: neither GITHUB_REPOSITORY nor CI_PROJECT_ID is set",
            hint="GitHub: GITHUB_REPOSITORY, GITHUB_TOKEN, and GITHUB_API_URL for a server of your own; "
            "GitLab: CI_API_V4_URL, CI_PROJECT_ID, GITLAB_TOKEN",
        )
    return has_gitlab


def _of_github(env: Mapping[str, str]) -> CodeHostJob:
    _refuse_missing(env, "GITHUB_REPOSITORY", GITHUB_TOKEN)
    repository = _matching(env, "GITHUB_REPOSITORY", _REPOSITORY, "owner/name")
    base = _address(env, "GITHUB_API_URL", _PUBLIC_GITHUB)
    token = _token(env, GITHUB_TOKEN)
    server, run = env.get("GITHUB_SERVER_URL", "https://github.com"), env.get("GITHUB_RUN_ID", "")
    return CodeHostJob(
        github.GitHub(github.api_of(base, token), repository),
        token,
        page=_page(f"{server}/{repository}/actions/runs/{run}") if run else "",
        event=env.get("GITHUB_EVENT_PATH", ""),
        commit=commit_id(env.get("GITHUB_SHA")),
    )


def _of_gitlab(env: Mapping[str, str]) -> CodeHostJob:
    _refuse_missing(env, "CI_API_V4_URL", "CI_PROJECT_ID", GITLAB_TOKEN)
    project = _matching(env, "CI_PROJECT_ID", _PROJECT, "a number or a path")
    token = _token(env, GITLAB_TOKEN)
    number = env.get("CI_MERGE_REQUEST_IID", "")
    if number and not (number.isdecimal() and len(number) < 12):
        raise UsageError("CI_MERGE_REQUEST_IID is no number")
    return CodeHostJob(
        gitlab.GitLab(gitlab.api_of(_address(env, "CI_API_V4_URL", ""), token), project),
        token,
        page=_page(env.get("CI_JOB_URL", "")),
        number=int(number) if number else None,
        commit=commit_id(env.get("CI_COMMIT_SHA")),
    )


def commit_id(text: object) -> str | None:
    """Return a commit's full id; None for any other value."""
    return text if isinstance(text, str) and _COMMIT.fullmatch(text) else None


def _refuse_missing(env: Mapping[str, str], *names: str) -> None:
    missing = [name for name in names if not env.get(name)]
    if missing:
        raise UsageError(
            f"missing in the environment: {', '.join(missing)}",
            hint="a runner sets all but the token: give that to this step under `env:` (GitHub), or as a masked "
            "variable (GitLab)",
        )


def _matching(env: Mapping[str, str], name: str, form: re.Pattern[str], words: str) -> str:
    if not form.fullmatch(env[name]):
        raise UsageError(f"{name} is not {words}")
    return env[name]


def _token(env: Mapping[str, str], name: str) -> Secret:
    value = env[name].strip()
    if not value.isascii() or not value.isprintable() or " " in value:
        raise UsageError(f"{name} has white space or control characters in it", hint="copy the token anew")
    return Secret(value)


def _address(env: Mapping[str, str], name: str, otherwise: str) -> str:
    parts = taken_apart((env.get(name) or otherwise).strip())
    if isinstance(parts, str):
        raise UsageError(f"{name} is not an address that a token may be sent to: it {parts}", hint=ALLOWED)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _page(address: str) -> str:
    """Return an address that is safe as a link in Markdown; empty for any other text."""
    return address if re.fullmatch(r"https?://[A-Za-z0-9.:/_\[\]-]+", address) else ""
