"""What is made of each reply of a code host: pages, pauses, repetitions and errors; in virtual time."""

from __future__ import annotations

import pytest

from reconciler.codehosts import UnknownOutcome, github
from reconciler.codehosts.api import FAILING, PER_PAGE, TOTAL
from reconciler.errors import AuthenticationFailed, ServiceError
from reconciler.ports import HttpFailure, HttpTrouble
from reconciler.secrets import Secret
from tests.codehosts.calls import TOKEN, Answers, Result, api, in_virtual_time, reply


def numbers(first: int, count: int) -> str:
    return str(list(range(first, first + count)))


# --- pages of a list -----------------------------------------------------------------------------------------------

LINK = '<https://api.example/x?page=1>; rel="prev", <https://api.example/x?page=7&per_page=9>; rel="next"'


@pytest.mark.parametrize(
    ("headers", "count", "following"),
    [
        ({"x_next_page": " 2 "}, 1, {"page": "2"}),
        ({"x_next_page": ""}, PER_PAGE, None),
        ({"link": LINK}, 1, {"page": "7", "per_page": "9"}),
        ({"link": LINK.replace('"next"', "NEXT")}, 1, {"page": "7", "per_page": "9"}),
        ({"link": f'{LINK}; title="more"'}, 1, {"page": "7", "per_page": "9"}),
        ({"link": LINK.replace("next", "last")}, PER_PAGE, None),
        ({"link": '<https://api.example/x>; rel="next"'}, PER_PAGE, None),
        ({}, PER_PAGE, {"page": "2"}),
        ({}, PER_PAGE - 1, None),
    ],
)
def test_the_next_page_is_where_the_reply_says(
    headers: dict[str, str], count: int, following: dict[str, str] | None
) -> None:
    answers = Answers(reply(200, numbers(0, count), **headers), reply(200, "[900]", x_next_page=""))
    found, _ = in_virtual_time(api().pages("/x", (("state", "all"),)), answers)
    first = {"state": "all", "per_page": str(PER_PAGE)}
    assert [dict(each.query) for each in answers.calls] == (
        [first] if following is None else [first, {**first, **following}]
    )
    assert found == (*range(count), *(() if following is None else (900,)))


def test_pages_without_headers_are_counted_on() -> None:
    answers = Answers(
        reply(200, numbers(0, PER_PAGE)), reply(200, numbers(PER_PAGE, PER_PAGE)), reply(200, "[]")
    )
    found, _ = in_virtual_time(api().pages("/x"), answers)
    assert found == tuple(range(2 * PER_PAGE))
    assert [dict(each.query).get("page") for each in answers.calls] == [None, "2", "3"]


def test_a_list_has_at_most_so_many_pages() -> None:
    answers = Answers(reply(200, "[1]", x_next_page="2"))
    problem, _ = in_virtual_time(api().pages("/x"), answers)
    assert isinstance(problem, ServiceError)
    assert problem.message == "GitHub lists more than 30,000 items: GET /x"
    assert len(answers.calls) == 300


def test_what_is_no_json_is_not_the_api() -> None:
    problem, _ = in_virtual_time(api().text("/x", "a"), Answers(reply(200, "<html>")))
    assert isinstance(problem, ServiceError)
    assert problem.message == "GitHub answered with something that is no JSON"


def test_what_is_no_list_is_no_page() -> None:
    problem, _ = in_virtual_time(api().pages("/x"), Answers(reply(200, '{"1": 2}')))
    assert isinstance(problem, ServiceError)
    assert problem.message == "GitHub did not answer with a list: GET /x"


@pytest.mark.parametrize(("status", "is_absent"), [(422, True), (404, False)])
def test_a_status_is_an_empty_list_only_where_it_is_said_to_be(status: int, is_absent: bool) -> None:
    found, _ = in_virtual_time(api().pages("/x", absent=frozenset({422})), Answers(reply(status, "[1]")))
    assert found == () if is_absent else isinstance(found, ServiceError)


# --- one call ------------------------------------------------------------------------------------------------------


def test_a_call_bears_the_token_and_its_deadline() -> None:
    answers = Answers(reply(201, "{}"))
    made, _ = in_virtual_time(api().make("/x", {"a": 1}), answers)
    assert made is None
    (call,) = answers.calls
    assert (call.method, call.url, call.body) == ("POST", "https://api.example/x", {"a": 1})
    assert call.headers["content-type"] == "application/json"
    assert call.deadline == 12
    bearer = call.headers["authorization"]
    assert isinstance(bearer, Secret) and bearer.reveal() == f"Bearer {TOKEN}"
    read = Answers(reply(200))
    in_virtual_time(api().pages("/x"), read)
    assert "content-type" not in read.calls[0].headers


