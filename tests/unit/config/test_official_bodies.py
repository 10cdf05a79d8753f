"""What the vendor documents, and what its SDK sends, is no error: an error stands only where no source works without."""

from __future__ import annotations

import json
import typing
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml

from reconciler.config import load
from reconciler.diagnostics import Problem
from reconciler.errors import InvalidConfig

from .conftest import Write

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    SDK = pytest.importorskip("agora_agent.agentkit.vendors")
    PRESETS = pytest.importorskip("agora_agent.agentkit.presets")

BODIES = yaml.safe_load(
    (Path(__file__).parents[1] / "contract/data/official_bodies.yaml").read_text(encoding="utf-8")
)
CHINA = (
    "Aliyun",
    "Bytedance",
    "CosyVoice",
    "DeepSeek",
    "Fengming",
    "SenseTime",
    "Spatius",
    "Stepfun",
    "StepFun",
)
CHINA += ("Tencent", "Xfyun", "QwenOmni")


# A complete agent, whose parts give way as a whole to those of a body.
BASE: Mapping[str, Any] = {
    "remote_rtc_uids": ["*"],
    "llm": {
        "url": "https://api.openai.com/v1/chat/completions",
        "api_key": "ref+env://LLM_KEY",
        "params": {"model": "gpt-4o-mini"},
    },
    "tts": {
        "vendor": "microsoft",
        "params": {"key": "ref+env://TTS_KEY", "region": "eastus", "voice_name": "en-US-AvaNeural"},
    },
}


def found(write: Write, tree: Mapping[str, Any], area: str = "US") -> tuple[Problem, ...]:
    """All that a load says about an agent with this body over a complete one."""
    properties = BASE | tree["properties"]
    agent = {
        **tree,
        "name": "a",
        "lifecycle": {"rotate_after": "15h"},  # ours to say, wherever there is an avatar
        "properties": {key: value for key, value in properties.items() if value is not None},
    }
    directory = write(
        f"fleet: test\nservice: {{kind: agora, area: {area}}}\n"
        f"channels: [{{channel: c, agents: [{json.dumps(agent, default=lambda model: model.model_dump(exclude_none=True))}]}}]\n",
        plain=True,
    )
    try:
        return load(directory).warnings
    except InvalidConfig as error:
        return error.diagnostics


@pytest.mark.parametrize("body", BODIES, ids=[each["from"] for each in BODIES])
def test_a_documented_body_has_no_error(write: Write, body: Mapping[str, Any]) -> None:
    tree = {key: value for key, value in body.items() if key != "from"}
    assert [each for each in found(write, tree) if each.is_error] == []


# --- the SDK's own builders ---------------------------------------------------------------------------------


def builders() -> Iterator[tuple[str, type]]:
    """The SDK's vendor classes by slot, each once."""
    bases = {"asr": SDK.BaseSTT, "llm": SDK.BaseLLM, "tts": SDK.BaseTTS, "mllm": SDK.BaseMLLM}
    bases["avatar"] = SDK.BaseAvatar
    modules = [SDK, __import__("agora_agent.agentkit.vendors.cn", fromlist=["cn"])]
    classes = {each for module in modules for each in vars(module).values() if isinstance(each, type)}
    for built in sorted(classes, key=lambda each: (each.__module__, each.__name__)):
        slot = next((name for name, base in bases.items() if issubclass(built, base)), None)
        if slot is not None and hasattr(built, "model_fields") and not built.__name__.startswith("Base"):
            yield slot, built


# What the validators of a builder want beyond its required fields.
ALSO = {
    **dict.fromkeys(("OpenAI", "AliyunLLM", "BytedanceLLM", "DeepSeekLLM", "TencentLLM"), ("base_url",)),
    "OpenAITTS": ("base_url", "model"),
    "MiniMaxTTS": ("group_id", "voice_id"),
    "RimeTTS": ("key", "speaker", "model_id"),
}


def value_for(name: str, annotation: Any) -> Any:
    """A plausible argument; credentials are references."""
    if get_origin(annotation) is typing.Union:
        annotation = next(each for each in get_args(annotation) if each is not type(None))
    if get_origin(annotation) is typing.Literal:
        return get_args(annotation)[0]
    if get_origin(annotation) is list:
        return []
    if get_origin(annotation) is dict:
        return {}
    if not isinstance(annotation, type) or hasattr(annotation, "model_fields"):
        return None
    if annotation is int:
        return 1
    if annotation is float:
        return 0.5
    if annotation is bool:
        return True
    words = {"url": "https://v.example.com/v1", "quality": "high", "agora_uid": "9", "region": "us-east-1"}
    words |= {"location": "us-central1", "deployment_name": "d", "resource_name": "r"}
    if name.endswith(("url", "endpoint")):
        return words["url"]
    if any(part in name for part in ("key", "secret", "token", "credential")):
        return "ref+env://K"
    return words.get(name, "x")


BUILDERS = list(builders())
SCALARS = (str | None, int | None, float | None, typing.Optional[str], typing.Optional[int])  # noqa: UP045


