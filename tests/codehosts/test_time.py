"""Calls to a code host in virtual time: what is repeated, how long it is waited for, and that everything ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.codehosts import Posted, sticky
from reconciler.codehosts.api import FAILING, TOTAL
from reconciler.errors import AuthenticationFailed, ServiceError
from reconciler.ports import (
    HttpFailure,
    HttpReply,
    HttpRequest,
    HttpTrouble,
)
from reconciler.secrets import Secret
from tests.codehosts.calls import Result, host, in_virtual_time, reply

MARKER = "<!-- reconciler plan: a.- -->"


def put(answer: Callable[[HttpRequest], Result]) -> tuple[Any, float]:
    return in_virtual_time(sticky.put(host().comments(7), "bot", MARKER, f"{MARKER}\nx"), answer)


@pytest.mark.parametrize(
    "answer",
    [
        reply(502),
        reply(503),
        HttpFailure(HttpTrouble.BROKEN, sent=True),
        HttpFailure(HttpTrouble.CONNECT, sent=False),
        HttpFailure(HttpTrouble.TIMEOUT, sent=True),
    ],
)
def test_a_code_host_that_stays_away_ends_the_command_within_half_a_minute(answer: Result) -> None:
    problem, took = put(lambda _: answer)
    assert isinstance(problem, ServiceError)
    said = r"again and again for (\d+) s \(GET /repos/acme/voice/issues/7/comments\)"
    seconds = re.search(said, problem.message)
    assert seconds is not None, problem.message
    assert int(seconds[1]) == pytest.approx(took, abs=1)
    assert FAILING / 2 < took < 30


def test_an_answer_that_never_comes_after_bad_ones_takes_no_longer() -> None:
    answers = iter([reply(502)] * 6)
    problem, took = put(lambda _: next(answers, HttpFailure(HttpTrouble.TIMEOUT, sent=True)))
    assert isinstance(problem, ServiceError)
    assert took < FAILING + 3


@pytest.mark.parametrize("after", [reply(500), HttpFailure(HttpTrouble.TIMEOUT, sent=True)])
def test_a_post_that_never_takes_effect_ends_and_was_looked_up_before_each_try(after: Result) -> None:
    asked: list[str] = []

    def answer(request: HttpRequest) -> Result:
        asked.append(request.method)
        return after if request.method == "POST" else reply(200)

    problem, took = put(answer)
    assert isinstance(problem, ServiceError)
    assert "and it is not listed" in problem.message
    assert asked == ["GET", "POST"] * 4
    assert took < 70


def test_an_effect_that_comes_late_is_settled() -> None:
    """The first POST takes effect only after it was looked for: there are two for a moment."""
    texts: list[Posted] = []
    late: list[Posted] = []
    removed: list[str] = []

    def answer(request: HttpRequest) -> Result:
        if request.method == "POST":
            made = Posted(len(texts) + len(late) + 1, "bot", f"{MARKER}\nx")
            if not late:
                late.append(made)
                return HttpFailure(HttpTrouble.BROKEN, sent=True)
            texts.extend([*late, made])
            return reply(201, "{}")
        if request.method == "DELETE":
            removed.append(request.url.rpartition("/")[2])
            return reply(204, "")
        rows = [f'{{"id": {each.key}, "user": {{"login": "bot"}}, "body": "{MARKER}\\nx"}}' for each in texts]
        return reply(200, f"[{','.join(rows)}]")

    did, _ = put(answer)
    assert did is sticky.PostResult.MADE
    assert removed == ["2"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pauses_without_an_end_end(method: str) -> None:
    held = reply(403, "{}", retry_after="50")
    problem, took = put(lambda request: held if request.method == method else reply(200))
    assert isinstance(problem, ServiceError)
    assert took <= TOTAL + 1


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        (reply(403, "{}", retry_after="7"), 7.1),
        (reply(429, "{}", retry_after="7"), 7.1),
        (reply(429, "{}"), 10),
        (reply(403, "{}", x_ratelimit_remaining="0", x_ratelimit_reset="60"), 60.9),
    ],
)
def test_a_pause_is_as_long_as_it_was_asked_for(refusal: HttpReply, seconds: float) -> None:
    answers = iter([refusal])

    def answer(request: HttpRequest) -> Result:
        return reply(201, "{}") if request.method == "POST" else next(answers, reply(200))

    did, took = put(answer)
    assert did is sticky.PostResult.MADE
    assert took == pytest.approx(seconds + 0.4, abs=0.1)


def test_a_refusal_without_a_pause_ends_at_once() -> None:
    problem, took = put(lambda _: reply(403, '{"message": "Resource not accessible by integration"}'))
    assert isinstance(problem, AuthenticationFailed)
    assert took < 1


def test_a_list_without_an_end_ends_and_the_token_goes_nowhere_else() -> None:
    asked: list[str] = []

    def answer(request: HttpRequest) -> Result:
        asked.append(request.url)
        return reply(200, "[{}]", link='<https://evil.example/x?page=2&per_page=100>; rel="next"')

    problem, took = put(answer)
    assert isinstance(problem, ServiceError)
    assert set(asked) == {"https://api.example/repos/acme/voice/issues/7/comments"}
    assert took < TOTAL + 1


@pytest.mark.parametrize("body", ["<html>", '"x"', "[1]", "[null]", '[{"id": null}]', '{"a": 1}', "[" * 5000])
def test_what_is_not_the_api_is_said(body: str) -> None:
    problem, _ = put(lambda _: reply(200, body))
    assert isinstance(problem, ServiceError)
    assert "with a list" in problem.message or problem.hint is not None


def test_a_late_index_of_merges_is_asked_again() -> None:
    from reconciler.cli.ci.job import merged_for
    from reconciler.codehosts.settings import CodeHostJob

    answers = iter([reply(200), reply(200, '[{"number": 4, "merged_at": "x", "base": {"ref": "main"}}]')])

    def answer(request: HttpRequest) -> Result:
        return next(answers, reply(200, '{"default_branch": "main"}'))

    settings = CodeHostJob(host(), Secret("a-token-of-somebody"))
    assert in_virtual_time(merged_for(settings, "c" * 40), answer) == ((4,), pytest.approx(0.8))
    none, took = in_virtual_time(merged_for(settings, "c" * 40), lambda _: reply(200))
    assert none == ()
    assert took < 5
