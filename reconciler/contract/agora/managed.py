"""The parts that Agora itself supplies: presets, managed credentials, and the defaults of mainland China."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from reconciler.values import dataclass

# Presets, an older way to managed credentials, each with its slot and vendor.
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


@dataclass(frozen=True, slots=True)
class ManagedOffer:
    """The models of one vendor that Agora pays for (v2 API reference, managed mode: a complete list), and its URL.

    `at` is the path of the URL below the slot: it is not supplied. `needs_address` if the live service refuses a body
    without it.
    """

    models: tuple[str, ...]
    at: tuple[str, ...]
    address: str
    needs_address: bool


MANAGED: Final[Mapping[tuple[str, str], ManagedOffer]] = MappingProxyType(
    {
        ("asr", "deepgram"): ManagedOffer(
            ("nova-2", "nova-3"), ("params", "url"), "wss://api.deepgram.com/v1/listen", True
        ),
        ("llm", "openai"): ManagedOffer(
            ("gpt-4o-mini", "gpt-4.1-mini", "gpt-5-nano", "gpt-5-mini"),
            ("url",),
            "https://api.openai.com/v1/chat/completions",
            False,
        ),
        ("tts", "minimax"): ManagedOffer(
            ("speech-2.6-turbo", "speech-2.8-turbo"),
            ("params", "url"),
            "wss://api.minimax.io/ws/v1/t2a_v2",
            True,
        ),
        ("tts", "openai"): ManagedOffer(
            ("tts-1",), ("params", "base_url"), "https://api.openai.com/v1", False
        ),
    }
)
# Vendors that only the SDK's builders offer in managed mode.
MANAGED_BY_SDK_ONLY: Final = frozenset({("tts", "rime")})

# Last keys of what is not required in managed mode: the credential, and what an offer decides.
MANAGED_SUPPLIES: Final = frozenset(
    [
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
        "speaker",
    ]
)
