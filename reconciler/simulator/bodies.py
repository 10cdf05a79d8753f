"""What the service checks in a join body beyond the contract, and what an update changes in the properties.

Each condition between the fields of a join, which a schema cannot express, is a function of the body, its properties
and the area, all of the right shape, that returns the first problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from reconciler.simulator.contract import (
    ContractBreach,
    Strictness,
    check_body,
    missing,
    unknown_vendors,
    wrong,
)
from reconciler.simulator.messages import ErrorReason, Headers, RefusedCall
from reconciler.simulator.switches import Switches


def refuse_join(body: Any, strictness: Strictness, switches: Switches) -> None:
    """Raise `RefusedCall` for a body that the service would refuse, in the service's order of checks."""
    problem = check_join(body, strictness)
    if switches.missing_parts == "500" and problem in _MISSING_PARTS:
        detail = "core: edge failed, reason: 'NoneType' object has no attribute 'output_modalities'"
        raise RefusedCall(500, ErrorReason.INTERNAL_SERVER_ERROR, detail)
    if problem is not None:
        # the documented example of a 400 has this prefix; the texts that were seen live do not
        raise RefusedCall(400, problem.reason, f"create agent failed, code: 400, msg: {problem}")
    text = _samples_problem(body["properties"])
    if text is None and switches.managed_credentials == "checked":
        text = _managed_problem(body["properties"])
    if text is not None:
        raise RefusedCall(400, ErrorReason.INVALID_FIELD_VALUE, text)


def warnings(properties: Mapping[str, Any]) -> Headers:
    """Return the header about vendors that no page lists, for an accepted body."""
    # a client's text is quoted and cut, since it becomes part of a header
    told = [f"{slot}.vendor {ascii(vendor)[:80]}" for slot, vendor in unknown_vendors(properties)]
    text = f"not in the simulator's catalogue, taken unchecked: {', '.join(told)}"
    return (("x-simulator-warning", text),) if told else ()


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


def _managed_problem(properties: _Object) -> str | None:
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


def _samples_problem(properties: _Object) -> str | None:
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


_MISSING_PARTS = frozenset(missing(slot, "properties") for slot in ("llm", "tts"))
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


# --- updates


_WHOLE_VALUES = {"llm": ("system_messages", "params"), "mllm": ("params",)}


def fold(properties: dict[str, Any], wanted: Mapping[str, Any], area: str, switches: Switches) -> None:
    """Apply an update to `properties` (v2 API reference: update matrix): each listed field is replaced as a whole."""
    applies_all = switches.update_unknown_keys == "apply"
    for slot, value in wanted.items():
        listed = _WHOLE_VALUES.get(slot, ()) if (area, slot) != ("cn", "mllm") else ()
        if slot == "token" or (applies_all and not isinstance(value, dict)):
            properties[slot] = value
        elif isinstance(value, dict):
            kept = {key: item for key, item in value.items() if applies_all or key in listed}
            before = properties.get(slot)
            base = before if isinstance(before, dict) else {}
            if slot == "mllm" and switches.mllm_params == "merge" and isinstance(kept.get("params"), dict):
                kept["params"] = base.get("params", {}) | kept["params"]
            if kept:
                properties[slot] = base | kept


def dump(content: object) -> bytes:
    """Return `content` as JSON; raise `RefusedCall` with 400 if it is nested too deeply to be written."""
    try:
        return orjson.dumps(content)
    except TypeError:
        raise RefusedCall(400, ErrorReason.INVALID_REQUEST_BODY, "the body is nested too deeply") from None
