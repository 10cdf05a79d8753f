"""GitHub's REST API, version 2022-11-28: comments, issues and pull requests of one repository."""

from __future__ import annotations

from typing import Any

from reconciler.codehosts import Head, Posted, UnknownOutcome
from reconciler.codehosts.api import Api, Query
from reconciler.ports import Steps
from reconciler.secrets import Secret
from reconciler.values import dataclass

VERSION = "2022-11-28"
# The author of comments that a job's own token posts.
_BOT = "[bot]"
ACTIONS_BOT = f"github-actions{_BOT}"
# GitHub's statuses for an unknown commit, and for something that does not exist.
_NO_COMMIT = frozenset({422})
_UNKNOWN = _NO_COMMIT | {404}
PERMISSIONS = (
    "give the job `permissions:` with `pull-requests: write` to comment, `issues: write` for issues, "
    "`pull-requests: read` for approved; the token of a fork's pull request may never write"
)


def api_of(base: str, token: Secret) -> Api:
    """Return the API at an address, with a token."""
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
        """Return the login of the token's user. An app's token, such as a job's, has no user: GraphQL names its bot."""
        user = yield from self.api.get_if_allowed("GET", f"{self.api.base}/user")
        if user is not None:
            return self.api.converted(_login, [user])[0]
        base = self.api.base.removesuffix("/v3")  # GitHub Enterprise Server has /api/v3 and /api/graphql
        answer = yield from self.api.get_if_allowed("POST", f"{base}/graphql", {"query": "{viewer{login}}"})
        try:
            login = str(answer["data"]["viewer"]["login"])
        except (KeyError, TypeError):
            return ACTIONS_BOT
        return login if login.endswith(_BOT) else f"{login}{_BOT}"  # the author of comments in REST

    def comments(self, number: int) -> GitHubComments:
        return GitHubComments(self.api, f"/repos/{self.repository}/issues", number)

    def issues(self, title: str) -> GitHubIssues:
        return GitHubIssues(self.api, f"/repos/{self.repository}/issues", title)

    def open_pull_requests(self, head: Head) -> Steps[tuple[int, ...]]:
        owner = head.repository.partition("/")[0]
        query: Query = (("state", "open"), ("head", f"{owner}:{head.branch}"))
        pulls, commits = f"/repos/{self.repository}/pulls", f"/repos/{self.repository}/commits"
        for path, wanted in (
            (pulls, query),
            (f"{commits}/{head.commit}/pulls", ()),
        ):  # the branch may be renamed
            found = yield from self.api.pages(path, wanted, absent=_UNKNOWN)
            numbers = self.api.converted(lambda each: _number_if_head(each, head), found)
            if numbers:
                return numbers
        return ()

    def merged_pull_requests(self, commit: str) -> Steps[tuple[int, ...]]:
        pulls = f"/repos/{self.repository}/commits/{commit}/pulls"
        found = yield from self.api.pages(pulls, absent=_NO_COMMIT)
        merged = self.api.converted(
            lambda each: (each["number"], each["base"]["ref"]) if each.get("merged_at") else None, found
        )
        if not merged:
            return ()
        default = yield from self.api.text(f"/repos/{self.repository}", "default_branch")
        return tuple(number for number, branch in merged if branch == default)


@dataclass(frozen=True, slots=True)
class GitHubComments:
    """The comments of one pull request, which GitHub stores as comments of an issue."""

    api: Api
    issues: str
    number: int

    def posted(self, author: str) -> Steps[tuple[Posted, ...]]:
        found = yield from self.api.pages(f"{self.issues}/{self.number}/comments")
        return self.api.converted(
            lambda each: Posted(int(each["id"]), _login(each["user"]), _body(each)), found
        )

    def post(self, body: str) -> Steps[UnknownOutcome | None]:
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
        return self.api.converted(_issue, found)

    def post(self, body: str) -> Steps[UnknownOutcome | None]:
        return (yield from self.api.make(self.path, {"title": self.title, "body": body}))

    def rewrite(self, old: Posted, body: str, *, is_open: bool) -> Steps[None]:
        state = "open" if is_open else "closed"
        yield from self.api.change("PATCH", f"{self.path}/{old.key}", {"body": body, "state": state})

    def discard(self, extra: Posted) -> Steps[None]:
        yield from self.api.change("PATCH", f"{self.path}/{extra.key}", {"state": "closed"})


def _issue(item: Any) -> Posted | None:
    if "pull_request" in item:
        return None
    return Posted(int(item["number"]), _login(item["user"]), _body(item), item["state"] == "open")


def _body(item: Any) -> str:
    return str(item.get("body") or "")


def _login(user: Any) -> str:
    """Return a user's login; empty for a user that was deleted."""
    return str(user["login"]) if user is not None else ""


def _number_if_head(request: Any, head: Head) -> int | None:
    """Return the number of an open pull request whose head is this commit of this repository; else None."""
    side = request["head"]
    repository = (side["repo"] or {}).get("full_name")  # a fork may have been deleted
    is_head = side["sha"] == head.commit and repository == head.repository
    return int(request["number"]) if is_head and request["state"] == "open" else None
