"""Multimodal models: the vendors of `mllm`, which hear and speak by themselves.

Facts: the `join` reference, SDK 2.12.0 `types/mllm*.py` and its builders, the pages under models/mllm.
"""

from __future__ import annotations

from reconciler.contract.agora.fields import CLOUD_REGION, FLAG, MODEL, SAMPLE_RATE, SPOKEN_LANGUAGE, VOICE
from reconciler.contract.agora.tools import MCP_SERVERS, TOOLS
from reconciler.contract.kinds import (
    Fields,
    address,
    explained,
    free,
    group,
    headers_as_text,
    identifier,
    key,
    many,
    number,
    prose,
    switch,
    text,
    whole,
)
from reconciler.contract.rows import slot, vendor

_PADDING = whole("Audio to keep from before the speech, in ms.", ge=0)
_SILENCE = whole("Silence that ends the speech, in ms.", ge=0)
_THRESHOLD = number("How loud speech must be; higher hears less.", ge=0, le=1)
_INSTRUCTIONS = prose("The prompt.")
_ADC_CREDENTIALS = key("Google credentials as text; write a reference, not the value.")
_PROJECT = identifier("The Google Cloud project.")

# OpenAI Realtime, Azure and Qwen Omni; SDK `MllmParams`.
_REALTIME: Fields = {
    "model": MODEL,
    "voice": VOICE,
    "instructions": _INSTRUCTIONS,
    "input_audio_transcription": group(
        "How what is heard is written down.",
        {
            "language": text("Language code, such as `en`."),
            "model": text("The transcription model."),
            "prompt": prose("Text that guides the transcription."),
        },
    ),
}

# Gemini Live; SDK `MllmParams` and builder `GeminiLive`.
_GEMINI_LIVE: Fields = {
    "model": MODEL,
    "voice": VOICE,
    "instructions": _INSTRUCTIONS,
    "affective_dialog": FLAG,
    "proactive_audio": switch("Whether the model may choose not to answer."),
    "transcribe_agent": switch("Whether the agent's speech is written down."),
    "transcribe_user": switch("Whether the user's speech is written down."),
    "http_options": group(
        "How Google's API is called.",
        {"api_version": text("Version of the vendor's API.", examples=["v1beta"])},
    ),
    "language_codes": many(text(), "Languages that may be spoken."),
    "thinking_level": text("How long the model thinks.", examples=["low", "medium", "high"]),
}

_GPT_LIVE: Fields = {
    "model": MODEL,
    "voice": VOICE,
    "prompt": _INSTRUCTIONS,
    "base_url": address("Base of the address, when `url` is left out."),
    "path": text("Path of the address, when `url` is left out."),
    "alpha_selector": text("The vendor's choice of an early version."),
    "headers": headers_as_text("Headers as JSON in a text; write references for credentials."),
    "output_idle_end_ms": whole("Quiet that ends the output, in ms.", ge=0),
    "input_idle_end_ms": whole("Quiet that ends the input, in ms.", ge=0),
    "output_silence_peak": whole("Level below which output is silence.", ge=0),
    "output_sample_rate": SAMPLE_RATE,
    "output_buffer_ms": whole("Output to hold back, in ms.", ge=0),
    "input_batch_ms": whole("Input to send at once, in ms.", ge=0),
    "tool_enabled": FLAG,
    "delegation": explained(
        "Who answers a delegated question.",
        {"client": "your client", "responses": "the model of `responses_model`"},
    ),
    "responses_model": text("The model that answers delegated questions."),
    "interrupt_on_user_turn": FLAG,
    "session_params": free("More settings of the vendor's session."),
}
_COMMON: Fields = {
    "enable": switch("Use this model instead of asr, llm and tts."),
    "url": address("WebSocket address of the model."),
    "api_key": key("Key for the model; write a reference, not the value."),
    "messages": many(free(""), "What was said before, as the vendor writes it."),
    "max_history": whole("Messages to remember; Azure only.", gt=0),
    "input_modalities": many(
        explained("", {"audio": "sound", "text": "text"}),
        "What the model takes; default audio.",
        min_length=1,
    ),
    "output_modalities": many(
        explained("", {"text": "text", "audio": "sound"}),
        "What the model gives; default text and audio.",
        min_length=1,
    ),
    "greeting_message": prose("Words of greeting for the first user."),
    "failure_message": prose("Words when the model fails."),
    "turn_detection": group(
        "Who decides when a turn ends.",
        {
            "mode": explained(
                "Agora's detection, the vendor's by loudness, or the vendor's by meaning (OpenAI only).",
                {
                    "agora_vad": "Agora's detection",
                    "server_vad": "the vendor's, by loudness",
                    "semantic_vad": "the vendor's, by meaning; OpenAI only",
                },
            ),
            "agora_vad_config": group(
                "Settings for `agora_vad`.",
                {
                    "interrupt_duration_ms": whole("Speech that interrupts the agent, in ms.", ge=0),
                    "prefix_padding_ms": _PADDING,
                    "silence_duration_ms": _SILENCE,
                    "threshold": _THRESHOLD,
                },
            ),
            "server_vad_config": group(
                "Settings for `server_vad`.",
                {
                    "prefix_padding_ms": _PADDING,
                    "silence_duration_ms": _SILENCE,
                    "threshold": _THRESHOLD,
                    "idle_timeout_ms": whole(
                        "Quiet after which the model speaks up, in ms; OpenAI only.", ge=0
                    ),
                    "start_of_speech_sensitivity": explained(
                        "How readily speech begins; Gemini only.",
                        {
                            "START_SENSITIVITY_HIGH": "speech begins readily",
                            "START_SENSITIVITY_LOW": "speech begins late",
                        },
                    ),
                    "end_of_speech_sensitivity": explained(
                        "How readily speech ends; Gemini only.",
                        {
                            "END_SENSITIVITY_HIGH": "speech ends readily",
                            "END_SENSITIVITY_LOW": "speech ends late",
                        },
                    ),
                },
            ),
            "semantic_vad_config": group(
                "Settings for `semantic_vad`.",
                {
                    "eagerness": explained(
                        "How soon the model answers.",
                        {
                            "auto": "the vendor decides",
                            "low": "wait longer",
                            "medium": "between low and high",
                            "high": "answer sooner",
                        },
                    )
                },
            ),
        },
        name="mllm_turn_detection",
    ),
    "tools": TOOLS,
    "mcp_servers": MCP_SERVERS,
}


