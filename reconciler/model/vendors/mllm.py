"""Multimodal models: the vendors of `mllm`, which hear and speak by themselves.

Facts: the `join` reference, SDK 2.12.0 `types/mllm*.py` and its builders, the pages under models/mllm.
"""

from typing import Annotated, Any, Literal, Required, TypeAlias

from pydantic import Discriminator, Tag

from reconciler.model.vendors import (
    UNNAMED,
    Checked,
    CloudRegion,
    Flag,
    Model,
    PassedOn,
    SampleRate,
    SpokenLanguage,
    Voice,
    by_vendor,
    says,
    table,
    vendor,
)
from reconciler.model.vendors.llm import McpServers, Tools

Padding = Annotated[int, says("Audio to keep from before the speech, in ms.", ge=0)]
Silence = Annotated[int, says("Silence that ends the speech, in ms.", ge=0)]
Threshold = Annotated[float, says("How loud speech must be; higher hears less.", ge=0, le=1)]
Instructions = Annotated[str, says("The prompt.")]
AdcCredentials = Annotated[str, says("Google credentials as text; write a reference, not the value.")]
Project = Annotated[str, says("The Google Cloud project.")]


class AgoraVad(Checked, total=False):
    """Agora's own turn detection; SDK `MllmTurnDetectionAgoraVadConfig`."""

    interrupt_duration_ms: Annotated[int, says("Speech that interrupts the agent, in ms.", ge=0)]
    prefix_padding_ms: Padding
    silence_duration_ms: Silence
    threshold: Threshold


class ServerVad(Checked, total=False):
    """The vendor's turn detection by loudness; SDK `MllmTurnDetectionServerVadConfig`."""

    prefix_padding_ms: Padding
    silence_duration_ms: Silence
    threshold: Threshold
    idle_timeout_ms: Annotated[int, says("Quiet after which the model speaks up, in ms; OpenAI only.", ge=0)]
    start_of_speech_sensitivity: Annotated[
        Literal["START_SENSITIVITY_HIGH", "START_SENSITIVITY_LOW"],
        says("How readily speech begins; Gemini only."),
    ]
    end_of_speech_sensitivity: Annotated[
        Literal["END_SENSITIVITY_HIGH", "END_SENSITIVITY_LOW"], says("How readily speech ends; Gemini only.")
    ]


class SemanticVad(Checked, total=False):
    """The vendor's turn detection by meaning; SDK `MllmTurnDetectionSemanticVadConfig`."""

    eagerness: Annotated[Literal["auto", "low", "medium", "high"], says("How soon the model answers.")]


class MllmTurnDetection(Checked, total=False):
    """Who decides when a turn ends; SDK `MllmTurnDetection`."""

    mode: Annotated[
        Literal["agora_vad", "server_vad", "semantic_vad"],
        says("Agora's detection, the vendor's by loudness, or the vendor's by meaning (OpenAI only)."),
    ]
    agora_vad_config: Annotated[AgoraVad, says("Settings for `agora_vad`.")]
    server_vad_config: Annotated[ServerVad, says("Settings for `server_vad`.")]
    semantic_vad_config: Annotated[SemanticVad, says("Settings for `semantic_vad`.")]


class Transcription(PassedOn, total=False):
    """How what is heard is written down; SDK `MllmInputAudioTranscription`."""

    language: Annotated[str, says("Language code, such as `en`.")]
    model: Annotated[str, says("The transcription model.")]
    prompt: Annotated[str, says("Text that guides the transcription.")]


class HttpOptions(PassedOn, total=False):
    """How Google's API is called; SDK `MllmHttpOptions`."""

    api_version: Annotated[str, says("Version of the vendor's API.", examples=["v1beta"])]


