"""Small fleets by hand, for tests that are about what happens to agents and not about files; and one as a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.model.address import Address, Owner
from reconciler.model.fingerprint import digest
from reconciler.model.fleet import DesiredFleet, Limit, Limits
from reconciler.model.spec import AgentSpec, Body, Lifecycle

OWNER = Owner("demo")
UNLIMITED = Limits(hang_ups=Limit(percent=100), max_unavailable=Limit(percent=100), leave=Limit(percent=100))
# What a fleet.yaml goes on with: two agents in one channel, both secrets referred to, a variable in the prompt.
TWO_AGENTS = """\
variables: {greeting: hello}
defaults:
  properties:
    remote_rtc_uids: ["*"]
    idle_timeout: 0
    tts: {vendor: microsoft, params: {key: ref+env://TTS_KEY, region: eastus, voice_name: en-US-AvaNeural}}
    llm:
      url: https://api.openai.com/v1/chat/completions
      api_key: ref+env://OPENAI_API_KEY
      system_messages: [{role: system, content: "{{ greeting }}"}]
      params: {model: gpt-4o-mini}
environments: {test: {}}
channels:
  - {channel: lobby, agents: [{name: desk}, {name: door}]}
"""


def properties(**changes: Any) -> dict[str, Any]:
    """The properties of a small agent; a change of None removes a part, a mapping is merged into it."""
    base: dict[str, Any] = {
        "remote_rtc_uids": ["*"],
        "idle_timeout": 0,
        "asr": {"vendor": "ares", "language": "en-US"},
        "tts": {
            "vendor": "microsoft",
            "params": {"key": "ref+env://AZURE_TTS_KEY", "region": "eastus", "voice_name": "en-US-AvaNeural"},
        },
        "llm": {
            "url": "https://api.openai.com/v1/chat/completions",
            "api_key": "ref+env://OPENAI_API_KEY",
            "system_messages": [{"role": "system", "content": "You are kind."}],
            "params": {"model": "gpt-4o-mini", "temperature": 0.4},
        },
    }
    return merged(base, changes)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def agent(
    address: str, *, previously: tuple[str, ...] = (), lifecycle: Lifecycle | None = None, **changes: Any
) -> AgentSpec:
    """An agent at an address, with changes to its properties."""
    return AgentSpec(
        Address.parse(address),
        Body(properties(**changes)),
        lifecycle or Lifecycle(),
        tuple(Address.parse(each) for each in previously),
    )


def fleet(*agents: AgentSpec, owner: Owner = OWNER, limits: Limits | None = None) -> DesiredFleet:
    """A fleet of agents, without limits unless some are given."""
    everything = {each.address: each for each in agents}
    content = [[str(each.address), each.body.tree(), repr(each.lifecycle)] for each in agents]
    return DesiredFleet(
        owner,
        everything,
        limits=limits or UNLIMITED,
        digest=digest(content, size=32),
    )
