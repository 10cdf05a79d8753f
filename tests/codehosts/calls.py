"""Steps of a code host in virtual time, with replies that a test writes down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.codehosts import github, gitlab
from reconciler.codehosts.api import Api
from reconciler.errors import AuthenticationFailed, ServiceError
from reconciler.ports import (
    Elapsed,
    Http,
    HttpFailure,
    HttpReply,
    HttpRequest,
    HttpTrouble,
    Now,
    Sleep,
    Steps,
)
from reconciler.secrets import Secret

TOKEN = "a-token-of-somebody"
COMMIT = "c" * 40
Result = HttpReply | HttpFailure


def in_virtual_time(steps: Steps[Any], answer: Callable[[HttpRequest], Result]) -> tuple[Any, float]:
    """What steps give or raise, and the seconds that they took; an unanswered call takes its whole deadline."""
    now, value = 0.0, None
    try:
        while True:
            match steps.send(value):
                case Http(request):
                    value = answer(request)
                    timed_out = isinstance(value, HttpFailure) and value.trouble is HttpTrouble.TIMEOUT
                    now += request.deadline if timed_out else 0.1
                case Elapsed() | Now():
                    value = now
                case Sleep(seconds):
                    now, value = now + seconds, None
                case other:
                    raise AssertionError(other)
    except StopIteration as end:
        return end.value, now
    except (ServiceError, AuthenticationFailed) as problem:
        return problem, now


def host() -> github.GitHub:
    return github.GitHub(github.api_of("https://api.example", Secret(TOKEN)), "acme/voice")


def reply(status: int, body: str = "[]", **headers: str) -> HttpReply:
    return HttpReply(status, {name.replace("_", "-"): each for name, each in headers.items()}, body.encode())


class Answers:
    """Replies in their order, of which the last one stays; and the calls that got them."""

    def __init__(self, *replies: Result) -> None:
        self.left = list(replies)
        self.calls: list[HttpRequest] = []

    def __call__(self, request: HttpRequest) -> Result:
        self.calls.append(request)
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]

    @property
    def asked(self) -> list[str]:
        return [f"{each.method} {each.url.removeprefix('https://api.example')}" for each in self.calls]


def api() -> Api:
    return github.api_of("https://api.example", Secret(TOKEN))


def lab(project: str = "12") -> gitlab.GitLab:
    return gitlab.GitLab(gitlab.api_of("https://api.example", Secret(TOKEN)), project)
