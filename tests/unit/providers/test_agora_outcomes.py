"""Every status, reason and trouble, and what it is taken for: only a proof that nothing was executed is a
refusal.
"""

from __future__ import annotations

import itertools

import orjson
import pytest

from reconciler.errors import AuthenticationFailed, IncompleteRead, ServiceError
from reconciler.model.observed import AgentStatus
from reconciler.ports import (
    Conflict,
    Declined,
    Done,
    Gone,
    HttpFailure,
    HttpReply,
    HttpTrouble,
    Joined,
    Scope,
    Unknown,
)
from reconciler.providers.agora.call_sender import Result, Withheld
from reconciler.providers.agora.errors import (
    call_failed,
    join_outcome,
    leave_outcome,
    read_error,
    update_outcome,
)
from tests.unit.providers.hand import START, failure, reply

AGENT = "A42KB20JB10CG53VV33ML62CL46UT72C"
STARTED = {"agent_id": AGENT, "create_ts": int(START) - 1, "status": "RUNNING"}


def json(status: int, body: object) -> HttpReply:
    return reply(status, orjson.dumps(body))


def error(status: int, reason: str = "", detail: str = "because") -> HttpReply:
    return json(status, {"detail": detail, "reason": reason})


# The refusals that prove that nothing was executed; `None` is a status that leaves a doubt.
SCOPES: dict[int, Scope | None] = {
    400: Scope.ADDRESS,
    401: Scope.RUN,
    402: None,
    403: Scope.RUN,
    404: Scope.ADDRESS,
    405: Scope.ADDRESS,
    406: Scope.ADDRESS,
    408: None,
    410: None,
    411: Scope.ADDRESS,
    413: Scope.ADDRESS,
    414: Scope.ADDRESS,
    415: Scope.ADDRESS,
    418: None,
    425: None,
    429: None,
    431: Scope.ADDRESS,
    500: None,
    501: None,
    502: None,
    503: None,
    504: None,
    599: None,
    201: None,
    202: None,
    204: None,
    206: None,
    301: None,
    302: None,
    304: None,
    307: None,
    308: None,
}
TROUBLES = tuple(itertools.product(HttpTrouble, (True, False)))
MALFORMED = (
    b"",
    b"<html>ok</html>",
    b"{}",
    b"[]",
    b"null",
    b'{"agent_id":"x/../y"}',
    b'{"agent_id":7}',
    b'{"agent',
    b"\xff",
)


@pytest.mark.parametrize(("status", "scope"), SCOPES.items())
def test_a_join_is_refused_only_where_that_is_proven(status: int, scope: Scope | None) -> None:
    outcome = join_outcome(error(status), START, ())
    assert (
        isinstance(outcome, Unknown)
        if scope is None
        else isinstance(outcome, Declined) and outcome.scope is scope
    )


@pytest.mark.parametrize(("status", "scope"), [each for each in SCOPES.items() if each[0] != 404])
def test_updates_and_leaves_are_judged_alike(status: int, scope: Scope | None) -> None:
    for outcome in (update_outcome(error(status), AGENT, ()), leave_outcome(error(status), ())):
        if scope is None:
            assert isinstance(outcome, Unknown)
        else:
            assert isinstance(outcome, Declined)
            assert outcome.scope is scope


@pytest.mark.parametrize("status", [400, 403, 422])
@pytest.mark.parametrize("reason", ["ResourceQuotaLimitExceeded", "ConcurrencyLimitExceeded"])
def test_a_used_up_quota_stops_joins_and_nothing_else(status: int, reason: str) -> None:
    outcome = join_outcome(error(status, reason), START, ())
    assert isinstance(outcome, Declined)
    assert outcome.scope is Scope.JOINS
    assert "quota raised" in outcome.detail
    assert isinstance(other := leave_outcome(error(422, reason), ()), Declined)
    assert other.scope is Scope.ADDRESS


def test_a_429_is_the_quota_only_where_it_says_so() -> None:
    quota = join_outcome(error(429, "ResourceQuotaLimitExceeded"), START, ())
    assert isinstance(quota, Declined)
    assert quota.scope is Scope.JOINS
    assert isinstance(join_outcome(error(429, "ConcurrencyLimitExceeded"), START, ()), Unknown)


def test_422_is_the_quota_whatever_its_reason() -> None:
    assert isinstance(outcome := join_outcome(error(422), START, ()), Declined)
    assert outcome.scope is Scope.JOINS


@pytest.mark.parametrize("reason", ["ResourceQuotaLimitExceeded", "TaskConflict", "ServiceUnavailable"])
def test_a_5xx_leaves_a_doubt_whatever_its_reason(reason: str) -> None:
    assert isinstance(join_outcome(error(503, reason), START, ()), Unknown)


