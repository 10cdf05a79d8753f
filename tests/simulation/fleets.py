"""Fleets by chance, and the edits that people make to them between runs."""

from __future__ import annotations

import random
from dataclasses import replace

from reconciler.model.address import Address
from reconciler.model.fingerprint import digest
from reconciler.model.fleet import DesiredFleet, Limits
from reconciler.model.spec import AgentSpec, Beside, Body, Lifecycle, ReplaceOrder
from reconciler.model.tree import Tree
from tests.fakes.fleets import UNLIMITED

from .world import OWNER

HOUR = 3600.0
CHANNELS = ("lobby", "desk", "night desk", "bar+grill")
NAMES = ("greeter", "concierge", "guide")
_ALL = UNLIMITED


def body(prompt: str, voice: str = "ava", uid: str | None = None, temperature: float = 0.5) -> Body:
    """A small honest body: in-place fields, join-only fields, two secrets."""
    properties: dict[str, Tree] = {
        "remote_rtc_uids": ["*"],
        "idle_timeout": 0,
        "asr": {"vendor": "ares", "language": "en-US"},
        "tts": {
            "vendor": "microsoft",
            "params": {"key": "ref+env://TTS_KEY", "region": "eastus", "voice_name": voice},
        },
        "llm": {
            "url": "https://llm.example.com/v1/chat/completions",
            "api_key": "Bearer ref+env://LLM_KEY+",
            "system_messages": [{"role": "system", "content": prompt}],
            "params": {"model": "small", "temperature": temperature},
        },
    }
    if uid is not None:
        properties["agent_rtc_uid"] = uid
    return Body(properties)


def agent(
    address: str, prompt: str = "hello", voice: str = "ava", uid: str | None = None, **lifecycle: object
) -> AgentSpec:
    """One agent as the files would declare it."""
    life = Lifecycle(beside=Beside.ALLOW, **lifecycle)  # type: ignore[arg-type]  # checked by the dataclass's callers, all in here
    return AgentSpec(Address.parse(address), body(prompt, voice, uid), life)


def fleet(*agents: AgentSpec, limits: Limits = _ALL) -> DesiredFleet:
    """A fleet of these agents."""
    ordered = {each.address: each for each in sorted(agents, key=lambda each: each.address)}
    rows = [
        [
            str(each.address),
            each.body.tree(),
            repr(each.lifecycle),
            list(map(str, each.previously)),
            *([each.adopt] if each.adopt else ()),
        ]
        for each in ordered.values()
    ]
    return DesiredFleet(OWNER, ordered, limits=limits, digest=digest(rows))


def random_fleet(chance: random.Random) -> DesiredFleet:
    """One to eight agents in one to four channels."""
    channels = CHANNELS[: chance.randint(1, len(CHANNELS))]
    places = [Address(channel, name) for channel in channels for name in NAMES]
    chosen = sorted(chance.sample(places, min(len(places), chance.randint(1, 8))))
    return fleet(*(_random_agent(address, chance) for address in chosen))


def _random_agent(address: Address, chance: random.Random) -> AgentSpec:
    order = ReplaceOrder.JOIN_FIRST if chance.random() < 0.2 else ReplaceOrder.LEAVE_FIRST
    lifecycle = Lifecycle(
        rotate_after=chance.choice((60 * HOUR, 60 * HOUR, 6 * HOUR)),
        token_ttl=chance.choice((24 * HOUR, 24 * HOUR, 2 * HOUR)),
        replace=order,
        protect=True if chance.random() < 0.1 else None,
        paused=chance.random() < 0.05,
        beside=Beside.ALLOW,  # strangers come to every channel here; that they hold a join is a scenario test
    )
    uid = str(1000 + NAMES.index(address.name)) if chance.random() < 0.4 else None
    text = body(chance.choice(("hello", "welcome")), chance.choice(("ava", "emma")), uid)
    return AgentSpec(address, text, lifecycle)


# --- edits ----------------------------------------------------------------------------------------------------


def edited(before: DesiredFleet, chance: random.Random) -> DesiredFleet:
    """The fleet after somebody has worked on its files for a while."""
    agents = dict(before.agents)
    for _ in range(chance.randint(0, 3)):
        _EDITS[chance.randrange(len(_EDITS))](agents, chance)
    return fleet(*agents.values()) if agents else before


