"""What `doctor` is told about credentials and the clock, for each answer of the service."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from reconciler.diagnostics import Problem, Severity
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, HttpTrouble, Passed
from reconciler.providers.agora import AgoraProvider, AgoraSettings
from reconciler.secrets import Secret
from tests.unit.providers.hand import Answer, Hand, failure, reply

LIST = b'{"data": {"count": 0, "list": []}, "meta": {"total": 0}}'
FINE, UNKNOWN, FORBIDDEN = reply(200, LIST), reply(401, b"{}"), reply(403, b"{}")
TOKEN = AgoraSettings("a" * 32, Secret("b" * 32))
CUSTOMER = AgoraSettings("a" * 32, None, Secret("id"), Secret("secret-canary"))
BOTH = AgoraSettings("a" * 32, Secret("b" * 32), Secret("id"), Secret("secret-canary"))
CREDENTIALS = "AGORA_CUSTOMER_ID and AGORA_CUSTOMER_SECRET"
FORBIDDEN_ADVICE = "check in Agora's console that the project exists and has Conversational AI enabled"
MINTED = "a token minted with AGORA_APP_CERTIFICATE"


def each_way(token: HttpReply | HttpFailure, customer: HttpReply | HttpFailure) -> Answer:
    """A service that answers the two ways to authenticate differently."""

    def answer(request: HttpRequest) -> HttpReply | HttpFailure:
        header = request.headers["authorization"]
        assert isinstance(header, Secret)
        return token if header.reveal().startswith("agora token=") else customer

    return answer


def checked(
    settings: AgoraSettings, answer: Answer, *, hand: Hand | None = None
) -> list[tuple[str, str, str]]:
    """What was found: the subject, whether it passed, is warned of or is wrong, and the words."""
    hand = hand or Hand(answer)
    found = hand.run(AgoraProvider(settings).check())
    return [
        (each.check, "passed", each.text)
        if isinstance(each, Passed)
        else (each.rule, each.severity.value, each.summary)
        for each in found
    ]


@pytest.mark.parametrize(
    ("settings", "answer", "found"),
    [
        (TOKEN, each_way(FINE, FINE), [("credentials", "passed", f"{MINTED} is accepted")]),
        (CUSTOMER, each_way(FINE, FINE), [("credentials", "passed", f"{CREDENTIALS} are accepted")]),
        (BOTH, each_way(FINE, FINE), [
            ("credentials", "passed", f"{MINTED} is accepted"), ("credentials", "passed", f"{CREDENTIALS} are accepted")]),
        (BOTH, each_way(FINE, UNKNOWN), [
            ("credentials", "passed", f"{MINTED} is accepted"),
            ("credentials", "warning", f"a call with {CREDENTIALS} failed: HTTP 401")]),
        (BOTH, each_way(UNKNOWN, FINE), [
            ("credentials", "passed", f"{CREDENTIALS} are accepted"),
            ("credentials", "error", f"a call with {MINTED} failed: HTTP 401")]),
        (BOTH, each_way(FINE, FORBIDDEN), [
            ("credentials", "passed", f"{MINTED} is accepted"),
            ("credentials", "warning", f"a call with {CREDENTIALS} failed: HTTP 403")]),
        (BOTH, each_way(UNKNOWN, UNKNOWN), [
            ("credentials", "error", f"a call with {MINTED} failed: HTTP 401"),
            ("credentials", "error", f"a call with {CREDENTIALS} failed: HTTP 401")]),
        (BOTH, each_way(FORBIDDEN, FORBIDDEN), [("app-id", "error", f"a call on App ID {'a' * 32} failed: HTTP 403")]),
        (BOTH, each_way(UNKNOWN, FORBIDDEN), [
            ("app-id", "error", f"a call on App ID {'a' * 32} failed: HTTP 403"),
            ("credentials", "error", f"a call with {MINTED} failed: HTTP 401")]),
    ],
)  # fmt: skip
def test_which_credentials_are_accepted(
    settings: AgoraSettings, answer: Answer, found: list[tuple[str, str, str]]
) -> None:
    assert checked(settings, answer) == found


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (failure(HttpTrouble.CONNECT, sent=False), "could not connect"),
        (reply(500, b"{}"), "HTTP 500"),
        (reply(599, b"{}"), "HTTP 599"),
        (reply(404, b"{}"), "HTTP 404"),
        (reply(429, b"{}"), "HTTP 429"),
        (reply(400, b"not of the service"), "HTTP 400: not of the service"),
        (reply(200, b"<html>portal</html>"), "what answers there is not the service (HTTP 200 without its list)"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_the_services_judges_no_credentials(
    answer: HttpReply | HttpFailure, said: str
) -> None:
    ((subject, severity, message),) = checked(BOTH, each_way(answer, FINE))
    assert (subject, severity, message) == ("service", "error", f"asking api.agora.io failed: {said}")
    found = Hand(each_way(answer, FINE)).run(AgoraProvider(BOTH).check())
    assert isinstance(found[0], Problem) and found[0].help is not None
    assert found[0].help.endswith("AGORA_AGENTS_API_BASE_URL and service.area say which host that is")


def test_a_refusal_for_another_reason_shows_that_the_credentials_are_accepted() -> None:
    assert checked(TOKEN, each_way(reply(400, b"{}"), FINE)) == [
        ("credentials", "passed", f"{MINTED} is accepted")
    ]


@pytest.mark.parametrize(
    ("settings", "answer", "helps"),
    [
        (BOTH, each_way(UNKNOWN, FINE), [
            f"copy AGORA_APP_CERTIFICATE anew from the settings of this project in Agora's console: AGORA_APP_ID ({'a' * 32})"]),
        (BOTH, each_way(FINE, UNKNOWN), [
            f"copy {CREDENTIALS} anew from RESTful API in Agora's console, or unset both: a token works without them"]),
        (CUSTOMER, each_way(FINE, UNKNOWN), [
            f"copy {CREDENTIALS} anew from RESTful API in Agora's console, and check AGORA_APP_ID ({'a' * 32})"]),
        (CUSTOMER, each_way(FINE, FORBIDDEN), [
            f"check that AGORA_APP_ID ({'a' * 32}) is a project of these credentials; {FORBIDDEN_ADVICE}"]),
    ],
)  # fmt: skip
def test_what_to_do_about_a_refusal(settings: AgoraSettings, answer: Answer, helps: list[str]) -> None:
    found = Hand(answer).run(AgoraProvider(settings).check())
    assert [each.help for each in found if isinstance(each, Problem)] == helps


def clocked(seconds: float, *answers: int) -> Hand:
    """A service whose clock is so many seconds ahead, with these statuses one after the other."""
    hand = Hand(lambda _: reply(200))
    left = list(answers)

    def answer(_: HttpRequest) -> HttpReply:
        status = left.pop(0) if len(left) > 1 else left[0]
        date = formatdate(hand.now + seconds, usegmt=True)
        return reply(status, LIST if status == 200 else b"{}", date=date)

    hand.answer = answer
    return hand


@pytest.mark.parametrize(
    ("seconds", "severity"), [(0.0, "passed"), (-25.0, "passed"), (60.0, "warning"), (-290.0, "warning"), (302.0, "error"), (-302.0, "error")]
)  # fmt: skip
def test_what_is_said_of_the_clock(seconds: float, severity: str) -> None:
    found = checked(CUSTOMER, lambda _: FINE, hand=clocked(seconds, 200))
    (subject, judged, text) = found[-1]
    assert (subject, judged) == ("clock", severity)
    if severity == "passed":
        assert text == "this machine's clock agrees with the service's within half a minute"
    else:
        assert text.endswith(f"seconds {'behind' if seconds > 0 else 'ahead of'} the service's")


def test_without_a_date_nothing_is_said_of_the_clock() -> None:
    assert [each[0] for each in checked(CUSTOMER, lambda _: FINE)] == ["credentials"]


@pytest.mark.parametrize(
    ("seconds", "answers", "calls", "severity"),
    [
        (-400.0, (401, 200), 2, "passed"),  # the clock was the only reason
        (400.0, (401, 200), 2, "passed"),
        (400.0, (401, 401), 2, "error"),
        (10.0, (401, 200), 1, "error"),  # our clock is right: it was not
        (400.0, (200, 200), 1, "passed"),
    ],
)
def test_a_token_of_a_wrong_clock_is_tried_again_with_the_services_time(
    seconds: float, answers: tuple[int, ...], calls: int, severity: str
) -> None:
    hand = clocked(seconds, *answers)
    found = checked(TOKEN, lambda _: FINE, hand=hand)
    assert len(hand.requests) == calls
    assert [each[1] for each in found if each[0] == "credentials"] == [severity]


def test_without_a_date_a_refused_token_is_not_tried_again() -> None:
    hand = Hand(each_way(UNKNOWN, FINE))
    checked(TOKEN, lambda _: FINE, hand=hand)
    assert len(hand.requests) == 1


def test_what_this_run_has_seen_accepted_is_not_tried_again() -> None:
    provider, hand = AgoraProvider(BOTH), Hand(each_way(FINE, FINE))
    hand.run(provider.live_agents())
    before = len(hand.requests)
    assert len(hand.run(provider.check())) == 2
    assert len(hand.requests) == before + 1
    assert Severity.WARNING not in [getattr(each, "severity", None) for each in hand.run(provider.check())]
