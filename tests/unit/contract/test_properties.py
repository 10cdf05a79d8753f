"""`Properties` agrees with what the service documents: types, ranges, lists of words, what must be there."""

from __future__ import annotations

import copy
import gc
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from reconciler.contract.check import check, user_path
from reconciler.contract.jsonschema import properties_schema

KEYS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "join_facts.json").read_text(encoding="utf-8")
)["keys"]

# What must stand beside a key for the tree around it to be whole.
BESIDE: dict[str, dict[str, Any]] = {
    "geofence": {"area": "GLOBAL"},
    "turn_detection.config.start_of_speech": {"mode": "vad"},
    "filler_words.content.static_config": {"phrases": ["one moment"]},
    "tts": {"vendor": "generic_http"},
}
BESIDE_KEY: dict[str, dict[str, Any]] = {
    "asr.keywords": {"asr": {"vendor": "ares"}},
    "llm.access_key": {"llm": {"style": "bedrock"}},
    "llm.secret_key": {"llm": {"style": "bedrock"}},
    "llm.region": {"llm": {"style": "bedrock"}},
    "llm.model": {"llm": {"style": "bedrock"}},
    "llm.ignore_empty": {"llm": {"style": "gemini"}},
}
GOOD: dict[str, Any] = {
    "str": "text",
    "bool": True,
    "int": 5,
    "float": 0.5,
    "dict": {},
    "list[str]": ["a"],
    "list[int]": [1],
    "list[dict]": [{"role": "system", "content": "x"}],
    "dict[str]": {"a": "b"},
}
BAD: dict[str, list[Any]] = {
    "str": [5, 1.5, True, None, ["a"], {}],
    "bool": ["true", 1, 0, None, []],
    "int": ["5", True, 1.5, 5.0, None, []],
    "float": ["0.5", True, None, []],
    "dict": ["x", 5, None, [], True],
    "list[str]": ["a", [5], [None], {"a": "b"}, None],
    "list[int]": [1, ["1"], [True], [1.5], None],
    "list[dict]": [{}, ["x"], None],
    "dict[str]": ["x", {"a": 5}, {"a": None}, {"a": True}, [], None],
}


def whole(dotted: str, value: Any) -> dict[str, Any]:
    """The smallest tree that says `value` at a path."""
    tree: dict[str, Any] = copy.deepcopy(BESIDE_KEY.get(dotted, {}))
    node, done = tree, []
    *above, last = dotted.split(".")
    for part in above:
        done.append(part)
        node = node.setdefault(part, {})
        node.update(copy.deepcopy(BESIDE.get(".".join(done), {})))
    node[last] = value
    return tree


def errors(tree: Any) -> list[tuple[str, tuple[int | str, ...]]]:
    try:
        check(tree)
    except ValidationError as error:
        return [(each["type"], user_path(each["loc"])) for each in error.errors()]
    return []


def good(facts: dict[str, Any]) -> Any:
    if "enum" in facts:
        return [facts["enum"][0]] if facts["type"].startswith("list") else facts["enum"][0]
    if isinstance(facts.get("range"), list):
        return facts["range"][0]
    return [facts["items"][0]] if "items" in facts else GOOD[facts["type"]]


def good_at(path: str) -> Any:
    special = {"llm.greeting_audio_url": "https://cdn.example.com/hello.mp3"}
    return special.get(path) or good(KEYS[path])


@pytest.mark.parametrize("path", KEYS)
def test_every_documented_key_is_known_and_takes_its_type(path: str) -> None:
    assert errors(whole(path, good_at(path))) == []


@pytest.mark.parametrize(("path", "value"), [(p, v) for p, facts in KEYS.items() for v in BAD[facts["type"]]])
def test_no_value_is_bent_into_another_type(path: str, value: Any) -> None:
    found = errors(whole(path, value))
    assert found
    where = tuple(path.split("."))
    slot = (
        where[:1] if path.endswith(".vendor") else where
    )  # a vendor of a wrong type leaves the slot unknown
    assert all(at[: len(slot)] == slot for _, at in found)


@pytest.mark.parametrize(("path", "word"), [(p, w) for p, f in KEYS.items() for w in f.get("enum", [])])
def test_every_documented_word_is_taken(path: str, word: Any) -> None:
    assert errors(whole(path, [word] if KEYS[path]["type"].startswith("list") else word)) == []


