"""What Agora supplies by itself: presets, managed credentials, and the defaults of mainland China."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# The old way to managed credentials: a preset's slot and vendor.
PRESETS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "deepgram_nova_2": ("asr", "deepgram"),
        "deepgram_nova_3": ("asr", "deepgram"),
        "openai_gpt_4o_mini": ("llm", "openai"),
        "openai_gpt_4_1_mini": ("llm", "openai"),
        "openai_gpt_5_nano": ("llm", "openai"),
        "openai_gpt_5_mini": ("llm", "openai"),
        "minimax_speech_2_6_turbo": ("tts", "minimax"),
        "minimax_speech_2_8_turbo": ("tts", "minimax"),
        "openai_tts_1": ("tts", "openai"),
    }
)

# Last keys of what Agora supplies in managed mode: credential, address, model.
MANAGED_SUPPLIES: Final = frozenset(
    {
        "key",
        "api_key",
        "access_key",
        "secret_key",
        "group_id",
        "url",
        "base_url",
        "model",
        "model_id",
        "modelId",
    }
)

CN_DEFAULTS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {("asr", "vendor"): "fengming", ("asr", "language"): "zh-CN"}
)
