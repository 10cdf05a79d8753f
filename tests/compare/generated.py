"""Fleets by chance, as files: `story(seed)` gives one fleet as it was applied, and as it is edited afterwards.

The same seed gives the same files for ever, whatever code plans them: nothing here imports the package.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import yaml

Tree = dict[str, Any]

ASR = (
    {"vendor": "ares", "language": "en-US"},
    {
        "vendor": "deepgram",
        "language": "en-US",
        "params": {"key": "ref+env://DEEPGRAM_KEY", "model": "nova-3"},
    },
    {"vendor": "microsoft", "language": "de-DE", "params": {"key": "ref+env://ASR_KEY", "region": "eastus"}},
)
TTS = (
    {
        "vendor": "microsoft",
        "params": {"key": "ref+env://TTS_KEY", "region": "eastus", "voice_name": "en-US-AvaNeural"},
    },
    {
        "vendor": "elevenlabs",
        "params": {
            "base_url": "wss://api.elevenlabs.io/v1",
            "key": "ref+env://ELEVENLABS_KEY",
            "model_id": "eleven_flash_v2_5",
            "voice_id": "pNInz6obpgDQGcFmaJgB",
        },
    },
    {
        "vendor": "cartesia",
        "params": {
            "api_key": "ref+env://CARTESIA_KEY",
            "model_id": "sonic-2",
            "voice": {"mode": "id", "id": "694f9389-aac1-45b6-b726-9d9369183238"},
        },
    },
    {
        "vendor": "openai",
        "params": {"api_key": "ref+env://OPENAI_KEY", "model": "gpt-4o-mini-tts", "voice": "coral"},
    },
)
LLM = (
    {
        "url": "https://api.openai.com/v1/chat/completions",
        "api_key": "ref+env://OPENAI_KEY",
        "system_messages": [{"role": "system", "content": "You are kind to {{ channel }}."}],
        "params": {"model": "gpt-4o-mini", "temperature": 0.4},
    },
    {
        "style": "anthropic",
        "url": "https://api.anthropic.com/v1/messages",
        "api_key": "ref+env://ANTHROPIC_KEY",
        "headers": {"anthropic-version": "2023-06-01"},
        "system_messages": [{"role": "system", "content": "You are brief."}],
        "params": {"model": "claude-sonnet-4-5", "max_tokens": 300},
    },
    {
        "vendor": "custom",
        "url": "https://llm.example.com/v1/chat/completions",
        "api_key": "Bearer ref+env://OWN_KEY+",
        "headers": {"X-Tenant": "voice"},
        "system_messages": [{"role": "system", "content": "Say {{ tone }} things."}],
        "params": {"model": "house-model"},
    },
)
CHANNELS = ("lobby", "bar+grill", "night desk", "hotel-7", "support")
NAMES = ("greeter", "concierge", "guide", "Desk_2")
LIFECYCLES: tuple[Tree, ...] = (
    {},
    {},
    {"protect": True},
    {"protect": False},
    {"paused": True},
    {"replace": "join-first"},
    {"rotate_after": "30h", "token_ttl": "12h"},
    {"ignore_changes": ["llm.greeting_message"]},
    {"ignore_changes": ["llm.system_messages", "llm.params"]},
)


@dataclass(frozen=True, slots=True)
class Story:
    """One fleet: `before` is applied, `after` is planned; `hours` pass between; `flags` go to every later plan."""

    name: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    hours: float
    environment: str | None
    flags: tuple[str, ...]


def story(seed: int) -> Story:
    """The fleet of a seed, one to four edits, and the flags of its plans."""
    chance = random.Random(f"fleet {seed}")
    before = _fleet(chance, seed)
    after = deepcopy(before)
    for edit in chance.choices(EDITS, k=chance.randint(1, 4)):
        edit(chance, after)
    flags = chance.choice(
        ((), (), (), ("--only", "renew,rotate,join"), ("--replace", "*/greeter*"), ("--target", "*/*"))
    )
    hours = chance.choice((0.0, 0.0, 13.0, 31.0, 61.0, 80.0))
    environment = chance.choice((None, "test"))
    return Story(f"generated-{seed}", _files(before), _files(after), hours, environment, flags)


def _fleet(chance: random.Random, seed: int) -> Tree:
    """The tree of a fleet: `main` is its `fleet.yaml`, `team` an agents file beside it."""
    main: Tree = {
        "fleet": f"made-{seed}",
        "service": {"kind": "simulator"},
        "variables": {"tone": "calm", "floors": ["first", "second"], "model": "gpt-4o-mini"},
        "defaults": {
            "properties": {
                "remote_rtc_uids": ["*"],
                "idle_timeout": chance.choice((0, 30)),
                "asr": deepcopy(chance.choice(ASR)),
            }
        },
        "profiles": {
            "voice": {"properties": {"tts": deepcopy(chance.choice(TTS))}},
            "mind": {"extends": ["voice"], "properties": {"llm": deepcopy(chance.choice(LLM))}},
        },
        "limits": chance.choice(
            ({"leave": "100%"}, {"leave": "30%"}, {"leave": 1, "replace": "50%"}, {"quota": 40})
        ),
        "environments": {"test": {"variables": {"tone": "loud"}, "limits": {"join": 30}}},
        "channels": [_channel(chance, name) for name in chance.sample(CHANNELS, k=chance.randint(1, 4))],
    }
    looped: Tree = {
        "channel": "{{ floor }}-desk",
        "for_each": "{{ floors }}",
        "as": "floor",
        "agents": [{"name": "clerk", "profile": "mind", "when": "{{ floor != 'none' }}"}],
    }
    return {"main": main, "team": {"channels": [looped] if chance.random() < 0.5 else []}}


def _channel(chance: random.Random, name: str) -> Tree:
    agents = [_agent(chance, each) for each in chance.sample(NAMES, k=chance.randint(1, 3))]
    return {"channel": name, "agents": agents}


def _agent(chance: random.Random, name: str) -> Tree:
    agent: Tree = {"name": name, "profile": "mind", "properties": {}}
    lifecycle = chance.choice(LIFECYCLES)
    if lifecycle:
        agent["lifecycle"] = deepcopy(lifecycle)
    if chance.random() < 0.3:
        agent["properties"]["llm"] = {"greeting_message": "Hello, this is {{ channel }}."}
    if chance.random() < 0.2:
        agent["properties"]["tts"] = deepcopy(chance.choice(TTS))
    if chance.random() < 0.2:
        agent["for_each"] = ["a", "b"]
        agent["name"] = f"{name}-{{{{ each }}}}"
    return agent


# --- what people change between two runs: each edit changes the tree of a fleet in its place -------------------


def _agents(fleet: Tree) -> list[Tree]:
    return [each for channel in fleet["main"]["channels"] for each in channel["agents"]]


def _some(chance: random.Random, fleet: Tree) -> Tree:
    """One agent of the fleet's main file."""
    return chance.choice(_agents(fleet))  # type: ignore[no-any-return]


