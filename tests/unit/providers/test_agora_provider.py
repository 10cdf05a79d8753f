"""The provider as a whole: credentials, tokens, clock, and secrets that never come back."""

from __future__ import annotations

from base64 import b64encode
from email.utils import formatdate
from typing import Any

import orjson
import pytest

from reconciler.errors import IncompleteRead, SecretUnavailable, ServiceError, UsageError
from reconciler.model.spec import Body
from reconciler.ports import (
    Declined,
    Done,
    HttpReply,
    HttpRequest,
    HttpTrouble,
    JoinOrder,
    Prepared,
    Provider,
    Unknown,
    UpdateOrder,
)
from reconciler.providers.agora import AgoraProvider, AgoraSettings
from reconciler.providers.agora.settings import CN_PATH, HOSTS
from reconciler.secrets import Secret
from reconciler.simulator import Credentials, Simulator, Switches, auth
from tests.unit.providers.hand import START, Hand, encode, failure, reply, reveal, script, served_by

APP_ID, CERTIFICATE = "a1" * 16, "b2" * 16
BASIC = AgoraSettings(APP_ID, Secret(CERTIFICATE), Secret("customer-canary"), Secret("password-canary"))
TOKEN_ONLY = AgoraSettings(APP_ID, Secret(CERTIFICATE))
ORDER = JoinOrder("n", "lobby", "1001", Body({"llm": {"api_key": "ref+env://KEY"}}), 7200.0)
SECRETS = {"ref+env://KEY": "sk-vendor-canary"}
QUERIED = b'{"agent_id":"A1","status":"RUNNING","start_ts":1,"stop_ts":0,"name":"n","message":""}'


def prepare(settings: AgoraSettings = BASIC, order: JoinOrder = ORDER, **hand: Any) -> Prepared:
    return Hand(script(reply(200)), secrets=SECRETS, **hand).run(AgoraProvider(settings).prepare_join(order))


def header(request: HttpRequest) -> str:
    value = request.headers["authorization"]
    assert isinstance(value, Secret)
    return value.reveal()


def token_of(prepared: Prepared) -> auth.Token:
    return auth.decode(orjson.loads(encode(prepared.request).body)["properties"]["token"])


def test_it_is_a_provider() -> None:
    provider: Provider = AgoraProvider(BASIC)
    assert provider.capabilities.max_token_ttl == 86_400


def test_a_join_is_prepared_without_a_call_and_shows_no_secret() -> None:
    prepared = prepare()
    assert (
        prepared.request.url == f"https://api.agora.io/api/conversational-ai-agent/v2/projects/{APP_ID}/join"
    )
    assert prepared.token_expires_at == START + 7200
    assert header(prepared.request) == "Basic " + b64encode(b"customer-canary:password-canary").decode()
    assert orjson.loads(encode(prepared.request).body)["properties"]["llm"] == {"api_key": "sk-vendor-canary"}
    assert "canary" not in repr(prepared)
    assert not any(text in repr(prepared) for text in (CERTIFICATE, "007e"))


def test_the_token_is_bound_to_channel_and_uid_for_as_long_as_was_asked() -> None:
    token = token_of(prepare())
    auth.verify(token, app_id=APP_ID, certificate=CERTIFICATE, now=START, tolerance=0)
    assert (token.channel, token.account, token.rtm_user) == ("lobby", "1001", None)
    assert token.expires_at == START + 7200


def test_messaging_gets_a_token_of_its_own_service() -> None:
    body = Body({"advanced_features": {"enable_rtm": True}})
    assert token_of(prepare(order=JoinOrder("n", "lobby", "1001", body, 60))).rtm_user == "1001"


def test_uid_0_is_a_token_for_anybody_and_only_0_is() -> None:
    assert token_of(prepare(order=JoinOrder("n", "lobby", "0", Body({}), 60))).account == ""
    with pytest.raises(UsageError):
        prepare(order=JoinOrder("n", "lobby", "", Body({}), 60))


# --- an avatar is a second user of the channel ---------------------------------------------------------------

GENERIC = {
    "api_key": "ref+env://KEY",
    "api_base_url": "https://a.example",
    "avatar_id": "a",
    "agora_uid": "2002",
}


def avatar_of(prepared: Prepared) -> Any:
    return orjson.loads(encode(prepared.request).body)["properties"]["avatar"]["params"]