@pytest.mark.parametrize("path", [p for p, f in KEYS.items() if "enum" in f and f["type"] == "str"])
def test_no_other_word_is_taken(path: str) -> None:
    kind = {"union_tag_invalid"} if path.endswith(".vendor") else {"literal_error"}
    assert {each for each, _ in errors(whole(path, "no_such_word"))} == kind


@pytest.mark.parametrize("path", [p for p, f in KEYS.items() if "range" in f])
def test_ranges_hold_at_both_ends(path: str) -> None:
    limits = KEYS[path]["range"]
    if isinstance(limits, dict):
        low, high = limits["open"]
        inside, outside = [low + 1e-6, high - 1e-6], [low, high, low - 1, high + 1]
    else:
        low, high = limits
        inside = [low, high, *KEYS[path].get("also", [])]
        outside = [x for x in (low - 1, high + 1) if x not in inside]
    assert [x for x in inside if errors(whole(path, x))] == []
    assert [x for x in outside if not errors(whole(path, x))] == []


@given(ms=st.integers())
def test_the_longest_wait_has_a_range_and_one_word_for_no_end(ms: int) -> None:
    path = "turn_detection.config.end_of_speech.semantic_config.max_wait_ms"
    assert (errors(whole(path, ms)) == []) == (ms == -1 or 500 <= ms <= 10000)


@pytest.mark.parametrize("path", [p for p, f in KEYS.items() if "most" in f])
def test_lists_end_where_the_reference_says(path: str) -> None:
    most = KEYS[path]["most"]
    assert errors(whole(path, ["a"] * most)) == []
    assert [kind for kind, _ in errors(whole(path, ["a"] * (most + 1)))] == ["too_long"]


@pytest.mark.parametrize(("path", "items"), [(p, f["items"]) for p, f in KEYS.items() if "items" in f])
def test_modalities_are_words_of_a_list(path: str, items: list[str]) -> None:
    assert errors(whole(path, items)) == []
    assert [kind for kind, _ in errors(whole(path, [*items, "smell"]))] == ["literal_error"]
    assert [kind for kind, _ in errors(whole(path, []))] == ["too_short"]


@pytest.mark.parametrize(
    ("tree", "missing"),
    [
        ({"geofence": {}}, "geofence.area"),
        (
            {"turn_detection": {"config": {"start_of_speech": {}}}},
            "turn_detection.config.start_of_speech.mode",
        ),
        ({"filler_words": {"content": {"static_config": {}}}}, "filler_words.content.static_config.phrases"),
        (
            {
                "filler_words": {
                    "content": {"generated_config": {"llm_provider": {"url": "https://x.example"}}}
                }
            },
            "filler_words.content.generated_config.llm_provider.api_key",
        ),
        ({"llm": {"mcp_servers": [{"name": "crm"}]}}, "llm.mcp_servers.0.endpoint"),
        ({"mllm": {"mcp_servers": [{"endpoint": "https://x.example"}]}}, "mllm.mcp_servers.0.name"),
        ({"tts": {"vendor": "cartesia", "params": {"voice": {}}}}, "tts.params.voice.id"),
        (
            {"tts": {"vendor": "google", "params": {"VoiceSelectionParams": {}}}},
            "tts.params.VoiceSelectionParams.name",
        ),
    ],
)
def test_what_must_be_inside_is_missed_at_its_place(tree: dict[str, Any], missing: str) -> None:
    assert [(kind, ".".join(map(str, at))) for kind, at in errors(tree)] == [("missing", missing)]


@pytest.mark.parametrize(
    "path", sorted({p.rsplit(".", 1)[0] for p in KEYS if "." in p} - {"llm.template_variables"})
)
def test_a_key_nobody_knows_is_reported_where_it_stands(path: str) -> None:
    at = f"{path}.no_such_key"
    assert errors(whole(at, 1)) == [("extra_forbidden", tuple(at.split(".")))]


def test_channel_and_token_are_the_tools_own() -> None:
    assert {kind for kind, _ in errors({"channel": "c", "token": "t"})} == {"extra_forbidden"}


def test_an_empty_tree_is_fine_and_anything_else_is_not() -> None:
    assert errors({}) == []
    wrong: list[Any] = [None, [], "x", 5]
    assert [errors(each) for each in wrong] == [[("dict_type", ())]] * 4


