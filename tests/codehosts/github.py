"""GitHub's REST API as far as comments, issues and pull requests of one repository go (docs.github.com/rest, 2022-11-28)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tests.codehosts.stand_in import Answer, Asked, Refusal, World, page_url

TOKEN = "ghs_0123456789abcdefghijABCDEFGHIJ456789"
BOT = "github-actions[bot]"
REPOSITORY = "acme/voice"
LONGEST = 65_536


@dataclass
class GitHubWorld(World):
    """`users`: whose each token is; an app's bot has no user to be asked for."""

    users: dict[str, str] = field(default_factory=lambda: {TOKEN: BOT})
    default_branch: str = "main"
    comments: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    _last: int = 1000

    def next_id(self) -> int:
        self._last += 1
        return self._last

    # --- what tests put there and look at

    def pull(self, number: int, **fields: Any) -> None:
        """A pull request; `head` as (repository, branch, sha), `merged` as the commits that belong to it."""
        repository, branch, sha = fields.pop("head", (REPOSITORY, f"branch-{number}", f"{number:040x}"))
        self.pulls.append(
            {
                "number": number,
                "state": "open",
                "merged_at": None,
                "head": {"ref": branch, "sha": sha, "repo": {"full_name": repository}},
                "base": {"ref": "main", "repo": {"full_name": REPOSITORY}},
                "_commits": [sha],
                **fields,
            }
        )

    def comment(self, number: int, author: str, body: str) -> int:
        made = {"id": self.next_id(), "user": {"login": author}, "body": body, "_of": number}
        self.comments.append(made)
        return int(made["id"])

    def issue(self, author: str, body: str, *, state: str = "open") -> int:
        number = self.next_id()
        self.issues.append(
            {"number": number, "user": {"login": author}, "title": "", "body": body, "state": state}
        )
        return number

    def bodies(self, number: int, author: str = BOT) -> list[str]:
        return [
            each["body"]
            for each in self.comments
            if each["_of"] == number and each["user"]["login"] == author
        ]

    # --- the API

    def answer(self, asked: Asked) -> Answer:
        login = self._login(asked)
        for method, pattern, route in self._routes():
            match = re.fullmatch(pattern, asked.path)
            if match and method == asked.method:
                return route(asked, login, *match.groups())  # type: ignore[no-any-return]
        raise Refusal(404, "Not Found")

    def _login(self, asked: Asked) -> str:
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "token") or token not in self.users:
            raise Refusal(401, "Bad credentials")
        return self.users[token]

    def _routes(self) -> list[tuple[str, str, Any]]:
        repo = f"/repos/{re.escape(REPOSITORY)}"
        return [
            ("GET", "/user", self._user),
            ("POST", "/graphql", self._viewer),
            ("GET", repo, lambda *_: Answer(200, {"default_branch": self.default_branch})),
            ("GET", rf"{repo}/issues/(\d+)/comments", self._list_comments),
            ("POST", rf"{repo}/issues/(\d+)/comments", self._post_comment),
            ("PATCH", rf"{repo}/issues/comments/(\d+)", self._patch_comment),
            ("DELETE", rf"{repo}/issues/comments/(\d+)", self._delete_comment),
            ("GET", f"{repo}/issues", self._list_issues),
            ("POST", f"{repo}/issues", self._post_issue),
            ("PATCH", rf"{repo}/issues/(\d+)", self._patch_issue),
            ("GET", f"{repo}/pulls", self._list_pulls),
            ("GET", rf"{repo}/commits/([0-9a-f]+)/pulls", self._pulls_of),
        ]

    def _user(self, asked: Asked, login: str) -> Answer:
        if login.endswith("[bot]"):
            raise Refusal(403, "Resource not accessible by integration")
        return Answer(200, {"login": login, "type": "User"})

    def _viewer(self, asked: Asked, login: str) -> Answer:
        return Answer(200, {"data": {"viewer": {"login": login}}})

    def _listed(self, asked: Asked, items: list[dict[str, Any]]) -> Answer:
        shown, number, last = self.page(asked, items)
        public = [{key: value for key, value in each.items() if not key.startswith("_")} for each in shown]
        if last == 1:
            return Answer(200, public)
        links = []
        if number < last:
            links += [(number + 1, "next"), (last, "last")]
        if number > 1:
            links += [(number - 1, "prev"), (1, "first")]
        header = ", ".join(f'<{page_url(asked, page)}>; rel="{word}"' for page, word in links)
        return Answer(200, public, {"Link": header})

    def _known(self, number: str) -> int:
        if int(number) not in {each["number"] for each in (*self.pulls, *self.issues)}:
            raise Refusal(404, "Not Found")
        return int(number)

    def _list_comments(self, asked: Asked, login: str, number: str) -> Answer:
        wanted = self._known(number)
        return self._listed(asked, [each for each in self.comments if each["_of"] == wanted])

    def _post_comment(self, asked: Asked, login: str, number: str) -> Answer:
        made = self.comment(self._known(number), login, _body(asked))
        return Answer(201, {"id": made, "user": {"login": login}, "body": asked.body["body"]})

    def _comment(self, key: str, login: str) -> dict[str, Any]:
        for each in self.comments:
            if each["id"] == int(key):
                if each["user"]["login"] != login:
                    raise Refusal(403, "Must have admin rights to Repository.")
                return each
        raise Refusal(404, "Not Found")

    def _patch_comment(self, asked: Asked, login: str, key: str) -> Answer:
        found = self._comment(key, login)
        found["body"] = _body(asked)
        return Answer(200, {"id": found["id"]})

    def _delete_comment(self, asked: Asked, login: str, key: str) -> Answer:
        self.comments.remove(self._comment(key, login))
        return Answer(204)

    def _list_issues(self, asked: Asked, login: str) -> Answer:
        state, creator = asked.query.get("state", "open"), asked.query.get("creator")
        pulls = [
            {
                "number": each["number"],
                "user": {"login": "someone"},
                "body": "",
                "state": each["state"],
                "pull_request": {},
            }
            for each in self.pulls
        ]
        found = [
            each
            for each in (*self.issues, *pulls)
            if state in ("all", each["state"]) and creator in (None, each["user"]["login"])
        ]
        return self._listed(asked, sorted(found, key=lambda each: -each["number"]))

    def _post_issue(self, asked: Asked, login: str) -> Answer:
        number = self.issue(login, _body(asked))
        self.issues[-1]["title"] = asked.body["title"]
        return Answer(201, {"number": number})

    def _patch_issue(self, asked: Asked, login: str, number: str) -> Answer:
        found = next(each for each in self.issues if each["number"] == int(number))
        if "body" in asked.body:
            found["body"] = _body(asked)
        found["state"] = asked.body.get("state", found["state"])
        return Answer(200, {"number": found["number"]})

    def _list_pulls(self, asked: Asked, login: str) -> Answer:
        owner, _, branch = asked.query.get("head", "").partition(":")
        state = asked.query.get("state", "open")
        found = [
            each
            for each in self.pulls
            if state in ("all", each["state"])
            and (not owner or each["head"]["repo"]["full_name"].startswith(f"{owner}/"))
            and (not branch or each["head"]["ref"] == branch)
        ]
        return self._listed(asked, found)

    def _pulls_of(self, asked: Asked, login: str, sha: str) -> Answer:
        return self._listed(asked, [each for each in self.pulls if sha in each["_commits"]])


def _body(asked: Asked) -> str:
    body = asked.body.get("body")
    if not isinstance(body, str) or not body.strip():
        raise Refusal(422, "Validation Failed")
    if len(body) > LONGEST:
        raise Refusal(422, f"Validation Failed: body is too long (maximum is {LONGEST} characters)")
    return body
