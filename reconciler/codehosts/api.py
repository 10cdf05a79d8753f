"""Calls to the API of a code host: repetition, pauses, error messages, and one deadline for all calls.

A read, and a change that is safe to repeat, is repeated after 5xx and broken connections. A call that creates something
is never repeated here: `sticky` looks first whether it was made. All calls together end within `TOTAL` seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl, urlsplit

from reconciler.codehosts import UnknownOutcome
from reconciler.errors import AuthenticationFailed, ServiceError
from reconciler.ports import Elapsed, Http, HttpFailure, HttpReply, HttpRequest, Now, Sleep, Steps
from reconciler.secrets import Secret
from reconciler.secrets.foreign_text import clean
from reconciler.values import dataclass

# Seconds: for a command, one call, repetitions of a failing call, and one pause that the code host asks for.
TOTAL = 300.0
CALL = 12.0
FAILING = 22.0
LONGEST_PAUSE = 120.0
_FIRST_PAUSE = 0.3
_WAITED_FOR = frozenset({403, 429})
PER_PAGE = 100
NOTHING: frozenset[int] = frozenset()
_NOT_ALLOWED = frozenset({403, 404})
_MOST_PAGES = 300

_NOT_THE_API = "is the address in the variables that of the API? a proxy may answer in its place"

T = TypeVar("T")
Query = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Api:
    """One API with its address and its token. `name` is used in messages, `hint` says what a refused token needs."""

    name: str
    base: str
    headers: Mapping[str, str | Secret]
    hint: str
    _until: float | None = field(default=None, init=False)

    def text(self, path: str, key: str) -> Steps[str]:
        """Return the text under `key` in the reply to a GET. Raises `ServiceError`."""
        tree = self._tree((yield from self._repeated(HttpRequest("GET", self.base + path))))
        return self.converted(lambda each: str(each[key]), [tree])[0]

    def converted(self, make: Callable[[Any], T | None], items: Iterable[Any]) -> tuple[T, ...]:
        """Return the items that `make` converts to a value. Raises `ServiceError` for one that is not as documented."""
        try:
            return tuple(made for each in items if (made := make(each)) is not None)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise ServiceError(
                f"{self.name} answered with something that is not as its API documents", hint=_NOT_THE_API
            ) from None

    def change(self, method: str, path: str, body: object | None = None) -> Steps[None]:
        """Make a change that is safe to repeat; a DELETE of something that is gone is no error."""
        fine = frozenset({404}) if method == "DELETE" else NOTHING
        yield from self._repeated(HttpRequest(method, self.base + path, body=body), fine)

    def get_if_allowed(self, method: str, address: str, body: object | None = None) -> Steps[Any]:
        """Return the reply to a read as a tree; None if this token may not make it, or the path does not exist."""
        reply = yield from self._repeated(HttpRequest(method, address, body=body), _NOT_ALLOWED)
        return None if reply.status in _NOT_ALLOWED else self._tree(reply)

    def make(self, path: str, body: object) -> Steps[UnknownOutcome | None]:
        """Create something by a POST, sent again only if it was certainly not executed."""
        request = HttpRequest("POST", self.base + path, body=body)
        started = yield Elapsed()
        pause = _FIRST_PAUSE
        while True:
            result = yield from self._sent(request, started)
            if isinstance(result, HttpReply):
                if result.status < 300:
                    return None
                if result.status < 500:
                    yield from self._waited(result, request)
                    started, pause = (yield Elapsed()), _FIRST_PAUSE
                    continue
                return UnknownOutcome(f"it answered {result.status}")
            # Sent without an answer: it may have been executed, so it is not sent again here.
            if result.sent:
                return UnknownOutcome(_why(result))
            pause = yield from self._again(request, _why(result), started, pause)

    def pages(
        self, path: str, query: Query = (), *, absent: frozenset[int] = NOTHING
    ) -> Steps[tuple[Any, ...]]:
        """Return the items of all pages of a list; empty if the answer is a status in `absent`.

        Only the query of a link to the next page is used, so that no reply can send the token to another address.
        """
        items: list[Any] = []
        wanted: Query = (*query, ("per_page", str(PER_PAGE)))
        for page in range(1, _MOST_PAGES + 1):
            reply = yield from self._repeated(HttpRequest("GET", self.base + path, wanted), absent)
            if reply.status in absent:
                return ()
            found = self._tree(reply)
            if not isinstance(found, list):
                raise ServiceError(f"{self.name} did not answer with a list: GET {path}")
            items += found
            following = _next(reply.headers, found, page)
            if following is None:
                return tuple(items)
            wanted = (*((key, value) for key, value in wanted if key not in dict(following)), *following)
        raise ServiceError(f"{self.name} lists more than {_MOST_PAGES * PER_PAGE:,} items: GET {path}")

    # --- one call, and what its result asks for

    def _repeated(self, request: HttpRequest, fine: frozenset[int] = NOTHING) -> Steps[HttpReply]:
        """Return the reply to a request that is safe to repeat: a 2xx, or a status in `fine` that asks for no pause."""
        started = yield Elapsed()
        pause = _FIRST_PAUSE
        while True:
            result = yield from self._sent(request, started)
            if isinstance(result, HttpReply) and result.status < 500:
                if result.status < 300:
                    return result
                if result.status in fine and (yield from _asked_pause(result)) is None:
                    return result
                yield from self._waited(result, request)
                started, pause = (yield Elapsed()), _FIRST_PAUSE
                continue
            why = f"it answered {result.status}" if isinstance(result, HttpReply) else _why(result)
            pause = yield from self._again(request, why, started, pause)

    def _sent(self, request: HttpRequest, started: float) -> Steps[HttpReply | HttpFailure]:
        """Send a request once; `started` is when its first attempt began, which bounds its deadline."""
        left = yield from self._left()
        now: float = yield Elapsed()
        seconds = min(CALL, left, max(2.0, started + FAILING - now))
        headers = dict(self.headers)
        if request.body is not None:
            headers["content-type"] = "application/json"
        sent = HttpRequest(request.method, request.url, request.query, headers, request.body, seconds)
        result: HttpReply | HttpFailure = yield Http(sent)
        return result

    def _left(self) -> Steps[float]:
        """Return the seconds left for the command. Raises `ServiceError` if there are none."""
        now: float = yield Elapsed()
        if self._until is None:
            self._until = now + TOTAL
        if self._until <= now:
            raise ServiceError(
                f"{self.name} has not answered well within {TOTAL:.0f} s", hint="run the job again later"
            )
        return self._until - now

    def _again(self, request: HttpRequest, why: str, started: float, pause: float) -> Steps[float]:
        """Pause before a call is sent again; return the next pause. Raises `ServiceError` after `FAILING` seconds."""
        now: float = yield Elapsed()
        if now + pause - started > FAILING:
            raise ServiceError(
                f"{self.name} cannot be used: {why}, again and again for {now - started:.0f} s "
                f"({request.method} {urlsplit(request.url).path})",
                hint="see its status page, and run the job again",
            )
        yield Sleep(pause)
        return min(pause * 2, 8.0)

    def _waited(self, reply: HttpReply, request: HttpRequest) -> Steps[None]:
        """Wait as long as a refusal asks for, or raise the error that it means."""
        seconds = yield from _asked_pause(reply)
        if seconds is None:
            self._refuse(reply, request)
        left = yield from self._left()
        if seconds > min(LONGEST_PAUSE, left):
            raise ServiceError(
                f"{self.name} asks to be left alone for {seconds:.0f} s ({reply.status}): too many calls were made",
                hint="run the job again after that",
            )
        yield Sleep(seconds)

    def _refuse(self, reply: HttpReply, request: HttpRequest) -> NoReturn:
        path = urlsplit(request.url).path
        said = self.error_text(reply)
        if reply.status == 401:
            raise AuthenticationFailed(f"{self.name} refuses the token (401){said}", hint=self.hint)
        if reply.status == 403:
            needed = clean(reply.headers.get("x-accepted-github-permissions", ""), self._secrets())
            permission = f"; the call needs {needed}" if needed else ""
            raise AuthenticationFailed(
                f"the token may not do this on {self.name} (403): {request.method} {path}{said}{permission}",
                hint=self.hint,
            )
        hint = f"look at the names in the variables; a token without permission gets 404, too: {self.hint}"
        raise ServiceError(
            f"{self.name} answers {reply.status} to {request.method} {path}{said}",
            hint=hint if reply.status == 404 else None,
        )

    def error_text(self, reply: HttpReply) -> str:
        """Return the message in the body of a refusal, for people."""
        try:
            tree = json.loads(reply.body)
        except ValueError:
            return ""
        if not isinstance(tree, dict):
            return ""
        text = next((tree[key] for key in ("message", "error_description", "error") if tree.get(key)), "")
        return f": {clean(str(text), self._secrets())}" if text else ""

    def _secrets(self) -> list[Secret]:
        return [each for each in self.headers.values() if isinstance(each, Secret)]

    def _tree(self, reply: HttpReply) -> Any:
        try:
            return json.loads(reply.body)
        except (ValueError, RecursionError):
            raise ServiceError(
                f"{self.name} answered with something that is no JSON", hint=_NOT_THE_API
            ) from None


def _why(failure: HttpFailure) -> str:
    return f"{failure.trouble}{f' ({failure.detail[:120]})' if failure.detail else ''}"


def _asked_pause(reply: HttpReply) -> Steps[float | None]:
    """Return the seconds to wait before the call is sent again; None if waiting does not help.

    GitHub asks by `Retry-After`, or by a used-up limit and the time (epoch seconds) at which it is full again.
    """
    if reply.status not in _WAITED_FOR:
        return None
    asked = reply.headers.get("retry-after", "").strip()
    if asked.isdecimal() and len(asked) < 10:
        return float(asked) + 0.1
    reset = reply.headers.get("x-ratelimit-reset", "")
    if reply.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal() and len(reset) < 12:
        now: float = yield Now()
        return max(1.0, int(reset) - now + 1.0)
    return 10.0 if reply.status == 429 or asked else None


def _next(headers: Mapping[str, str], found: list[Any], page: int) -> Query | None:
    """Return the query of the next page; None after the last."""
    if "x-next-page" in headers:
        number = headers["x-next-page"].strip()
        return (("page", number),) if number.isdecimal() else None
    if "link" in headers:
        return _linked(headers["link"])
    # Without headers of paging, from a host or its proxy: a full page may have a successor.
    return (("page", str(page + 1)),) if len(found) == PER_PAGE else None


def _linked(header: str) -> Query | None:
    for each in header.split(","):
        address, *words = each.split(";")
        if any(word.strip().replace('"', "").lower() == "rel=next" for word in words):
            return tuple(parse_qsl(urlsplit(address.strip().strip("<>")).query)) or None
    return None