@pytest.mark.parametrize("slot", ["asr", "llm", "tts", "mllm", "avatar"])
@pytest.mark.parametrize("value", [None, [], "openai", 5, True])
def test_a_slot_is_a_mapping(slot: str, value: Any) -> None:
    assert errors({slot: value}) == [("dict_type", (slot,))]


@pytest.mark.parametrize("slot", ["asr", "llm", "tts", "mllm", "avatar"])
def test_unknown_vendors_and_vendors_that_are_no_text_differ(slot: str) -> None:
    assert errors({slot: {"vendor": "nobody", "params": {"x": 1}}}) == [("union_tag_invalid", (slot,))]
    assert errors({slot: {"vendor": 5}}) == [("union_tag_not_found", (slot,))]


@pytest.mark.parametrize("vendor", ["gemini", "anthropic", "style openai", "style gemini", ""])
def test_a_style_is_no_vendor_of_a_language_model(vendor: str) -> None:
    kinds = [kind for kind, _ in errors({"llm": {"vendor": vendor, "style": "gemini"}})]
    assert kinds and "extra_forbidden" not in kinds


def test_a_misspelt_style_names_all_styles() -> None:
    with pytest.raises(ValidationError, match="'openai', 'gemini', 'anthropic', 'dify' or 'bedrock'"):
        check({"llm": {"style": "gemni"}})


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://cdn.example.com/hi.mp3", True),
        ("HTTP://cdn.example.com/hi.mp3", True),
        ("ref+env://GREETING_URL", True),
        ("", False),
        ("hello.mp3", False),
        ("ftp://cdn.example.com/hi.mp3", False),
        ("https://cdn.example.com/a b.mp3", False),
        ("https://e.example/" + "a" * (2048 - 18), True),
        ("https://e.example/" + "a" * (2049 - 18), False),
    ],
)
def test_a_greeting_recording_has_an_address_the_service_takes(url: str, fine: bool) -> None:
    assert (errors({"llm": {"greeting_audio_url": url}}) == []) is fine


@given(name=st.text(max_size=60))
def test_mcp_names_are_letters_and_digits(name: str) -> None:
    fine = 1 <= len(name) <= 48 and name.isascii() and name.isalnum()
    assert (errors({"llm": {"mcp_servers": [{"name": name, "endpoint": "https://x.example"}]}}) == []) is fine


@given(words=st.integers(min_value=1, max_value=120))
def test_a_filler_phrase_has_at_most_fifty_words(words: int) -> None:
    tree = {"filler_words": {"content": {"static_config": {"phrases": ["fine", "word " * words]}}}}
    assert (errors(tree) == []) is (words <= 50)


def test_a_voiceprint_is_one_and_is_not_called_unknown() -> None:
    url = "https://voices.example/anna.pcm"
    assert errors({"sal": {"sample_urls": {"anna": url}}}) == []
    assert errors({"sal": {"sample_urls": {"unknown": url}}}) == [("reserved_name", ("sal", "sample_urls"))]
    assert errors({"sal": {"sample_urls": {"anna": url, "ben": url}}}) == [
        ("too_long", ("sal", "sample_urls"))
    ]


def test_a_tool_is_checked_through_and_through() -> None:
    tool: dict[str, Any] = {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
        "execution": {"mode": "sync"},
        "server": {
            "method": "GET",
            "url": "https://w.example/{{args.city}}",
            "headers": {},
            "timeout_ms": 1000,
        },
    }
    assert errors({"llm": {"tools": [tool]}}) == errors({"mllm": {"tools": [tool]}}) == []
    for key, value, kind in [
        ("timeout_ms", 999, "greater_than_equal"),
        ("timeout_ms", 100001, "less_than_equal"),
        ("method", "PUT", "literal_error"),
        ("adress", "x", "extra_forbidden"),
    ]:
        wrong = {**tool, "server": {**tool["server"], key: value}}
        assert errors({"llm": {"tools": [tool, wrong]}}) == [(kind, ("llm", "tools", 1, "server", key))]


REFERENCES = ["ref+env://KEY", "Bearer ref+env://TOKEN+", "ref+vault://a/b?x=1#/c", ""]


