"""Speech recognition: the vendors of `asr` and the shape of their `params`.

Facts: SDK 2.12.0 `types/*_asr_params.py` and the vendor pages under models/asr. No defaults are filled in.
"""

from typing import Annotated, Any, Literal, Required, TypeAlias

from pydantic import Discriminator, Tag

from reconciler.model.vendors import (
    AccessId,
    AccessSecret,
    ApiKey,
    AppId,
    Checked,
    CloudRegion,
    CredentialMode,
    Flag,
    Language,
    Model,
    PassedOn,
    SampleRate,
    Url,
    by_vendor,
    says,
    table,
    vendor,
)

TextFlag = Annotated[str, says("A switch that this vendor takes as text: `true` or `false`.")]
Keywords = Annotated[list[str], says("Words that recognition should favour.")]


class AsrSlot(Checked, total=False):
    """What every recognizer takes; from the `join` reference."""

    credential_mode: CredentialMode
    language: Annotated[
        str, says("BCP-47 tag of the main language; default `en-US`, in mainland China `zh-CN`.")
    ]


class AresAsr(AsrSlot, total=False):
    """Agora's own recognizer, used when no vendor is named; SDK `AresAsr`, its params are free."""

    vendor: Annotated[Literal["ares"], says("Agora's own recognizer; the service's default.")]
    keywords: Keywords
    params: Annotated[dict[str, Any], says("Settings of the recognizer, handed on as they are.")]


class FengmingAsr(AsrSlot, total=False):
    """Agora's recognizer in mainland China; SDK `FengmingAsr`, its params are free."""

    vendor: Required[
        Annotated[Literal["fengming"], says("Agora's recognizer in mainland China, the default there.")]
    ]
    keywords: Keywords
    params: Annotated[dict[str, Any], says("Settings of the recognizer, handed on as they are.")]


class AmazonAsrParams(PassedOn, total=False):
    """Amazon Transcribe; SDK `AmazonAsrParams`."""

    region: CloudRegion
    access_key_id: AccessId
    secret_access_key: AccessSecret
    language_code: Language
    media_sample_rate_hz: SampleRate
    media_encoding: Annotated[str, says("Encoding of the audio that goes to the vendor.")]


class AmazonAsr(AsrSlot, total=False):
    """Amazon Transcribe; SDK `AmazonAsr`."""

    vendor: Required[Annotated[Literal["amazon"], says("Amazon Transcribe.")]]
    params: Annotated[AmazonAsrParams, says("Settings for Amazon Transcribe.")]


class AssemblyaiAsrParams(PassedOn, total=False):
    """AssemblyAI; SDK `AssemblyAiAsrParams`. The SDK writes `ws_url`, the vendor page `uri`."""

    api_key: ApiKey
    language: Language
    ws_url: Url
    uri: Url


class AssemblyaiAsr(AsrSlot, total=False):
    """AssemblyAI; SDK `AssemblyAiAsr`."""

    vendor: Required[Annotated[Literal["assemblyai"], says("AssemblyAI.")]]
    params: Annotated[AssemblyaiAsrParams, says("Settings for AssemblyAI.")]


class DeepgramAsrParams(PassedOn, total=False):
    """Deepgram; SDK `DeepgramAsrParams` and its builder's extra switches."""

    key: ApiKey
    url: Url
    model: Model
    language: Language
    keyterm: Annotated[str, says("Terms and brands to favour; only with nova-3.")]
    smart_format: Flag
    punctuation: Flag


class DeepgramAsr(AsrSlot, total=False):
    """Deepgram; SDK `DeepgramAsr`."""

    vendor: Required[Annotated[Literal["deepgram"], says("Deepgram.")]]
    params: Annotated[DeepgramAsrParams, says("Settings for Deepgram.")]


class GeminiAsrParams(PassedOn, total=False):
    """Google Gemini; SDK `GeminiAsrParams`."""

    api_key: ApiKey
    model: Model
    sample_rate: SampleRate
    language: Language
    language_hints: Annotated[list[str], says("Languages that may be heard; go before `language`.")]
    custom_vocabulary: Annotated[list[str], says("Words to favour; not together with `word_timestamp`.")]
    mode: Annotated[
        str, says("`SMART` tidies the text, `VERBATIM` keeps it.", examples=["SMART", "VERBATIM"])
    ]
    word_timestamp: Annotated[
        bool, says("Times for each word; neither with SMART nor with custom_vocabulary.")
    ]
    diarization: Annotated[bool, says("Say who spoke; not with SMART.")]


class GeminiAsr(AsrSlot, total=False):
    """Google Gemini; SDK `GeminiAsr`."""

    vendor: Required[Annotated[Literal["gemini"], says("Google Gemini.")]]
    params: Annotated[GeminiAsrParams, says("Settings for Gemini.")]


class GoogleAsrParams(PassedOn, total=False):
    """Google Cloud Speech; SDK `GoogleAsrParams`."""

    project_id: Annotated[str, says("The Google Cloud project.")]
    location: CloudRegion
    adc_credentials_string: Annotated[
        str, says("Service-account JSON as text; write a reference, not the value.")
    ]
    language: Language
    model: Model


