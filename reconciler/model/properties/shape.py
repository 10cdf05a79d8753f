"""The shape of `properties`: every key that the service's `join` documents, its type, range and words.

Facts: the `join` reference of the v2 API (engine 2.10) and SDK 2.12.0; where the two differ, what either
takes is taken. `channel` and `token` are not here: the tool writes them. The classes check and describe;
they fill in nothing and know no rule that spans two keys (those are `config.rules`).
"""

from typing import Annotated, Any, Literal, Required

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from reconciler.model.properties.turns import Interruption, TurnDetection
from reconciler.model.vendors import Checked, says
from reconciler.model.vendors.asr import Asr
from reconciler.model.vendors.avatar import Avatar
from reconciler.model.vendors.llm import Llm
from reconciler.model.vendors.mllm import Mllm
from reconciler.model.vendors.tts import Tts


def _voiceprints(urls: dict[str, str]) -> dict[str, str]:
    if "unknown" in urls:
        raise PydanticCustomError("reserved_name", "The name 'unknown' is the service's own")
    return urls


def _phrases(phrases: list[str]) -> list[str]:
    for number, phrase in enumerate(phrases, start=1):
        if len(phrase.split()) > 50:
            raise PydanticCustomError(
                "phrase_too_long",
                "Phrase {number} should have at most 50 words",
                {"number": number},
            )
    return phrases


class Geofence(Checked, total=False):
    """Where the engine may run; `join` reference."""

    area: Required[
        Annotated[
            Literal["GLOBAL", "NORTH_AMERICA", "EUROPE", "ASIA", "INDIA", "JAPAN"],
            says("The only area whose servers may be used; there is no failover out of it."),
        ]
    ]
    exclude_area: Annotated[
        Literal["NORTH_AMERICA", "EUROPE", "ASIA", "INDIA", "JAPAN"],
        says("An area not to be used; only with area GLOBAL."),
    ]


class AdvancedFeatures(Checked, total=False):
    """Switches of the engine; `join` reference."""

    enable_mllm: Annotated[bool, says("Old switch; use mllm.enable. Default false.", deprecated=True)]
    enable_rtm: Annotated[bool, says("Use signaling; the token must allow RTM. Default false.")]
    enable_sal: Annotated[bool, says("Lock on to one speaker, see `sal`. Default false.")]
    enable_tools: Annotated[bool, says("Let the model call MCP servers and REST tools. Default false.")]


class Sal(Checked, total=False):
    """Attention to one speaker; `join` reference, beta."""

    sal_mode: Annotated[
        Literal["locking", "recognition"],
        says("Follow one speaker (`locking`, the default), or tell the model who speaks."),
    ]
    sample_urls: Annotated[
        dict[str, str],
        AfterValidator(_voiceprints),
        says("One voice by name, to a .pcm of 10 to 15 s, 16 kHz, 16 bit, mono, at most 2 MB.", max_length=1),
    ]


class Rtc(Checked, total=False):
    """Encryption of the media; `join` reference."""

    encryption_key: Annotated[str, says("Key; write a reference, not the value. Empty: no encryption.")]
    encryption_salt: Annotated[str, says("Base64 of 32 bytes, for modes 7 and 8; write a reference.")]
    encryption_mode: Annotated[
        int, says("1 to 8; the reference advises 7 (AES-128-GCM2) or 8 (AES-256-GCM2).", ge=1, le=8)
    ]


class FixedTime(Checked, total=False):
    """Fill after a fixed time; `join` reference."""

    response_wait_ms: Annotated[
        int, says("Wait for the model before filling, 100 to 10000 ms; default 1500.", ge=100, le=10000)
    ]


class FillerTrigger(Checked, total=False):
    """When a filler word is spoken; `join` reference."""

    mode: Annotated[Literal["fixed_time"], says("Only `fixed_time`.")]
    fixed_time_config: Annotated[FixedTime, says("Settings for `fixed_time`.")]


class StaticFillers(Checked, total=False):
    """Filler words from a list; `join` reference."""

    phrases: Required[
        Annotated[
            list[str],
            AfterValidator(_phrases),
            says("At most 100 phrases of at most 50 words.", max_length=100),
        ]
    ]
    selection_rule: Annotated[
        Literal["shuffle", "round_robin"],
        says("In random order without repeats, or in the order of the list."),
    ]


class FillerProvider(Checked, total=False):
    """The model that makes up filler words; SDK `…GeneratedConfigLlmProvider`."""

    url: Required[Annotated[str, says("Address, with OpenAI's protocol.")]]
    api_key: Required[Annotated[str, says("Key for the model; write a reference, not the value.")]]
    params: Annotated[dict[str, Any], says("More of the request's body, such as `model`.")]