class MllmSlot(Checked, total=False):
    """What every multimodal model takes; `join` reference and SDK `Mllm`."""

    enable: Annotated[bool, says("Use this model instead of asr, llm and tts.")]
    url: Annotated[str, says("WebSocket address of the model.")]
    api_key: Annotated[str, says("Key for the model; write a reference, not the value.")]
    messages: Annotated[list[dict[str, Any]], says("What was said before, as the vendor writes it.")]
    max_history: Annotated[int, says("Messages to remember; Azure only.", gt=0)]
    input_modalities: Annotated[
        list[Literal["audio", "text"]], says("What the model takes; default audio.", min_length=1)
    ]
    output_modalities: Annotated[
        list[Literal["text", "audio"]], says("What the model gives; default text and audio.", min_length=1)
    ]
    greeting_message: Annotated[str, says("Words of greeting for the first user.")]
    failure_message: Annotated[str, says("Words when the model fails.")]
    turn_detection: Annotated[MllmTurnDetection, says("Who decides when a turn ends.")]
    tools: Tools
    mcp_servers: McpServers


class RealtimeParams(PassedOn, total=False):
    """OpenAI Realtime, Azure and Qwen Omni; SDK `MllmParams`."""

    model: Model
    voice: Voice
    instructions: Instructions
    input_audio_transcription: Annotated[Transcription, says("How what is heard is written down.")]


class GptLiveParams(PassedOn, total=False):
    """OpenAI GPT Live; SDK builder `OpenAIGPTLive`."""

    model: Model
    voice: Voice
    prompt: Instructions
    base_url: Annotated[str, says("Base of the address, when `url` is left out.")]
    path: Annotated[str, says("Path of the address, when `url` is left out.")]
    alpha_selector: Annotated[str, says("The vendor's choice of an early version.")]
    headers: Annotated[str, says("Headers as JSON in a text; write references for credentials.")]
    output_idle_end_ms: Annotated[int, says("Quiet that ends the output, in ms.", ge=0)]
    input_idle_end_ms: Annotated[int, says("Quiet that ends the input, in ms.", ge=0)]
    output_silence_peak: Annotated[int, says("Level below which output is silence.", ge=0)]
    output_sample_rate: SampleRate
    output_buffer_ms: Annotated[int, says("Output to hold back, in ms.", ge=0)]
    input_batch_ms: Annotated[int, says("Input to send at once, in ms.", ge=0)]
    tool_enabled: Flag
    delegation: Annotated[Literal["client", "responses"], says("Who answers a delegated question.")]
    responses_model: Annotated[str, says("The model that answers delegated questions.")]
    interrupt_on_user_turn: Flag
    session_params: Annotated[dict[str, Any], says("More settings of the vendor's session.")]


class GeminiLiveParams(PassedOn, total=False):
    """Gemini Live; SDK `MllmParams` and builder `GeminiLive`."""

    model: Model
    voice: Voice
    instructions: Instructions
    affective_dialog: Flag
    proactive_audio: Annotated[bool, says("Whether the model may choose not to answer.")]
    transcribe_agent: Annotated[bool, says("Whether the agent's speech is written down.")]
    transcribe_user: Annotated[bool, says("Whether the user's speech is written down.")]
    http_options: Annotated[HttpOptions, says("How Google's API is called.")]
    language_codes: Annotated[list[str], says("Languages that may be spoken.")]
    thinking_level: Annotated[str, says("How long the model thinks.", examples=["low", "medium", "high"])]


class VertexParams(GeminiLiveParams, total=False):
    """Gemini Live on Vertex AI; its page writes these three beside `params`, the SDK's builder inside."""

    adc_credentials_string: AdcCredentials
    project_id: Project
    location: CloudRegion


class GrokParams(PassedOn, total=False):
    """xAI Grok; SDK `MllmParams` and builder `XaiGrok`."""

    model: Model
    voice: Voice
    instructions: Instructions
    language: SpokenLanguage
    sample_rate: SampleRate