class GoogleAsr(AsrSlot, total=False):
    """Google Cloud Speech; SDK `GoogleAsr`."""

    vendor: Required[Annotated[Literal["google"], says("Google Cloud Speech-to-Text.")]]
    params: Annotated[GoogleAsrParams, says("Settings for Google Cloud.")]


class MicrosoftAsrParams(PassedOn, total=False):
    """Azure Speech; SDK `MicrosoftAsrParams`."""

    key: ApiKey
    region: CloudRegion
    language: Language
    phrase_list: Annotated[list[str], says("Phrases that recognition should favour.")]


class MicrosoftAsr(AsrSlot, total=False):
    """Azure Speech; SDK `MicrosoftAsr`."""

    vendor: Required[Annotated[Literal["microsoft"], says("Microsoft Azure Speech.")]]
    params: Annotated[MicrosoftAsrParams, says("Settings for Azure Speech.")]


class OpenaiTranscription(PassedOn, total=False):
    """How OpenAI should transcribe; SDK `OpenAiInputAudioTranscription`."""

    model: Required[Annotated[str, says("The transcription model.")]]
    prompt: Required[Annotated[str, says("Text that guides the transcription.")]]
    language: Required[Annotated[str, says("Language code, such as `en`.")]]


class OpenaiAsrParams(PassedOn, total=False):
    """OpenAI; SDK `OpenAiAsrParams`."""

    api_key: ApiKey
    input_audio_transcription: Annotated[OpenaiTranscription, says("How the audio is transcribed.")]


class OpenaiAsr(AsrSlot, total=False):
    """OpenAI; SDK `OpenAiAsr`."""

    vendor: Required[Annotated[Literal["openai"], says("OpenAI.")]]
    params: Annotated[OpenaiAsrParams, says("Settings for OpenAI.")]


class SarvamAsrParams(PassedOn, total=False):
    """Sarvam; SDK `SarvamAsrParams` and its builder's model."""

    api_key: ApiKey
    language: Annotated[str, says("Language code; `unknown` lets the vendor find it.")]
    model: Model


class SarvamAsr(AsrSlot, total=False):
    """Sarvam; SDK `SarvamAsr`."""

    vendor: Required[Annotated[Literal["sarvam"], says("Sarvam.")]]
    params: Annotated[SarvamAsrParams, says("Settings for Sarvam.")]


class SmallestaiAsrParams(PassedOn, total=False):
    """Smallest AI; SDK `SmallestAiAsrParams`: its switches are text, not booleans."""

    api_key: ApiKey
    url: Url
    language: Language
    sample_rate: SampleRate
    encoding: Annotated[str, says("Encoding of the audio; default `linear16`.")]
    word_timestamps: TextFlag
    sentence_timestamps: TextFlag
    diarize: TextFlag
    vad_events: TextFlag
    endpointing: TextFlag
    eou_timeout_ms: Annotated[int, says("Silence that ends an utterance, in ms.", ge=0)]
    format: TextFlag
    finalize_on_words: TextFlag
    max_words: Annotated[str, says("Most words in one result, as text.")]
    punctuate: TextFlag
    capitalize: TextFlag
    itn_normalize: TextFlag
    full_transcript: TextFlag
    keywords: Annotated[str, says("Words to favour: `word:weight,word:weight`.")]
    redact_pii: TextFlag
    redact_pci: TextFlag


class SmallestaiAsr(AsrSlot, total=False):
    """Smallest AI; SDK `SmallestAiAsr`."""

    vendor: Required[Annotated[Literal["smallestai"], says("Smallest AI.")]]
    params: Annotated[SmallestaiAsrParams, says("Settings for Smallest AI.")]


class SpeechmaticsAsrParams(PassedOn, total=False):
    """Speechmatics; SDK `SpeechmaticsAsrParams`. The vendor page writes `api_key`, the SDK prefers `key`."""

    key: ApiKey
    api_key: ApiKey
    language: Language
    uri: Url
    model: Model


class SpeechmaticsAsr(AsrSlot, total=False):
    """Speechmatics; SDK `SpeechmaticsAsr`."""

    vendor: Required[Annotated[Literal["speechmatics"], says("Speechmatics.")]]
    params: Annotated[SpeechmaticsAsrParams, says("Settings for Speechmatics.")]


class TencentAsrParams(PassedOn, total=False):
    """Tencent Cloud; SDK `TencentAsrParams`."""

    key: ApiKey
    app_id: AppId
    secret: AccessSecret
    engine_model_type: Model
    voice_id: Annotated[str, says("Id of the recognition session.")]


class TencentAsr(AsrSlot, total=False):
    """Tencent Cloud; SDK `TencentAsr`."""

    vendor: Required[Annotated[Literal["tencent"], says("Tencent Cloud; mainland China only.")]]
    params: Annotated[TencentAsrParams, says("Settings for Tencent Cloud.")]