class GeneratedFillers(Checked, total=False):
    """Filler words made up by a model; SDK `…ContentGeneratedConfig`."""

    llm_provider: Annotated[FillerProvider, says("The model that makes them up.")]
    prompt: Annotated[str, says("Prompt for that model.")]
    fallback_strategy: Annotated[Literal["static"], says("What to do when nothing comes: only `static`.")]
    context_message_limit: Annotated[int, says("Most messages it sees.", ge=0)]
    history_character_limit: Annotated[int, says("Most characters of history it sees.", ge=0)]


class FillerContent(Checked, total=False):
    """Which filler words are spoken; `join` reference, `generated` from SDK 2.12.0."""

    mode: Annotated[Literal["static", "generated"], says("From a list, or made up by a model.")]
    static_config: Annotated[StaticFillers, says("Settings for `static`.")]
    generated_config: Annotated[GeneratedFillers, says("Settings for `generated`.")]


class FillerWords(Checked, total=False):
    """Words that bridge the wait for the model; `join` reference."""

    enable: Annotated[bool, says("Whether filler words are spoken. Default false.")]
    trigger: Annotated[FillerTrigger, says("When.")]
    content: Annotated[FillerContent, says("Which.")]


class SilenceConfig(Checked, total=False):
    """What happens when nobody speaks; `join` reference."""

    timeout_ms: Annotated[int, says("Quiet to wait for, 0 to 60000 ms; default 0, never.", ge=0, le=60000)]
    action: Annotated[
        Literal["speak", "think"], says("Speak the content (the default), or give it to the model.")
    ]
    content: Annotated[str, says("The words; needed with a timeout. May use {{variables}}.")]


class FarewellConfig(Checked, total=False):
    """How an agent leaves; `join` reference."""

    graceful_enabled: Annotated[bool, says("Finish speaking before leaving. Default false.")]
    graceful_timeout_seconds: Annotated[int, says("Longest farewell, 0 to 120 s; default 30.", ge=0, le=120)]


class Parameters(Checked, total=False):
    """Settings of the session; `join` reference."""

    silence_config: Annotated[SilenceConfig, says("What happens when nobody speaks; not with mllm.")]
    farewell_config: Annotated[FarewellConfig, says("How the agent leaves.")]
    data_channel: Annotated[
        Literal["rtm", "datastream"],
        says("Way of transcripts and events; `rtm` needs enable_rtm. Default datastream."),
    ]
    enable_metrics: Annotated[bool, says("Send measurements; needs enable_rtm. Default false.")]
    enable_error_message: Annotated[bool, says("Send errors; needs enable_rtm. Default false.")]
    audio_scenario: Annotated[
        Literal["default", "chorus", "aiserver"], says("Tuning of the audio; `default` is `aiserver`.")
    ]
    opt_out: Annotated[bool, says("Keep nothing of the session at Agora. Default false.")]


class PropertiesTree(Checked, total=False):
    """What one agent is, in the service's own words; the `properties` of `join` without channel and token."""

    agent_rtc_uid: Annotated[
        str, says("The agent's user id in the channel, as text; `0` lets the service draw one.", min_length=1)
    ]
    remote_rtc_uids: Annotated[
        list[str], says("Whom the agent hears: one user id, as text, or `*` for everybody.", min_length=1)
    ]
    enable_string_uid: Annotated[bool, says("User ids may be any text, not only numbers. Default false.")]
    idle_timeout: Annotated[
        int,
        says("Wait after the last user left, 0 to 259200 s; 0 waits on. Default 30.", ge=0, le=259200),
    ]
    geofence: Annotated[Geofence, says("Where the engine may run; default near the model.")]
    advanced_features: Annotated[AdvancedFeatures, says("Switches of the engine.")]
    asr: Annotated[Asr, says("Speech recognition.")]
    tts: Annotated[Tts, says("The voice.")]
    llm: Annotated[Llm, says("The language model.")]
    mllm: Annotated[Mllm, says("A model that hears and speaks by itself, instead of asr, llm and tts.")]
    avatar: Annotated[Avatar, says("A face on video.")]
    turn_detection: Annotated[TurnDetection, says("How turns are told apart; without effect under mllm.")]
    interruption: Annotated[Interruption, says("Whether and how a user cuts the agent short.")]
    sal: Annotated[Sal, says("Attention to one speaker; needs advanced_features.enable_sal.")]
    labels: Annotated[dict[str, str], says("Your own labels; they come back in webhooks only.")]
    rtc: Annotated[Rtc, says("Encryption of the media.")]
    filler_words: Annotated[FillerWords, says("Words that bridge the wait for the model.")]
    parameters: Annotated[Parameters, says("Settings of the session.")]