def with_avatar(vendor: str, params: Any, **more: Any) -> JoinOrder:
    body = Body({"avatar": {"enable": True, "vendor": vendor, "params": params, **more}})
    return JoinOrder("n", "lobby", "1001", body, 7200.0)


def test_an_avatar_gets_a_token_for_its_own_uid_with_the_longest_life() -> None:
    order = with_avatar("heygen", {"api_key": "ref+env://KEY", "quality": "high", "agora_uid": "2002"})
    prepared = prepare(order=order)
    token = auth.decode(avatar_of(prepared)["agora_token"])
    auth.verify(token, app_id=APP_ID, certificate=CERTIFICATE, now=START, tolerance=0)
    assert (token.channel, token.account, token.rtm_user) == ("lobby", "2002", None)
    assert token.expires_at == START + 86_400
    assert prepared.token_expires_at == START + 7200, "the agent's own"
    assert "agora_token" not in str(order), "neither in the body that digest, state and plan are made of"
    assert "007e" not in repr(prepared)


def test_an_avatar_service_of_ones_own_is_told_app_id_and_channel() -> None:
    params = avatar_of(prepare(order=with_avatar("generic", GENERIC)))
    assert (params["agora_appid"], params["agora_channel"]) == (APP_ID, "lobby")
    assert auth.decode(params["agora_token"]).account == "2002"


def test_what_the_files_write_of_an_avatar_is_sent_as_it_is() -> None:
    written = {**GENERIC, "agora_token": "ref+env://KEY", "agora_channel": "other"}
    params = avatar_of(prepare(order=with_avatar("generic", written)))
    assert (params["agora_token"], params["agora_channel"]) == ("sk-vendor-canary", "other")


@pytest.mark.parametrize("params", [{"api_key": "ref+env://KEY"}, {"agora_uid": ""}])
def test_an_avatar_without_a_uid_gets_nothing(params: Any) -> None:
    assert "agora_token" not in avatar_of(prepare(order=with_avatar("akool", params)))


def test_an_avatar_that_is_switched_off_gets_nothing() -> None:
    order = with_avatar("heygen", {"agora_uid": "2002"}, enable=False)
    assert "agora_token" not in avatar_of(prepare(order=order))


@pytest.mark.parametrize("ttl", [0, 0.5, -1, 86_401])
def test_a_lifetime_that_no_token_can_have_is_refused_before_anything_is_sent(ttl: float) -> None:
    with pytest.raises(UsageError):
        prepare(order=JoinOrder("n", "lobby", "1", Body({}), ttl))


def test_two_tokens_differ_by_their_salt() -> None:
    assert token_of(prepare(chance=0.1)).salt != token_of(prepare(chance=0.2)).salt
    assert token_of(prepare(chance=0.0)).salt == 1
    assert token_of(prepare(chance=0.9999999999999999)).salt <= 99_999_999


def test_without_a_certificate_no_join_is_prepared_but_reads_go_on() -> None:
    settings = AgoraSettings(APP_ID, None, Secret("id"), Secret("secret"))
    with pytest.raises(SecretUnavailable, match="AGORA_APP_CERTIFICATE"):
        prepare(settings)
    assert Hand(script(reply(200, QUERIED))).run(AgoraProvider(settings).query("A1")) is not None


def test_a_mainland_china_project_without_a_certificate_sends_an_empty_token() -> None:
    settings = AgoraSettings(APP_ID, None, Secret("id"), Secret("secret"), "CN", HOSTS["CN"] + CN_PATH)
    prepared = prepare(settings)
    assert orjson.loads(encode(prepared.request).body)["properties"]["token"] == ""
    assert prepared.token_expires_at is None
    assert prepared.request.url.startswith(
        "https://api-cn-east-1.sd-rtn.com/cn/api/conversational-ai-agent/v2/"
    )


# --- token authentication -----------------------------------------------------------------------------------


def test_without_rest_credentials_each_call_carries_a_token_of_its_own() -> None:
    hand = Hand(script(reply(200, b'{"agent_id":"A1","status":"RUNNING"}')), secrets=SECRETS)
    provider = AgoraProvider(TOKEN_ONLY)
    hand.run(provider.join(hand.run(provider.prepare_join(ORDER))))
    hand.run(provider.update(hand.run(provider.prepare_update(UpdateOrder("A1", "lobby", "1001", {}, 60)))))
    hand.run(provider.leave("A1"))
    hand.run(provider.leave("B2"))
    seats = []
    for request in hand.requests:
        assert header(request).startswith("agora token=007")
        token = auth.decode(header(request).removeprefix("agora token="))
        auth.verify(token, app_id=APP_ID, certificate=CERTIFICATE, now=hand.now, tolerance=0)
        assert token.expires_at - token.issued_at == 600
        assert token.rtm_user == token.account
        seats.append((token.channel, token.account))
    assert seats == [("lobby", "1001")] * 3 + [("stop", "0")]