@pytest.mark.parametrize(("trouble", "sent"), TROUBLES)
def test_without_a_reply_only_what_was_not_sent_is_refused(trouble: HttpTrouble, sent: bool) -> None:
    result = failure(trouble, sent=sent, detail="no route to host")
    for outcome in (
        join_outcome(result, START, ()),
        update_outcome(result, AGENT, ()),
        leave_outcome(result, ()),
    ):
        if sent:
            assert isinstance(outcome, Unknown)
        else:
            assert isinstance(outcome, Declined)
            assert outcome.scope is Scope.ADDRESS
        assert outcome.detail == f"{trouble} (no route to host)"


def test_a_call_that_was_withheld_stops_the_run() -> None:
    outcome = join_outcome(Withheld("5 calls in a row failed"), START, ())
    assert outcome == Declined(Scope.RUN, "not sent, since 5 calls in a row failed")


def test_an_accepted_join_is_joined() -> None:
    assert join_outcome(json(200, STARTED), START, ()) == Joined(AGENT, AgentStatus.RUNNING, START - 1)


@pytest.mark.parametrize("status", ["STARTING", "IDLE", "running", "SOMETHING_NEW", None, 2])
def test_any_status_may_come_with_a_join(status: object) -> None:
    outcome = join_outcome(json(200, {**STARTED, "status": status}), START, ())
    assert isinstance(outcome, Joined)
    assert outcome.status is (AgentStatus.of(status) if isinstance(status, str) else AgentStatus.UNKNOWN)


@pytest.mark.parametrize("stamp", [None, -1, 0, "yesterday", True, START + 7200, 1e300, []])
def test_an_agent_is_not_lost_over_a_strange_timestamp(stamp: object) -> None:
    outcome = join_outcome(json(200, {**STARTED, "create_ts": stamp}), START, ())
    assert outcome == Joined(AGENT, AgentStatus.RUNNING, START)


@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_200_is_a_doubt(body: bytes) -> None:
    assert isinstance(join_outcome(reply(200, body), START, ()), Unknown)
    assert isinstance(update_outcome(reply(200, body), AGENT, ()), Unknown)


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b'{"x": 1}'])
def test_a_leave_is_accepted_with_nothing_or_an_object(body: bytes) -> None:
    assert leave_outcome(reply(200, body), ()) == Done()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b"ok"])
def test_a_leave_answered_by_somebody_else_is_a_doubt(body: bytes) -> None:
    assert isinstance(leave_outcome(reply(200, body), ()), Unknown)


@pytest.mark.parametrize("key", ["status", "state"])
def test_an_update_is_accepted_with_either_key_of_the_status(key: str) -> None:
    assert update_outcome(json(200, {"agent_id": AGENT, "create_ts": 1, key: "RUNNING"}), AGENT, ()) == Done()


def test_an_update_of_another_agent_is_a_doubt() -> None:
    assert isinstance(update_outcome(json(200, {"agent_id": "B1", "status": "RUNNING"}), AGENT, ()), Unknown)


@pytest.mark.parametrize(
    ("body", "agent_id"),
    [
        ({"agent_id": AGENT, "reason": "TaskConflict"}, AGENT),
        ({"message": "task conflict", "taskId": AGENT, "statusCode": "409"}, AGENT),
        ({"agent_id": "B1", "taskId": AGENT}, "B1"),
        ({"agent_id": "../leave", "taskId": AGENT}, AGENT),
        ({"agent_id": "x" * 129}, None),
        ({"agent_id": ["B1"]}, None),
        ({"taskId": ""}, None),
        ({"detail": "task conflict", "reason": "TaskConflict"}, None),
        ([], None),
    ],
)
def test_a_conflict_tells_the_holder_if_it_is_well_formed(body: object, agent_id: str | None) -> None:
    outcome = join_outcome(json(409, body), START, ())
    assert isinstance(outcome, Conflict)
    assert outcome.agent_id == agent_id


def test_a_conflict_elsewhere_is_a_doubt() -> None:
    assert isinstance(update_outcome(error(409), AGENT, ()), Unknown)
    assert isinstance(leave_outcome(error(409), ()), Unknown)


@pytest.mark.parametrize(
    "body", [{"detail": "x", "reason": "TaskNotFound"}, {"message": "task not found"}, {}]
)
def test_a_404_of_the_service_means_gone(body: object) -> None:
    assert update_outcome(json(404, body), AGENT, ()) == Gone()
    assert leave_outcome(json(404, body), ()) == Gone()


