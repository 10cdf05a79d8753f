"""Turns of the conversation in `properties`: when the user speaks, has finished, and may cut the agent short.

Facts: the `join` reference (engine 2.10) and SDK 2.12.0.
"""

from __future__ import annotations

from reconciler.contract.kinds import (
    Unfit,
    checked,
    explained,
    group,
    many,
    number,
    prose,
    required,
    switch,
    text,
    whole,
    words,
)


def _wait(ms: int) -> None:
    if ms != -1 and not 500 <= ms <= 10000:
        raise Unfit("max_wait_ms", "Input should be between 500 and 10000, or -1 for no end")


_STRATEGY = explained(
    "Speech that may not interrupt is answered afterwards (`append`) or dropped (`ignore`).",
    {"append": "answer it afterwards", "ignore": "drop it"},
)
_KEYWORDS = many(prose(), "Words that interrupt the agent, at most 128.", max_length=128)
_INTERRUPT_AFTER = whole(
    "Speech that counts as an interruption, 120 to 1200 ms; default 160.", ge=120, le=1200
)
_PADDING = whole("Audio kept from before the speech, 0 to 5000 ms; default 800.", ge=0, le=5000)

TURN_DETECTION = group(
    "How turns are told apart; without effect under mllm.",
    {
        "mode": words("Only `default`.", "default"),
        "config": group(
            "How turns are told apart.",
            {
                "speech_threshold": number(
                    "How loud speech must be, between 0 and 1; higher hears less. Default 0.5.", gt=0, lt=1
                ),
                "start_of_speech": group(
                    "When the user begins to speak.",
                    {
                        "mode": required(
                            explained(
                                "By loudness, or by the app over RTM (`manual`); the others moved to `interruption`.",
                                {
                                    "vad": "by loudness",
                                    "manual": "by the app, over RTM",
                                    "keywords": "old; moved to `interruption`",
                                    "disabled": "old; moved to `interruption`",
                                },
                            )
                        ),
                        "vad_config": group(
                            "Settings for `vad`.",
                            {
                                "interrupt_duration_ms": _INTERRUPT_AFTER,
                                "speaking_interrupt_duration_ms": whole(
                                    "The same while the agent speaks, 120 to 1200 ms; default 160.",
                                    ge=120,
                                    le=1200,
                                ),
                                "prefix_padding_ms": _PADDING,
                            },
                        ),
                        "keywords_config": group(
                            "Old; use interruption.keywords_config.",
                            {
                                "interrupt_duration_ms": _INTERRUPT_AFTER,
                                "prefix_padding_ms": _PADDING,
                                "triggered_keywords": _KEYWORDS,
                            },
                            deprecated=True,
                        ),
                        "disabled_config": group(
                            "Old; use interruption.disabled_config.", {"strategy": _STRATEGY}, deprecated=True
                        ),
                    },
                ),
                "end_of_speech": group(
                    "When the user has finished.",
                    {
                        "mode": explained(
                            "By silence, by meaning (English and Chinese), or by the app over RTM (`manual`).",
                            {
                                "vad": "by silence",
                                "semantic": "by meaning; English and Chinese",
                                "manual": "by the app, over RTM",
                            },
                        ),
                        "vad_config": group(
                            "Settings for `vad`.",
                            {
                                "silence_duration_ms": whole(
                                    "Silence that ends the speech, 120 to 2000 ms; default 640.",
                                    ge=120,
                                    le=2000,
                                )
                            },
                        ),
                        "semantic_config": group(
                            "Settings for `semantic`.",
                            {
                                "silence_duration_ms": whole(
                                    "Silence before the meaning is judged, 120 to 2000 ms; default 320.",
                                    ge=120,
                                    le=2000,
                                ),
                                "max_wait_ms": checked(
                                    whole(
                                        "Longest wait, 500 to 10000 ms, -1 without end; default 3000.",
                                        anyOf=[{"const": -1}, {"minimum": 500, "maximum": 10000}],
                                    ),
                                    _wait,
                                ),
                                "pause_state_enabled": switch(
                                    "Wait when the user says `just a moment`. Default true."
                                ),
                            },
                        ),
                    },
                ),
            },
        ),
        "type": explained(
            "Old; use `config`, or mllm.turn_detection.mode.",
            {
                "agora_vad": "Agora's detection",
                "server_vad": "the vendor's, by loudness",
                "semantic_vad": "the vendor's, by meaning",
            },
            deprecated=True,
        ),
        "interrupt_mode": explained(
            "Old; use `interruption`.",
            {
                "interrupt": "speech interrupts at once",
                "append": "speech is answered afterwards",
                "ignore": "speech is dropped",
                "keyword": "certain words interrupt",
                "keywords": "certain words interrupt",
                "adaptive": "not explained on the service's pages",
            },
            deprecated=True,
        ),
        "interrupt_duration_ms": number(
            "Old; use config.start_of_speech.vad_config. In ms, default 160.", deprecated=True
        ),
        "interrupt_keywords": many(
            text(), "Old; use interruption.keywords_config. At most 128.", max_length=128, deprecated=True
        ),
        "prefix_padding_ms": whole(
            "Old; use config.start_of_speech.vad_config. In ms, default 800.", deprecated=True
        ),
        "silence_duration_ms": whole(
            "Old; use config.end_of_speech.vad_config. In ms, default 640.", deprecated=True
        ),
        "threshold": number("Old; use config.speech_threshold. Default 0.5.", gt=0, lt=1, deprecated=True),
        "create_response": switch("Whether the end of speech asks for an answer; OpenAI Realtime only."),
        "interrupt_response": switch("Whether speech stops an answer; OpenAI Realtime only."),
        "eagerness": explained(
            "Old; use mllm.turn_detection.semantic_vad_config. Default auto.",
            {"auto": "the vendor decides", "low": "wait longer", "high": "answer sooner"},
            deprecated=True,
        ),
    },
)

INTERRUPTION = group(
    "Whether and how a user cuts the agent short.",
    {
        "enable": switch("Whether the agent may be interrupted. Default true."),
        "mode": explained(
            "Any speech interrupts (`start_of_speech`, the default), or certain words.",
            {"start_of_speech": "any speech interrupts", "keywords": "certain words interrupt"},
        ),
        "keywords_config": group("Settings for `keywords`.", {"trigger_keywords": _KEYWORDS}),
        "disabled_config": group("Settings for when `enable` is false.", {"strategy": _STRATEGY}),
    },
)
