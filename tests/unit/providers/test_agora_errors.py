"""The words of every failure: what happened, what is remarked, what to do; and which exception it is."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from reconciler.errors import AuthenticationFailed, IncompleteRead, ReadAbandoned, ServiceError
from reconciler.ports import Conflict, Declined, Done, Gone, HttpReply, HttpTrouble, Scope, Unknown
from reconciler.providers.agora import errors
from reconciler.providers.agora.call_sender import STOPPING, Result, Withheld
from reconciler.secrets import Secret
from tests.unit.providers.hand import START, failure, reply

QUOTA = "leave other agents or have the quota raised (20 agents by default)"
CREDENTIALS = "check AGORA_CUSTOMER_ID and AGORA_CUSTOMER_SECRET, and that AGORA_APP_ID belongs to them"
PROJECT = "check in Agora's console that the project exists and has Conversational AI enabled"
LATER = "see whether the service is well and can be reached from here, and run again"
SLOWER = "too many calls at a time: run again later, or with a lower --parallelism"
PLACE = "check AGORA_APP_ID, service.area and AGORA_AGENTS_API_BASE_URL"


def said(status: int, detail: str = "", reason: str = "", **headers: str) -> HttpReply:
    return reply(status, orjson.dumps({"detail": detail, "reason": reason}), **headers)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (said(500), "HTTP 500"),
        (said(500, "x"), "HTTP 500: x"),
        (said(500, "x", "R"), "HTTP 500 R: x"),
        (said(400, "x"), "HTTP 400: x; correct the agent's properties"),
        (said(401), f"HTTP 401; {CREDENTIALS}"),
        (said(401, reason="InvalidPermission"), f"HTTP 401 InvalidPermission; {CREDENTIALS}"),
        (said(403, reason="InvalidPermission"), "HTTP 403 InvalidPermission; the credentials have no right to this project"),
        (said(403), f"HTTP 403; {PROJECT}"),
        (said(403, reason="ServiceNotEnabled"), "HTTP 403 ServiceNotEnabled; enable Conversational AI for this project in Agora's console"),
        (said(404), f"HTTP 404; {PLACE}"),
        (said(422), f"HTTP 422; {QUOTA}"),
        (said(429), "HTTP 429"),
        (said(429, reason="ConcurrencyLimitExceeded"), "HTTP 429 ConcurrencyLimitExceeded"),
        (said(429, reason="ResourceQuotaLimitExceeded"), f"HTTP 429 ResourceQuotaLimitExceeded; {QUOTA}"),
        (said(429, retry_after="20"), "HTTP 429"),
        (said(429, retry_after="21"), "HTTP 429 (it asks for a pause of 21s, longer than a run waits)"),
        (said(429, retry_after="soon"), "HTTP 429 (its Retry-After makes no sense, and was not waited for)"),
        (said(503, retry_after="soon"), "HTTP 503"),
        (said(201), "HTTP 201 (only 200 is taken for an answer)"),
        (said(299), "HTTP 299 (only 200 is taken for an answer)"),
        (said(300), "HTTP 300 (a redirect, which is never followed); check AGORA_AGENTS_API_BASE_URL"),
        (said(399), "HTTP 399 (a redirect, which is never followed); check AGORA_AGENTS_API_BASE_URL"),
        (said(400, "please check if the appid is valid"), "HTTP 400: please check if the appid is valid; check that service.area is the region in which the App ID was made"),
        (said(500, "core: edge failed, x"), "HTTP 500: core: edge failed, x; the service's engine refused the properties: give llm and tts (and asr) with all that their vendors need"),
        (said(400, "properties.channel is bad"), "HTTP 400: properties.channel is bad; correct the channel's name in its channel block"),
        (said(422, "properties.channel is bad"), f"HTTP 422: properties.channel is bad; {QUOTA}"),
        (failure(HttpTrouble.BROKEN), "the connection broke"),
        (failure(HttpTrouble.BROKEN, detail="x"), "the connection broke (x)"),
        (Withheld("reason"), "not sent, since reason"),
    ],
)  # fmt: skip
def test_the_words_of_a_failure(result: Result, words: str) -> None:
    found = (
        errors.leave_outcome(result, ())
        if not isinstance(result, HttpReply) or result.status != 404
        else None
    )
    if found is None:
        found = errors.join_outcome(result, START, ())
    assert isinstance(found, (Declined, Unknown))
    assert found.detail == words.replace("the connection broke", str(HttpTrouble.BROKEN))


@pytest.mark.parametrize(
    ("result", "mutating", "kind", "tail", "hint"),
    [
        (said(400), False, ServiceError, "HTTP 400", LATER),
        (said(404), False, ServiceError, "HTTP 404", PLACE),
        (said(429), False, ServiceError, "HTTP 429", SLOWER),
        (said(429, reason="ResourceQuotaLimitExceeded"), False, ServiceError, "HTTP 429 ResourceQuotaLimitExceeded", SLOWER),
        (said(500), False, ServiceError, "HTTP 500", LATER),
        (said(500), True, ServiceError, "HTTP 500; it may have been executed, and is not sent again", LATER),
        (said(409), True, ServiceError, "HTTP 409; it may have been executed, and is not sent again", LATER),
        (said(422), True, ServiceError, "HTTP 422", QUOTA),
        (said(401), True, AuthenticationFailed, "HTTP 401", CREDENTIALS),
        (said(403), False, AuthenticationFailed, "HTTP 403", PROJECT),
        (said(299), False, IncompleteRead, "HTTP 299 (only 200 is taken for an answer)", LATER),
        (said(300), False, ServiceError, "HTTP 300 (a redirect, which is never followed)", "check AGORA_AGENTS_API_BASE_URL"),
        (said(204), True, ServiceError, "HTTP 204 (only 200 is taken for an answer); it may have been executed, and is not sent again", LATER),
        (failure(HttpTrouble.CONNECT, sent=False), True, ServiceError, str(HttpTrouble.CONNECT), LATER),
        (failure(HttpTrouble.TIMEOUT), True, ServiceError, f"{HttpTrouble.TIMEOUT}; it may have been executed, and is not sent again", LATER),
        (failure(HttpTrouble.TIMEOUT), False, ServiceError, str(HttpTrouble.TIMEOUT), LATER),
        (failure(HttpTrouble.TOO_LARGE), False, IncompleteRead, str(HttpTrouble.TOO_LARGE), LATER),
        (failure(HttpTrouble.TOO_LARGE), True, ServiceError, f"{HttpTrouble.TOO_LARGE}; it may have been executed, and is not sent again", LATER),
        (Withheld("x", 3.0), False, ServiceError, "not sent, since x", LATER),
    ],
)  # fmt: skip
def test_the_exception_for_a_failure(
    result: Result, mutating: bool, kind: type, tail: str, hint: str
) -> None:
    problem = errors.call_failed("it", result, (), mutating=mutating)
    assert type(problem) is kind
    assert (problem.message, problem.hint) == (f"it failed: {tail}", hint)
    assert problem.again_in == (3.0 if isinstance(result, Withheld) else 0.0)


def test_the_host_is_named_where_it_gave_no_answer_and_the_credentials_where_they_were_refused() -> None:
    away = errors.call_failed("it", failure(HttpTrouble.TIMEOUT), (), host="h")
    assert away.hint == LATER.replace("the service", "the service at h")
    assert errors.call_failed("it", said(500), (), host="h").hint == LATER
    refused = errors.call_failed("it", said(401), (), credentials="NAMES")
    assert (
        refused.hint == "the service refused NAMES: check the values, and that AGORA_APP_ID belongs to them"
    )
    assert errors.call_failed("it", said(403), (), credentials="NAMES").hint == PROJECT


@pytest.mark.parametrize(("mutating", "kind"), [(False, ReadAbandoned), (True, ServiceError)])
@pytest.mark.parametrize("result", [failure(HttpTrouble.INTERRUPTED), STOPPING])
def test_a_read_that_a_stop_cut_short_is_abandoned(result: Result, mutating: bool, kind: type) -> None:
    problem = errors.call_failed("it", result, (), mutating=mutating)
    assert type(problem) is kind
    if kind is ReadAbandoned:
        assert problem.message == "interrupted while it"


def test_secrets_are_masked_in_every_text() -> None:
    secret = Secret("a-secret-value")
    for result in (
        said(500, "a-secret-value"),
        failure(HttpTrouble.BROKEN, detail="a-secret-value"),
        Withheld("a-secret-value"),
    ):
        assert "a-secret-value" not in errors.call_failed("it", result, [secret]).message


@pytest.mark.parametrize(
    ("status", "body", "answered"),
    [
        (299, b"", True),
        (399, b"", True),
        (429, b"", True),
        (500, b'{"detail": "x"}', True),
        (500, b"<html>", False),
        (502, b'{"detail": "x"}', False),
        (503, b'{"detail": "x"}', True),
        (504, b'{"detail": "x"}', False),
        (402, b'{"detail": "x"}', True),
        (402, b"", False),
    ],
)
def test_whose_answer_it_is(status: int, body: bytes, answered: bool) -> None:
    outcome = errors.join_outcome(reply(status, body), START, ())
    assert isinstance(outcome, Unknown)
    assert outcome.answered is answered


@pytest.mark.parametrize(
    ("status", "reason", "scope"),
    [
        (399, "ResourceQuotaLimitExceeded", None),
        (400, "ResourceQuotaLimitExceeded", Scope.JOINS),
        (499, "ResourceQuotaLimitExceeded", Scope.JOINS),
        (500, "ResourceQuotaLimitExceeded", None),
        (499, "ConcurrencyLimitExceeded", Scope.JOINS),
        (499, "other", None),
        (422, "other", Scope.JOINS),
        (429, "ResourceQuotaLimitExceeded", Scope.JOINS),
        (429, "ConcurrencyLimitExceeded", None),
    ],
)
def test_when_the_quota_is_used_up(status: int, reason: str, scope: Scope | None) -> None:
    outcome = errors.join_outcome(said(status, "x", reason), START, ())
    assert (outcome.scope if isinstance(outcome, Declined) else None) is scope


@pytest.mark.parametrize(
    ("status", "detail", "is_one"), [(500, "core: edge failed", True), (499, "core: edge failed", False), (500, "x core: edge failed", False)]
)  # fmt: skip
def test_a_refusal_by_the_engine(status: int, detail: str, is_one: bool) -> None:
    assert errors.is_refused_by_engine(said(status, detail)) is is_one
    outcome = errors.join_outcome(said(status, detail), START, ())
    assert (isinstance(outcome, Declined) and outcome.scope is Scope.ADDRESS) is is_one


def test_what_says_that_an_agent_is_gone() -> None:
    gone, page = said(404), reply(404, b"<html>")
    assert isinstance(errors.update_outcome(gone, "A", ()), Gone) and isinstance(
        errors.leave_outcome(gone, ()), Gone
    )
    assert isinstance(errors.update_outcome(page, "A", ()), Declined)
    assert isinstance(errors.leave_outcome(page, ()), Declined)
    assert isinstance(errors.leave_outcome(reply(200), ()), Done)
    assert isinstance(errors.join_outcome(said(409, "x"), START, ()), Conflict)
    assert isinstance(errors.leave_outcome(said(409, "x"), ()), Unknown)


@pytest.mark.parametrize(
    ("body", "detail", "reason", "agent_id", "is_agora"),
    [
        ({"detail": "", "message": "m"}, "m", "", None, True),
        ({"detail": {"a": 1}}, '{"a":1}', "", None, True),
        ({"reason": 7, "error_type": "t"}, "", "t", None, True),
        ({"reason": "r" * 101}, "", "r" * 100, None, True),
        ({"agent_id": "a/b", "taskId": "T1"}, "", "", "T1", True),
        ({"agent_id": "A1", "taskId": "T1"}, "", "", "A1", True),
        ({}, "", "", None, True),
        ([1], "[1]", "", None, False),
        ("a < b", '"a < b"', "", None, False),
    ],
)  # fmt: skip
def test_the_parts_of_an_error(
    body: Any, detail: str, reason: str, agent_id: str | None, is_agora: bool
) -> None:
    found = errors.read_error(orjson.dumps(body))
    assert (found.detail, found.reason, found.agent_id, found.is_agora) == (
        detail,
        reason,
        agent_id,
        is_agora,
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"a  b\n c", "a b c"),
        (b"<b>a</b>c", "a c"),
        (b"x<script>y</script >z", "x z"),
        (b"x<STYLE a>y</STYLE>z", "x z"),
        (b"a > b", "a > b"),
        (b"a <" + b"x" * 301 + b"> b", f"a <{'x' * 301}> b"),
        (b"a <" + b"x" * 300 + b"> b", "a b"),
    ],
)
def test_a_page_is_read_without_its_markup(body: bytes, text: str) -> None:
    assert errors.read_error(body).detail == text


def test_a_page_is_read_to_a_bound() -> None:
    assert len(errors.read_error(b"x" * 10**6).detail) <= 16 * 300
    assert len(errors.read_error(b"[" + b"1," * 10**5 + b"1]").detail) <= 16 * 300
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    assert isinstance(errors.read_error(b'{"detail": ' + str(deep).encode() + b"}").detail, str)
