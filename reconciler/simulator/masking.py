"""What of an agent's properties may be shown or kept on a disk: everything but what may be a credential.

Vendors name their keys as they like (v2 API reference: join, secrets), so a text stays only under a name that is
known to hold no secret, and an address loses its query and user. Numbers, truth values and shapes always
stay.
"""

from __future__ import annotations

import re
from typing import Any

MASK = "***"

_PLAIN = frozenset(
    (
        *("action", "agent_rtc_uid", "area", "audio_scenario", "backend", "channel", "content"),
        *("credential_mode", "data_channel", "engine", "exclude_area", "failure_message", "greeting_message"),
        *("input_modalities", "labels", "language", "language_code", "mode", "model", "modelId", "model_id"),
        *("name", "output_modalities", "phrases", "pipeline_id", "preset", "priority", "provider", "region"),
        *("region_name", "remote_rtc_uids", "role", "sal_mode", "selection_rule", "speaker", "strategy"),
        *("style", "target_language_code", "template_variables", "text", "transport", "trigger_keywords"),
        *("type", "uninterruptible_asr_policy", "vendor", "voice", "voice_id", "voice_name"),
    )
)
_ADDRESSES = frozenset({"url", "base_url", "endpoint", "greeting_audio_url"})
_MAPS = frozenset({"headers", "labels", "template_variables"})  # whose keys are the user's own words

_QUERY_OR_USER = re.compile(r"(?<=://)[^/?#@]*@|[?#].*", re.DOTALL)


def masked(value: Any, key: str = "") -> Any:
    """A copy of `value` with what may be a credential replaced by `***`; an empty text stays empty."""
    kind = type(value)
    if kind is str:
        if not value or key in _PLAIN:
            return value
        return _QUERY_OR_USER.sub("", value) if key in _ADDRESSES else MASK
    if kind is dict:
        return {name: masked(item, key if key in _MAPS else name) for name, item in value.items()}
    if kind is list:
        return [masked(item, key) for item in value]
    return value