def test_a_service_that_verifies_takes_our_tokens() -> None:
    hand = Hand(lambda _: reply(200), secrets=SECRETS)
    simulator = Simulator(
        clock=lambda: hand.now,
        credentials=Credentials(app_id=APP_ID, app_certificate=CERTIFICATE),
        switches=Switches(rtc_token="refused"),
    )
    hand.answer = served_by(simulator)
    provider = AgoraProvider(TOKEN_ONLY)
    properties: dict[str, Any] = {
        "remote_rtc_uids": ["*"],
        "asr": {"language": "en-US"},
        "llm": {"url": "https://llm.example/v1"},
        "tts": {"vendor": "microsoft", "params": {"key": "k", "region": "r", "voice_name": "v"}},
        "advanced_features": {"enable_rtm": True},
    }
    joined: Any = hand.run(
        provider.join(hand.run(provider.prepare_join(JoinOrder("n", "lobby", "7", Body(properties), 60))))
    )
    assert hand.run(provider.leave(joined.agent_id)) == Done()


# --- updates ------------------------------------------------------------------------------------------------


def test_an_update_can_renew_the_token_alone() -> None:
    hand = Hand(script(reply(200, b'{"agent_id":"A1","state":"RUNNING"}')))
    provider = AgoraProvider(BASIC)
    prepared = hand.run(provider.prepare_update(UpdateOrder("A1", "lobby", "1001", {}, 60, rtm=True)))
    assert token_of(prepared).rtm_user == "1001"
    assert prepared.token_expires_at == START + 60
    assert hand.run(provider.update(prepared)) == Done()
    assert hand.requests[0].url.endswith("/agents/A1/update")


def test_an_update_without_a_token_needs_no_certificate() -> None:
    settings = AgoraSettings(APP_ID, None, Secret("id"), Secret("secret"))
    order = UpdateOrder("A1", "lobby", "1001", {("llm", "params"): {"k": "ref+env://KEY"}}, None)
    prepared = Hand(script(reply(200)), secrets=SECRETS).run(AgoraProvider(settings).prepare_update(order))
    assert prepared.token_expires_at is None
    assert [secret.reveal() for secret in prepared.secrets.values()] == ["sk-vendor-canary"]


# --- clock --------------------------------------------------------------------------------------------------


def dated(skew: float) -> HttpReply:
    return reply(200, QUERIED, date=formatdate(START + skew, usegmt=True))


@pytest.mark.parametrize("skew", [-290, -40, 0, 40, 290])
def test_a_clock_that_is_a_little_off_is_warned_of(skew: float) -> None:
    hand = Hand(script(dated(skew)), secrets=SECRETS)
    provider = AgoraProvider(BASIC)
    assert provider.clock_skew is None
    hand.run(provider.query("A1"))
    assert provider.clock_skew == pytest.approx(skew, abs=1.5)
    warning = provider.clock_warning
    assert (warning is None) is (abs(skew) < 30)
    if warning is not None:
        assert ("behind" if skew > 0 else "ahead of") in warning
    assert hand.run(provider.prepare_join(ORDER)).token_expires_at is not None


@pytest.mark.parametrize("skew", [-900, 400])
def test_a_clock_that_is_far_off_mints_nothing(skew: float) -> None:
    hand = Hand(script(dated(skew)), secrets=SECRETS)
    provider = AgoraProvider(BASIC)
    hand.run(provider.query("A1"))
    with pytest.raises(ServiceError, match="clock"):
        hand.run(provider.prepare_join(ORDER))
    assert len(hand.requests) == 1


@pytest.mark.parametrize(
    "headers",
    [{"date": "yesterday"}, {"date": ""}, {}, {"date": "Mon, 01 Jan 2001 00:00:00 GMT", "age": "9"}],
)
def test_a_date_that_says_nothing_teaches_nothing(headers: dict[str, str]) -> None:
    hand = Hand(script(HttpReply(200, headers, QUERIED)))
    provider = AgoraProvider(BASIC)
    hand.run(provider.query("A1"))
    assert provider.clock_skew is None


# --- queries ------------------------------------------------------------------------------------------------