def test_deadlines_shrink_as_a_call_goes_on_failing_and_are_never_below_two_seconds() -> None:
    answers = Answers(HttpFailure(HttpTrouble.TIMEOUT, sent=True))
    problem, took = in_virtual_time(api().pages("/x"), answers)
    assert isinstance(problem, ServiceError)
    # 12 s, a pause of 0.3 s, what is left of 22 s, and one more while its pause ends in time.
    assert [round(each.deadline, 1) for each in answers.calls] == [12.0, 9.7]
    assert took == pytest.approx(FAILING)
    late = Answers(*[reply(502)] * 4, HttpFailure(HttpTrouble.TIMEOUT, sent=True))
    in_virtual_time(api().pages("/x"), late)
    assert [each.deadline for each in late.calls] == [12.0] * 5 + [2.0]


def test_all_calls_together_end_in_their_time_though_each_of_them_does_well() -> None:
    late = [HttpFailure(HttpTrouble.TIMEOUT, sent=True), reply(200, "[1]", x_next_page="2")]
    answers = Answers(*late * 300)
    problem, took = in_virtual_time(api().pages("/x"), answers)
    assert isinstance(problem, ServiceError)
    assert problem.message == "GitHub has not answered well within 300 s"
    assert TOTAL <= took < TOTAL + 1
    assert answers.calls[-1].deadline < 12


def test_pauses_between_repetitions_double_up_to_eight_seconds() -> None:
    answers = Answers(reply(500))
    problem, took = in_virtual_time(api().pages("/x"), answers)
    # Calls of 0.1 s, and pauses of 0.3, 0.6, 1.2, 2.4, 4.8 and 8 s: the seventh would end beyond 22 s.
    assert len(answers.calls) == 7
    assert took == pytest.approx(7 * 0.1 + 0.3 + 0.6 + 1.2 + 2.4 + 4.8 + 8)
    assert isinstance(problem, ServiceError)
    assert problem.message == (
        f"GitHub cannot be used: it answered 500, again and again for {took:.0f} s (GET /x)"
    )


@pytest.mark.parametrize(
    ("failure", "made"),
    [
        (HttpFailure(HttpTrouble.BROKEN, sent=True), UnknownOutcome(str(HttpTrouble.BROKEN))),
        (HttpFailure(HttpTrouble.BROKEN, sent=True, detail="reset"), UnknownOutcome(f"{HttpTrouble.BROKEN} (reset)")),
        (reply(500), UnknownOutcome("it answered 500")),
        (reply(299), None),
    ],
)  # fmt: skip
def test_what_a_post_without_a_plain_answer_leaves_open(failure: Result, made: UnknownOutcome | None) -> None:
    answers = Answers(failure)
    assert in_virtual_time(api().make("/x", {}), answers) == (made, pytest.approx(0.1))
    assert len(answers.calls) == 1


def test_a_redirect_of_a_post_is_refused() -> None:
    problem, _ = in_virtual_time(api().make("/x", {}), Answers(reply(300, "{}")))
    assert isinstance(problem, ServiceError)
    assert problem.message == "GitHub answers 300 to POST /x"


def test_a_post_that_was_not_sent_is_sent_again_and_one_that_has_to_wait_begins_anew() -> None:
    unsent = HttpFailure(HttpTrouble.CONNECT, sent=False)
    answers = Answers(unsent, reply(429, "{}", retry_after="100"), *[unsent] * 5, reply(201, "{}"))
    made, took = in_virtual_time(api().make("/x", {}), answers)
    assert made is None
    assert len(answers.calls) == 8
    assert took > 100
    refused = Answers(unsent)
    problem, took = in_virtual_time(api().make("/x", {}), refused)
    assert isinstance(problem, ServiceError)
    assert took < FAILING


def test_a_read_that_has_to_wait_begins_anew() -> None:
    answers = Answers(*[reply(502)] * 5, reply(429, "{}", retry_after="100"), *[reply(502)] * 5, reply(200))
    found, took = in_virtual_time(api().pages("/x"), answers)
    assert found == ()
    assert took == pytest.approx(12 * 0.1 + 2 * (0.3 + 0.6 + 1.2 + 2.4 + 4.8) + 100.1)


