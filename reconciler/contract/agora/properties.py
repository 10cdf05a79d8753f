"""The shape of `properties`: every key that the service's `join` documents, its type, range and words.

Facts: the `join` reference of the v2 API (engine 2.10) and SDK 2.12.0; where the two differ, what either
takes is taken. `channel` and `token` are not here: the tool writes them. Rules that span two keys are not here
either, but in `config.rules`.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.contract.agora.asr import ASR
from reconciler.contract.agora.avatar import AVATAR
from reconciler.contract.agora.llm import LLM
from reconciler.contract.agora.mllm import MLLM
from reconciler.contract.agora.tts import TTS
from reconciler.contract.agora.turns import INTERRUPTION, TURN_DETECTION
from reconciler.contract.kinds import (
    Unfit,
    address,
    checked,
    explained,
    fetched,
    free,
    group,
    key,
    many,
    mapping,
    prose,
    required,
    switch,
    text,
    whole,
    words,
)
from reconciler.contract.rows import Slot

_AREAS = {
    "NORTH_AMERICA": "servers in North America",
    "EUROPE": "servers in Europe",
    "ASIA": "servers in Asia",
    "INDIA": "servers in India",
    "JAPAN": "servers in Japan",
}


def _voiceprints(urls: dict[str, str]) -> None:
    if "unknown" in urls:
        raise Unfit("reserved_name", "The name 'unknown' is the service's own")


def _phrases(phrases: list[str]) -> None:
    for number, phrase in enumerate(phrases, start=1):
        if len(phrase.split()) > 50:
            raise Unfit("phrase_too_long", f"Phrase {number} should have at most 50 words")


PROPERTIES = group(
    "What one agent is, in the words of the service's `join` (v2, engine 2.10; SDK 2.12.0).",
    {
        "agent_rtc_uid": text(
            "The agent's user id in the channel, as text; `0` lets the service draw one.", min_length=1
        ),
        "remote_rtc_uids": many(
            text(), "Whom the agent hears: one user id, as text, or `*` for everybody.", min_length=1
        ),
        "agent_rtm_uid": text(
            "The agent's user id in signaling; dropped from the reference, still widely sent."
        ),
        "enable_string_uid": switch("User ids may be any text, not only numbers. Default false."),
        "idle_timeout": whole(
            "Wait after the last user left, 0 to 259200 s; 0 waits on. Default 30.", ge=0, le=259200
        ),
        "geofence": group(
            "Where the engine may run; default near the model.",
            {
                "area": required(
                    explained(
                        "The only area whose servers may be used; there is no failover out of it.",
                        {"GLOBAL": "servers anywhere", **_AREAS},
                    )
                ),
                "exclude_area": explained("An area not to be used; only with area GLOBAL.", _AREAS),
            },
        ),
        "advanced_features": group(
            "Switches of the engine.",
            {
                "enable_mllm": switch("Old switch; use mllm.enable. Default false.", deprecated=True),
                "enable_rtm": switch("Use signaling; the token must allow RTM. Default false."),
                "enable_sal": switch("Lock on to one speaker, see `sal`. Default false."),
                "enable_tools": switch("Let the model call MCP servers and REST tools. Default false."),
            },
        ),
        "asr": ASR.kind,
        "tts": TTS.kind,
        "llm": LLM.kind,
        "mllm": MLLM.kind,
        "avatar": AVATAR.kind,
        "turn_detection": TURN_DETECTION,
        "interruption": INTERRUPTION,
        "sal": group(
            "Attention to one speaker; needs advanced_features.enable_sal.",
            {
                "sal_mode": explained(
                    "Follow one speaker (`locking`, the default), or tell the model who speaks.",
                    {"locking": "follow one speaker", "recognition": "tell the model who speaks"},
                ),
                "sample_urls": checked(
                    mapping(
                        fetched(""),
                        "One voice by name, to a .pcm of 10 to 15 s, 16 kHz, 16 bit, mono, at most 2 MB.",
                        max_length=1,
                    ),
                    _voiceprints,
                ),
            },
        ),
        "labels": mapping(prose(), "Your own labels; they come back in webhooks only."),
        "rtc": group(
            "Encryption of the media.",
            {
                "encryption_key": key("Key; write a reference, not the value. Empty: no encryption."),
                "encryption_salt": key("Base64 of 32 bytes, for modes 7 and 8; write a reference."),
                "encryption_mode": whole(
                    "1 to 8; the reference advises 7 (AES-128-GCM2) or 8 (AES-256-GCM2).", ge=1, le=8
                ),
            },
        ),
        "filler_words": group(
            "Words that bridge the wait for the model.",
            {
                "enable": switch("Whether filler words are spoken. Default false."),
                "trigger": group(
                    "When.",
                    {
                        "mode": words("Only `fixed_time`.", "fixed_time"),
                        "fixed_time_config": group(
                            "Settings for `fixed_time`.",
                            {
                                "response_wait_ms": whole(
                                    "Wait for the model before filling, 100 to 10000 ms; default 1500.",
                                    ge=100,
                                    le=10000,
                                )
                            },
                        ),
                    },
                ),
                "content": group(
                    "Which.",
                    {
                        "mode": explained(
                            "From a list, or made up by a model.",
                            {"static": "from the list of phrases", "generated": "made up by a model"},
                        ),
                        "static_config": group(
                            "Settings for `static`.",
                            {
                                "phrases": required(
                                    checked(
                                        many(
                                            prose(),
                                            "At most 100 phrases of at most 50 words.",
                                            max_length=100,
                                        ),
                                        _phrases,
                                    )
                                ),
                                "selection_rule": explained(
                                    "In random order without repeats, or in the order of the list.",
                                    {
                                        "shuffle": "in random order, without repeats",
                                        "round_robin": "in the order of the list",
                                    },
                                ),
                            },
                        ),
                        "generated_config": group(
                            "Settings for `generated`.",
                            {
                                "llm_provider": group(
                                    "The model that makes them up.",
                                    {
                                        "url": required(address("Address, with OpenAI's protocol.")),
                                        "api_key": required(
                                            key("Key for the model; write a reference, not the value.")
                                        ),
                                        "params": free("More of the request's body, such as `model`."),
                                    },
                                ),
                                "prompt": prose("Prompt for that model."),
                                "fallback_strategy": words(
                                    "What to do when nothing comes: only `static`.", "static"
                                ),
                                "context_message_limit": whole("Most messages it sees.", ge=0),
                                "history_character_limit": whole("Most characters of history it sees.", ge=0),
                            },
                        ),
                    },
                ),
            },
        ),
        "parameters": group(
            "Settings of the session.",
            {
                "silence_config": group(
                    "What happens when nobody speaks; not with mllm.",
                    {
                        "timeout_ms": whole(
                            "Quiet to wait for, 0 to 60000 ms; default 0, never.", ge=0, le=60000
                        ),
                        "action": explained(
                            "Speak the content (the default), or give it to the model.",
                            {"speak": "speak the content", "think": "give the content to the model"},
                        ),
                        "content": prose("The words; needed with a timeout. May use {{variables}}."),
                    },
                ),
                "farewell_config": group(
                    "How the agent leaves.",
                    {
                        "graceful_enabled": switch("Finish speaking before leaving. Default false."),
                        "graceful_timeout_seconds": whole(
                            "Longest farewell, 0 to 120 s; default 30.", ge=0, le=120
                        ),
                    },
                ),
                "data_channel": explained(
                    "Way of transcripts and events; `rtm` needs enable_rtm. Default datastream.",
                    {"rtm": "over RTM; needs enable_rtm", "datastream": "over the channel's data stream"},
                ),
                "enable_metrics": switch("Send measurements; needs enable_rtm. Default false."),
                "enable_error_message": switch("Send errors; needs enable_rtm. Default false."),
                "audio_scenario": explained(
                    "Tuning of the audio; `default` is `aiserver`.",
                    {
                        "default": "the same as `aiserver`",
                        "chorus": "for singing together",
                        "aiserver": "for AI agents",
                    },
                ),
                "opt_out": switch("Keep nothing of the session at Agora. Default false."),
                # In no reference, but in a quarter of the bodies that users publish.
                "transcript": free("How transcripts are sent; not documented."),
                "enable_dump": switch("Keep the audio for Agora's support; not documented."),
                "output_audio_codec": text("Codec of the agent's speech, such as `OPUSFB`; not documented."),
            },
        ),
    },
)

SLOTS: Mapping[str, Slot] = {"asr": ASR, "llm": LLM, "tts": TTS, "mllm": MLLM, "avatar": AVATAR}
