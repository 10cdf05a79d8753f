"""The vendor's own SDK is the witness: for the same intent our requests equal its own, field by field."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import httpx
import orjson
import pytest

from reconciler.model.spec import Body
from reconciler.ports import HttpReply, HttpRequest, JoinOrder, Steps, UpdateOrder
from reconciler.providers.agora import AgoraProvider, AgoraSettings
from reconciler.providers.agora.conversation import Priority, Reaction, Reactions
from reconciler.providers.agora.settings import base_url
from reconciler.providers.agora.tokens import mint
from reconciler.secrets import Secret
from reconciler.simulator import auth
from tests.unit.providers.hand import START, Hand, encode

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK warns about its own pydantic settings
    from agora_agent.agentkit import token as sdk_token
    from agora_agent.core import domain as sdk_domain
    from agora_agent.core.domain import Area
    from agora_agent.pool_client import Agora

APP_ID, CERTIFICATE = "0123456789abcdef" * 2, "fedcba9876543210" * 2
AGENT = "A42KB20JB10CG53VV33ML62CL46UT72C"
BASE = "http://127.0.0.1:9"
PROPERTIES: dict[str, Any] = {
    "remote_rtc_uids": ["*"],
    "enable_string_uid": False,
    "idle_timeout": 120,
    "advanced_features": {"enable_rtm": True},
    "asr": {"language": "en-US", "vendor": "deepgram", "params": {"key": "k", "model": "nova-3"}},
    "llm": {
        "url": "https://llm.example/v1",
        "api_key": "sk",
        "system_messages": [{"role": "system", "content": "Be kind. Größe ≥ 1 🙂"}],
        "params": {"model": "m", "temperature": 0.5},
        "max_history": 32,
        "greeting_message": "Hello",
    },
    "tts": {"vendor": "microsoft", "params": {"key": "k", "region": "eastus", "voice_name": "v"}},
    "labels": {"team": "front desk"},
}


@dataclass(frozen=True)
class Call:
    """What of a request the service can tell apart."""

    method: str
    path: str
    query: dict[str, str]
    authorization: str
    content_type: str | None
    body: Any


def of_sdk(intent: Callable[[Any], object]) -> Call:
    """The one request that the SDK makes, caught before it leaves."""
    caught: list[httpx.Request] = []

    def catch(request: httpx.Request) -> httpx.Response:
        caught.append(request)
        return httpx.Response(200, json={"data": {"list": []}, "meta": {}})

    client = Agora(
        area=Area.US,
        app_id=APP_ID,
        app_certificate=CERTIFICATE,
        customer_id="customer",
        customer_secret="s:cret",
        httpx_client=httpx.Client(transport=httpx.MockTransport(catch)),
    )
    intent(client)
    (request,) = caught
    return Call(
        request.method,
        request.url.raw_path.decode().partition("?")[0],
        dict(parse_qsl(request.url.query.decode())),
        request.headers["authorization"],
        request.headers.get("content-type") if request.content else None,
        orjson.loads(request.content) if request.content else None,
    )


def of_ours(intent: Callable[[AgoraProvider], Steps[Any]]) -> Call:
    """The one request that we make."""
    settings = AgoraSettings(
        APP_ID, Secret(CERTIFICATE), Secret("customer"), Secret("s:cret"), "US", base_url(BASE, "US")
    )
    caught: list[HttpRequest] = []

    def catch(request: HttpRequest) -> HttpReply:
        caught.append(request)
        return HttpReply(404, {}, b"{}")  # ends every verb, well or not

    hand = Hand(catch, chance=0.25)
    try:
        hand.run(intent(AgoraProvider(settings)))
    except Exception:
        assert caught
    sent = encode(caught[0])
    query = dict(parse_qsl(sent.query))
    body = orjson.loads(sent.body) if sent.body else None
    return Call(
        sent.method, sent.path, query, sent.headers["authorization"], sent.headers.get("content-type"), body
    )


@pytest.fixture(autouse=True)
def same_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGORA_AGENTS_API_BASE_URL", BASE)


def join(provider: AgoraProvider) -> Steps[object]:
    prepared = yield from provider.prepare_join(
        JoinOrder("demo", "lobby", "1001", Body(PROPERTIES, "deepgram_nova_3", "p1"), 3600)
    )
    return (yield from provider.join(prepared))


def update(provider: AgoraProvider) -> Steps[object]:
    values: Any = {
        ("llm", "system_messages"): [{"role": "system", "content": "x"}],
        ("llm", "params"): {"model": "m"},
        ("mllm", "params"): {"voice": "v"},
    }
    prepared = yield from provider.prepare_update(UpdateOrder(AGENT, "lobby", "1001", values, 3600, rtm=True))
    return (yield from provider.update(prepared))


def official_token() -> str:
    """A token as the SDK makes it, for the fields of the requests above."""
    made: str = sdk_token.generate_convo_ai_token(APP_ID, CERTIFICATE, "lobby", 1001, 3600)
    return made


REACTIONS = Reactions(Reaction.INJECT, Reaction.IGNORE, Reaction.INTERRUPT)
WINDOW = {"from_time": int(START) - 80 * 3600, "to_time": int(START) + 60}
PAIRS: dict[str, tuple[Callable[[Any], object], Callable[[AgoraProvider], Steps[Any]]]] = {
    "join": (
        lambda sdk: sdk.agents.start(
            APP_ID,
            name="demo",
            preset="deepgram_nova_3",
            pipeline_id="p1",
            properties={"channel": "lobby", "token": official_token(), "agent_rtc_uid": "1001", **PROPERTIES},
        ),
        join,
    ),
    "update": (
        lambda sdk: sdk.agents.update(
            APP_ID,
            AGENT,
            properties={
                "token": official_token(),
                "llm": {"system_messages": [{"role": "system", "content": "x"}], "params": {"model": "m"}},
                "mllm": {"params": {"voice": "v"}},
            },
        ),
        update,
    ),
    "leave": (lambda sdk: sdk.agents.stop(APP_ID, AGENT), lambda ours: ours.leave(AGENT)),
    "query": (lambda sdk: sdk.agents.get(APP_ID, AGENT), lambda ours: ours.query(AGENT)),
    "list": (
        lambda sdk: sdk.agents.list(APP_ID, state="0,1,2,3,5", limit=100, **WINDOW),
        lambda ours: ours.live_agents(),
    ),
    "list of a channel": (
        lambda sdk: sdk.agents.list(APP_ID, channel="bar & grill", state="0,1,2,3,5", limit=100, **WINDOW),
        lambda ours: ours.live_agents(channel="bar & grill"),
    ),
    "speak": (
        lambda sdk: sdk.agents.speak(APP_ID, AGENT, text="Hi é", priority="APPEND", interruptable=False),
        lambda ours: ours.speak(AGENT, "Hi é", priority=Priority.APPEND, interruptable=False),
    ),
    "speak, all defaults": (
        lambda sdk: sdk.agents.speak(APP_ID, AGENT, text="Hi"),
        lambda ours: ours.speak(AGENT, "Hi"),
    ),
    "interrupt": (lambda sdk: sdk.agents.interrupt(APP_ID, AGENT), lambda ours: ours.interrupt(AGENT)),
    "think": (
        lambda sdk: sdk.agent_management.agent_think(
            APP_ID,
            AGENT,
            text="Hm",
            on_listening_action="inject",
            on_thinking_action="ignore",
            on_speaking_action="interrupt",
            interruptable=True,
            metadata={"k": "v"},
        ),
        lambda ours: ours.think(AGENT, "Hm", on=REACTIONS, interruptable=True, metadata={"k": "v"}),
    ),
    "think, all defaults": (
        lambda sdk: sdk.agent_management.agent_think(APP_ID, AGENT, text="Hm"),
        lambda ours: ours.think(AGENT, "Hm"),
    ),
    "history": (lambda sdk: sdk.agents.get_history(APP_ID, AGENT), lambda ours: ours.history(AGENT)),
    "turns": (
        lambda sdk: sdk.agents.get_turns(APP_ID, AGENT, page_index=1, page_size=20),
        lambda ours: ours.turns(AGENT, page_size=20),
    ),
}


def without_token(call: Call) -> tuple[Any, auth.Token | None]:
    """A request's parts with the token, which holds time and chance, taken out and apart."""
    body = dict(call.body) if isinstance(call.body, dict) else call.body
    properties = body.get("properties") if isinstance(body, dict) else None
    if not isinstance(properties, dict):
        return call, None
    token = auth.decode(properties["token"])
    body["properties"] = {key: value for key, value in properties.items() if key != "token"}
    return Call(call.method, call.path, call.query, call.authorization, call.content_type, body), token


