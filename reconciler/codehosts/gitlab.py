"""GitLab's REST API, version 4: notes, issues and merge requests of one project."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from reconciler.codehosts import Head, Posted, UnknownOutcome
from reconciler.codehosts.api import Api, Query
from reconciler.ports import Steps
from reconciler.secrets import Secret
from reconciler.values import dataclass

PERMISSIONS = (
    "GITLAB_TOKEN wants the scope `api` and at least the role Reporter, such as a project access token; "
    "CI_JOB_TOKEN may not write notes"
)


def api_of(base: str, token: Secret) -> Api:
    """Return the API at an address, with a token."""
    return Api("GitLab", base, {"private-token": token}, PERMISSIONS)


@dataclass(frozen=True, slots=True)
class GitLab:
    """One project, by its number or path."""

    api: Api
    project: str

    @property
    def longest(self) -> int:
        return 999_999

    @property
    def path(self) -> str:
        return f"/projects/{quote(self.project, safe='')}"

    def login(self) -> Steps[str]:
        return (yield from self.api.text("/user", "username"))

    def comments(self, number: int) -> GitLabNotes:
        return GitLabNotes(self.api, f"{self.path}/merge_requests/{number}/notes")

    def issues(self, title: str) -> GitLabIssues:
        return GitLabIssues(self.api, f"{self.path}/issues", title)

    def open_pull_requests(self, head: Head) -> Steps[tuple[int, ...]]:
        query: Query = (("state", "opened"), ("source_branch", head.branch))
        found = yield from self.api.pages(f"{self.path}/merge_requests", query)
        return self.api.converted(
            lambda each: (
                int(each["iid"]) if each["sha"] == head.commit and each["state"] == "opened" else None
            ),
            found,
        )

    def merged_pull_requests(self, commit: str) -> Steps[tuple[int, ...]]:
        found = yield from self.api.pages(f"{self.path}/repository/commits/{commit}/merge_requests")
        merged = self.api.converted(
            lambda each: (
                (int(each["iid"]), each["target_branch"])
                if each["state"] == "merged" and self._is_here(each)
                else None
            ),
            found,
        )
        if not merged:
            return ()
        default = yield from self.api.text(self.path, "default_branch")
        return tuple(iid for iid, branch in merged if branch == default)

    def _is_here(self, request: Any) -> bool:
        """Return whether a merge request belongs to this project: a commit may be merged in another one, too."""
        target = str(request.get("target_project_id", self.project))
        return target == self.project or not self.project.isdecimal()


@dataclass(frozen=True, slots=True)
class GitLabNotes:
    """The notes of one merge request, without those that GitLab writes itself."""

    api: Api
    path: str

    def posted(self, author: str) -> Steps[tuple[Posted, ...]]:
        found = yield from self.api.pages(self.path, (("sort", "asc"), ("order_by", "created_at")))
        return self.api.converted(_note, found)

    def post(self, body: str) -> Steps[UnknownOutcome | None]:
        return (yield from self.api.make(self.path, {"body": body}))

    def rewrite(self, old: Posted, body: str, *, is_open: bool) -> Steps[None]:
        yield from self.api.change("PUT", f"{self.path}/{old.key}", {"body": body})

    def discard(self, extra: Posted) -> Steps[None]:
        yield from self.api.change("DELETE", f"{self.path}/{extra.key}")


@dataclass(frozen=True, slots=True)
class GitLabIssues:
    """The issues of a project."""

    api: Api
    path: str
    title: str

    def posted(self, author: str) -> Steps[tuple[Posted, ...]]:
        query: Query = (("scope", "all"), ("author_username", author))
        found = yield from self.api.pages(self.path, query)
        return self.api.converted(_issue, found)

    def post(self, body: str) -> Steps[UnknownOutcome | None]:
        return (yield from self.api.make(self.path, {"title": self.title, "description": body}))

    def rewrite(self, old: Posted, body: str, *, is_open: bool) -> Steps[None]:
        change: dict[str, object] = {"description": body}
        if is_open != old.is_open:
            change["state_event"] = "reopen" if is_open else "close"
        yield from self.api.change("PUT", f"{self.path}/{old.key}", change)

    def discard(self, extra: Posted) -> Steps[None]:
        yield from self.api.change("PUT", f"{self.path}/{extra.key}", {"state_event": "close"})


def _note(item: Any) -> Posted | None:
    return None if item.get("system") else Posted(int(item["id"]), _author(item), str(item.get("body") or ""))


def _issue(item: Any) -> Posted:
    return Posted(
        int(item["iid"]), _author(item), str(item.get("description") or ""), item["state"] == "opened"
    )


def _author(item: Any) -> str:
    """Return the login of an author; empty for a user that was deleted."""
    return str(item["author"]["username"]) if item["author"] is not None else ""
