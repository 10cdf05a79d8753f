"""What the contract refuses, and that our reading of `schemas/agora` is JSON Schema's."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.simulator.contract import Strictness, compiled, schema

from .harness import Service, join_body

STRICT = Strictness(
    "global", refuse_unknown_fields=False, refuse_unknown_enums=True, refuse_unknown_vendors=True
)
DOCUMENTS = ("join", "update", "speak", "think", "interrupt")

LLM = {"url": "https://llm.invalid/"}


@pytest.mark.parametrize(
    "properties",
    [
        {"llm": None, "tts": None, "mllm": {"enable": True, "api_key": "k"}},
        {"llm": None, "tts": None, "mllm": {}, "advanced_features": {"enable_mllm": True}},
        {"llm": {"credential_mode": "managed"}},
        {"tts": {"vendor": "minimax", "credential_mode": "managed", "params": {"url": "wss://a.invalid/"}}},
        {"asr": {"vendor": "deepgram", "credential_mode": "managed", "params": {"url": "wss://a.invalid/"}}},
        {"llm": {**LLM, "vendor": "openai", "credential_mode": "managed"}},
        {"sal": {"sal_mode": "locking"}},
        {"sal": {"sal_mode": "recognition", "sample_urls": {"guest": "https://a.invalid/x.pcm"}}},
        {"asr": {"vendor": "nobody"}},
        {"asr": {"vendor": "ares", "params": {"newest": {"of": ["all"]}}}},
        # one source demands base_url, the vendor's guide leaves it out; deepgram's key has two names
        {"tts": {"vendor": "elevenlabs", "params": {"key": "k", "model_id": "m", "voice_id": "v"}}},
        {"asr": {"vendor": "deepgram", "params": {"api_key": "k"}}},
        {"asr": {"vendor": "ares"}},
        {"asr": {"vendor": "speechmatics"}},
        {"remote_rtc_uids": ["1002"]},
        {"agent_rtc_uid": "desk", "enable_string_uid": True, "remote_rtc_uids": ["guest"]},
        {"agent_rtc_uid": "0"},
        {"agent_rtc_uid": "4294967295"},
        {"idle_timeout": 259200},
        {"geofence": {"area": "GLOBAL", "exclude_area": "ASIA"}},
        {"llm": {**LLM, "greeting_message": "Hi", "greeting_audio_url": "https://media.invalid/hi.pcm"}},
        {"parameters": {"silence_config": {"timeout_ms": 100, "content": "Are you there?"}}},
        {"turn_detection": {"config": {"end_of_speech": {"semantic_config": {"max_wait_ms": -1}}}}},
        {"an_unknown_field": {"of": ["any", {"kind": None}]}},
    ],
)
def test_bodies_that_are_allowed(service: Service, properties: dict[str, Any]) -> None:
    assert service.join(**properties).status == 200


@pytest.mark.parametrize(
    ("properties", "reason", "where"),
    [
        ({"channel": None}, "MissingRequiredField", "properties: channel not found"),
        ({"token": None}, "MissingRequiredField", "properties: token not found"),
        ({"agent_rtc_uid": None}, "MissingRequiredField", "properties: agent_rtc_uid not found"),
        ({"remote_rtc_uids": None}, "MissingRequiredField", "properties: remote_rtc_uids not found"),
        ({"llm": None}, "MissingRequiredField", "properties: llm not found"),
        ({"tts": None}, "MissingRequiredField", "properties: tts not found"),
        ({"llm": {}}, "MissingRequiredField", "properties.llm: url not found"),
        ({"tts": {"params": {}}}, "MissingRequiredField", "properties.tts: vendor not found"),
        ({"tts": {"vendor": "murf"}}, "MissingRequiredField", "properties.tts: params not found"),
        ({"mllm": {"enable": False}, "llm": None}, "MissingRequiredField", "properties: llm not found"),
        ({"geofence": {}}, "MissingRequiredField", "properties.geofence: area not found"),
        (
            {"agent_rtc_uid": 1001},
            "InvalidFieldValue",
            "properties.agent_rtc_uid: string expected, integer given",
        ),
        ({"agent_rtc_uid": "desk"}, "InvalidFieldValue", "properties.agent_rtc_uid"),
        ({"agent_rtc_uid": "4294967296"}, "InvalidFieldValue", "properties.agent_rtc_uid"),
        ({"remote_rtc_uids": ["guest"]}, "InvalidFieldValue", "properties.remote_rtc_uids"),
        ({"remote_rtc_uids": [1002]}, "InvalidFieldValue", "properties.remote_rtc_uids.0"),
        ({"remote_rtc_uids": "*"}, "InvalidFieldValue", "properties.remote_rtc_uids: array expected"),
        ({"channel": "x" * 64}, "InvalidFieldValue", "properties.channel"),
        ({"channel": "über"}, "InvalidFieldValue", "properties.channel"),
        ({"channel": "lobby\n"}, "InvalidFieldValue", "properties.channel"),
        ({"channel": ""}, "InvalidFieldValue", "properties.channel"),
        ({"idle_timeout": -1}, "InvalidFieldValue", "properties.idle_timeout: -1 is out of range"),
        ({"idle_timeout": 259201}, "InvalidFieldValue", "properties.idle_timeout"),
        ({"idle_timeout": "30"}, "InvalidFieldValue", "properties.idle_timeout: integer expected"),
        ({"idle_timeout": 30.5}, "InvalidFieldValue", "properties.idle_timeout"),
        ({"idle_timeout": True}, "InvalidFieldValue", "properties.idle_timeout"),
        ({"enable_string_uid": "true"}, "InvalidFieldValue", "properties.enable_string_uid"),
        ({"asr": {"vendor": 1}}, "InvalidFieldValue", "properties.asr.vendor: string expected"),
        ({"llm": {**LLM, "max_history": 0}}, "InvalidFieldValue", "properties.llm.max_history"),
        ({"llm": {**LLM, "api_key": 1}}, "InvalidFieldValue", "properties.llm.api_key"),
        (
            {"llm": {**LLM, "greeting_audio_url": "https://media.invalid/"}},
            "InvalidFieldValue",
            "greeting_message",
        ),
        (
            {"llm": {**LLM, "greeting_message": "x", "greeting_audio_url": ""}},
            "InvalidFieldValue",
            "audio_url",
        ),
        (
            {"llm": {**LLM, "greeting_message": "x", "greeting_audio_url": "hi.pcm"}},
            "InvalidFieldValue",
            "audio_url",
        ),
        (
            {
                "llm": {
                    **LLM,
                    "greeting_message": "x",
                    "greeting_audio_url": "https://m.invalid/" + "x" * 2048,
                }
            },
            "InvalidFieldValue",
            "at most 2048 bytes",
        ),
        (
            {"llm": {**LLM, "mcp_servers": [{"name": "a b", "endpoint": "x"}]}},
            "InvalidFieldValue",
            "mcp_servers.0.name",
        ),
        ({"llm": {**LLM, "mcp_servers": [{"name": "ab"}]}}, "MissingRequiredField", "endpoint not found"),
        (
            {"llm": {**LLM, "template_variables": {"guest": 1}}},
            "InvalidFieldValue",
            "template_variables.guest",
        ),
        ({"labels": {"a": 1}}, "InvalidFieldValue", "properties.labels.a"),
        ({"geofence": {"area": "EUROPE", "exclude_area": "ASIA"}}, "InvalidFieldValue", "exclude_area"),
        (
            {"parameters": {"silence_config": {"timeout_ms": 1}}},
            "MissingRequiredField",
            "silence_config: content",
        ),
        (
            {"turn_detection": {"config": {"end_of_speech": {"semantic_config": {"max_wait_ms": 499}}}}},
            "InvalidFieldValue",
            "max_wait_ms",
        ),
        ({"turn_detection": {"config": {"speech_threshold": 1}}}, "InvalidFieldValue", "speech_threshold"),
        ({"turn_detection": {"config": {"start_of_speech": {}}}}, "MissingRequiredField", "mode not found"),
        (
            {"tts": {"vendor": "murf", "params": {}, "skip_patterns": [6]}},
            "InvalidFieldValue",
            "skip_patterns.0",
        ),
    ],
)
def test_bodies_that_are_refused(properties: dict[str, Any], reason: str, where: str) -> None:
    service = Service(missing_parts="400")
    answer = service.join(**properties)
    assert (answer.status, answer.reason) == (400, reason)
    assert where in answer.body["detail"]
    assert service.world.agents() == ()


MANAGED = {"credential_mode": "managed"}
_SKU = "is not available for the current SKU when credential_mode is 'managed'"
_ABSENT = "required field is missing"


@pytest.mark.parametrize(
    ("properties", "detail"),
    [
        ({"tts": {**MANAGED, "vendor": "microsoft", "params": {}}}, f"vendor 'microsoft' {_SKU}"),
        (
            {"tts": {**MANAGED, "vendor": "deepgram", "params": {"url": "wss://a"}}},
            f"vendor 'deepgram' {_SKU}",
        ),
        ({"asr": {**MANAGED, "vendor": "microsoft"}}, f"vendor 'microsoft' {_SKU}"),
        ({"asr": MANAGED}, f"vendor 'ares' {_SKU}"),
        ({"llm": {**LLM, **MANAGED, "vendor": "azure"}}, f"vendor 'azure' {_SKU}"),
        (
            {"asr": {**MANAGED, "vendor": "deepgram"}},
            f"Invalid value at properties.asr.params.url: {_ABSENT}",
        ),
        (
            {"tts": {**MANAGED, "vendor": "minimax", "params": {"model": "speech-2.6-turbo"}}},
            f"Invalid value at properties.tts.params.url: {_ABSENT}",
        ),
        ({"tts": MANAGED}, f"Invalid value at properties.tts.vendor: {_ABSENT}"),
        (
            {"sal": {"sal_mode": "recognition"}},
            "properties.sal.sample_urls: must not be empty when sal_mode is 'recognition'",
        ),
        (
            {"sal": {"sal_mode": "recognition", "sample_urls": {}}},
            "properties.sal.sample_urls: must not be empty when sal_mode is 'recognition'",
        ),
    ],
)
def test_refusals_in_the_words_of_the_live_service(
    service: Service, properties: dict[str, Any], detail: str
) -> None:
    answer = service.join(**properties)
    assert (answer.status, answer.body["detail"]) == (400, detail)
    assert service.world.agents() == ()


def test_a_vendor_that_no_page_lists_is_taken_with_a_warning(service: Service) -> None:
    new = {"vendor": "some\u2028thing\nnew", "params": {"anything": 1}}
    answer = service.join(asr=new, tts=new, avatar={"vendor": "akool"})
    assert answer.status == 200
    warning = answer.headers["x-simulator-warning"]
    assert warning == (
        "not in the simulator's catalogue, taken unchecked: "
        r"asr.vendor 'some\u2028thing\nnew', tts.vendor 'some\u2028thing\nnew'"
    )
    assert "x-simulator-warning" not in service.join("known", uid="2").headers


def test_a_null_stands_for_an_absent_field(service: Service) -> None:
    body = join_body(idle_timeout=5, llm={**LLM, "params": {"stop": None}, "mcp_servers": [{"name": None}]})
    body |= {"preset": None, "pipeline_id": None}
    body["properties"] |= {"idle_timeout": None, "avatar": None}
    assert "mcp_servers.0: name not found" in service.call("POST", "join", body).body["detail"]
    del body["properties"]["llm"]["mcp_servers"]
    agent_id = service.call("POST", "join", body).agent_id
    properties = service.world.agent(agent_id).properties
    assert not {"idle_timeout", "avatar"} & properties.keys()
    assert properties["llm"]["params"] == {"stop": None}  # what the contract leaves free is kept
    body["properties"]["channel"] = None
    assert "channel not found" in service.call("POST", "join", body).body["detail"]


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"name":"x"}', b'{"name":"","properties":{}}']
)
def test_bodies_that_are_no_join(service: Service, raw: bytes) -> None:
    assert service.call("POST", "join", raw).status == 400


def test_presets_and_pipelines_stand_in_for_parts() -> None:
    service = Service(missing_parts="400")
    bare = join_body(llm=None, tts=None)
    assert service.call("POST", "join", bare | {"pipeline_id": "p"}).status == 200
    both = "deepgram_nova_3,openai_gpt_4o_mini, minimax_speech_2_6_turbo"
    assert service.call("POST", "join", bare | {"name": "b", "preset": both}).status == 200
    only_llm = service.call("POST", "join", bare | {"name": "c", "preset": "openai_gpt_5_mini"})
    assert "tts not found" in only_llm.body["detail"]


def test_a_body_nested_beyond_reason_is_refused(service: Service) -> None:
    deep = '{"deeper":' * 300 + "1" + "}" * 300
    body = json.dumps(join_body(llm={**LLM, "params": "DEEP"})).replace('"DEEP"', deep)
    answer = service.call("POST", "join", body.encode())
    assert (answer.status, answer.reason) == (400, "InvalidRequestBody")
    patch = f'{{"properties":{{"llm":{{"params":{deep}}}}}}}'
    assert service.call("POST", f"agents/{service.started()}/update", patch.encode()).status == 400


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_are_json_schema_and_say_where_they_come_from(document: str) -> None:
    content = schema(document)
    jsonschema.Draft202012Validator.check_schema(content)
    assert all({"page", "read", "for"} <= source.keys() for source in content["x-sources"])


# --- the compiled checks against a validator that is not ours

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300_000),
    st.floats(0.01, 0.99),
    st.sampled_from(["", "x", "ares", "managed", "GLOBAL", "vad", "rtm", "https://a.invalid/b", "1001", "ü"]),
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
)


def mutations(body: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies that differ from `body` in a few documented places."""
    paths = list(documented(schema("join")))

    def apply(changes: list[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
        changed = copy.deepcopy(body)
        for path, value in changes:
            place = changed
            for step in path[:-1]:
                inner = place.get(step)
                if not isinstance(inner, dict):
                    inner = place[step] = {}
                place = inner
            place[path[-1]] = value
        return changed

    return st.lists(st.tuples(st.sampled_from(paths), VALUES), max_size=4).map(apply)


def documented(node: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    paths = [path] if path else []
    for name, child in node.get("properties", {}).items():
        paths += documented(child, (*path, name))
    return paths


@given(mutations(join_body()))
def test_our_reading_of_the_schema_is_json_schemas(body: dict[str, Any]) -> None:
    theirs = jsonschema.Draft202012Validator(schema("join")).is_valid(body)
    urls = body.get("properties", {})
    too_long = isinstance(urls, dict) and len(repr(urls.get("llm"))) > 2000  # x-maxBytes is ours alone
    if not too_long:
        assert (compiled("join", STRICT)(body) is None) == theirs


@pytest.mark.parametrize("document", DOCUMENTS)
@given(
    body=st.dictionaries(
        st.sampled_from(["text", "priority", "properties", "metadata", "x"]), VALUES, max_size=4
    )
)
def test_small_bodies_too(document: str, body: dict[str, Any]) -> None:
    theirs = jsonschema.Draft202012Validator(schema(document)).is_valid(body)
    check: Callable[[Any], object] = compiled(document, STRICT)
    assert (check(body) is None) == theirs