@pytest.mark.parametrize("intent", PAIRS)
def test_our_request_equals_the_sdks(intent: str) -> None:
    theirs, ours = PAIRS[intent]
    (their_call, their_token), (our_call, our_token) = (
        without_token(of_sdk(theirs)),
        without_token(of_ours(ours)),
    )
    assert our_call == their_call
    assert (our_token is None) is (their_token is None)
    if our_token is not None and their_token is not None:
        for token in (our_token, their_token):
            auth.verify(token, app_id=APP_ID, certificate=CERTIFICATE, now=token.issued_at, tolerance=0)
        assert about(our_token) == about(their_token)


def about(token: auth.Token) -> tuple[object, ...]:
    lives = token.expires_at - token.issued_at
    return (
        token.app_id,
        token.channel,
        token.account,
        token.rtm_user,
        lives,
        token.usable_until - token.issued_at,
    )


@pytest.mark.parametrize("ttl", [1, 3600, 86_400])
@pytest.mark.parametrize("uid", [1, 4_294_967_295])
def test_our_tokens_have_the_sdks_bytes(monkeypatch: pytest.MonkeyPatch, ttl: int, uid: int) -> None:
    monkeypatch.setattr("agora_agent.agentkit.token.time.time", lambda: START + 0.7)
    monkeypatch.setattr("agora_agent.agentkit.token.random.randint", lambda _low, _high: 4_711)
    ours = {
        rtm: mint(
            APP_ID,
            Secret(CERTIFICATE),
            "bar & grill",
            str(uid),
            ttl=ttl,
            issued_at=int(START),
            salt=4_711,
            rtm=rtm,
        ).reveal()
        for rtm in (True, False)
    }
    assert ours[True] == sdk_token.generate_convo_ai_token(APP_ID, CERTIFICATE, "bar & grill", uid, ttl)
    assert ours[False] == sdk_token.generate_rtc_token(
        APP_ID, CERTIFICATE, "bar & grill", uid, expiry_seconds=ttl
    )


@pytest.mark.parametrize("area", ["US", "EU", "AP", "CN"])
@pytest.mark.parametrize(
    "override", ["", BASE, "https://proxy.example/agora", "https://proxy.example/agora/"]
)
def test_our_addresses_are_the_sdks(monkeypatch: pytest.MonkeyPatch, area: str, override: str) -> None:
    monkeypatch.setenv("AGORA_AGENTS_API_BASE_URL", override)
    assert base_url(override, area) == sdk_domain.Pool(sdk_domain.Area[area]).get_current_url()
