"""Agora's provider over the simulator: by hand in virtual time, and by the real driver over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import TypeVar

import pytest

from reconciler.driver.http import HttpxSender
from reconciler.driver.loop import Driver
from reconciler.errors import SecretUnavailable
from reconciler.model.tree import Path, Tree
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, Steps
from reconciler.providers.agora import AgoraProvider, AgoraSettings, CallLimits
from reconciler.providers.agora.settings import base_url
from reconciler.secrets import Secret, SecretRef
from reconciler.simulator import Credentials, Simulator
from reconciler.simulator.server import run_in_thread
from tests.contracts.provider import KEY, KEY_VALUE, MANY, Bench, ProviderContract, Trouble
from tests.unit.providers.hand import Hand, served_by

T = TypeVar("T")

APP_ID, CERTIFICATE = "0123456789abcdef" * 2, "fedcba9876543210" * 2
RULES: Mapping[Trouble, dict[str, object]] = {
    Trouble.UNREACHABLE: {"fate": "unreachable"},
    Trouble.LOST: {"fate": "lose_response"},
    Trouble.REFUSED: {
        "fate": "refuse",
        "status": 401,
        "reason": "InvalidPermission",
        "detail": f"not with {KEY_VALUE}",
    },
    Trouble.FAILING: {"fate": "refuse", "status": 503, "reason": "ServiceUnavailable"},
    Trouble.NONSENSE: {"fate": "malformed", "form": "html"},
    Trouble.SHORT: {"on": "list", "fate": "list_defect", "defect": "short"},
}


class AgoraBench:
    """What the two benches share: the simulated world."""

    def __init__(self, simulator: Simulator, settings: AgoraSettings, limits: CallLimits) -> None:
        self.simulator = simulator
        self._settings = settings
        self._limits = limits
        self.provider = AgoraProvider(settings, limits)
        self.set_quota(2 * MANY)
        simulator.set_switches(rtc_token="refused")

    def renew(self) -> None:
        self.provider = AgoraProvider(self._settings, self._limits)

    def trouble(self, kind: Trouble | None) -> None:
        self.simulator.set_script([] if kind is None else [{"on": "*", "count": 0, **RULES[kind]}])

    def set_quota(self, agents: int) -> None:
        self.simulator.set_switches(quota=agents)

    def live_names(self) -> list[str]:
        return sorted(agent.name for agent in self.simulator.world.live())

    def calls(self) -> int:
        return sum(self.simulator.tally().values())

    def properties(self) -> dict[str, Tree]:
        return {
            "remote_rtc_uids": ["*"],
            "asr": {"language": "en-US"},
            "llm": {
                "url": "https://llm.example/v1",
                "api_key": str(KEY),
                "params": {"model": "m"},
                "system_messages": [{"role": "system", "content": "Be kind."}],
            },
            "tts": {"vendor": "microsoft", "params": {"key": "k", "region": "eastus", "voice_name": "v"}},
        }

    def changes(self) -> Mapping[Path, Tree]:
        return {
            ("llm", "params"): {"model": "n", "temperature": 0.5},
            ("llm", "system_messages"): [{"role": "system", "content": "Be brief."}],
        }


def settings(url: str | None) -> AgoraSettings:
    return AgoraSettings(
        APP_ID, Secret(CERTIFICATE), Secret("customer"), Secret("secret"), None, base_url(url, None)
    )


def resolve(references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
    if references - {KEY}:
        raise SecretUnavailable("no value")
    return {KEY: Secret(KEY_VALUE)}


CREDENTIALS = Credentials(APP_ID, CERTIFICATE, "customer", "secret")


class VirtualBench(AgoraBench):
    """Every effect performed by hand, no time spent."""

    def __init__(self) -> None:
        self._hand = Hand(self._answer, resolve=resolve)
        simulator = Simulator(clock=lambda: self._hand.now, credentials=CREDENTIALS)
        self._served = served_by(simulator)
        super().__init__(simulator, settings(None), CallLimits())

    def _answer(self, request: HttpRequest) -> HttpReply | HttpFailure:
        return self._served(request)

    def run(self, steps: Steps[T]) -> T:
        return self._hand.run(steps)

    def wait(self, seconds: float) -> None:
        self._hand.elapsed += seconds


class Source:
    """The one secret of these tests."""

    def resolve(self, references: frozenset[SecretRef]) -> Mapping[SecretRef, Secret]:
        return resolve(references)


class SocketBench(AgoraBench):
    """The production driver against a port on loopback; the world is advanced, deadlines are short."""

    def __init__(self, simulator: Simulator, url: str, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._sender = HttpxSender()
        limits = CallLimits(
            calls_per_second=10_000, burst=10_000, write_seconds=1.0, attempt_seconds=1.0, read_seconds=2.3
        )
        super().__init__(simulator, settings(url), limits)

    def run(self, steps: Steps[T]) -> T:
        driver = Driver(self._sender, secrets=Source(), clock=lambda: self.simulator.now)
        return self._runner.run(driver.run(steps))

    def wait(self, seconds: float) -> None:
        self.simulator.advance(seconds)

    def close(self) -> None:
        self._runner.run(self._sender.aclose())


class TestVirtual(ProviderContract):
    """By hand."""

    @pytest.fixture
    def bench(self) -> Bench:
        return VirtualBench()


class TestSockets(ProviderContract):
    """Over sockets."""

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        simulator = Simulator(credentials=CREDENTIALS)
        with run_in_thread(simulator) as url, asyncio.Runner() as runner:
            bench = SocketBench(simulator, url, runner)
            yield bench
            bench.close()
