"""Turns of the conversation in `properties`: when the user speaks, has finished, and may cut the agent short.

Facts: the `join` reference (engine 2.10) and SDK 2.12.0. Like `shape`, these classes only check and describe.
"""

from typing import Annotated, Literal, Required

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from reconciler.model.vendors import Checked, says


def _wait(ms: int) -> int:
    if ms != -1 and not 500 <= ms <= 10000:
        raise PydanticCustomError("max_wait_ms", "Input should be between 500 and 10000, or -1 for no end")
    return ms


Strategy = Annotated[
    Literal["append", "ignore"],
    says("Speech that may not interrupt is answered afterwards (`append`) or dropped (`ignore`)."),
]
Keywords = Annotated[list[str], says("Words that interrupt the agent, at most 128.", max_length=128)]
InterruptAfter = Annotated[
    int, says("Speech that counts as an interruption, 120 to 1200 ms; default 160.", ge=120, le=1200)
]
Padding = Annotated[int, says("Audio kept from before the speech, 0 to 5000 ms; default 800.", ge=0, le=5000)]


class StartVad(Checked, total=False):
    """Speech begins by loudness; SDK `…StartOfSpeechVadConfig`."""

    interrupt_duration_ms: InterruptAfter
    speaking_interrupt_duration_ms: Annotated[
        int, says("The same while the agent speaks, 120 to 1200 ms; default 160.", ge=120, le=1200)
    ]
    prefix_padding_ms: Padding


class StartKeywords(Checked, total=False):
    """Speech begins by a keyword; SDK `…StartOfSpeechKeywordsConfig`."""

    interrupt_duration_ms: InterruptAfter
    prefix_padding_ms: Padding
    triggered_keywords: Keywords


class StartDisabled(Checked, total=False):
    """Speech never interrupts; SDK `…StartOfSpeechDisabledConfig`."""

    strategy: Strategy


class StartOfSpeech(Checked, total=False):
    """When the user begins to speak; `join` reference."""

    mode: Required[
        Annotated[
            Literal["vad", "manual", "keywords", "disabled"],
            says("By loudness, or by the app over RTM (`manual`); the others moved to `interruption`."),
        ]
    ]
    vad_config: Annotated[StartVad, says("Settings for `vad`.")]
    keywords_config: Annotated[StartKeywords, says("Old; use interruption.keywords_config.", deprecated=True)]
    disabled_config: Annotated[StartDisabled, says("Old; use interruption.disabled_config.", deprecated=True)]


class EndVad(Checked, total=False):
    """Speech ends by silence; SDK `…EndOfSpeechVadConfig`."""

    silence_duration_ms: Annotated[
        int, says("Silence that ends the speech, 120 to 2000 ms; default 640.", ge=120, le=2000)
    ]


class EndSemantic(Checked, total=False):
    """Speech ends by meaning; SDK `…EndOfSpeechSemanticConfig`."""

    silence_duration_ms: Annotated[
        int, says("Silence before the meaning is judged, 120 to 2000 ms; default 320.", ge=120, le=2000)
    ]
    max_wait_ms: Annotated[
        int,
        AfterValidator(_wait),
        says(
            "Longest wait, 500 to 10000 ms, -1 without end; default 3000.",
            json_schema_extra={"anyOf": [{"const": -1}, {"minimum": 500, "maximum": 10000}]},
        ),
    ]
    pause_state_enabled: Annotated[bool, says("Wait when the user says `just a moment`. Default true.")]


class EndOfSpeech(Checked, total=False):
    """When the user has finished; `join` reference."""

    mode: Annotated[
        Literal["vad", "semantic", "manual"],
        says("By silence, by meaning (English and Chinese), or by the app over RTM (`manual`)."),
    ]
    vad_config: Annotated[EndVad, says("Settings for `vad`.")]
    semantic_config: Annotated[EndSemantic, says("Settings for `semantic`.")]


class TurnDetectionConfig(Checked, total=False):
    """How turns are told apart; `join` reference."""

    speech_threshold: Annotated[
        float, says("How loud speech must be, between 0 and 1; higher hears less. Default 0.5.", gt=0, lt=1)
    ]
    start_of_speech: Annotated[StartOfSpeech, says("When the user begins to speak.")]
    end_of_speech: Annotated[EndOfSpeech, says("When the user has finished.")]


class TurnDetection(Checked, total=False):
    """Turns of the conversation, and the keys that engine 2.6 replaced; `join` reference."""

    mode: Annotated[Literal["default"], says("Only `default`.")]
    config: Annotated[TurnDetectionConfig, says("How turns are told apart.")]
    type: Annotated[
        Literal["agora_vad", "server_vad", "semantic_vad"],
        says("Old; use `config`, or mllm.turn_detection.mode.", deprecated=True),
    ]
    interrupt_mode: Annotated[
        Literal["interrupt", "append", "ignore", "keyword", "keywords", "adaptive"],
        says("Old; use `interruption`.", deprecated=True),
    ]
    interrupt_duration_ms: Annotated[
        float, says("Old; use config.start_of_speech.vad_config. In ms, default 160.", deprecated=True)
    ]
    interrupt_keywords: Annotated[
        list[str],
        says("Old; use interruption.keywords_config. At most 128.", max_length=128, deprecated=True),
    ]
    prefix_padding_ms: Annotated[
        int, says("Old; use config.start_of_speech.vad_config. In ms, default 800.", deprecated=True)
    ]
    silence_duration_ms: Annotated[
        int, says("Old; use config.end_of_speech.vad_config. In ms, default 640.", deprecated=True)
    ]
    threshold: Annotated[
        float, says("Old; use config.speech_threshold. Default 0.5.", gt=0, lt=1, deprecated=True)
    ]
    create_response: Annotated[
        bool, says("Whether the end of speech asks for an answer; OpenAI Realtime only.")
    ]
    interrupt_response: Annotated[bool, says("Whether speech stops an answer; OpenAI Realtime only.")]
    eagerness: Annotated[
        Literal["auto", "low", "high"],
        says("Old; use mllm.turn_detection.semantic_vad_config. Default auto.", deprecated=True),
    ]


class InterruptionKeywords(Checked, total=False):
    """Interruption by keyword; `join` reference."""

    trigger_keywords: Keywords


class InterruptionDisabled(Checked, total=False):
    """What becomes of speech when nothing may interrupt; `join` reference."""

    strategy: Strategy


class Interruption(Checked, total=False):
    """Whether and how a user cuts the agent short; `join` reference."""

    enable: Annotated[bool, says("Whether the agent may be interrupted. Default true.")]
    mode: Annotated[
        Literal["start_of_speech", "keywords"],
        says("Any speech interrupts (`start_of_speech`, the default), or certain words."),
    ]
    keywords_config: Annotated[InterruptionKeywords, says("Settings for `keywords`.")]
    disabled_config: Annotated[InterruptionDisabled, says("Settings for when `enable` is false.")]