@pytest.mark.parametrize(
    ("seconds", "before", "is_waited_for"),
    [
        ("119", 0, True),  # and a tenth: just within two minutes
        ("120", 0, False),
        ("90", 2, True),
        ("90", 3, False),  # within two minutes each, and not within the time of all calls
    ],
)
def test_no_pause_is_longer_than_two_minutes_or_than_what_is_left(
    seconds: str, before: int, is_waited_for: bool
) -> None:
    held = reply(429, "{}", retry_after=seconds)
    found, took = in_virtual_time(api().pages("/x"), Answers(*[held] * (before + 1), reply(200)))
    if is_waited_for:
        assert found == ()
    else:
        assert isinstance(found, ServiceError)
        assert "asks to be left alone for" in found.message and "(429)" in found.message
        assert took < TOTAL - 1


@pytest.mark.parametrize(
    ("headers", "status", "seconds"),
    [
        ({"retry_after": " 5 "}, 403, 5.1),
        ({"retry_after": "0"}, 429, 0.1),
        ({"retry_after": "later"}, 403, 10),
        ({"retry_after": "1" * 10}, 429, 10),
        ({"retry_after": "5"}, 404, None),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "30"}, 429, 30.9),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "0"}, 403, 1),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1" * 12}, 403, None),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "soon"}, 403, None),
        ({"x_ratelimit_remaining": "1", "x_ratelimit_reset": "30"}, 403, None),
        ({}, 403, None),
    ],
)
def test_how_long_a_refusal_asks_to_wait(headers: dict[str, str], status: int, seconds: float | None) -> None:
    found, took = in_virtual_time(api().pages("/x"), Answers(reply(status, "{}", **headers), reply(200)))
    if seconds is None:
        assert isinstance(found, AuthenticationFailed if status == 403 else ServiceError)
        assert took == pytest.approx(0.1)
    else:
        assert found == ()
        assert took == pytest.approx(0.2 + seconds)


def test_a_pause_that_was_asked_for_lets_the_pauses_of_a_creation_begin_anew() -> None:
    """A refused call was not executed: what comes after the pause is a new beginning, as it is for a repeated call."""
    unsent = [HttpFailure(HttpTrouble.CONNECT, sent=False)] * 3
    answers = Answers(*unsent, reply(429, "{}", retry_after="3"), *unsent, reply(201))
    made, took = in_virtual_time(api().make("/x", {}), answers)
    assert made is None
    assert took == pytest.approx(8 * 0.1 + 2 * (0.3 + 0.6 + 1.2) + 3.1)


def test_a_status_that_is_no_error_is_still_waited_for_where_it_asks_for_a_pause() -> None:
    answers = Answers(reply(403, "{}", retry_after="3"), reply(200, '{"a": 1}'))
    assert in_virtual_time(api().get_if_allowed("GET", "https://api.example/x"), answers) == (
        {"a": 1},
        pytest.approx(3.3),
    )
    for status in (403, 404):
        none, _ = in_virtual_time(
            api().get_if_allowed("GET", "https://api.example/x"), Answers(reply(status, "{}"))
        )
        assert none is None


def test_what_is_gone_needs_no_deletion_and_anything_else_has_to_be_there() -> None:
    gone = reply(404, "{}")
    assert in_virtual_time(api().change("DELETE", "/x"), Answers(gone))[0] is None
    problem, _ = in_virtual_time(api().change("PATCH", "/x", {}), Answers(gone))
    assert isinstance(problem, ServiceError)


@pytest.mark.parametrize(
    ("answer", "kind", "said", "hint"),
    [
        (reply(401, '{"message": "Bad credentials"}'), AuthenticationFailed, "GitHub refuses the token (401): Bad credentials", github.PERMISSIONS),
        (reply(403, "{}", x_accepted_github_permissions="issues=write"), AuthenticationFailed,
         "the token may not do this on GitHub (403): GET /x; the call needs issues=write", github.PERMISSIONS),
        (reply(403, "[]"), AuthenticationFailed, "the token may not do this on GitHub (403): GET /x", github.PERMISSIONS),
        (reply(404, '{"message": "", "error": "no"}'), ServiceError, "GitHub answers 404 to GET /x: no",
         f"look at the names in the variables; a token without permission gets 404, too: {github.PERMISSIONS}"),
        (reply(400, '{"error_description": "x", "error": "y"}'), ServiceError, "GitHub answers 400 to GET /x: x", None),
        (reply(400, "<html>"), ServiceError, "GitHub answers 400 to GET /x", None),
        (reply(300, f'{{"message": "to {TOKEN}"}}'), ServiceError, "GitHub answers 300 to GET /x: to(secret)", None),
    ],
)  # fmt: skip
def test_what_a_refusal_is_said_to_be(answer: Result, kind: type, said: str, hint: str | None) -> None:
    problem, _ = in_virtual_time(api().pages("/x"), Answers(answer))
    assert type(problem) is kind
    assert problem.message == said
    assert problem.hint == hint
