"""A service's answers changed into lies and nonsense, and what nobody could conclude anything from."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from reconciler.ports import HttpFailure, HttpReply, HttpRequest, HttpTrouble

from .mutate import ODD_TEXTS, bytes_mutant, chosen, json_bytes, json_odd, near, tree_mutant, wrapped
from .target import chance_of

Answer: TypeAlias = HttpReply | HttpFailure

MIB = 1024 * 1024
VERBS = ("list", "query", "join", "update", "leave", "history", "turns", "speak", "think", "interrupt")
STATUSES = (
    100, 101, 103, 199, 201, 202, 203, 204, 205, 206, 226, 299, 300, 301, 302, 304, 307, 308, 400, 401, 402, 403, 404,
    405, 408, 409, 410, 411, 412, 413, 414, 415, 418, 421, 422, 423, 425, 429, 431, 451, 499, 500, 501, 502, 503, 504,
    520, 529, 599, 600, 999, 0, -1,
)  # fmt: skip
HEADERS = {
    "retry-after": ("0", "-1", "1e9", "9" * 9, "9" * 20, "soon", "", "١", "Fri, 31 Dec 9999 23:59:59 GMT", "1.5", "\x00"),
    "date": ("", "x", "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -9999", "Thu, 01 Jan 1970 00:00:00 GMT"),
    "age": ("0", "x"),
    "content-type": ("text/html", "application/json; charset=utf-16", ""),
    "location": ("https://evil.example/", "\r\nx: y"),
    "content-length": ("-1", "9" * 5_000, "1", "x"),
    "content-encoding": ("gzip", "identity, br"),
    "transfer-encoding": ("chunked", "gzip, chunked"),
}  # fmt: skip
BODIES = (
    b"", b" ", b"null", b"[]", b"{}", b"0", b'"ok"', b"<html><body>502 Bad Gateway</body></html>", b"<" * 5_000,
    b"\xff\xfe{\x00}\x00", b"\x1f\x8b\x08\x00", b"[" * 100_000, b'{"a":' * 100_000, b'{"agent_id": "../../x"}',
    b'{"reason": "TaskConflict", "agent_id": "A1"}', b'{"detail": "core: \x1b[2J", "reason": 7}', b'{"detail": [[[{}]]]}',
    b'{"detail": "core: allocate failed, please check if the appid is valid", "reason": "InvalidRequest"}',
)  # fmt: skip
# What looks like a secret's beginning, or has to be spelled out, again and again.
TALL = (
    "a",
    "007",
    "token=",
    "Basic A",
    "<b",
    "\x1b",
    "\ud83d\ude00",
    "value of ref+env://",
    '"',
    " ",
    "\\u0000",
)
_KEYS = (
    "agent_id taskId status state start_ts create_ts stop_ts name message detail reason error_type description data "
    "list meta cursor total count contents turns pagination page_index is_last_page role content turn_id channel"
).split()
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Lies:
    """Answers to some kinds of questions, changed. The same question gets the same lie, however often it is asked."""

    def __init__(self, about: Collection[str], rate: float, seed: int) -> None:
        self._about = about
        self._rate = rate
        self._seed = seed
        self.told: list[Answer] = []
        # Whether something was heard, while it was looked what there is, from which nobody could conclude anything.
        self.nonsense = False
        # The agents about which nonsense was heard later, when they were about to be touched.
        self._doubted: set[str] = set()

    def __call__(self, request: HttpRequest, answer: Answer) -> Answer:
        asked = [each for each in request.query if each[0] not in ("from_time", "to_time")]
        chance = chance_of(f"{self._seed} {request.method} {urlsplit(request.url).path} {asked}", 0)
        if kind_of(request) in self._about and chance.random() < self._rate and isinstance(answer, HttpReply):
            answer = distorted(answer, chance)
            self.told.append(answer)
        return answer

    def heard(self, request: HttpRequest, answer: Answer, *, planned: bool) -> None:
        """Take note of what was made known; no call that changes something may follow from nonsense about it."""
        query = dict(request.query)
        agent_id = request.url.split("/agents/")[-1].split("/")[0] if "/agents/" in request.url else None
        if request.method == "POST":
            assert not self.nonsense, "a call was made after a read that made no sense"
            assert agent_id not in self._doubted, "a call on an agent followed from a read that made no sense"
        elif kind_of(request) in ("list", "query") and not {"4", "6"} & set(query.get("state", "")):
            is_nonsense = _is_nonsense(answer, agent_id, first="cursor" not in query)
            self.nonsense |= is_nonsense and not planned
            if is_nonsense and agent_id is not None:
                self._doubted.add(agent_id)


def kind_of(request: HttpRequest) -> str:
    """Which of `VERBS` a request is."""
    last = urlsplit(request.url).path.rsplit("/", 1)[-1]
    return "list" if last == "agents" else last if last in VERBS else "query"


_WAYS = {"tree": 8.5, "bytes": 1.5, "body": 1.5, "status": 2, "headers": 1.5, "failure": 0.5, "tall": 0.05}


def distorted(reply: HttpReply, chance: random.Random) -> Answer:
    """A reply with one thing wrong, or several."""
    match chosen(chance, _WAYS):
        case "bytes":
            return replace(reply, body=bytes_mutant(reply.body, chance))
        case "body":
            return replace(reply, body=chance.choice(BODIES))
        case "status":
            return replace(reply, status=chance.choice(STATUSES), body=chance.choice((reply.body, *BODIES)))
        case "headers":
            odd = {
                name: chance.choice((*HEADERS[name], *ODD_TEXTS))
                for name in chance.sample(sorted(HEADERS), 3)
            }
            return replace(
                reply, status=chance.choice((reply.status, 429, 503)), headers={**reply.headers, **odd}
            )
        case "failure":
            return HttpFailure(chance.choice([*HttpTrouble]), chance.random() < 0.5, chance.choice(ODD_TEXTS))
        case "tall":
            text = chance.choice(TALL) * (chance.choice((1, 8)) * MIB // 32)
            tree = {chance.choice(("detail", "message", "status", "name", "agent_id")): text, "reason": text}
            return replace(
                reply, status=chance.choice((200, 400, 500)), body=json.dumps(tree).encode()[: 8 * MIB]
            )
        case _:
            return replace(reply, body=_changed(reply, chance))


def _changed(reply: HttpReply, chance: random.Random) -> bytes:
    """The body with a part of its tree changed; a list may be led on to other pages, or round in a circle."""
    try:
        tree = json.loads(reply.body or b"{}")
    except ValueError:
        return bytes_mutant(reply.body, chance)
    if isinstance(tree, dict) and "meta" in tree and chance.random() < 0.1:
        tree["meta"]["cursor"] = chance.choice(("c", "c", str(chance.random()), "x" * 2_000, "\x00"))
        return json_bytes(tree, chance)
    if chance.random() < 0.03:
        return json_bytes(wrapped(tree, chance, 60), chance)
    return json_bytes(tree_mutant(tree, chance, keys=_KEYS, odd=chance.choice((near, json_odd))), chance)


def _is_nonsense(answer: Answer, agent_id: str | None, *, first: bool) -> bool:
    """Whether nobody could conclude anything from an answer to a list, or to a query of one agent.

    An own reading of the service's documents, more lenient than the product's. A refused list (400) is asked for
    in other words.
    """
    if not isinstance(answer, HttpReply) or answer.status not in (200, 400 if agent_id is None else 404):
        return True
    try:
        tree = json.loads(answer.body)
    except (ValueError, RecursionError):
        return answer.status != 400
    if answer.status != 200:
        return agent_id is not None and not isinstance(tree, dict)
    try:
        if agent_id is not None:
            return tree["agent_id"] != agent_id or not _is_row(tree)
        rows, total = tree["data"]["list"], tree["meta"]["total"]
        known = {row["agent_id"] for row in rows}
        is_whole = first and not tree["meta"].get("cursor")
        return not all(map(_is_row, rows)) or (is_whole and total != len(known))
    except (TypeError, KeyError, AttributeError, OverflowError):
        return True


def _is_row(row: Any) -> bool:
    began, is_named = row["start_ts"], _ID.fullmatch(row["agent_id"]) is not None
    is_number = isinstance(began, (int, float)) and not isinstance(began, bool) and math.isfinite(began)
    return is_named and is_number and began >= 0 and isinstance(row["status"], str)
