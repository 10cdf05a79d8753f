"""What of an agent's properties may be shown or kept on a disk: everything but what may be a credential.

A text stays only under a name of the service's own that is known to hold no secret, and an address loses its query
and user. What goes to a vendor (`params`) has the vendor's names (v2 API reference: join, secrets): clients may put
a credential under any of them, a model's or a voice's too, and none can be told from a name by its looks, so no
text stays there. Numbers, truth values and shapes always stay.
"""

from __future__ import annotations

import re
from typing import Any

MASK = "***"

_PLAIN = frozenset(
    (
        *("action", "agent_rtc_uid", "area", "audio_scenario", "backend", "channel", "content"),
        *("credential_mode", "data_channel", "engine", "exclude_area", "failure_message", "greeting_message"),
        *("input_modalities", "labels", "language", "language_code", "mode", "model", "name"),
        *("output_modalities", "phrases", "pipeline_id", "preset", "priority", "provider", "region"),
        *("remote_rtc_uids", "role", "sal_mode", "selection_rule", "strategy", "style"),
        *("template_variables", "text", "transport", "trigger_keywords", "type"),
        *("uninterruptible_asr_policy", "vendor"),
    )
)
_ADDRESSES = frozenset({"url", "base_url", "endpoint", "greeting_audio_url"})
_MAPS = frozenset({"headers", "labels", "template_variables"})  # whose keys are the user's own words
_VENDORS = "params"  # whose keys are a vendor's words, however deep

_QUERY_OR_USER = re.compile(r"(?<=://)[^/?#@]*@|[?#].*", re.DOTALL)


def masked(value: Any, key: str = "") -> Any:
    """A copy of `value` with what may be a credential replaced by `***`; an empty text stays empty."""
    kind = type(value)
    if kind is str:
        if not value or key in _PLAIN:
            return value
        return _QUERY_OR_USER.sub("", value) if key in _ADDRESSES else MASK
    if kind is dict:
        keep = key in _MAPS or key == _VENDORS
        return {name: masked(item, key if keep else name) for name, item in value.items()}
    if kind is list:
        return [masked(item, key) for item in value]
    return value
