"""For every documented field of the contract: apply, and the next plan is empty; edit it, apply, and it is again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler import workflow
from reconciler.model.fleet import DesiredFleet
from reconciler.model.tree import dotted
from reconciler.plan.build import Plan
from reconciler.plan.change import Action, action_of, diffs_of
from reconciler.plan.guard import Policy
from tests.fakes.fleets import agent, fleet, merged
from tests.fakes.virtual import Virtual

_FACTS = Path(__file__).parents[1] / "unit" / "contract" / "data" / "join_facts.json"
FIELDS: dict[str, dict[str, Any]] = json.loads(_FACTS.read_text(encoding="utf-8"))["keys"]

# Fields whose change goes in place (update matrix of the contract); every other one needs a new agent.
IN_PLACE = {"llm.system_messages", "llm.params", "mllm.params"}


# Values of a form that the type alone does not tell.
VALUES: dict[str, tuple[Any, Any]] = {
    "agent_rtc_uid": ("7", "8"),
    "llm.greeting_audio_url": ("https://a.example/one.mp3", "https://a.example/two.mp3"),
    "llm.input_modalities": (["text"], ["text", "image"]),
    "llm.output_modalities": (["text"], ["text", "audio"]),
    "llm.system_messages": ([{"role": "system", "content": "one"}], [{"role": "system", "content": "two"}]),
    "llm.url": ("https://api.openai.com/v1/chat/completions", "https://api.openai.com/v2/chat/completions"),
    "mllm.messages": ([{"role": "user", "content": "one"}], [{"role": "user", "content": "two"}]),
    "remote_rtc_uids": (["*"], ["5"]),
    "tts.skip_patterns": ([1], [2, 3]),
    "tts.url": ("https://tts.example/one", "https://tts.example/two"),
    "turn_detection.config.speech_threshold": (0.25, 0.75),
    "turn_detection.threshold": (0.25, 0.75),
    "filler_words.trigger.mode": ("fixed_time", None),
    "turn_detection.mode": ("default", None),
}
# What a field needs beside itself, or the service refuses it.
BESIDE: dict[str, dict[str, Any]] = {
    "filler_words.content.static_config": {
        "filler_words": {"content": {"static_config": {"phrases": ["hm"]}}}
    },
    "geofence.exclude_area": {"geofence": {"area": "GLOBAL"}},
    "llm.greeting_audio_url": {"llm": {"greeting_message": "Hello"}},
    "parameters.silence_config.timeout_ms": {"parameters": {"silence_config": {"content": "Still there?"}}},
    "sal.sal_mode": {"sal": {"sample_urls": {"ann": "https://a.example/ann.pcm"}}},
    "turn_detection.config.start_of_speech": {
        "turn_detection": {"config": {"start_of_speech": {"mode": "vad"}}}
    },
}


def two_values(field: str) -> tuple[Any, Any]:
    """Two values that a field can have; None for the second is a field with one value, which then goes away."""
    fact = FIELDS[field]
    if field in VALUES:
        return VALUES[field]
    if "enum" in fact:
        return fact["enum"][0], fact["enum"][-1]
    bounds = fact.get("range")
    low, high = bounds[:2] if isinstance(bounds, list) else (1, 2)
    by_type: dict[str, tuple[Any, Any]] = {
        "str": ("one", "two"),
        "bool": (False, True),
        "int": (low, high),
        "float": (0.25, 0.75),
        "dict": ({"key": "one"}, {"key": "two"}),
        "list": (["one"], ["two", "three"]),
    }
    return by_type[fact["type"].split("[")[0].split("|")[0].strip()]


def wanted_with(field: str, value: Any) -> DesiredFleet:
    changes: dict[str, Any] = {}
    for prefix, beside in BESIDE.items():
        if field.startswith(prefix):
            changes = beside
    return fleet(
        agent("lobby/greeter", **merged(changes, tree_of(field, value) if value is not None else {}))
    )


def tree_of(field: str, value: Any) -> dict[str, Any]:
    """The properties that hold a value at a dotted path; `[]` in a path is a list of one."""
    node: Any = value
    for part in reversed(field.split(".")):
        name = part.removesuffix("[]")
        node = {name: [node] if part.endswith("[]") else node}
    assert isinstance(node, dict)
    return node


def plan(virtual: Virtual, wanted: DesiredFleet) -> Plan:
    return virtual.run(workflow.plan(virtual.job(wanted), virtual.provider()))


def apply(virtual: Virtual, wanted: DesiredFleet) -> None:
    """Apply, with every new destination of a secret allowed: another vendor is one, and rightly asks."""
    hosts = frozenset(each.host for each in plan(virtual, wanted).dangers)
    virtual.run(workflow.apply(virtual.job(wanted, policy=Policy(allow_hosts=hosts)), virtual.provider()))


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_an_edit_is_one_change_at_its_own_path_and_then_all_is_quiet(field: str) -> None:
    virtual = Virtual()
    virtual.service.set_switches(
        managed_credentials="unchecked"
    )  # it is about the field, not about its vendor
    before, after = (wanted_with(field, value) for value in two_values(field))
    apply(virtual, before)
    assert len(virtual.live()) == 1, "the service takes the field"
    assert not plan(virtual, before).pending, "an apply leaves nothing to do"
    (change,) = plan(virtual, after).pending
    assert action_of(change) is (Action.UPDATE if field in IN_PLACE else Action.REPLACE)
    rows = [dotted(row.path[1:]) for row in diffs_of(change)]
    assert rows
    inner = field.replace("[]", "[0]")
    assert all(row.startswith(inner) or inner.startswith(f"{row}.") for row in rows)
    apply(virtual, after)
    assert not plan(virtual, after).pending, "an edit settles in one apply"
