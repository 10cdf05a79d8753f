"""Replies, settings, tokens and lists of the service, value by value at their bounds."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from reconciler.errors import IncompleteRead, ServiceError, UsageError
from reconciler.model.fleet import Area, Service
from reconciler.model.observed import AgentStatus, ListedAgent
from reconciler.ports import HttpReply, HttpRequest, HttpTrouble
from reconciler.providers import Purpose
from reconciler.providers.agora import AgoraProvider, AgoraSettings, replies, tokens
from reconciler.providers.agora.call_limits import CallLimits
from reconciler.providers.agora.connectors import AGORA, EMBEDDED
from reconciler.providers.agora.list_questions import LADDER, Dialect
from reconciler.providers.agora.listing import _require_complete
from reconciler.providers.agora.settings import base_url, from_environment, read_timeout
from reconciler.secrets import Secret
from tests.unit.providers.hand import START, Hand, failure, reply
from tests.unit.providers.scene import CHINA, GLOBAL

NOW = 1000.0
ROW = {"agent_id": "A1", "status": "RUNNING", "start_ts": 5}


def page(**changes: Any) -> bytes:
    tree: dict[str, Any] = {
        "data": {"list": [ROW], "count": 1},
        "meta": {"total": 1, "cursor": ""},
        "status": "ok",
    }
    return orjson.dumps({name: each for name, each in {**tree, **changes}.items() if each is not ...})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (page(), None),
        (page(status=...), None),
        (page(status=None), None),
        (page(status="bad"), 'the list says of itself "bad" instead of "ok"'),
        (page(data={"list": [ROW]}), None),
        (page(data={"list": [ROW], "count": None}), None),
        (page(data={"list": [ROW], "count": 0}), "the list holds 1 agent but says 0"),
        (page(data={"list": [ROW], "count": -1}), "at data.count: it is less than nothing"),
        (page(meta={"total": 1}), None),
        (page(meta={"total": "1"}), "at meta.total: it is not a number"),
        (page(meta={}), "at meta.total: it is missing"),
        (page(data={"list": [{**ROW, "agent_id": "a/b"}]}), "at data.list.0.agent_id: it is not an id"),
        (page(data={"list": [{**ROW, "status": 2}]}), "at data.list.0.status: it is not a text"),
        (page(data={"list": [{**ROW, "start_ts": -1}]}), "less than nothing"),
        (page(data={"list": [{**ROW, "start_ts": 2**53}]}), "beyond every calendar"),
        (page(data={"list": [{**ROW, "start_ts": NOW + 3600}]}), None),
        (page(data={"list": [{**ROW, "start_ts": NOW + 3601}]}), "a time 3601 seconds in the future"),
        (page(data={"list": {}}), "it is not a list"),
        (page(data=[]), "it is not an object"),
        (b"", r"the service's reply is empty \(0 bytes\)"),
        (b" ", r"the service's reply is empty \(1 bytes\)"),
        (b"{", r"the service's reply is not JSON \(1 bytes\)"),
        (b"[]", "makes no sense at the reply: it is not an object"),
        (b"[" * 51 + b"]" * 51, "nested deeper than 50"),
    ],
)  # fmt: skip
def test_a_page_of_the_list(body: bytes, said: str | None) -> None:
    if said is None:
        found = replies.page(body, NOW)
        assert (found.total, found.cursor, len(found.rows)) == (1, "", 1)
        return
    with pytest.raises(IncompleteRead, match=said):
        replies.page(body, NOW)


def test_many_brackets_are_not_deep() -> None:
    assert replies.read_json(b"[" + b",".join([b"{}"] * 60) + b"]") == [{}] * 60
    assert replies.read_json(b"[" * 50 + b"]" * 50) is not None


@pytest.mark.parametrize(
    ("kind", "body", "is_page"),
    [
        ("text/html; charset=utf-8", b"x", True),
        (" Text/HTML ", b"x", True),
        ("application/xhtml+xml", b"x", True),
        ("text/html", b" \n", False),
        ("text/plain", b"x", False),
        ("", b"x", False),
    ],
)
def test_a_page_of_a_proxy_is_no_reply(kind: str, body: bytes, is_page: bool) -> None:
    answer = HttpReply(200, {"content-type": kind} if kind else {}, body)
    if is_page:
        with pytest.raises(IncompleteRead, match=r"the service's reply is a page"):
            replies.content(answer)
    else:
        assert replies.content(answer) == body


def agent(**changes: Any) -> bytes:
    return orjson.dumps({**ROW, **changes})


def test_one_agent_as_it_is_told() -> None:
    found = replies.agent(agent(name="n", stop_ts=7, message="agent exits with reason: OK"), "A1", NOW)
    assert (found.name, found.started_at, found.stopped_at, found.message) == ("n", 5.0, 7.0, "OK")
    bare = replies.agent(agent(name="", stop_ts=0, message=None, status="new"), "A1", NOW)
    assert (bare.name, bare.stopped_at, bare.message, bare.status) == (None, None, "", AgentStatus.UNKNOWN)
    assert replies.agent(agent(name="n" * 400), "A1", NOW).name == "n" * 300
    masked = replies.agent(agent(message="x a-secret-value y"), "A1", NOW, [Secret("a-secret-value")])
    assert "a-secret-value" not in masked.message
    for wrong in ({"agent_id": "A2"}, {"stop_ts": NOW + 3601}, {"start_ts": NOW + 3601}):
        with pytest.raises(IncompleteRead):
            replies.agent(agent(**wrong), "A1", NOW)


@pytest.mark.parametrize(
    ("stamp", "started"),
    [
        (5, 5.0),
        (NOW + 3600, NOW + 3600),
        (NOW + 3601, NOW),
        (0, NOW),
        (-1, NOW),
        ("5", NOW),
        (True, NOW),
        (None, NOW),
    ],
)
def test_an_impossible_start_becomes_now(stamp: Any, started: float) -> None:
    body = orjson.dumps({"agent_id": "A1", "create_ts": stamp, "status": "RUNNING"})
    found = replies.joined(body, NOW)
    assert (found.started_at, found.status) == (started, AgentStatus.RUNNING)
    assert replies.joined(b'{"agent_id": "A1", "status": 7}', NOW).status is AgentStatus.UNKNOWN


def test_an_update_names_its_agent_and_a_leave_need_not() -> None:
    replies.check_updated(b'{"agent_id": "A1", "state": "x"}', "A1")
    with pytest.raises(IncompleteRead, match="updated agent A1, the service answered with A2"):
        replies.check_updated(b'{"agent_id": "A2"}', "A1")
    for body in (b"", b" ", b"{}"):
        replies.check_left(body)
    with pytest.raises(IncompleteRead):
        replies.check_left(b"[]")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("A1_-z", True), ("", False), ("a/b", False), ("a b", False), (7, False), (None, False)],
)
def test_what_may_stand_in_a_path(text: Any, is_one: bool) -> None:
    assert replies.is_agent_id(text) is is_one


# --- lists ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "totals", "shown", "settled", "is_complete"),
    [
        (3, [3], [3], True, True),
        (3, [3], [3], False, True),
        (2, [3], [2], True, False),
        (2, [3], [2], False, False),
        (3, [2, 3], [2, 1], True, False),
        (3, [2, 3], [2, 1], False, True),
        (2, [2, 3], [2, 1], False, True),
        (4, [2, 3], [2, 2], False, False),
        (1, [2, 3], [1, 1], False, False),
        (5, [2, 4], [4, 1], False, False),
        (3, [2, 4], [2, 1], False, True),
        (4, [2, 5], [2, 2], False, False),  # too many have come and gone
        (50, [40, 60], [40, 10], False, False),
        (100, [98, 103], [50, 50], False, True),  # a twentieth of them
        (100, [97, 103], [50, 50], False, False),
        (3, [2, 1], [2, 1], True, True),  # each page counts itself alone
        (2, [2], [2], True, True),
        (1, [2], [2], True, False),
    ],
)  # fmt: skip
def test_when_a_list_is_complete(
    found: int, totals: list[int], shown: list[int], settled: bool, is_complete: bool
) -> None:
    if is_complete:
        _require_complete("it", found, totals, shown, settled=settled)
        return
    counted = f"{min(totals)} to {max(totals)}" if len(set(totals)) > 1 else str(totals[0])
    with pytest.raises(IncompleteRead, match=f"the service counts {counted} but shows {found}"):
        _require_complete("it", found, totals, shown, settled=settled)


def test_the_forms_of_a_list_from_the_best_to_the_most_limited() -> None:
    assert LADDER == (
        Dialect(True, True, 100), Dialect(True, False, 100), Dialect(True, True, 20), Dialect(True, False, 20),
        Dialect(False, True, 100), Dialect(False, False, 100), Dialect(False, True, 20), Dialect(False, False, 20),
    )  # fmt: skip
    assert LADDER[0].filters(("2", "5", "1")) == ("1,2,5",)
    assert LADDER[1].filters(("2", "5", "1")) == ("1,2",)
    assert LADDER[4].filters(("2", "5", "1")) == ("2", "5", "1")


def listed(
    *answers: Any, settings: AgoraSettings = GLOBAL, limits: CallLimits | None = None
) -> tuple[Any, Hand]:
    left = list(answers)
    hand = Hand(lambda _: left.pop(0) if len(left) > 1 else left[0])
    try:
        return hand.run(AgoraProvider(settings, limits).live_agents()), hand
    except ServiceError as problem:
        return problem, hand


FIRST = {"data": {"list": [ROW]}, "meta": {"total": 2, "cursor": "c"}}
LAST = {"data": {"list": [{**ROW, "agent_id": "A2"}]}, "meta": {"total": 2}}


def test_a_page_that_fails_is_an_error_and_one_that_comes_too_late_ends_the_list() -> None:
    found, hand = listed(reply(200, orjson.dumps(FIRST)), reply(200, orjson.dumps(LAST)))
    assert [each.agent_id for each in found] == ["A1", "A2"]
    assert [dict(each.query).get("cursor") for each in hand.requests] == [None, "c"]
    half = [reply(200, orjson.dumps(FIRST)), reply(400, b"{}")]
    refused, _ = listed(*half, *half)
    assert isinstance(refused, IncompleteRead)
    away, hand = listed(reply(200, orjson.dumps(FIRST)), reply(404, b"{}"))
    assert type(away) is ServiceError and "HTTP 404" in away.message
    late, hand = listed(
        reply(200, orjson.dumps(FIRST)), failure(HttpTrouble.TIMEOUT), limits=CallLimits(listing_seconds=3)
    )
    assert isinstance(late, IncompleteRead)
    assert late.message == "listing the live agents failed: it has not ended after 1 page and 3s"
    first, _ = listed(failure(HttpTrouble.TIMEOUT), limits=CallLimits(listing_seconds=3))
    assert type(first) is ServiceError, "the service does not answer at all"


def test_a_list_that_makes_no_sense_says_what_to_do() -> None:
    odd, _ = listed(reply(200, b"{}"))
    assert isinstance(odd, IncompleteRead) and odd.hint == replies.AGAIN
    portal, _ = listed(reply(200, b"<html>", content_type="text/html"))
    assert isinstance(portal, IncompleteRead) and portal.hint is not None and "a portal" in portal.hint
    twice = {"data": {"list": [ROW, {**ROW, "start_ts": 6}]}, "meta": {"total": 1}}
    double, _ = listed(reply(200, orjson.dumps(twice)))
    assert isinstance(double, IncompleteRead) and "agent A1 is listed twice, differently" in double.message
    same, _ = listed(reply(200, orjson.dumps({"data": {"list": [ROW, ROW]}, "meta": {"total": 1}})))
    assert same == (ListedAgent("A1", AgentStatus.RUNNING, 5.0),)


def test_mainland_china_is_asked_state_by_state() -> None:
    empty = orjson.dumps({"data": {"list": []}, "meta": {"total": 0}})
    _, hand = listed(reply(200, empty), settings=CHINA)
    assert [dict(each.query)["state"] for each in hand.requests] == ["1", "5", "2", "0", "3"]
    _, hand = listed(reply(200, empty))
    assert [dict(each.query)["state"] for each in hand.requests] == ["0,1,2,3,5"]
    now = int(START)
    assert dict(hand.requests[0].query)["from_time"] == str(now - 80 * 3600)
    assert dict(hand.requests[0].query)["to_time"] == str(now + 60)


# --- settings ------------------------------------------------------------------------------------------------------

APP, CERTIFICATE = {"AGORA_APP_ID": "a" * 32}, {"AGORA_APP_CERTIFICATE": "b" * 32}
CUSTOMER = {"AGORA_CUSTOMER_ID": "id", "AGORA_CUSTOMER_SECRET": "secret"}


@pytest.mark.parametrize(
    ("env", "area", "purpose", "missing"),
    [
        ({**APP, **CERTIFICATE}, None, Purpose.CHANGE, None),
        ({**APP, **CERTIFICATE}, None, Purpose.OBSERVE, None),
        ({**APP, **CUSTOMER}, None, Purpose.OBSERVE, None),
        ({**APP, **CUSTOMER}, None, Purpose.CHANGE, "AGORA_APP_CERTIFICATE"),
        ({**APP, **CUSTOMER}, "CN", Purpose.CHANGE, None),
        (APP, "CN", Purpose.CHANGE, "AGORA_APP_CERTIFICATE"),
        (APP, None, Purpose.OBSERVE, "AGORA_APP_CERTIFICATE"),
        ({}, None, Purpose.TALK, "AGORA_APP_ID, AGORA_APP_CERTIFICATE"),
        ({**APP, **CERTIFICATE, "AGORA_CUSTOMER_ID": "id"}, None, Purpose.CHANGE, "AGORA_CUSTOMER_SECRET"),
        ({**APP, "AGORA_CUSTOMER_SECRET": "x"}, None, Purpose.OBSERVE, "AGORA_CUSTOMER_ID"),
    ],
)
def test_which_variables_a_run_needs(
    env: dict[str, str], area: str | None, purpose: Purpose, missing: str | None
) -> None:
    if missing is None:
        found = from_environment(env, area, purpose=purpose)
        assert found.is_mainland_china is (area == "CN")
        return
    with pytest.raises(UsageError, match=f"missing in the environment: {missing}$") as caught:
        from_environment(env, area, purpose=purpose)
    instead = purpose is not Purpose.CHANGE and "CERTIFICATE" in missing
    assert caught.value.hint is not None
    assert ("to look only" in caught.value.hint) is instead


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"AGORA_APP_ID": "a" * 31}, r"AGORA_APP_ID is not 32 hexadecimal digits \(it has 31 characters\)"),
        ({"AGORA_APP_ID": "a" * 31 + " "}, "AGORA_APP_ID has white space or control characters in it"),
        ({"AGORA_APP_CERTIFICATE": "g" * 32}, "AGORA_APP_CERTIFICATE is not 32 hexadecimal digits"),
        ({"AGORA_CUSTOMER_SECRET": "ä"}, "AGORA_CUSTOMER_SECRET has white space"),
        ({"AGORA_CUSTOMER_SECRET": "a\x7f"}, "AGORA_CUSTOMER_SECRET has white space"),
        ({"AGORA_CUSTOMER_ID": "a:b"}, "AGORA_CUSTOMER_ID contains a colon"),
    ],
)
def test_which_values_are_malformed(changes: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        from_environment({**APP, **CERTIFICATE, **CUSTOMER, **changes})


def test_whose_files_and_which_area() -> None:
    assert from_environment({**APP, **CERTIFICATE}, None, "a" * 32).app_id == "a" * 32
    with pytest.raises(UsageError, match="these files are for App ID x"):
        from_environment({**APP, **CERTIFICATE}, None, "x")
    with pytest.raises(UsageError, match='there is no area "XX"') as caught:
        from_environment({**APP, **CERTIFICATE}, "XX")
    assert caught.value.hint == "service.area is one of AP, CN, EU, US, or left out"
    bare = from_environment({**APP, **CERTIFICATE, "AGORA_CUSTOMER_ID": "", "AGORA_CUSTOMER_SECRET": ""})
    assert (bare.customer_id, bare.customer_secret) == (None, None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 28.0), (" ", 28.0), ("90", 90.0), ("2m", 120.0), (" 1h ", 3600.0), ("61m", None), ("0", None), ("-1", None), ("x", None)]
)  # fmt: skip
def test_how_long_a_list_may_take(text: str, seconds: float | None) -> None:
    env = {"RECONCILER_READ_TIMEOUT": text}
    if seconds is None:
        with pytest.raises(UsageError, match="RECONCILER_READ_TIMEOUT is no duration of at most an hour"):
            read_timeout(env)
    else:
        assert read_timeout(env) == seconds
    assert read_timeout({}) == 28.0


@pytest.mark.parametrize(
    ("override", "area", "url"),
    [
        (None, None, "https://api.agora.io/api/conversational-ai-agent"),
        ("", "CN", "https://api-cn-east-1.sd-rtn.com/cn/api/conversational-ai-agent"),
        (" https://x.example/p/ ", "EU", "https://x.example/p/api/conversational-ai-agent"),
        ("http://127.0.0.1:9", None, "http://127.0.0.1:9/api/conversational-ai-agent"),
        ("http://x.example", None, None),
        ("https://x.example/api/conversational-ai-agent/", None, None),
    ],
)
def test_where_the_service_is(override: str | None, area: str | None, url: str | None) -> None:
    if url is None:
        with pytest.raises(UsageError, match=r"^AGORA_AGENTS_API_BASE_URL"):
            base_url(override, area)
    else:
        assert base_url(override, area) == url


@pytest.mark.parametrize(
    ("url", "is_here"), [("http://localhost:9", True), ("http://127.0.0.1", True), ("http://[::1]:9 ", True), ("https://x.example", False), ("http://[", False), ("", False)]
)  # fmt: skip
def test_what_is_of_this_machine(url: str, is_here: bool) -> None:
    assert AGORA.is_of_this_machine({"AGORA_AGENTS_API_BASE_URL": url}) is is_here
    assert EMBEDDED.is_of_this_machine({}) is True


def test_a_connection_is_that_of_the_files_area_and_purpose() -> None:
    env = {**APP, **CERTIFICATE, **CUSTOMER, "RECONCILER_READ_TIMEOUT": "5"}
    looking = AGORA.connect(env, Service("agora", Area.EU), Purpose.OBSERVE)
    changing = AGORA.connect(env, Service("agora", Area.EU), Purpose.CHANGE)
    assert (looking.project, looking.grace, looking.provider.host) == (
        "a" * 32,
        None,
        "api-eu-west-1.agora.io",
    )
    limits = [each.provider._client.pressure.limits for each in (looking, changing)]  # type: ignore[attr-defined]
    assert [each.listing_seconds for each in limits] == [5.0, 5.0]
    assert [each.silence_seconds for each in limits] == [5.0, float("inf")]
    assert AGORA.capabilities(Service("agora", Area.CN)) != AGORA.capabilities(Service("agora", Area.EU))
    embedded = EMBEDDED.connect({}, Service(), Purpose.CHANGE)
    assert (embedded.grace, embedded.proven_after) == (5.0, 0.0)
    assert EMBEDDED.capabilities(Service()) == AGORA.capabilities(Service("agora"))


# --- tokens --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"ttl": 86_400}, None),
        ({"ttl": 86_401}, "cannot live for 86401 seconds"),
        ({"ttl": 0}, "cannot live for 0 seconds"),
        ({"salt": 99_999_999}, None),
        ({"salt": 100_000_000}, "with salt 100000000"),
        ({"salt": 0}, "with salt 0"),
        ({"issued_at": 2**32 - 1}, None),
        ({"issued_at": 2**32}, "cannot be issued at"),
        ({"issued_at": 0}, "cannot be issued at 0"),
        ({"channel": "c" * 63}, None),
        ({"channel": "c" * 64}, "no token can be made for the channel"),
        ({"channel": "ä" * 32}, "no token can be made for the channel"),
        ({"channel": ""}, "no token can be made for the channel"),
        ({"uid": "u" * 255}, None),
        ({"uid": "u" * 256}, "a uid has at most 255 bytes"),
        ({"uid": "0"}, "would let anybody in"),
        ({"uid": ""}, "would let anybody in"),
        ({"uid": "0", "any_uid": True}, None),
        ({"app_id": "a" * 31}, 'the App ID "a+" is not 32 hexadecimal digits'),
        ({"certificate": Secret("b" * 33)}, "the App Certificate is not 32 hexadecimal digits"),
    ],
)
def test_which_tokens_can_be_made(changes: dict[str, Any], said: str | None) -> None:
    order: dict[str, Any] = {
        "app_id": "a" * 32, "certificate": Secret("b" * 32), "channel": "c", "uid": "7", "ttl": 1, "issued_at": 1, "salt": 1, **changes,
    }  # fmt: skip
    if said is None:
        assert tokens.mint(**order).reveal().startswith("007")
        return
    with pytest.raises(UsageError, match=said) as caught:
        tokens.mint(**order)
    assert "b" * 32 not in caught.value.message


def test_a_request_bears_the_token_of_its_seat_or_the_customers_credentials() -> None:
    sent: list[HttpRequest] = []

    def header(settings: AgoraSettings) -> str:
        sent.clear()
        listed(reply(200, page()), settings=settings)
        hand = Hand(lambda request: (sent.append(request), reply(200, page()))[1])  # type: ignore[func-returns-value]
        hand.run(AgoraProvider(settings).live_agents())
        value = sent[0].headers["authorization"]
        assert isinstance(value, Secret)
        return value.reveal()

    assert header(GLOBAL) == "Basic aWQ6c2VjcmV0LWNhbmFyeQ=="
    assert header(AgoraSettings("a" * 32, Secret("b" * 32))).startswith("agora token=007")
