"""The simulator's catalogue of a join (schemas/agora) beside ours (the schema of a rendered fleet).

The two are written independently, from the vendor's pages each; neither is generated from the other. Where they
differ, the difference stands here with its cause, so that a fact that one of them learns is not missed in the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconciler.simulator.contract import schema

Steps = tuple[str, ...]
Node = dict[str, Any]
Values = dict[str, frozenset[str]]

OURS: Node = json.loads((Path(__file__).parents[2] / "schemas" / "rendered.schema.json").read_bytes())

ONLY_OURS = {
    # the vendor's SDK alone has these; the simulator takes unknown fields, as the OpenAPI says
    "filler_words.content.generated_config",
    # in no reference, and widely sent
    "agent_rtm_uid",
    "parameters.enable_dump",
    "parameters.output_audio_codec",
    "parameters.transcript",
    # the page of Amazon Bedrock calls so what the SDK calls secret_key
    "llm.secret",
    "llm.tools.[].execution",
    "llm.tools.[].function.description",
    "llm.tools.[].function.parameters",
    "llm.tools.[].server.body",
    "mllm.adc_credentials_string",
    "mllm.failure_message",
    "mllm.location",
    "mllm.max_history",
    "mllm.mcp_servers",
    "mllm.project_id",
    "mllm.tools",
    "mllm.turn_detection.agora_vad_config",
    "mllm.turn_detection.semantic_vad_config",
    "mllm.turn_detection.server_vad_config",
    # deprecated, and left out by the newest pages
    "turn_detection.config.start_of_speech.disabled_config",
    "turn_detection.config.start_of_speech.keywords_config",
    "turn_detection.create_response",
    "turn_detection.eagerness",
    "turn_detection.interrupt_duration_ms",
    "turn_detection.interrupt_keywords",
    "turn_detection.interrupt_mode",
    "turn_detection.interrupt_response",
    "turn_detection.prefix_padding_ms",
    "turn_detection.silence_duration_ms",
    "turn_detection.threshold",
    "turn_detection.type",
}
ONLY_THE_SIMULATORS = {
    "channel",  # in a fleet it stands at the channel
    "token",  # minted, never written
}
VALUES_ONLY_OURS = {
    "filler_words.content.mode": {"generated", "static"},  # the pages leave it a free text
    "llm.vendor": {
        "aliyun",
        "azure",
        "bytedance",
        "custom",
        "deepseek",
        "openai",
        "tencent",
        "xai",
    },  # free too
    "mllm.vendor": {"openai-gpt-live", "openai_gpt_live"},  # SDK; taken with a warning
    "tts.vendor": {"gemini"},  # served by the preview host only; taken with a warning
    "turn_detection.config.end_of_speech.semantic_config.max_wait_ms": {"-1"},  # a condition in the simulator
}
VALUES_ONLY_THE_SIMULATORS = {
    "interruption.mode": {"keyword"},  # the SDK's spelling; ours takes the page's `keywords` alone
}


def alternatives(node: Node) -> Iterator[Node]:
    """The nodes that may stand for one node of our schema, references followed."""
    if "$ref" in node:
        yield from alternatives(OURS["$defs"][node["$ref"].rpartition("/")[2]])
        return
    yield node
    for key in ("anyOf", "oneOf", "allOf"):
        for each in node.get(key, ()):
            yield from alternatives(each)
    for key in ("then", "else"):
        if key in node:
            yield from alternatives(node[key])


def fields(node: Node, path: Steps = ()) -> Iterator[tuple[str, frozenset[str]]]:
    """Every documented field below a node, with the values that are listed for it. What goes to a vendor
    (`params`) is free in the simulator's catalogue."""
    for each in alternatives(node):
        for name, child in each.get("properties", {}).items():
            yield ".".join((*path, name)), frozenset(values(child))
            if name != "params":
                yield from fields(child, (*path, name))
        if "items" in each:
            yield from fields(each["items"], (*path, "[]"))


def values(node: Node) -> Iterator[str]:
    for each in alternatives(node):
        yield from map(str, each.get("enum", ()))
        if "const" in each:
            yield str(each["const"])


def catalogue(node: Node) -> Values:
    found: Values = {}
    for path, listed in fields(node):
        found[path] = found.get(path, frozenset()) | listed
    return found


def ours() -> Values:
    agent = OURS["properties"]["agents"]["additionalProperties"]
    below = {path: listed for path, listed in catalogue(agent).items() if path.startswith("properties.")}
    return {path.removeprefix("properties."): listed for path, listed in below.items()}


def the_simulators() -> Values:
    return catalogue(schema("join")["properties"]["properties"])


def outermost(paths: set[str]) -> set[str]:
    return {path for path in paths if not any(path.startswith(f"{other}.") for other in paths)}


def values_only_in(one: Values, other: Values) -> dict[str, set[str]]:
    beyond = {path: set(one[path] - other[path]) for path in one.keys() & other.keys()}
    return {path: more for path, more in beyond.items() if more}


def test_fields_differ_where_it_is_said_and_nowhere_else() -> None:
    assert outermost(ours().keys() - the_simulators().keys()) == ONLY_OURS
    assert outermost(the_simulators().keys() - ours().keys()) == ONLY_THE_SIMULATORS


def test_values_differ_where_it_is_said_and_nowhere_else() -> None:
    assert values_only_in(ours(), the_simulators()) == VALUES_ONLY_OURS
    assert values_only_in(the_simulators(), ours()) == VALUES_ONLY_THE_SIMULATORS


def test_both_know_the_vendors() -> None:
    for slot, least in (("asr", 15), ("tts", 20), ("mllm", 5), ("avatar", 6)):
        assert len(ours()[f"{slot}.vendor"] & the_simulators()[f"{slot}.vendor"]) >= least
