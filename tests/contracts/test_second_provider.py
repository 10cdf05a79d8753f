"""A second provider needs its folder and one line: it passes the contract, and drives a fleet from files to the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path as File
from typing import Any, TypeVar

import pytest

from reconciler import services
from reconciler.cli.main import run
from reconciler.config.keys import KEYS
from reconciler.model.tree import Path, Tree
from reconciler.ports import HttpReply, HttpRequest, Steps
from reconciler.services import SERVICES, ServiceEntry
from tests.contracts import toy_provider
from tests.contracts.provider import KEY, MANY, Bench, ProviderContract, Trouble
from tests.contracts.test_providers import resolve
from tests.contracts.toy_provider import ToyConnector, ToyProvider, ToyService
from tests.unit.providers.hand import Hand

T = TypeVar("T")

# All that the product has to be told.
LINE = ServiceEntry("toy", "tests.contracts.toy_provider:TOY", "is a toy", "TOY_", "TOY_PROJECT")
FLEET = """\
fleet: toys
service: {{kind: toy}}
limits: {{hang_ups: 100%, leave: 100%}}
defaults:
  lifecycle: {{rotate_after: 24h, token_ttl: 12h}}
  properties:
    remote_rtc_uids: ["*"]
    idle_timeout: 0
    tts: {{vendor: microsoft, params: {{key: ref+env://TTS_KEY, region: eastus, voice_name: v}}}}
    llm:
      url: https://api.openai.com/v1/chat/completions
      api_key: ref+env://OPENAI_API_KEY
      params: {{model: {model}}}
      greeting_message: {greeting}
channels:
  - {{channel: lobby, agents: [{{name: desk}}, {{name: door}}]}}
"""


def no_request(_: HttpRequest) -> HttpReply:
    raise AssertionError("the toy has no wire")


class ToyBench:
    """The service in memory, in virtual time."""

    def __init__(self) -> None:
        self.service = ToyService(quota=2 * MANY)
        self._hand = Hand(no_request, resolve=resolve)
        self.renew()

    def renew(self) -> None:
        self.provider = ToyProvider(self.service)

    def run(self, steps: Steps[T]) -> T:
        return self._hand.run(steps)

    def wait(self, seconds: float) -> None:
        self._hand.elapsed += seconds

    def trouble(self, kind: Trouble | None) -> None:
        self.service.trouble = kind

    def set_quota(self, agents: int) -> None:
        self.service.quota = agents

    def live_names(self) -> list[str]:
        return sorted(str(each.seen.name) for each in self.service.live())

    def calls(self) -> int:
        return self.service.calls

    def properties(self) -> dict[str, Tree]:
        return {"llm": {"api_key": str(KEY), "greeting_message": "Hello"}, "tts": {"params": {"voice": "v"}}}

    def changes(self) -> Mapping[Path, Tree]:
        return {("llm", "greeting_message"): "Good day", ("tts", "params"): {"voice": "w"}}


class TestToy(ProviderContract):
    """The contract, by hand."""

    @pytest.fixture
    def bench(self) -> Bench:
        return ToyBench()


# --- end to end -----------------------------------------------------------------------------------------------


class Shop:
    """A fleet's directory, the command line, and the toy's world behind it."""

    def __init__(self, world: ToyService, read: Callable[[], str]) -> None:
        self.world = world
        self._read = read

    def write(self, *, model: str = "m", greeting: str = "Hello") -> None:
        File("fleet.yaml").write_text(FLEET.format(model=model, greeting=greeting), encoding="utf-8")

    def run(self, *words: str) -> tuple[int, str]:
        """A command's exit code and what it printed on both streams."""
        return run(words), self._read()

    def actions(self) -> dict[str, str]:
        """What a plan would do, by address."""
        code, text = self.run("plan", "--format", "json")
        assert code == 0, text
        tree: dict[str, Any] = json.loads(text)
        return {each["address"]: each["action"] for each in tree["resource_changes"]}

    def apply(self) -> None:
        code, text = self.run("apply", "--auto-approve", "--quiet")
        assert code == 0, text

    def living(self) -> dict[str, Any]:
        """The properties of the agents that live, by id."""
        return {each.seen.agent_id: each.properties for each in self.world.live()}


@pytest.fixture
def shop(tmp_path: File, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shop:
    assert KEYS["service"], "the schemas are made before the second service is there"
    monkeypatch.setattr(services, "SERVICES", (*SERVICES, LINE))
    connector = ToyConnector()
    monkeypatch.setattr(toy_provider, "TOY", connector)
    monkeypatch.chdir(tmp_path)
    for name in ("TOY_PROJECT", "TOY_KEY", "TTS_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, f"value-of-{name.lower()}-4711")

    def read() -> str:
        captured = capfd.readouterr()
        return captured.out + captured.err

    return Shop(connector.service, read)


def test_a_fleet_lives_on_the_second_provider(shop: Shop) -> None:
    shop.write()
    assert shop.actions() == {"lobby/desk": "join", "lobby/door": "join"}
    shop.apply()
    assert [each["llm"]["greeting_message"] for each in shop.living().values()] == ["Hello", "Hello"]
    assert "value-of" not in str(shop.living())  # references travel, values only where they are needed

    before = set(shop.living())
    shop.write(greeting="Welcome")  # Agora would need new agents for that
    assert set(shop.actions().values()) == {"update"}
    shop.apply()
    assert set(shop.living()) == before
    assert [each["llm"]["greeting_message"] for each in shop.living().values()] == ["Welcome", "Welcome"]

    shop.write(greeting="Welcome", model="n")  # and this it would do in place
    assert set(shop.actions().values()) == {"replace"}
    shop.apply()
    assert not set(shop.living()) & before
    assert [each["llm"]["params"] for each in shop.living().values()] == [{"model": "n"}, {"model": "n"}]

    assert shop.run("drift")[0] == 0
    assert "2 in sync" in shop.run("status")[1]
    code, text = shop.run("destroy", "--auto-approve")
    assert (code, shop.living()) == (0, {}), text


def test_its_settings_and_limits_are_its_own(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write()
    code, text = shop.run("history", "lobby/desk")
    assert code == 1
    assert "the service toy has no calls on one agent" in text
    monkeypatch.delenv("TOY_KEY")
    code, text = shop.run("plan")
    assert code == 1
    assert "missing in the environment: TOY_KEY" in text


def test_a_state_stays_with_its_service(shop: Shop) -> None:
    shop.write()
    shop.apply()
    text = File("fleet.yaml").read_text(encoding="utf-8").replace("kind: toy", "kind: simulator")
    File("fleet.yaml").write_text(text, encoding="utf-8")
    code, text = shop.run("plan")
    assert code == 1
    assert "the state belongs to service toy" in text
    assert len(shop.living()) == 2


def test_an_unknown_service_is_refused_with_those_that_there_are(shop: Shop) -> None:
    shop.write()
    text = File("fleet.yaml").read_text(encoding="utf-8").replace("kind: toy", "kind: toys")
    File("fleet.yaml").write_text(text, encoding="utf-8")
    code, text = shop.run("validate")
    assert code == 1
    assert '"toys" is not one of simulator, agora, toy' in text