def _prompt(chance: random.Random, fleet: Tree) -> None:
    said = [{"role": "system", "content": f"You are {{{{ tone }}}}, number {chance.randint(1, 9)}."}]
    _some(chance, fleet)["properties"].setdefault("llm", {})["system_messages"] = said


def _parameters(chance: random.Random, fleet: Tree) -> None:
    values = fleet["main"]["profiles"]["mind"]["properties"]["llm"]["params"]
    values["temperature"] = chance.choice((0.1, 0.7))


def _greeting(chance: random.Random, fleet: Tree) -> None:
    _some(chance, fleet)["properties"].setdefault("llm", {})["greeting_message"] = "Good day."


def _voice(chance: random.Random, fleet: Tree) -> None:
    fleet["main"]["profiles"]["voice"]["properties"]["tts"] = deepcopy(chance.choice(TTS))


def _hearing(chance: random.Random, fleet: Tree) -> None:
    fleet["main"]["defaults"]["properties"]["asr"] = deepcopy(chance.choice(ASR))


def _uid(chance: random.Random, fleet: Tree) -> None:
    agent = _some(chance, fleet)
    if "for_each" not in agent:
        agent["properties"]["agent_rtc_uid"] = str(chance.randint(1000, 9999))


def _host(chance: random.Random, fleet: Tree) -> None:
    llm = fleet["main"]["profiles"]["mind"]["properties"]["llm"]
    llm["url"] = "https://other.example.org/v1/chat/completions"


def _life(chance: random.Random, fleet: Tree) -> None:
    agent = _some(chance, fleet)
    agent.pop("lifecycle", None)
    lifecycle = chance.choice(LIFECYCLES)
    if lifecycle:
        agent["lifecycle"] = deepcopy(lifecycle)


def _removed(chance: random.Random, fleet: Tree) -> None:
    channel = chance.choice(fleet["main"]["channels"])
    if len(_agents(fleet)) > 1:
        channel["agents"].remove(chance.choice(channel["agents"]))
    fleet["main"]["channels"] = [each for each in fleet["main"]["channels"] if each["agents"]]


def _added(chance: random.Random, fleet: Tree) -> None:
    chance.choice(fleet["main"]["channels"])["agents"].append(_agent(chance, "newcomer"))


def _renamed(chance: random.Random, fleet: Tree) -> None:
    channel = chance.choice(fleet["main"]["channels"])
    agent = chance.choice(channel["agents"])
    if "for_each" not in agent:
        agent["previously"] = [f"{channel['channel']}/{agent['name']}"]
        agent["name"] = f"{agent['name']}-2"


def _moved(chance: random.Random, fleet: Tree) -> None:
    channel = chance.choice(fleet["main"]["channels"])
    if all("for_each" not in each for each in channel["agents"]):
        for agent in channel["agents"]:
            agent["previously"] = [f"{channel['channel']}/{agent['name']}"]
        channel["channel"] = f"{channel['channel']}-b"


def _floor(chance: random.Random, fleet: Tree) -> None:
    fleet["main"]["variables"]["floors"] = chance.choice((["first"], ["first", "second", "third"]))


EDITS: tuple[Callable[[random.Random, Tree], None], ...] = (
    _prompt,
    _parameters,
    _greeting,
    _voice,
    _hearing,
    _uid,
    _host,
    _life,
    _life,
    _removed,
    _added,
    _renamed,
    _moved,
    _floor,
)


def _files(fleet: Tree) -> dict[str, str]:
    files = {"fleet.yaml": _text(fleet["main"])}
    if fleet["team"]["channels"]:
        files["agents/team.yaml"] = _text(fleet["team"])
    return files


def _text(tree: Tree) -> str:
    return yaml.dump(tree, Dumper=_Plain, sort_keys=False, allow_unicode=True)


class _Plain(yaml.SafeDumper):
    """Writes no anchors: every copy in full, as people write them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
