"""Each vendor takes what its page asks for, misses what is not given, and is known where it is offered."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from reconciler.contract.agora.managed import PRESETS
from reconciler.contract.agora.properties import SLOTS
from reconciler.contract.check import check, known_keys, user_path
from reconciler.contract.offers import NEEDS, VENDORS, missing_params, preset_slots, vendor_of

FACTS: dict[str, dict[str, dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "data" / "vendor_facts.json").read_text(encoding="utf-8")
)
FACTS = {slot: FACTS[slot] for slot in SLOTS}  # without the line about itself
ALL = [(slot, name) for slot in SLOTS for name in FACTS[slot]]


def minimum(slot: str, name: str) -> dict[str, Any]:
    return {slot: copy.deepcopy(FACTS[slot][name]["minimum"])}


def without(tree: Any, dotted: str) -> Any:
    head, _, rest = dotted.partition(".")
    if not rest:
        return {key: value for key, value in tree.items() if key != head}
    return {key: without(value, rest) if key == head else value for key, value in tree.items()}


def errors(tree: Any) -> list[tuple[str, tuple[int | str, ...]]]:
    try:
        check(tree)
    except ValidationError as error:
        return [(each["type"], user_path(each["loc"])) for each in error.errors()]
    return []


def test_the_tables_and_the_facts_name_the_same_vendors() -> None:
    assert {slot: set(rows) for slot, rows in VENDORS.items()} == {
        slot: set(rows) for slot, rows in FACTS.items()
    }


@pytest.mark.parametrize("slot", ["asr", "tts", "mllm", "avatar"])
def test_a_slot_has_a_variant_for_each_of_its_vendors(slot: str) -> None:
    assert set(SLOTS[slot].kind.variants) - {""} == set(VENDORS[slot])


def test_the_vendors_of_a_language_model_are_those_of_its_table() -> None:
    for variant in SLOTS["llm"].kind.variants.values():
        assert variant.fields["vendor"].limits["expected"] == list(VENDORS["llm"])
    styles = {"openai", *SLOTS["llm"].styles}
    assert set(SLOTS["llm"].kind.variants) == {f"style {style}" for style in styles}
    assert set(SLOTS["llm"].kind.variants["style openai"].fields["style"].limits["expected"]) == styles


@pytest.mark.parametrize(
    ("slot", "name", "way"),
    [
        (slot, row.name, way)
        for slot in SLOTS
        for row in SLOTS[slot].rows.values()
        for need in row.needs
        for way in need
    ],
)
def test_whatever_a_row_asks_for_is_a_field_of_it(slot: str, name: str, way: tuple[str, ...]) -> None:
    tag = name if slot != "llm" else f"style {name if name in SLOTS[slot].styles else 'openai'}"
    assert way[-1] in known_keys((slot, tag, *way))


@pytest.mark.parametrize(("slot", "name"), ALL)
def test_the_least_a_vendor_asks_for_is_enough(slot: str, name: str) -> None:
    tree = minimum(slot, name)
    assert errors(tree) == []
    assert missing_params(slot, tree) == []
    assert vendor_of(slot, tree) == name


@pytest.mark.parametrize(
    ("slot", "name", "path"), [(s, n, p) for s, n in ALL for p in FACTS[s][n]["required"]]
)
def test_each_thing_a_vendor_asks_for_is_missed(slot: str, name: str, path: str) -> None:
    tree = {slot: without(FACTS[slot][name]["minimum"], path)}
    assert missing_params(slot, tree) == [(slot, *path.split("."))]
    assert errors(tree) == [], "the shape leaves it to the table"
    assert missing_params(slot, tree, pipeline_id="p1") == []


@pytest.mark.parametrize(("slot", "name"), [(s, n) for s, n in ALL if s != "llm"])
def test_with_nothing_given_everything_is_missed_in_order(slot: str, name: str) -> None:
    tree = {slot: {"vendor": name, "enable": True} if slot in ("avatar", "mllm") else {"vendor": name}}
    asked = {(slot, *need[0]) for need in NEEDS[slot][name]}
    assert set(missing_params(slot, tree)) == asked
    assert {".".join(path[1:]) for path in map(tuple, asked)} == set(FACTS[slot][name]["required"]) | (
        {"params"} if name == "generic_http" else set()
    )


@pytest.mark.parametrize(("slot", "name"), [(s, n) for s, n in ALL if FACTS[s][n]["minimum"].get("params")])
def test_a_misspelt_param_is_reported_where_it_stands(slot: str, name: str) -> None:
    tree = minimum(slot, name)
    key, value = next(iter(tree[slot]["params"].items()))
    tree[slot]["params"][f"{key}x"] = value
    assert errors(tree) == [("extra_forbidden", (slot, "params", f"{key}x"))]


@pytest.mark.parametrize(("slot", "name"), [(s, n) for s, n in ALL if FACTS[s][n]["minimum"].get("params")])
def test_params_are_typed(slot: str, name: str) -> None:
    for key in FACTS[slot][name]["minimum"]["params"]:
        tree = minimum(slot, name)
        tree[slot]["params"][key] = None
        assert [at for _, at in errors(tree)] == [(slot, "params", key)]


@pytest.mark.parametrize(
    ("slot", "part", "left"),
    [
        ("asr", {"vendor": "deepgram", "params": {"language": "en"}}, []),
        ("tts", {"vendor": "minimax", "params": {"voice_setting": {"voice_id": "v"}}}, []),
        ("tts", {"vendor": "minimax", "params": {}}, [("tts", "params", "voice_setting", "voice_id")]),
        ("tts", {"vendor": "openai", "params": {}}, [("tts", "params", "voice")]),
        ("llm", {"params": {}}, []),
    ],
)
def test_managed_credentials_need_no_key_address_or_model(slot: str, part: Any, left: list[Any]) -> None:
    assert missing_params(slot, {slot: {**part, "credential_mode": "managed"}}) == left
    assert len(missing_params(slot, {slot: {**part, "credential_mode": "byok"}})) > len(left)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_supplies_its_own_slot_only(preset: str) -> None:
    slot, name = PRESETS[preset]
    assert name in VENDORS[slot]
    assert preset_slots(f" {preset} ,") == {slot}
    tree = {
        "asr": {"vendor": "deepgram"},
        "llm": {},
        "tts": {"vendor": "openai", "params": {"voice": "coral"}},
    }
    missed = {each for each in ("asr", "llm", "tts") if missing_params(each, tree, preset)}
    assert missed == {"asr", "llm", "tts"} - {slot}


def test_a_preset_supplies_the_vendor_of_a_voice_too() -> None:
    tree = {"tts": {"params": {"voice": "coral"}}}
    assert errors(tree) == []
    assert missing_params("tts", tree) == [("tts", "vendor")]
    assert missing_params("tts", tree, "openai_tts_1") == []
    assert missing_params("tts", tree, "brand_new_preset") == [], "a preset we do not know may cover any slot"


@pytest.mark.parametrize(
    ("slot", "part"),
    [
        ("avatar", {"enable": False, "vendor": "akool"}),
        ("avatar", {"vendor": "akool"}),
        ("avatar", {}),
        ("mllm", {"enable": False, "vendor": "openai"}),
        ("tts", {"vendor": "nobody"}),
    ],
)
def test_nothing_is_missed_in_what_is_off_or_unknown(slot: str, part: Any) -> None:
    assert missing_params(slot, {slot: part}) == []
    assert missing_params(slot, {}) == []


def test_a_multimodal_model_replaces_the_three() -> None:
    tree = {
        "mllm": {"enable": True, "api_key": "x"},
        "tts": {"vendor": "murf"},
        "llm": {},
        "asr": {"vendor": "xai"},
    }
    assert [missing_params(slot, tree) for slot in SLOTS] == [[]] * 5


@pytest.mark.parametrize(
    ("slot", "part"),
    [
        ("asr", {"vendor": "speechmatics", "params": {"api_key": "x", "language": "en"}}),
        ("asr", {"vendor": "microsoft", "language": "en-US", "params": {"key": "x", "region": "eastus"}}),
        (
            "asr",
            {"vendor": "assemblyai", "params": {"api_key": "x", "language": "en", "uri": "wss://a.example"}},
        ),
        (
            "tts",
            {
                "vendor": "minimax",
                "params": {"key": "x", "model": "m", "timber_weights": [{"voice_id": "v"}]},
            },
        ),
        ("llm", {"style": "bedrock", "url": "https://b.example", "api_key": "x"}),
        ("llm", {"style": "bedrock", "url": "https://b.example", "access_key": "x", "secret_key": "y"}),
        ("llm", {"style": "anthropic", "url": "https://c.example", "headers": '{"anthropic-version":"1"}'}),
        (
            "mllm",
            {
                "vendor": "vertexai",
                "params": {
                    "model": "m",
                    "adc_credentials_string": "x",
                    "project_id": "p",
                    "location": "us-central1",
                },
            },
        ),
    ],
)
def test_other_ways_to_give_the_same_thing(slot: str, part: Any) -> None:
    assert errors({slot: part}) == []
    assert missing_params(slot, {slot: part}) == []


def test_half_a_key_pair_is_not_enough() -> None:
    tree = {"llm": {"style": "bedrock", "url": "https://b.example", "access_key": "x"}}
    assert missing_params("llm", tree) == [("llm", "api_key")]


@pytest.mark.parametrize("region", ["evil.example/", "a.b", "us-east-1.evil.example#", "x y", ""])
def test_a_region_is_nothing_but_a_region(region: str) -> None:
    tree = minimum("tts", "microsoft")
    tree["tts"]["params"]["region"] = region
    assert errors(tree) == [("string_pattern_mismatch", ("tts", "params", "region"))]


def test_headers_of_a_voice_belong_to_the_generic_one() -> None:
    headers = {"Authorization": "Bearer ref+env://VOICE+"}
    assert errors({"tts": {"vendor": "generic_http", "url": "https://v.example", "headers": headers}}) == []
    assert errors({"tts": {"vendor": "murf", "headers": headers}}) == [
        ("extra_forbidden", ("tts", "headers"))
    ]


def test_regions_are_those_of_the_facts() -> None:
    for slot in SLOTS:
        where = {name: facts["where"] for name, facts in FACTS[slot].items()}
        assert {name: row.where for name, row in VENDORS[slot].items()} == where


def test_every_vendor_says_where_its_credential_goes() -> None:
    rows = [row for slot in SLOTS for row in VENDORS[slot].values()]
    assert all(row.host.startswith("vendor:") or "." in row.host for row in rows)
