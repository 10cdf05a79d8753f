"""GitHub's REST API, version 2022-11-28: comments, issues and pull requests of one repository."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from reconciler.codehosts import Head, Posted, Unanswered
from reconciler.codehosts.api import Api, Query
from reconciler.ports import Steps
from reconciler.secrets import Secret

VERSION = "2022-11-28"
# Whose comments a job's own token writes.
ACTIONS_BOT = "github-actions[bot]"
# What GitHub answers for a commit that it does not know, and for what is not there.
_NO_COMMIT = frozenset({422})
_UNKNOWN = _NO_COMMIT | {404}
PERMISSIONS = (
    "give the job `permissions:` with `pull-requests: write` to comment, `issues: write` for issues, "
    "`pull-requests: read` for approved; the token of a fork's pull request may never write"
)


def api_of(base: str, token: Secret) -> Api:
    """The API at an address, with a token."""
    headers: dict[str, str | Secret] = {
        "authorization": Secret(f"Bearer {token.reveal()}"),
        "accept": "application/vnd.github+json",
        "x-github-api-version": VERSION,
    }
    return Api("GitHub", base, headers, PERMISSIONS)


@dataclass(frozen=True, slots=True)
class GitHub:
    """One repository, `owner/name`."""

    api: Api
    repository: str

    @property
    def longest(self) -> int:
        return 65_535

    def login(self) -> Steps[str]:
        """The token's user. That of an app, as every job's own is, has none to be asked for: GraphQL tells its bot."""
        user = yield from self.api.granted("GET", f"{self.api.base}/user")
        if user is not None:
            return _login(user)
        base = self.api.base.removesuffix("/v3")  # on a server of one's own: /api/v3 and /api/graphql
        answer = yield from self.api.granted("POST", f"{base}/graphql", {"query": "{viewer{login}}"})
        try:
            return str(answer["data"]["viewer"]["login"])
        except (KeyError, TypeError):
            return ACTIONS_BOT

    def comments(self, number: int) -> GitHubComments:
        return GitHubComments(self.api, f"/repos/{self.repository}/issues", number)

    def issues(self, title: str) -> GitHubIssues:
        return GitHubIssues(self.api, f"/repos/{self.repository}/issues", title)

    def open_pull_requests(self, head: Head) -> Steps[tuple[int, ...]]:
        owner = head.repository.partition("/")[0]
        query: Query = (("state", "open"), ("head", f"{owner}:{head.branch}"))
        pulls = f"/repos/{self.repository}/pulls"
        found = _headed((yield from self.api.pages(pulls, query, absent=_UNKNOWN)), head)
        if not found:  # the branch may have been renamed
            commit = f"/repos/{self.repository}/commits/{head.commit}/pulls"
            found = _headed((yield from self.api.pages(commit, absent=_UNKNOWN)), head)
        return found

    def merged_pull_requests(self, commit: str) -> Steps[tuple[int, ...]]:
        pulls = f"/repos/{self.repository}/commits/{commit}/pulls"
        found = yield from self.api.pages(pulls, absent=_NO_COMMIT)
        merged = [each for each in found if each.get("merged_at")]
        if not merged:
            return ()
        default = (yield from self.api.found(f"/repos/{self.repository}"))["default_branch"]
        return tuple(each["number"] for each in merged if each["base"]["ref"] == default)


@dataclass(frozen=True, slots=True)
class GitHubComments:
    """The comments of one pull request, which GitHub keeps as those of an issue."""

    api: Api
    issues: str
    number: int

    def posted(self, author: str) -> Steps[tuple[Posted, ...]]:
        found = yield from self.api.pages(f"{self.issues}/{self.number}/comments")
        return tuple(Posted(each["id"], _login(each.get("user")), each.get("body") or "") for each in found)

    def post(self, body: str) -> Steps[Unanswered | None]:
        return (yield from self.api.make(f"{self.issues}/{self.number}/comments", {"body": body}))

    def rewrite(self, old: Posted, body: str, *, is_open: bool) -> Steps[None]:
        yield from self.api.change("PATCH", f"{self.issues}/comments/{old.key}", {"body": body})

    def discard(self, extra: Posted) -> Steps[None]:
        yield from self.api.change("DELETE", f"{self.issues}/comments/{extra.key}")


@dataclass(frozen=True, slots=True)
class GitHubIssues:
    """The issues of a repository; GitHub lists pull requests among them."""

    api: Api
    path: str
    title: str

    def posted(self, author: str) -> Steps[tuple[Posted, ...]]:
        query: Query = (("state", "all"), ("creator", author))
        found = yield from self.api.pages(self.path, query)
        return tuple(
            Posted(each["number"], _login(each.get("user")), each.get("body") or "", each["state"] == "open")
            for each in found
            if "pull_request" not in each
        )

    def post(self, body: str) -> Steps[Unanswered | None]:
        return (yield from self.api.make(self.path, {"title": self.title, "body": body}))

    def rewrite(self, old: Posted, body: str, *, is_open: bool) -> Steps[None]:
        state = "open" if is_open else "closed"
        yield from self.api.change("PATCH", f"{self.path}/{old.key}", {"body": body, "state": state})

    def discard(self, extra: Posted) -> Steps[None]:
        yield from self.api.change("PATCH", f"{self.path}/{extra.key}", {"state": "closed"})


def _login(user: Any) -> str:
    """A user's login; empty for one that is gone."""
    return str(user.get("login") or "") if isinstance(user, dict) else ""


def _headed(found: Iterable[Any], head: Head) -> tuple[int, ...]:
    """The numbers of the open pull requests of which this commit, in this repository, is the head."""
    return tuple(each["number"] for each in found if each.get("state") == "open" and _is_head(each, head))


def _is_head(request: Any, head: Head) -> bool:
    side = request.get("head") or {}
    repository = (side.get("repo") or {}).get("full_name")
    return side.get("sha") == head.commit and repository == head.repository