class UnnamedMllm(MllmSlot, total=False):
    """A model whose vendor is left out; the reference does not demand one."""

    params: Annotated[dict[str, Any], says("Settings of the model, handed on as they are.")]


class OpenaiMllm(MllmSlot, total=False):
    """OpenAI Realtime; page models/mllm/openai."""

    vendor: Required[Annotated[Literal["openai"], says("OpenAI Realtime.")]]
    params: Annotated[RealtimeParams, says("Settings for OpenAI.")]


class GptLiveMllm(MllmSlot, total=False):
    """OpenAI GPT Live, a preview: the page spells it with hyphens, the SDK with underscores."""

    vendor: Required[
        Annotated[
            Literal["openai_gpt_live", "openai-gpt-live"],
            says("OpenAI GPT Live; a preview on Agora's partner host."),
        ]
    ]
    params: Annotated[GptLiveParams, says("Settings for GPT Live.")]


class AzureMllm(MllmSlot, total=False):
    """OpenAI Realtime on Azure; SDK `AzureOpenAIRealtime`."""

    vendor: Required[Annotated[Literal["azure"], says("OpenAI Realtime on Azure.")]]
    params: Annotated[RealtimeParams, says("Settings for Azure.")]


class GeminiMllm(MllmSlot, total=False):
    """Gemini Live; page models/mllm/gemini."""

    vendor: Required[Annotated[Literal["gemini"], says("Google Gemini Live.")]]
    params: Annotated[GeminiLiveParams, says("Settings for Gemini Live.")]


class VertexMllm(MllmSlot, total=False):
    """Gemini Live on Vertex AI; page models/mllm/google-vertex-ai."""

    vendor: Required[Annotated[Literal["vertexai"], says("Google Gemini Live on Vertex AI.")]]
    adc_credentials_string: AdcCredentials
    project_id: Project
    location: CloudRegion
    params: Annotated[VertexParams, says("Settings for Gemini Live.")]


class XaiMllm(MllmSlot, total=False):
    """xAI Grok; page models/mllm/xai."""

    vendor: Required[Annotated[Literal["xai"], says("xAI Grok.")]]
    params: Annotated[GrokParams, says("Settings for Grok.")]


class QwenOmniMllm(MllmSlot, total=False):
    """Alibaba Qwen Omni; SDK `QwenOmni`."""

    vendor: Required[Annotated[Literal["qwen_omni"], says("Alibaba Qwen Omni; mainland China only.")]]
    params: Annotated[RealtimeParams, says("Settings for Qwen Omni.")]


DEFAULT = UNNAMED

Mllm: TypeAlias = Annotated[
    Annotated[UnnamedMllm, Tag(UNNAMED)]
    | Annotated[OpenaiMllm, Tag("openai")]
    | Annotated[GptLiveMllm, Tag("openai_gpt_live")]
    | Annotated[GptLiveMllm, Tag("openai-gpt-live")]
    | Annotated[AzureMllm, Tag("azure")]
    | Annotated[GeminiMllm, Tag("gemini")]
    | Annotated[VertexMllm, Tag("vertexai")]
    | Annotated[XaiMllm, Tag("xai")]
    | Annotated[QwenOmniMllm, Tag("qwen_omni")],
    Discriminator(by_vendor(DEFAULT)),
]

VENDORS = table(
    vendor("openai", "api_key", host="api.openai.com"),
    vendor("openai_gpt_live", "api_key", host="api.openai.com", where="preview"),
    vendor("openai-gpt-live", "api_key", host="api.openai.com", where="preview"),
    vendor("azure", "api_key url"),
    vendor("gemini", "api_key", host="generativelanguage.googleapis.com"),
    vendor(
        "vertexai",
        "adc_credentials_string|params.adc_credentials_string project_id|params.project_id"
        " location|params.location params.model",
    ),
    vendor("xai", "api_key", host="api.x.ai"),
    vendor("qwen_omni", "api_key url", where="cn"),
)
