"""Apply an update to an agent's properties (v2 API reference: update matrix)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from reconciler.simulator.messages import ErrorReason, RefusedCall
from reconciler.simulator.switches import Switches

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