def test_an_agent_is_absent_only_when_the_service_says_so() -> None:
    provider = AgoraProvider(BASIC)
    assert (
        Hand(script(reply(404, b'{"detail":"task not found","reason":"TaskNotFound"}'))).run(
            provider.query("A1")
        )
        is None
    )
    for answer in (
        reply(404, b"404 page not found"),
        reply(404),
        reply(500),
        reply(301),
        failure(HttpTrouble.TIMEOUT),
    ):
        with pytest.raises(ServiceError):
            Hand(script(answer)).run(AgoraProvider(BASIC).query("A1"))


def test_a_query_that_makes_no_sense_is_asked_once_more() -> None:
    hand = Hand(script(reply(200, b"<html>"), reply(200, QUERIED)))
    assert hand.run(AgoraProvider(BASIC).query("A1")) is not None
    with pytest.raises(IncompleteRead, match="asking for agent A1 failed"):
        Hand(script(reply(200, b"<html>"))).run(AgoraProvider(BASIC).query("A1"))


# --- secrets ------------------------------------------------------------------------------------------------

KNOWN = {
    BASIC: ("sk-vendor-canary", "customer-canary", "password-canary", CERTIFICATE),
    TOKEN_ONLY: ("sk-vendor-canary", CERTIFICATE),
}


def echo(status: int, how: str, known: tuple[str, ...]) -> Any:
    """A service that puts everything that it was sent into its answer."""

    def answer(request: HttpRequest) -> Any:
        sent = encode(request)
        everything = f"{header(request)} {sent.body.decode()} {' '.join(known)}"
        match how:
            case "detail":
                return reply(status, orjson.dumps({"detail": everything, "reason": everything[:90]}))
            case "object":
                return reply(
                    status, orjson.dumps({"detail": {"request": orjson.loads(sent.body or b"null")}})
                )
            case "text":
                return reply(status, everything)
            case _:
                return failure(HttpTrouble.BROKEN, detail=everything)

    return answer


@pytest.mark.parametrize("status", [200, 400, 401, 409, 422, 429, 500])
@pytest.mark.parametrize("how", ["detail", "object", "text", "failure"])
@pytest.mark.parametrize("settings", [BASIC, TOKEN_ONLY], ids=["basic", "token"])
def test_no_secret_that_went_out_comes_back(status: int, how: str, settings: AgoraSettings) -> None:
    hand = Hand(echo(status, how, KNOWN[settings]), secrets=SECRETS)
    provider = AgoraProvider(settings)
    prepared = hand.run(provider.prepare_join(ORDER))
    shown = repr(hand.run(provider.join(prepared)))
    shown += repr(hand.run(provider.leave("A1")))
    for steps in (provider.query("A1"), provider.speak("A1", "x"), provider.live_agents()):
        try:
            hand.run(steps)
        except ServiceError as error:
            shown += f"{error.message} {error.hint}"
    assert "canary" not in shown
    assert CERTIFICATE not in shown
    sent = orjson.dumps(prepared.request.body, default=reveal).decode()
    assert orjson.loads(sent)["properties"]["token"][:20] not in shown
    assert header(prepared.request).split()[1] not in shown


def test_an_agents_end_is_told_without_the_keys_of_this_run() -> None:
    row = {"agent_id": "A1", "status": "FAILED", "start_ts": 1, "message": "bad key sk-vendor-canary"}
    ended = orjson.dumps(row)
    hand = Hand(script(reply(200, ended)), secrets=SECRETS)
    provider = AgoraProvider(BASIC)
    hand.run(provider.prepare_join(ORDER))
    agent = hand.run(provider.query("A1"))
    assert agent is not None
    assert agent.message == "bad key (secret)"


def test_outcomes_say_what_happened_and_what_to_do() -> None:
    hand = Hand(script(reply(401, b'{"detail":"bad","reason":"InvalidPermission"}')))
    outcome = hand.run(AgoraProvider(BASIC).leave("A1"))
    assert isinstance(outcome, Declined)
    assert (
        outcome.detail
        == "HTTP 401 InvalidPermission: bad; check AGORA_CUSTOMER_ID and AGORA_CUSTOMER_SECRET, and that AGORA_APP_ID belongs to them"
    )
    hand = Hand(script(failure(HttpTrouble.TIMEOUT, detail="after 30 s")))
    assert hand.run(AgoraProvider(BASIC).leave("A1")) == Unknown("no answer in time (after 30 s)")
