"""Conditions between the fields of a join, which a schema cannot express.

Each function gets the body, its properties and the area, all of the right shape, and returns the first problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reconciler.simulator.contract import ContractBreach, Strictness, check_body, missing, wrong


def check_join(body: object, strictness: Strictness) -> ContractBreach | None:
    """Return the first problem of a join body: of its shape, then of the conditions; None if there is none."""
    problem = check_body("join", body, strictness)
    if problem is not None or not isinstance(body, dict):
        return problem
    for condition in _CONDITIONS:
        problem = condition(body, body["properties"], strictness.area)
        if problem is not None:
            return problem.inside("properties")
    return None


_Object = Mapping[str, Any]

_MANAGED = {
    "asr": frozenset({"deepgram"}),
    "llm": frozenset({"openai"}),
    "tts": frozenset({"minimax", "openai"}),
}
"""The vendors of managed credentials by block (v2 API reference: managed credentials)."""
_DEFAULT_VENDORS = {"asr": "ares"}


def managed_problem(properties: _Object) -> str | None:
    """Return the service's message (seen live) for a block with managed credentials that it refuses, or None."""
    for block, vendors in _MANAGED.items():
        part = properties.get(block, {})
        if part.get("credential_mode") != "managed":
            continue
        vendor = part.get("vendor", _DEFAULT_VENDORS.get(block))
        if vendor is None and block == "tts":
            return _absent("tts.vendor")
        if vendor is not None and vendor not in vendors:
            return f"vendor '{vendor}' is not available for the current SKU when credential_mode is 'managed'"
        # The credential is supplied, the URL is not; that OpenAI's is required was never seen.
        if vendor != "openai" and block != "llm" and not part.get("params", {}).get("url"):
            return _absent(f"{block}.params.url")
    return None


def _absent(where: str) -> str:
    return f"Invalid value at properties.{where}: required field is missing"


def samples_problem(properties: _Object) -> str | None:
    """Return the service's message (seen live) for speaker recognition without samples of the voice, or None."""
    sal = properties.get("sal", {})
    if sal.get("sal_mode") == "recognition" and not sal.get("sample_urls"):
        return "properties.sal.sample_urls: must not be empty when sal_mode is 'recognition'"
    return None


def uses_mllm(properties: _Object) -> bool:
    """Return whether the agent uses one multimodal model, which replaces asr, llm and tts."""
    if properties.get("mllm", {}).get("enable") is True:
        return True
    return "mllm" in properties and properties.get("advanced_features", {}).get("enable_mllm") is True


def _token_is_required(_body: _Object, properties: _Object, area: str) -> ContractBreach | None:
    # v2 API reference, contradiction 15: required by the global pages, optional without a certificate in CN
    return missing("token", "") if area != "cn" and "token" not in properties else None


def _uids_are_numeric(_body: _Object, properties: _Object, _area: str) -> ContractBreach | None:
    if properties.get("enable_string_uid") is True:
        return None
    if not _is_uid(properties["agent_rtc_uid"]):
        return wrong("must be an integer in a string unless enable_string_uid is true", "agent_rtc_uid")
    if all(uid == "*" or _is_uid(uid) for uid in properties["remote_rtc_uids"]):
        return None
    return wrong("must be integers in strings unless enable_string_uid is true", "remote_rtc_uids")


def _is_uid(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < 2**32


_PRESETS = {"llm": ("openai_gpt_",), "tts": ("minimax_", "openai_tts_")}


def _is_preset(slot: str, body: _Object) -> bool:
    names: Iterable[str] = body.get("preset", "").split(",")
    return any(name.strip().startswith(_PRESETS[slot]) for name in names)


MISSING_PARTS = frozenset(missing(slot, "properties") for slot in ("llm", "tts"))
"""The problems of a body that lacks a whole part of the pipeline."""


def _pipeline_is_complete(body: _Object, properties: _Object, _area: str) -> ContractBreach | None:
    if body.get("pipeline_id") or uses_mllm(properties):
        return None
    for slot, fields in (("llm", ("url",)), ("tts", ("vendor", "params"))):
        if _is_preset(slot, body):
            continue
        part = properties.get(slot)
        if part is None:
            return missing(slot, "")
        managed = part.get("credential_mode") == "managed"
        lacking = next((field for field in fields if field not in part), None)
        if lacking is not None and not managed:
            return missing(lacking, slot)
    return None


def _greeting_audio_has_its_text(_body: _Object, properties: _Object, _area: str) -> ContractBreach | None:
    llm = properties.get("llm", {})
    if "greeting_audio_url" in llm and not llm.get("greeting_message"):
        return wrong("greeting_audio_url needs greeting_message", "llm")
    return None


def _silence_has_its_content(_body: _Object, properties: _Object, _area: str) -> ContractBreach | None:
    silence = properties.get("parameters", {}).get("silence_config", {})
    if silence.get("timeout_ms", 0) > 0 and not silence.get("content"):
        return missing("content", "parameters.silence_config")
    return None


def _exclusion_is_global(_body: _Object, properties: _Object, _area: str) -> ContractBreach | None:
    fence = properties.get("geofence", {})
    if "exclude_area" in fence and fence["area"] != "GLOBAL":
        return wrong("exclude_area goes with area GLOBAL only", "geofence")
    return None


def _waits_are_long_enough(_body: _Object, properties: _Object, _area: str) -> ContractBreach | None:
    end = properties.get("turn_detection", {}).get("config", {}).get("end_of_speech", {})
    longest = end.get("semantic_config", {}).get("max_wait_ms", -1)
    if longest != -1 and longest < 500:
        return wrong(
            f"{longest} is out of range", "turn_detection.config.end_of_speech.semantic_config.max_wait_ms"
        )
    return None


_CONDITIONS: tuple[Callable[[_Object, _Object, str], ContractBreach | None], ...] = (
    _token_is_required,
    _uids_are_numeric,
    _pipeline_is_complete,
    _greeting_audio_has_its_text,
    _silence_has_its_content,
    _exclusion_is_global,
    _waits_are_long_enough,
)