class XaiAsrParams(PassedOn, total=False):
    """xAI; SDK `XAiAsrParams`."""

    api_key: ApiKey
    base_url: Url
    sample_rate: SampleRate
    language: Language


class XaiAsr(AsrSlot, total=False):
    """xAI; SDK `XAiAsr`."""

    vendor: Required[Annotated[Literal["xai"], says("xAI.")]]
    params: Annotated[XaiAsrParams, says("Settings for xAI.")]


class XfyunAsrParams(PassedOn, total=False):
    """iFlytek; SDK `XfyunAsrParams`."""

    api_key: ApiKey
    app_id: AppId
    api_secret: AccessSecret
    language: Language


class XfyunAsr(AsrSlot, total=False):
    """iFlytek; SDK `XfyunAsr`."""

    vendor: Required[Annotated[Literal["xfyun"], says("iFlytek; mainland China only.")]]
    params: Annotated[XfyunAsrParams, says("Settings for iFlytek.")]


class XfyunBigmodelAsrParams(XfyunAsrParams, total=False):
    """iFlytek's large model; SDK `XfyunBigmodelAsrParams`."""

    language_name: Annotated[str, says("The family of languages.")]


class XfyunBigmodelAsr(AsrSlot, total=False):
    """iFlytek's large model; SDK `XfyunBigmodelAsr`."""

    vendor: Required[
        Annotated[Literal["xfyun_bigmodel"], says("iFlytek's large model; mainland China only.")]
    ]
    params: Annotated[XfyunBigmodelAsrParams, says("Settings for iFlytek's large model.")]


class XfyunDialectAsrParams(PassedOn, total=False):
    """iFlytek's dialect model; SDK `XfyunDialectAsrParams`."""

    app_id: AppId
    access_key_id: AccessId
    access_key_secret: AccessSecret
    language: Language


class XfyunDialectAsr(AsrSlot, total=False):
    """iFlytek's dialect model; SDK `XfyunDialectAsr`."""

    vendor: Required[
        Annotated[Literal["xfyun_dialect"], says("iFlytek's dialect model; mainland China only.")]
    ]
    params: Annotated[XfyunDialectAsrParams, says("Settings for iFlytek's dialect model.")]


DEFAULT = "ares"

Asr: TypeAlias = Annotated[
    Annotated[AresAsr, Tag("ares")]
    | Annotated[AmazonAsr, Tag("amazon")]
    | Annotated[AssemblyaiAsr, Tag("assemblyai")]
    | Annotated[DeepgramAsr, Tag("deepgram")]
    | Annotated[FengmingAsr, Tag("fengming")]
    | Annotated[GeminiAsr, Tag("gemini")]
    | Annotated[GoogleAsr, Tag("google")]
    | Annotated[MicrosoftAsr, Tag("microsoft")]
    | Annotated[OpenaiAsr, Tag("openai")]
    | Annotated[SarvamAsr, Tag("sarvam")]
    | Annotated[SmallestaiAsr, Tag("smallestai")]
    | Annotated[SpeechmaticsAsr, Tag("speechmatics")]
    | Annotated[TencentAsr, Tag("tencent")]
    | Annotated[XaiAsr, Tag("xai")]
    | Annotated[XfyunAsr, Tag("xfyun")]
    | Annotated[XfyunBigmodelAsr, Tag("xfyun_bigmodel")]
    | Annotated[XfyunDialectAsr, Tag("xfyun_dialect")],
    Discriminator(by_vendor(DEFAULT)),
]

# Where `params` takes a language, that of the slot may stand in for it: the reference lets params go first.
VENDORS = table(
    vendor("ares"),
    vendor(
        "amazon",
        "params.region params.access_key_id params.secret_access_key params.language_code|language",
    ),
    vendor("assemblyai", "params.api_key params.language|language", host="streaming.assemblyai.com"),
    vendor("deepgram", "params.key", host="api.deepgram.com"),
    vendor("fengming", where="cn"),
    vendor("gemini", "params.api_key params.model"),
    vendor(
        "google",
        "params.project_id params.location params.adc_credentials_string params.language|language",
    ),
    vendor("microsoft", "params.key params.region params.language|language", where="both"),
    vendor("openai", "params.api_key params.input_audio_transcription"),
    vendor("sarvam", "params.api_key params.language|language"),
    vendor("smallestai", "params.api_key", host="api.us.smallest.ai"),
    vendor("speechmatics", "params.key|params.api_key params.language|language"),
    vendor(
        "tencent",
        "params.key params.app_id params.secret params.engine_model_type params.voice_id",
        where="cn",
    ),
    vendor("xai", "params.api_key", host="api.x.ai"),
    vendor("xfyun", "params.api_key params.app_id params.api_secret params.language|language", where="cn"),
    vendor(
        "xfyun_bigmodel",
        "params.api_key params.app_id params.api_secret params.language_name params.language|language",
        where="cn",
    ),
    vendor(
        "xfyun_dialect",
        "params.app_id params.access_key_id params.access_key_secret params.language|language",
        where="cn",
    ),
)
