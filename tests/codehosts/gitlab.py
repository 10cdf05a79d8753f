"""GitLab's REST API, version 4, as far as notes, issues and merge requests of one project go (docs.gitlab.com/api)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tests.codehosts.stand_in import Answer, Asked, Refusal, World, page_url

TOKEN = "glpat-0123456789abcdefghij"
BOT = "project_77_bot_0a1b2c"
PROJECT = "77"
LONGEST = 1_000_000


@dataclass
class GitLabWorld(World):
    """`users`: whose each token is."""

    prefix: str = "/api/v4"
    page_size: int = 20
    users: dict[str, str] = field(default_factory=lambda: {TOKEN: BOT})
    notes: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    executed: list[str] = field(default_factory=list)  # quick actions
    _last: int = 500

    def next_id(self) -> int:
        self._last += 1
        return self._last

    def request(self, iid: int, **fields: Any) -> None:
        sha = fields.pop("sha", f"{iid:040x}")
        made = {"iid": iid, "state": "opened", "target_branch": "main", "target_project_id": 77, "sha": sha}
        self.requests.append({**made, "source_branch": f"branch-{iid}", "_commits": [sha], **fields})

    def note(self, iid: int, author: str, body: str, *, system: bool = False) -> int:
        made = {"id": self.next_id(), "author": {"username": author}, "body": body, "system": system}
        self.notes.append({**made, "_of": iid})
        return int(made["id"])

    def bodies(self, iid: int, author: str = BOT) -> list[str]:
        return [
            each["body"] for each in self.notes if each["_of"] == iid and each["author"]["username"] == author
        ]

    def answer(self, asked: Asked) -> Answer:
        login = self.users.get(asked.headers.get("private-token", ""))
        if login is None:
            raise Refusal(401, "401 Unauthorized")
        project = f"/projects/{PROJECT}"
        notes = rf"{project}/merge_requests/(\d+)/notes"
        routes: list[tuple[str, str, Any]] = [
            ("GET", "/user", lambda *_: Answer(200, {"id": 9, "username": login})),
            ("GET", project, lambda *_: Answer(200, {"id": 77, "default_branch": "main"})),
            ("GET", notes, self._list_notes),
            ("POST", notes, self._post_note),
            ("PUT", rf"{notes}/(\d+)", self._put_note),
            ("DELETE", rf"{notes}/(\d+)", self._delete_note),
            ("GET", f"{project}/issues", self._list_issues),
            ("POST", f"{project}/issues", self._post_issue),
            ("PUT", rf"{project}/issues/(\d+)", self._put_issue),
            ("GET", rf"{project}/repository/commits/([0-9a-f]+)/merge_requests", self._requests_of),
        ]
        for method, pattern, route in routes:
            match = re.fullmatch(pattern, asked.path)
            if match and method == asked.method:
                return route(asked, login, *match.groups())  # type: ignore[no-any-return]
        raise Refusal(404, "404 Not Found")

    def _listed(self, asked: Asked, items: list[dict[str, Any]]) -> Answer:
        shown, number, last = self.page(asked, items)
        following = str(number + 1) if number < last else ""
        headers = {"X-Page": str(number), "X-Next-Page": following, "X-Total-Pages": str(last)}
        if following:
            headers["Link"] = f'<{page_url(asked, number + 1)}>; rel="next"'
        public = [{k: v for k, v in each.items() if not k.startswith("_")} for each in shown]
        return Answer(200, public, headers)

    def _text(self, asked: Asked, key: str) -> str:
        text = str(asked.body.get(key, ""))
        if not text.strip():
            raise Refusal(400, f"{key} is missing")
        if len(text) > LONGEST:
            raise Refusal(400, f"{key} is too long (maximum is {LONGEST} characters)")
        # A line that begins with a slash outside what its reader takes for code is executed (an old, strict reader).
        plain = re.sub(r"^```.+?\n```$", "", text, flags=re.MULTILINE | re.DOTALL)
        self.executed += re.findall(r"^/[a-z_]+.*$", plain, re.MULTILINE)
        return text

    def _list_notes(self, asked: Asked, login: str, iid: str) -> Answer:
        found = [each for each in self.notes if each["_of"] == int(iid)]
        return self._listed(asked, found if asked.query.get("sort") == "asc" else found[::-1])

    def _post_note(self, asked: Asked, login: str, iid: str) -> Answer:
        if int(iid) not in {each["iid"] for each in self.requests}:
            raise Refusal(404, "404 Not Found")
        return Answer(201, {"id": self.note(int(iid), login, self._text(asked, "body"))})

    def _note(self, key: str, login: str) -> dict[str, Any]:
        found = next((each for each in self.notes if each["id"] == int(key)), None)
        if found is None:
            raise Refusal(404, "404 Note Not Found")
        if found["author"]["username"] != login:
            raise Refusal(403, "403 Forbidden")
        return found

    def _put_note(self, asked: Asked, login: str, iid: str, key: str) -> Answer:
        self._note(key, login)["body"] = self._text(asked, "body")
        return Answer(200, {"id": int(key)})

    def _delete_note(self, asked: Asked, login: str, iid: str, key: str) -> Answer:
        self.notes.remove(self._note(key, login))
        return Answer(204)

    def _list_issues(self, asked: Asked, login: str) -> Answer:
        author = asked.query.get("author_username")
        found = [each for each in self.issues if author in (None, each["author"]["username"])]
        return self._listed(asked, found[::-1])

    def _post_issue(self, asked: Asked, login: str) -> Answer:
        iid = self.next_id()
        text = self._text(asked, "description")
        made = {"iid": iid, "author": {"username": login}, "title": asked.body["title"], "description": text}
        self.issues.append({**made, "state": "opened"})
        return Answer(201, {"iid": iid})

    def _put_issue(self, asked: Asked, login: str, iid: str) -> Answer:
        found = next(each for each in self.issues if each["iid"] == int(iid))
        if "description" in asked.body:
            found["description"] = self._text(asked, "description")
        event = asked.body.get("state_event")
        if event is not None:
            found["state"] = {"close": "closed", "reopen": "opened"}[event]
        return Answer(200, {"iid": found["iid"]})

    def _requests_of(self, asked: Asked, login: str, sha: str) -> Answer:
        return self._listed(asked, [each for each in self.requests if sha in each["_commits"]])