@pytest.mark.parametrize("text", REFERENCES)
def test_credentials_may_be_references(text: str) -> None:
    tree = {
        "asr": {"vendor": "deepgram", "params": {"key": text}},
        "llm": {"api_key": text, "headers": {"Authorization": text}, "mcp_servers": []},
        "tts": {"vendor": "elevenlabs", "params": {"key": text, "base_url": text}},
        "rtc": {"encryption_key": text, "encryption_salt": text},
    }
    assert errors(tree) == []


FULL: dict[str, Any] = {
    "agent_rtc_uid": "1001",
    "remote_rtc_uids": ["*"],
    "idle_timeout": 120,
    "geofence": {"area": "GLOBAL", "exclude_area": "ASIA"},
    "advanced_features": {"enable_rtm": True, "enable_tools": True},
    "asr": {"vendor": "deepgram", "language": "en-US", "params": {"key": "ref+env://DG", "model": "nova-3"}},
    "tts": {
        "vendor": "elevenlabs",
        "skip_patterns": [1, 2],
        "params": {
            "base_url": "wss://api.elevenlabs.io/v1",
            "key": "ref+env://EL",
            "model_id": "eleven_flash_v2_5",
            "voice_id": "v",
            "speed": 1,
        },
    },
    "llm": {
        "url": "https://api.openai.com/v1/chat/completions",
        "api_key": "ref+env://OPENAI",
        "system_messages": [{"role": "system", "content": "You are {{name}}."}],
        "params": {"model": "gpt-4o", "temperature": 1, "max_tokens": 2048},
        "greeting_configs": {"mode": "single_first", "delay_ms": 100},
        "template_variables": {"name": "Iris"},
        "mcp_servers": [{"name": "crm", "endpoint": "https://mcp.example", "headers": {"A": "ref+env://M"}}],
    },
    "turn_detection": {
        "mode": "default",
        "config": {
            "speech_threshold": 0.5,
            "start_of_speech": {"mode": "vad", "vad_config": {"interrupt_duration_ms": 160}},
            "end_of_speech": {"mode": "semantic", "semantic_config": {"max_wait_ms": -1}},
        },
    },
    "labels": {"tier": "gold"},
    "parameters": {"silence_config": {"timeout_ms": 10000, "action": "think", "content": "Still there?"}},
}


def test_a_whole_agent_passes_and_is_not_touched() -> None:
    before = copy.deepcopy(FULL)
    check(FULL)
    assert before == FULL, "nothing is filled in"


def test_a_whole_agent_is_checked_fast() -> None:
    check(FULL)
    gc.disable()
    try:
        best = 1.0
        for _ in range(20):
            start = time.perf_counter()
            for _ in range(100):
                check(FULL)
            best = min(best, (time.perf_counter() - start) / 100)
    finally:
        gc.enable()
    assert best < 40e-6


def test_what_the_user_wrote_stays_out_of_the_message() -> None:
    with pytest.raises(ValidationError) as caught:
        check({"llm": {"api_key": ["sk-live-1234"]}})
    assert "sk-live-1234" not in str(caught.value)


SCHEMA = properties_schema()


def fields_of(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (name, key, field)
        for name, d in schema["$defs"].items()
        for key, field in d.get("properties", {}).items()
    ]


def test_the_schema_describes_every_field_in_one_line() -> None:
    wanting = [
        (name, key)
        for name, key, field in fields_of(SCHEMA)
        if not field.get("description") or "\n" in field["description"] or len(field["description"]) > 110
    ]
    assert wanting == []
    assert SCHEMA["title"] == "Properties"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_schema_and_the_check_agree() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    judge = jsonschema.Draft202012Validator(SCHEMA)
    judge.check_schema(SCHEMA)
    assert judge.is_valid(FULL)
    assert judge.is_valid(
        {"tts": {"params": {"voice": "coral"}}, "asr": {}, "mllm": {}, "avatar": {"enable": False}}
    )
    assert judge.is_valid({"llm": {"params": {"anything_new": 1}}}), "an editor lets a vendor's new key pass"
    for path, facts in KEYS.items():
        assert judge.is_valid(whole(path, good_at(path))), path
        for value in BAD[facts["type"]]:
            if value != 5.0:  # to JSON Schema that is an integer
                assert not judge.is_valid(whole(path, value)), (path, value)