def _some(agents: dict[Address, AgentSpec], chance: random.Random) -> AgentSpec | None:
    return agents[chance.choice(sorted(agents))] if agents else None


def prompt(agents: dict[Address, AgentSpec], chance: random.Random) -> None:
    """Somebody changes a prompt: an update in place."""
    if (spec := _some(agents, chance)) is not None:
        voice = str(spec.body.properties["tts"]["params"]["voice_name"])  # type: ignore[index,call-overload]
        new = body(f"prompt {chance.randrange(1000)}", voice, spec.body.uid, chance.choice((0.2, 0.5, 0.9)))
        agents[spec.address] = replace(spec, body=new)


def voice(agents: dict[Address, AgentSpec], chance: random.Random) -> None:
    """Somebody changes a voice: its agent is replaced."""
    if (spec := _some(agents, chance)) is not None:
        prompt = str(spec.body.properties["llm"]["system_messages"][0]["content"])  # type: ignore[index,call-overload]
        agents[spec.address] = replace(
            spec, body=body(prompt, chance.choice(("ava", "emma", "guy")), spec.body.uid)
        )


def _swap_uids(agents: dict[Address, AgentSpec], chance: random.Random) -> None:
    by_channel: dict[str, list[Address]] = {}
    for address in sorted(agents):
        by_channel.setdefault(address.channel, []).append(address)
    crowded = [each for each in by_channel.values() if len(each) > 1]
    if crowded:
        one, other = chance.sample(chance.choice(crowded), 2)
        uids = agents[one].body.uid, agents[other].body.uid
        agents[one], agents[other] = _with_uid(agents[one], uids[1]), _with_uid(agents[other], uids[0])


def _with_uid(spec: AgentSpec, uid: str | None) -> AgentSpec:
    properties = {key: value for key, value in spec.body.properties.items() if key != "agent_rtc_uid"}
    return replace(spec, body=Body(properties if uid is None else {**properties, "agent_rtc_uid": uid}))


def _rename(agents: dict[Address, AgentSpec], chance: random.Random) -> None:
    spec = _some(agents, chance)
    free = [Address(channel, f"{name}-2") for channel in CHANNELS for name in NAMES]
    free = [each for each in free if each not in agents]
    if spec is None or not free:
        return
    same = [each for each in free if each.channel == spec.address.channel]
    new = chance.choice(same if same and chance.random() < 0.8 else free)
    if new.channel != spec.address.channel:
        spec = _with_uid(spec, None)
    del agents[spec.address]
    agents[new] = replace(spec, address=new, previously=(spec.address, *spec.previously))


def remove(agents: dict[Address, AgentSpec], chance: random.Random) -> None:
    """Somebody takes an agent out."""
    if len(agents) > 1 and (spec := _some(agents, chance)) is not None:
        del agents[spec.address]


def _add(agents: dict[Address, AgentSpec], chance: random.Random) -> None:
    free = [
        Address(channel, name)
        for channel in CHANNELS
        for name in NAMES
        if Address(channel, name) not in agents
    ]
    taken = {(each.address.channel, each.body.uid) for each in agents.values()}
    if free and len(agents) < 8:
        spec = _random_agent(chance.choice(free), chance)
        agents[spec.address] = (
            _with_uid(spec, None) if (spec.address.channel, spec.body.uid) in taken else spec
        )


def _lifecycle(agents: dict[Address, AgentSpec], chance: random.Random) -> None:
    if (spec := _some(agents, chance)) is None:
        return
    flip = chance.randrange(3)
    life = spec.lifecycle
    if flip == 0:
        life = replace(life, protect=chance.choice((True, False, None)))
    elif flip == 1:
        life = replace(life, paused=not life.paused)
    else:
        first = life.replace is ReplaceOrder.JOIN_FIRST
        life = replace(life, replace=ReplaceOrder.LEAVE_FIRST if first else ReplaceOrder.JOIN_FIRST)
    agents[spec.address] = replace(spec, lifecycle=life)


_EDITS = (prompt, prompt, voice, voice, _swap_uids, _rename, remove, _add, _lifecycle)
# What people do most: others' prompts, voices, and agents that go.
COMMON = (prompt, prompt, voice, remove, remove, _add)