@pytest.mark.parametrize("body", [b"", b"404 page not found", b"<html><title>404</title></html>", b"[]"])
def test_a_404_of_somebody_else_proves_only_that_nothing_was_done(body: bytes) -> None:
    for outcome in (update_outcome(reply(404, body), AGENT, ()), leave_outcome(reply(404, body), ())):
        assert isinstance(outcome, Declined)
        assert "AGORA_AGENTS_API_BASE_URL" in outcome.detail


@pytest.mark.parametrize(
    ("result", "kind", "text"),
    [
        (
            error(401, "InvalidPermission", "bad"),
            AuthenticationFailed,
            "listing failed: HTTP 401 InvalidPermission: bad",
        ),
        (
            error(403, "AccountSuspended", ""),
            AuthenticationFailed,
            "listing failed: HTTP 403 AccountSuspended",
        ),
        (error(404), ServiceError, "listing failed: HTTP 404: because"),
        (error(500), ServiceError, "listing failed: HTTP 500: because"),
        (reply(204), IncompleteRead, "listing failed: HTTP 204 (only 200 is taken for an answer)"),
        (failure(HttpTrouble.TIMEOUT), ServiceError, "listing failed: no answer in time"),
        (failure(HttpTrouble.TOO_LARGE), IncompleteRead, "listing failed: the answer was too large"),
        (
            Withheld("the run is stopping"),
            ServiceError,
            "listing failed: not sent, since the run is stopping",
        ),
    ],
)
def test_reads_raise_what_happened_and_what_to_do(
    result: Result, kind: type[ServiceError], text: str
) -> None:
    problem = call_failed("listing", result, ())
    assert type(problem) is kind
    assert problem.message == text


def test_a_redirect_is_named_and_not_followed() -> None:
    problem = call_failed("listing", reply(301, b"", location="https://elsewhere.invalid"), ())
    assert "never followed" in problem.message
    assert "elsewhere" not in problem.message


def test_a_wrong_region_is_recognised() -> None:
    detail = "allocate failed, please check if the appid is valid"
    assert isinstance(outcome := join_outcome(error(400, "InvalidRequest", detail), START, ()), Declined)
    assert "service.area" in outcome.detail


@pytest.mark.parametrize(
    ("body", "detail", "reason"),
    [
        (b'{"detail":"d","reason":"r"}', "d", "r"),
        (b'{"message":"m","requestResponse":{},"statusCode":"400","taskId":""}', "m", ""),
        (b'{"message":"Invalid authentication credentials"}', "Invalid authentication credentials", ""),
        (b'{"error_type":"t","description":"d"}', "d", "t"),
        (b'{"detail":[{"loc":["x"],"msg":"y"}]}', '[{"loc":["x"],"msg":"y"}]', ""),
        (b"upstream  connect\n error", "upstream connect error", ""),
        (
            b"<html><head><style>a{}</style></head><body><h1>502</h1> Bad <b>Gateway</b></body>",
            "502 Bad Gateway",
            "",
        ),
        (b"", "", ""),
        (b"\xff\xfe", "\ufffd\ufffd", ""),
        (b"null", "null", ""),
    ],
)
def test_every_shape_of_an_error_is_understood(body: bytes, detail: str, reason: str) -> None:
    found = read_error(body)
    assert (found.detail, found.reason) == (detail, reason)


@pytest.mark.parametrize("kind", [HttpFailure, HttpReply])
def test_words_are_bounded_and_on_one_visible_line(kind: type) -> None:
    rude = "\x1b[31mred\x1b[0m\n\u202etxt\u200b " + "x" * 5000
    result: Result = (
        failure(HttpTrouble.BROKEN, detail=rude) if kind is HttpFailure else error(500, detail=rude)
    )
    outcome = join_outcome(result, START, ())
    assert isinstance(outcome, Unknown)
    assert len(outcome.detail) <= 300
    assert outcome.detail.isprintable()
    assert "\\u{1b}" in outcome.detail
    assert "\\u{202e}" in outcome.detail


@pytest.mark.parametrize(
    ("detail", "advice"),
    [
        ("properties.token: the signature does not agree", "AGORA_APP_CERTIFICATE"),
        (
            "create agent failed, code: 400, msg: properties: properties.avatar.params.agora_token is bad",
            "CERTIFICATE",
        ),
        ("properties.channel: too long", "channel block"),
        ("properties.tts.params.token: wrong", "correct the agent's properties"),
    ],
)
def test_what_no_file_can_write_is_not_blamed_on_the_files(detail: str, advice: str) -> None:
    outcome = join_outcome(error(400, "InvalidFieldValue", detail), START, ())
    assert isinstance(outcome, Declined)
    assert advice in outcome.detail
    assert ("correct the agent's properties" in outcome.detail) == (
        advice == "correct the agent's properties"
    )