MLLM = slot(
    "mllm",
    "A model that hears and speaks by itself, instead of asr, llm and tts.",
    _COMMON,
    (
        vendor(
            "openai",
            "OpenAI Realtime",
            "OpenAI Realtime, Azure and Qwen Omni; SDK `MllmParams`",
            _REALTIME,
            needs="api_key",
            host="api.openai.com",
            maker="OpenAI",
        ),
        *(
            vendor(
                spelling,
                "OpenAI GPT Live",
                "OpenAI GPT Live; SDK builder `OpenAIGPTLive`",
                _GPT_LIVE,
                needs="api_key",
                host="api.openai.com",
                where="preview",
                maker="GPT Live",
            )
            # the SDK's spelling, and that of the page
            for spelling in ("openai_gpt_live", "openai-gpt-live")
        ),
        vendor(
            "azure",
            "OpenAI Realtime on Azure",
            "OpenAI Realtime, Azure and Qwen Omni; SDK `MllmParams`",
            _REALTIME,
            needs="api_key url",
            maker="Azure",
        ),
        vendor(
            "gemini",
            "Google Gemini Live",
            "Gemini Live; SDK `MllmParams` and builder `GeminiLive`",
            _GEMINI_LIVE,
            needs="api_key",
            host="generativelanguage.googleapis.com",
            maker="Gemini Live",
        ),
        vendor(
            "vertexai",
            "Google Gemini Live on Vertex AI",
            "Gemini Live on Vertex AI; its page writes these three beside `params`, the SDK's builder inside",
            {
                **_GEMINI_LIVE,
                "adc_credentials_string": _ADC_CREDENTIALS,
                "project_id": _PROJECT,
                "location": CLOUD_REGION,
            },
            needs="adc_credentials_string|params.adc_credentials_string project_id|params.project_id location|params.location params.model",
            maker="Gemini Live",
            also={
                "adc_credentials_string": _ADC_CREDENTIALS,
                "project_id": _PROJECT,
                "location": CLOUD_REGION,
            },
        ),
        vendor(
            "xai",
            "xAI Grok",
            "xAI Grok; SDK `MllmParams` and builder `XaiGrok`",
            {
                "model": MODEL,
                "voice": VOICE,
                "instructions": _INSTRUCTIONS,
                "language": SPOKEN_LANGUAGE,
                "sample_rate": SAMPLE_RATE,
            },
            needs="api_key",
            host="api.x.ai",
            maker="Grok",
        ),
        vendor(
            "qwen_omni",
            "Alibaba Qwen Omni",
            "OpenAI Realtime, Azure and Qwen Omni; SDK `MllmParams`",
            _REALTIME,
            needs="api_key url",
            where="cn",
            maker="Qwen Omni",
        ),
    ),
    unnamed=free("Settings of the model, handed on as they are."),
    unnamed_needs="api_key",
)
