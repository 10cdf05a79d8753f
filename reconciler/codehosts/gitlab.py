"""GitLab's REST API, version 4: notes, issues and merge requests of one project."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from reconciler.codehosts import Head, Posted, Unanswered
from reconciler.codehosts.api import Api, Query
from reconciler.ports import Steps
from reconciler.secrets import Secret

PERMISSIONS = (
    "GITLAB_TOKEN wants the scope `api` and at least the role Reporter, such as a project access token; "
    "CI_JOB_TOKEN may not write notes"
)


def api_of(base: str, token: Secret) -> Api:
    """The API at an address, with a token."""
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
        return str((yield from self.api.found("/user"))["username"])

    def comments(self, number: int) -> GitLabNotes:
        return GitLabNotes(self.api, f"{self.path}/merge_requests/{number}/notes")

    def issues(self, title: str) -> GitLabIssues:
        return GitLabIssues(self.api, f"{self.path}/issues", title)

    def open_pull_requests(self, head: Head) -> Steps[tuple[int, ...]]:
        query: Query = (("state", "opened"), ("source_branch", head.branch))
        found = yield from self.api.pages(f"{self.path}/merge_requests", query)
        return tuple(
            each["iid"] for each in found if each.get("sha") == head.commit and each.get("state") == "opened"
        )

    def merged_pull_requests(self, commit: str) -> Steps[tuple[int, ...]]:
        found = yield from self.api.pages(f"{self.path}/repository/commits/{commit}/merge_requests")
        merged = [each for each in found if each.get("state") == "merged"]
        if not merged:
            return ()
        project = yield from self.api.found(self.path)
        return tuple(
            each["iid"]
            for each in merged
            if each.get("target_branch") == project["default_branch"]
            and each.get("target_project_id", project.get("id")) == project.get("id")
        )


@dataclass(frozen=True, slots=True)
class GitLabNotes:
    """The notes of one merge request; what the system notes by itself is none of ours."""

    api: Api
    path: str

    def posted(self, author: str) -> Steps[tuple[Posted, ...]]:
        found = yield from self.api.pages(self.path, (("sort", "asc"), ("order_by", "created_at")))
        return tuple(
            Posted(each["id"], str((each.get("author") or {}).get("username", "")), each.get("body") or "")
            for each in found
            if not each.get("system")
        )

    def post(self, body: str) -> Steps[Unanswered | None]:
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
        return tuple(
            Posted(
                each["iid"],
                str((each.get("author") or {}).get("username", "")),
                each.get("description") or "",
                each.get("state") == "opened",
            )
            for each in found
        )

    def post(self, body: str) -> Steps[Unanswered | None]:
        return (yield from self.api.make(self.path, {"title": self.title, "description": body}))

    def rewrite(self, old: Posted, body: str, *, is_open: bool) -> Steps[None]:
        change: dict[str, object] = {"description": body}
        if is_open != old.is_open:
            change["state_event"] = "reopen" if is_open else "close"
        yield from self.api.change("PUT", f"{self.path}/{old.key}", change)

    def discard(self, extra: Posted) -> Steps[None]:
        yield from self.api.change("PUT", f"{self.path}/{extra.key}", {"state_event": "close"})
