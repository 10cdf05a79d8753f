"""The vendor's own SDK drives every endpoint over a real socket, with each of its ways to authenticate.

What the SDK can say and read, the simulator must understand and answer. Nothing here may leave loopback.
"""

from __future__ import annotations

import asyncio
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from reconciler.simulator import Credentials, Simulator, run_in_thread
from tests.fakes.worlds import status_of

from .harness import APP_ID, CERTIFICATE, join_body

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK is written for two versions of pydantic
    from agora_agent import Agent, Agora, Area, AsyncAgora, MicrosoftTTS, OpenAI
    from agora_agent.agentkit.token import generate_convo_ai_token, generate_rtc_token
    from agora_agent.agents.types.start_agents_request_properties import StartAgentsRequestProperties
    from agora_agent.core.api_error import ApiError

CREDENTIALS = Credentials(APP_ID, CERTIFICATE, "customer", "secret")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Simulator, str]]:
    simulator = Simulator(credentials=CREDENTIALS)
    with run_in_thread(simulator) as url:
        yield simulator, url


@pytest.fixture
def simulator(running: tuple[Simulator, str], monkeypatch: pytest.MonkeyPatch) -> Simulator:
    simulator, url = running
    simulator.reset()
    simulator.set_switches(start_seconds=0, stop_seconds=0)
    monkeypatch.setenv("AGORA_AGENTS_API_BASE_URL", url)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    connect = socket.socket.connect

    def only_loopback(self: socket.socket, address: Any) -> None:
        assert address[0] == "127.0.0.1", f"the SDK left loopback: {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_loopback)
    return simulator


@pytest.fixture
def transport() -> Iterator[httpx.Client]:
    """The SDK never closes a client of its own, so it is given one of ours."""
    with httpx.Client(timeout=5, trust_env=False) as client:
        yield client


Make = Callable[..., Any]


@pytest.fixture
def with_basic(transport: httpx.Client) -> Make:
    def make(area: Area = Area.US) -> Any:
        return Agora(
            area=area,
            app_id=APP_ID,
            app_certificate=CERTIFICATE,
            customer_id="customer",
            customer_secret="secret",
            httpx_client=transport,
        )

    return make


@pytest.fixture
def with_token(transport: httpx.Client) -> Make:
    def make() -> Any:
        header = generate_convo_ai_token(APP_ID, CERTIFICATE, "lobby", 1001)
        return Agora(
            area=Area.US,
            app_id=APP_ID,
            app_certificate=CERTIFICATE,
            auth_token=header,
            httpx_client=transport,
        )

    return make


@pytest.fixture
def with_certificate(transport: httpx.Client) -> Make:
    def make() -> Any:
        return Agora(area=Area.US, app_id=APP_ID, app_certificate=CERTIFICATE, httpx_client=transport)

    return make


def properties(channel: str = "lobby", uid: int = 1001, **changed: Any) -> StartAgentsRequestProperties:
    rtc = generate_rtc_token(APP_ID, CERTIFICATE, channel, uid)
    return StartAgentsRequestProperties(
        **join_body("", channel, str(uid), token=rtc, **changed)["properties"]
    )


@pytest.mark.parametrize("scheme", ["with_basic", "with_token"])
def test_every_endpoint(simulator: Simulator, request: pytest.FixtureRequest, scheme: str) -> None:
    make: Make = request.getfixturevalue(scheme)
    agents = make().agents
    started = agents.start(APP_ID, name="hotel.prod.desk", properties=properties())
    agent_id = started.agent_id
    assert (started.status, started.create_ts) == ("RUNNING", int(simulator.world.agent(agent_id).created_at))

    got = agents.get(APP_ID, agent_id)
    assert (got.status, got.agent_id, got.name) == ("RUNNING", agent_id, "hotel.prod.desk")
    assert [item.agent_id for item in agents.list(APP_ID, state="0,1,2", from_time=1)] == [agent_id]

    updated = agents.update(
        APP_ID, agent_id, properties={"llm": {"params": {"model": "gpt-4o"}}, "token": properties().token}
    )
    assert updated.status == "RUNNING"
    assert simulator.world.agent(agent_id).properties["llm"]["params"] == {"model": "gpt-4o"}

    assert agents.speak(APP_ID, agent_id, text="Welcome", priority="APPEND").channel == "lobby"
    assert agents.interrupt(APP_ID, agent_id).agent_id == agent_id
    think = make().agent_management.agent_think
    assert think(APP_ID, agent_id, text="Is there a room?", metadata={"from": "desk"}).channel == "lobby"

    history = agents.get_history(APP_ID, agent_id)
    assert [(item.role, item.content) for item in history.contents] == [
        ("assistant", "Welcome"),
        ("user", "Is there a room?"),
    ]
    agents.stop(APP_ID, agent_id)
    assert agents.get(APP_ID, agent_id).status == "STOPPED"
    turns = agents.get_turns(APP_ID, agent_id, page_index=1, page_size=10)
    assert (turns.total_turn_count, turns.name, turns.pagination.is_last_page) == (2, "hotel.prod.desk", True)
    assert [turn.start.type for turn in turns.turns] == ["api_speak", "voice_input"]
    assert simulator.world.live() == ()


