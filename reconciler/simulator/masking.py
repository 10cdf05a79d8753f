"""Mask the parts of an agent's properties that may be a credential, so that the rest can be shown or stored.

A text is kept only under a key of the service that is known to hold no secret, and a URL loses its query and user.
Below `params` the keys are the vendor's (v2 API reference: join, secrets): clients may put a credential under any of
them, also that of a model or a voice, and no text there can be recognised as harmless, so all are masked. Numbers,
booleans and shapes are always kept.
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
_MAPS = frozenset({"headers", "labels", "template_variables"})  # their keys are the user's
_VENDORS = "params"  # its keys are a vendor's, at every depth

_QUERY_OR_USER = re.compile(r"(?<=://)[^/?#@]*@|[?#].*", re.DOTALL)


def masked(value: Any, key: str = "") -> Any:
    """Return a copy of `value` in which what may be a credential is `***`; an empty text stays empty."""
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