@pytest.mark.parametrize(
    ("slot", "built"),
    BUILDERS,
    ids=[f"{built.__module__.split('.')[-1]}-{built.__name__}" for _, built in BUILDERS],
)
@pytest.mark.filterwarnings("ignore")
def test_the_least_that_the_sdk_builds_has_no_error(write: Write, slot: str, built: Any) -> None:
    # The builders of mainland China leave everything open and hand it on; their types demand it.
    leaves_open = built.__module__.endswith("cn") and slot in ("asr", "tts")
    given = {
        name: value_for(name, field.annotation)
        for name, field in built.model_fields.items()
        if field.is_required() or (leaves_open and name != "vendor" and field.annotation in SCALARS)
    }
    for name in ("api_key", "key"):  # a builder without a key takes Agora's, by a preset
        if name in built.model_fields and slot in ("asr", "llm", "tts"):
            given.setdefault(name, "ref+env://K")
    given |= {
        name: value_for(name, str) for name in ALSO.get(built.__name__, ()) if name in built.model_fields
    }
    if built.__name__ == "OpenAISTT":
        given["prompt"] = given["language"] = "x"
    if built.__name__ == "AzureOpenAIRealtime":
        given["turn_detection"] = {"mode": "server_vad"}
    made = built(**{name: value for name, value in given.items() if value is not None})
    properties: dict[str, Any] = {slot: made.to_config(), "remote_rtc_uids": ["7"]}
    if slot == "mllm":
        properties |= {"llm": None, "tts": None}
        properties["mllm"].setdefault("enable", True)
    china = built.__module__.endswith("cn") or built.__name__.startswith(CHINA)
    errors = [
        each for each in found(write, {"properties": properties}, "CN" if china else "US") if each.is_error
    ]
    assert errors == []


def test_the_sdk_has_builders_at_all() -> None:
    assert len(BUILDERS) > 45


# --- where sources disagree -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ({"tts": {"vendor": "elevenlabs", "params": {"key": "ref+env://K", "model_id": "m", "voice_id": "v"}}},
         ["tts.params.base_url"]),
        ({"asr": {"vendor": "deepgram", "params": {"api_key": "ref+env://K"}}}, ["asr.params.key"]),
        ({"tts": {"vendor": "minimax", "params": {"key": "ref+env://K", "model": "m", "voice_setting": {"voice_id": "v"}}}},
         ["tts.params.group_id", "tts.params.url"]),
        ({"tts": {"vendor": "openai", "params": {"api_key": "ref+env://K", "voice": "v"}}},
         ["tts.params.base_url", "tts.params.model"]),
    ],
)  # fmt: skip
def test_where_sources_disagree_one_warning_says_so(write: Write, part: Any, names: list[str]) -> None:
    problems = found(write, {"properties": part})
    [said] = [each for each in problems if each.rule == "disputed-params"]
    assert not said.is_error
    assert all(name in said.summary for name in names)
    assert "disagree" in (said.why or "")
    assert [each for each in problems if each.is_error] == []


def test_what_every_source_demands_is_still_an_error(write: Write) -> None:
    part = {"tts": {"vendor": "elevenlabs", "params": {"model_id": "m", "voice_id": "v"}}}
    assert [each.rule for each in found(write, {"properties": part}) if each.is_error] == ["missing-params"]


# --- managed credentials ------------------------------------------------------------------------------------

MANAGED = [
    ({"asr": {"credential_mode": "managed"}}, "managed-credentials", "ares"),
    ({"asr": {"credential_mode": "managed", "vendor": "microsoft", "params": {"region": "eastus", "language": "en"}}},
     "managed-credentials", "deepgram"),
    ({"tts": {"credential_mode": "managed", "vendor": "deepgram", "params": {"model": "m"}}}, "managed-credentials", "minimax"),
    ({"llm": {"credential_mode": "managed", "vendor": "azure", "url": "https://a.example.com", "params": {"model": "gpt-4o-mini"}}},
     "managed-credentials", "openai"),
    ({"llm": {"credential_mode": "managed", "vendor": "openai", "url": "https://api.openai.com/v1/chat/completions",
              "params": {"model": "gpt-4o"}}}, "managed-credentials", "gpt-4o-mini"),
    ({"asr": {"credential_mode": "managed", "vendor": "deepgram", "params": {"model": "nova-3"}}},
     "managed-credentials", "wss://api.deepgram.com/v1/listen"),
    ({"tts": {"credential_mode": "managed", "vendor": "minimax", "params": {"model": "speech_2_6_turbo", "voice_setting": {"voice_id": "v"},
              "url": "wss://api.minimax.io/ws/v1/t2a_v2"}}}, "managed-credentials", "speech-2.6-turbo"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "rule", "cure"), MANAGED)
def test_managed_credentials_outside_their_table_are_an_error_with_the_cure(
    write: Write, part: Any, rule: str, cure: str
) -> None:
    [said] = [each for each in found(write, {"properties": part}) if each.is_error]
    assert said.rule == rule
    assert cure in f"{said.summary} {said.help}"


def test_in_mainland_china_managed_credentials_are_others(write: Write) -> None:
    part = {"llm": {"credential_mode": "managed", "vendor": "aliyun", "params": {"model": "qwen"}}}
    assert [each for each in found(write, {"properties": part}, "CN") if each.is_error] == []
