"""A simulated service with some agents on it, and one run against it."""

from __future__ import annotations

from typing import Any

from reconciler.model.spec import Body
from reconciler.ports import Joined, JoinOrder
from reconciler.providers.agora import AgoraProvider, AgoraSettings
from reconciler.providers.agora.settings import CN_PATH, HOSTS
from reconciler.secrets import Secret
from reconciler.simulator import Simulator, Switches
from tests.unit.providers.hand import Hand, reply, served_by

GLOBAL = AgoraSettings("a" * 32, Secret("b" * 32), Secret("id"), Secret("secret-canary"))
CHINA = AgoraSettings("a" * 32, None, Secret("id"), Secret("secret-canary"), "CN", HOSTS["CN"] + CN_PATH)
PROPERTIES: dict[str, Any] = {
    "remote_rtc_uids": ["*"],
    "asr": {"language": "en-US"},
    "llm": {"url": "https://llm.example/v1", "params": {"model": "m"}},
    "tts": {"vendor": "microsoft", "params": {"key": "k", "region": "eastus", "voice_name": "v"}},
}


class Scene:
    """A simulated service with some agents, and one run against it."""

    def __init__(self, agents: int = 5, settings: AgoraSettings = GLOBAL, **switches: object) -> None:
        self.hand = Hand(lambda _: reply(200))
        self.simulator = Simulator(clock=lambda: self.hand.now, switches=Switches(quota=10_000))
        self.simulator.set_switches(rtc_token="ignored")
        self.hand.answer = served_by(self.simulator)
        self.settings = settings
        self.ids = [self.join(f"agent-{place}", str(1000 + place)) for place in range(agents)]
        self.simulator.set_switches(**switches)
        self.hand.requests.clear()
        self.provider = AgoraProvider(settings)

    def join(self, name: str, uid: str, channel: str = "lobby") -> str:
        provider = AgoraProvider(self.settings)
        prepared = self.hand.run(provider.prepare_join(JoinOrder(name, channel, uid, Body(PROPERTIES), 3600)))
        outcome = self.hand.run(provider.join(prepared))
        assert isinstance(outcome, Joined), outcome
        return outcome.agent_id

    def listed(self, channel: str | None = None) -> set[str]:
        return {agent.agent_id for agent in self.hand.run(self.provider.live_agents(channel=channel))}

    def asked(self, name: str) -> list[str]:
        return [dict(request.query).get(name, "") for request in self.hand.requests]