def test_the_sdk_follows_our_pages(simulator: Simulator, with_basic: Make) -> None:
    agents = with_basic().agents
    ids = {
        agents.start(APP_ID, name=f"a{uid}", properties=properties(uid=uid)).agent_id
        for uid in range(2000, 2007)
    }
    for cursor in ("exclusive", "inclusive"):
        simulator.set_switches(list_cursor=cursor)
        listed = [item.agent_id for item in agents.list(APP_ID, limit=3)]
        assert len(listed) == 7
        assert set(listed) == ids


@pytest.mark.usefixtures("simulator")
def test_errors_are_read_as_errors(with_basic: Make) -> None:
    agents = with_basic().agents
    agents.start(APP_ID, name="desk", properties=properties())
    for status, reason, call in (
        (409, "TaskConflict", lambda: agents.start(APP_ID, name="desk", properties=properties())),
        (404, "TaskNotFound", lambda: agents.get(APP_ID, "nobody")),
        (
            400,
            "InvalidFieldValue",
            lambda: agents.start(APP_ID, name="b", properties=properties(idle_timeout=-1)),
        ),
        (403, "InvalidPermission", lambda: agents.get("f" * 32, "nobody")),
    ):
        with pytest.raises(ApiError) as caught:
            call()
        assert caught.value.status_code == status
        assert reason in str(caught.value.body)


def test_in_app_credentials_mode_low_level_calls_send_no_authorization(
    simulator: Simulator, with_certificate: Make, with_basic: Make
) -> None:
    client = with_certificate()
    with pytest.raises(ApiError) as caught:
        client.agents.get(APP_ID, "nobody")
    assert caught.value.status_code == 401
    agent_id = with_basic().agents.start(APP_ID, name="desk", properties=properties()).agent_id
    client.stop_agent(agent_id)  # this one signs a token, for a channel called stop
    client.stop_agent(agent_id)  # and takes 404 for success
    assert simulator.world.live() == ()


def test_a_session_mints_tokens_that_hold(simulator: Simulator, with_certificate: Make) -> None:
    client = with_certificate()
    agent = (
        Agent(client=client, instructions="Be brief.", greeting="Hello")
        .with_llm(
            OpenAI(api_key="k", model="gpt-4o-mini", base_url="https://api.openai.com/v1/chat/completions")
        )
        .with_tts(MicrosoftTTS(key="k", region="eastus", voice_name="en-US-AvaNeural"))
    )
    session = agent.create_session(channel="lobby", agent_uid="7", remote_uids=["100"], name="assistant")
    agent_id = session.start()
    session.say("Hello!")
    session.interrupt()
    assert status_of(simulator.world, agent_id).name == "RUNNING"
    assert simulator.world.agent(agent_id).token_until == pytest.approx(time.time() + 86400, abs=60)
    session.stop()
    assert simulator.world.live() == ()


def test_mainland_china_has_paths_and_replies_of_its_own(simulator: Simulator, with_basic: Make) -> None:
    agents = with_basic(Area.CN).agents
    agent_id = agents.start(APP_ID, name="desk", properties=properties()).agent_id
    updated = agents.update(APP_ID, agent_id)
    assert (updated.status, updated.state) == (None, "RUNNING")
    assert [agent.project for agent in simulator.world.live()] == [f"cn/{APP_ID}"]
    assert [item.agent_id for item in agents.list(APP_ID)] == [agent_id]
    assert list(with_basic().agents.list(APP_ID)) == []


async def _start_and_stop() -> str:
    async with httpx.AsyncClient(timeout=5, trust_env=False) as transport:
        client = AsyncAgora(
            area=Area.EU,
            app_id=APP_ID,
            app_certificate=CERTIFICATE,
            customer_id="customer",
            customer_secret="secret",
            httpx_client=transport,
        )
        agent_id: str = (await client.agents.start(APP_ID, name="desk", properties=properties())).agent_id
        await client.agents.stop(APP_ID, agent_id)
    return agent_id


def test_the_asynchronous_client_too(simulator: Simulator) -> None:
    assert status_of(simulator.world, asyncio.run(_start_and_stop())).name == "STOPPED"
