"""Speech synthesis: the vendors of `tts` and the shape of their `params`.

Facts: SDK 2.12.0 `types/*_tts_params.py` and the vendor pages under models/tts. No defaults are filled in.
"""

from typing import Annotated, Any, Literal, Required, TypeAlias

from pydantic import Discriminator, Tag

from reconciler.model.vendors import (
    UNNAMED,
    AccessId,
    AccessSecret,
    ApiKey,
    AppId,
    Checked,
    CloudRegion,
    CredentialMode,
    Flag,
    Model,
    PassedOn,
    Pitch,
    SampleRate,
    Speed,
    SpokenLanguage,
    Text,
    Url,
    Voice,
    Volume,
    by_vendor,
    says,
    table,
    vendor,
)

SkipPatterns = Annotated[
    list[Annotated[int, says("1 （）, 2 【】, 3 ( ), 4 [ ], 5 { }.", ge=1, le=5)]],
    says("Brackets whose content is not spoken: 1 （）, 2 【】, 3 ( ), 4 [ ], 5 { }."),
]


class TtsSlot(Checked, total=False):
    """What every voice takes; from the `join` reference."""

    credential_mode: CredentialMode
    skip_patterns: SkipPatterns


class UnnamedTts(TtsSlot, total=False):
    """A voice whose vendor comes from a preset or a pipeline; `join` reference, managed mode."""

    params: Annotated[dict[str, Any], says("Settings over those of the preset or the pipeline.")]


class AmazonTtsParams(PassedOn, total=False):
    """Amazon Polly; SDK `AmazonTtsParams`."""

    aws_access_key_id: AccessId
    aws_secret_access_key: AccessSecret
    region_name: CloudRegion
    voice: Voice
    engine: Annotated[
        str, says("Kind of synthesis.", examples=["standard", "neural", "long-form", "generative"])
    ]


class AmazonTts(TtsSlot, total=False):
    """Amazon Polly; SDK `AmazonTts`."""

    vendor: Required[Annotated[Literal["amazon"], says("Amazon Polly.")]]
    params: Annotated[AmazonTtsParams, says("Settings for Amazon Polly.")]


class BytedanceTtsParams(PassedOn, total=False):
    """ByteDance Volcano Engine; SDK `BytedanceTtsParams`."""

    token: ApiKey
    app_id: AppId
    cluster: Annotated[str, says("Cluster of the vendor.")]
    voice_type: Voice
    speed_ratio: Speed
    volume_ratio: Volume
    pitch_ratio: Annotated[float, says("Pitch as a ratio; 1 is normal.", gt=0)]
    emotion: Text


class BytedanceTts(TtsSlot, total=False):
    """ByteDance Volcano Engine; SDK `BytedanceTts`."""

    vendor: Required[Annotated[Literal["bytedance"], says("ByteDance Volcano Engine; mainland China only.")]]
    params: Annotated[BytedanceTtsParams, says("Settings for Volcano Engine.")]


class BytedanceDuplexTtsParams(PassedOn, total=False):
    """ByteDance duplex streaming; SDK `BytedanceDuplexTtsParams`."""

    app_id: AppId
    token: ApiKey
    speaker: Voice


class BytedanceDuplexTts(TtsSlot, total=False):
    """ByteDance duplex streaming; SDK `BytedanceDuplexTts`."""

    vendor: Required[
        Annotated[Literal["bytedance_duplex"], says("ByteDance duplex streaming; mainland China only.")]
    ]
    params: Annotated[BytedanceDuplexTtsParams, says("Settings for duplex streaming.")]


class CartesiaVoice(PassedOn, total=False):
    """Which voice of Cartesia; SDK `CartesiaTtsVoice`."""

    mode: Annotated[Literal["id"], says("How the voice is chosen: by its id.")]
    id: Required[Voice]


class CartesiaOutput(PassedOn, total=False):
    """The audio that Cartesia returns; SDK `CartesiaTtsOutputFormat`."""

    container: Annotated[str, says("Container of the audio.", examples=["raw"])]
    sample_rate: SampleRate


class CartesiaTtsParams(PassedOn, total=False):
    """Cartesia; SDK `CartesiaTtsParams`."""

    api_key: ApiKey
    model_id: Model
    base_url: Url
    voice: Annotated[CartesiaVoice, says("Which voice speaks.")]
    output_format: Annotated[CartesiaOutput, says("Form of the audio.")]
    language: SpokenLanguage


class CartesiaTts(TtsSlot, total=False):
    """Cartesia; SDK `CartesiaTts`."""

    vendor: Required[Annotated[Literal["cartesia"], says("Cartesia.")]]
    params: Annotated[CartesiaTtsParams, says("Settings for Cartesia.")]


class CosyvoiceTtsParams(PassedOn, total=False):
    """Alibaba CosyVoice; SDK `CosyvoiceTtsParams`."""

    api_key: ApiKey
    model: Model
    sample_rate: SampleRate
    voice: Voice


class CosyvoiceTts(TtsSlot, total=False):
    """Alibaba CosyVoice; SDK `CosyvoiceTts`."""

    vendor: Required[Annotated[Literal["cosyvoice"], says("Alibaba CosyVoice; mainland China only.")]]
    params: Annotated[CosyvoiceTtsParams, says("Settings for CosyVoice.")]


class DeepgramTtsParams(PassedOn, total=False):
    """Deepgram Aura; SDK `DeepgramTtsParams`."""

    api_key: ApiKey
    model: Model
    base_url: Url
    sample_rate: SampleRate
    skip_patterns: SkipPatterns


class DeepgramTts(TtsSlot, total=False):
    """Deepgram Aura; SDK `DeepgramTts`."""

    vendor: Required[Annotated[Literal["deepgram"], says("Deepgram Aura.")]]
    params: Annotated[DeepgramTtsParams, says("Settings for Deepgram.")]


class ElevenlabsTtsParams(PassedOn, total=False):
    """ElevenLabs; SDK `ElevenLabsTtsParams`, ranges from its page and the SDK's builder."""

    base_url: Url
    key: ApiKey
    model_id: Model
    voice_id: Voice
    sample_rate: SampleRate
    speed: Annotated[float, says("Speaking rate, 0.7 to 1.2; default 1.", ge=0.7, le=1.2)]
    stability: Annotated[float, says("How steady the voice is, 0 to 1.", ge=0, le=1)]
    similarity_boost: Annotated[float, says("How close to the original voice, 0 to 1.", ge=0, le=1)]
    style: Annotated[float, says("How expressive the voice is, 0 to 1.", ge=0, le=1)]
    use_speaker_boost: Flag
    optimize_streaming_latency: Annotated[int, says("Trade of quality for speed, 0 to 4.", ge=0, le=4)]


class ElevenlabsTts(TtsSlot, total=False):
    """ElevenLabs; SDK `ElevenLabsTts`."""

    vendor: Required[Annotated[Literal["elevenlabs"], says("ElevenLabs.")]]
    params: Annotated[ElevenlabsTtsParams, says("Settings for ElevenLabs.")]


class FishaudioTtsParams(PassedOn, total=False):
    """Fish Audio; SDK `FishAudioTtsParams`."""

    api_key: ApiKey
    reference_id: Voice
    backend: Model


class FishaudioTts(TtsSlot, total=False):
    """Fish Audio; SDK `FishAudioTts`."""

    vendor: Required[Annotated[Literal["fishaudio"], says("Fish Audio.")]]
    params: Annotated[FishaudioTtsParams, says("Settings for Fish Audio.")]


class GeminiTtsParams(PassedOn, total=False):
    """Google Gemini; vendor page models/tts/gemini and the SDK's preview builder."""

    api_key: ApiKey
    model: Model
    voice: Voice
    style: Annotated[str, says("How to speak, in plain words.")]


class GeminiTts(TtsSlot, total=False):
    """Google Gemini, a preview that only Agora's partner host serves; SDK `GeminiTTS`."""

    vendor: Required[Annotated[Literal["gemini"], says("Google Gemini; a preview on Agora's partner host.")]]
    params: Annotated[GeminiTtsParams, says("Settings for Gemini.")]


class GenericHttpTtsParams(PassedOn, total=False):
    """Any service that speaks OpenAI's protocol; SDK `GenericHttpTtsParams`."""

    api_key: ApiKey
    model: Model
    voice: Voice
    speed: Speed
    sample_rate: SampleRate
    response_format: Annotated[Literal["pcm"], says("Form of the audio; only `pcm` is taken.")]
    instruction: Annotated[str, says("How to speak, in plain words.")]


class GenericHttpTts(TtsSlot, total=False):
    """Any service that speaks OpenAI's protocol; SDK `GenericHttpTts`."""

    vendor: Required[Annotated[Literal["generic_http"], says("Your own service, with OpenAI's protocol.")]]
    url: Annotated[str, says("Address of your service.")]
    headers: Annotated[dict[str, str], says("Headers for your service; write references for credentials.")]
    params: Annotated[GenericHttpTtsParams, says("Settings for your service.")]


class GoogleVoice(PassedOn, total=False):
    """Which voice of Google; SDK `GoogleTtsVoiceSelectionParams` and its builder."""

    name: Required[Voice]
    language_code: SpokenLanguage


class GoogleAudio(PassedOn, total=False):
    """The audio that Google returns; SDK `GoogleTtsAudioConfig`, range from its page."""

    speaking_rate: Annotated[float, says("Speaking rate, 0.25 to 2; 1 is normal.", ge=0.25, le=2)]
    sample_rate_hertz: SampleRate


class GoogleTtsParams(PassedOn, total=False):
    """Google Cloud Text-to-Speech; SDK `GoogleTtsParams`."""

    credentials: Annotated[str, says("Service-account JSON as text; write a reference, not the value.")]
    VoiceSelectionParams: Annotated[GoogleVoice, says("Which voice speaks.")]
    AudioConfig: Annotated[GoogleAudio, says("Form of the audio.")]


class GoogleTts(TtsSlot, total=False):
    """Google Cloud Text-to-Speech; SDK `GoogleTts`."""

    vendor: Required[Annotated[Literal["google"], says("Google Cloud Text-to-Speech.")]]
    params: Annotated[GoogleTtsParams, says("Settings for Google Cloud.")]


class GradiumTtsParams(PassedOn, total=False):
    """Gradium; SDK `GradiumTtsParams`."""

    api_key: ApiKey
    url: Url
    model_name: Model
    voice_id: Voice
    sample_rate: SampleRate


class GradiumTts(TtsSlot, total=False):
    """Gradium; SDK `GradiumTts`."""

    vendor: Required[Annotated[Literal["gradium"], says("Gradium.")]]
    params: Annotated[GradiumTtsParams, says("Settings for Gradium.")]


class HumeaiTtsParams(PassedOn, total=False):
    """Hume AI; SDK `HumeAiTtsParams`, ranges from its page."""

    key: ApiKey
    voice_id: Voice
    base_url: Url
    provider: Annotated[str, says("Whose voice it is.", examples=["HUME_AI", "CUSTOM_VOICE"])]
    speed: Annotated[float, says("Speaking rate, 0.25 to 3; default 1.", ge=0.25, le=3)]
    trailing_silence: Annotated[
        float, says("Silence after an utterance, 0 to 5 s; default 0.35.", ge=0, le=5)
    ]
    config_id: Annotated[str, says("Old way to choose a voice; use `voice_id`.", deprecated=True)]


class HumeaiTts(TtsSlot, total=False):
    """Hume AI; SDK `HumeAiTts`."""

    vendor: Required[Annotated[Literal["humeai"], says("Hume AI.")]]
    params: Annotated[HumeaiTtsParams, says("Settings for Hume AI.")]


class MicrosoftTtsParams(PassedOn, total=False):
    """Azure Speech; SDK `MicrosoftTtsParams`."""

    key: ApiKey
    region: CloudRegion
    voice_name: Voice
    sample_rate: SampleRate
    speed: Annotated[float, says("Speaking rate, 0.5 to 2; 1 is normal.", ge=0.5, le=2)]
    volume: Annotated[float, says("Loudness, 0 to 100.", ge=0, le=100)]


class MicrosoftTts(TtsSlot, total=False):
    """Azure Speech; SDK `MicrosoftTts`."""

    vendor: Required[Annotated[Literal["microsoft"], says("Microsoft Azure Speech.")]]
    params: Annotated[MicrosoftTtsParams, says("Settings for Azure Speech.")]


class MinimaxVoice(PassedOn, total=False):
    """How MiniMax speaks; SDK `MinimaxTtsParamsVoiceSetting`. A blend may stand in for `voice_id`."""

    voice_id: Voice
    speed: Speed
    vol: Volume
    pitch: Pitch
    emotion: Text
    latex_read: Flag
    english_normalization: Flag


class MinimaxAudio(PassedOn, total=False):
    """The audio that MiniMax returns; SDK `MinimaxTtsParamsAudioSetting`."""

    sample_rate: SampleRate


class MinimaxPronunciation(PassedOn, total=False):
    """How MiniMax says certain words; SDK `MinimaxTtsParamsPronunciationDict`."""

    tone: Annotated[list[str], says("Replacements of tone or sound.")]


class MinimaxTimbre(PassedOn, total=False):
    """One voice of a blend; SDK `MinimaxTtsParamsTimberWeightsItem`."""

    voice_id: Voice
    weight: Annotated[float, says("Share of this voice in the blend.")]


class MinimaxTtsParams(PassedOn, total=False):
    """MiniMax; SDK `MinimaxTtsParams`."""

    key: ApiKey
    group_id: Annotated[str, says("Your group at MiniMax.")]
    model: Model
    voice_setting: Annotated[MinimaxVoice, says("Which voice speaks, and how.")]
    audio_setting: Annotated[MinimaxAudio, says("Form of the audio.")]
    pronunciation_dict: Annotated[MinimaxPronunciation, says("How certain words are said.")]
    timber_weights: Annotated[list[MinimaxTimbre], says("Blend of voices, instead of one voice.")]
    language_boost: Text
    url: Url


class MinimaxTts(TtsSlot, total=False):
    """MiniMax; SDK `MinimaxTts`."""

    vendor: Required[Annotated[Literal["minimax"], says("MiniMax.")]]
    params: Annotated[MinimaxTtsParams, says("Settings for MiniMax.")]


class MistralTtsParams(PassedOn, total=False):
    """Mistral; SDK `MistralTtsParams`."""

    api_key: ApiKey
    model: Model
    voice: Voice


class MistralTts(TtsSlot, total=False):
    """Mistral; SDK `MistralTts`."""

    vendor: Required[Annotated[Literal["mistral"], says("Mistral.")]]
    params: Annotated[MistralTtsParams, says("Settings for Mistral.")]


class MurfTtsParams(PassedOn, total=False):
    """Murf; SDK `MurfTtsParams`."""

    api_key: ApiKey
    base_url: Url
    voiceId: Voice
    locale: SpokenLanguage
    rate: Annotated[float, says("Change of the speaking rate; 0 is normal.")]
    pitch: Pitch
    model: Model
    sample_rate: Annotated[float, says("Sample rate of the audio, in Hz.", gt=0)]


class MurfTts(TtsSlot, total=False):
    """Murf; SDK `MurfTts`."""

    vendor: Required[Annotated[Literal["murf"], says("Murf.")]]
    params: Annotated[MurfTtsParams, says("Settings for Murf.")]


class OpenaiTtsParams(PassedOn, total=False):
    """OpenAI; SDK `OpenAiTtsParams`, range from its page."""

    api_key: ApiKey
    base_url: Url
    voice: Voice
    model: Model
    instructions: Annotated[str, says("How to speak, in plain words.")]
    speed: Annotated[float, says("Speaking rate, 0.25 to 4; default 1.", ge=0.25, le=4)]


class OpenaiTts(TtsSlot, total=False):
    """OpenAI; SDK `OpenAiTts`."""

    vendor: Required[Annotated[Literal["openai"], says("OpenAI.")]]
    params: Annotated[OpenaiTtsParams, says("Settings for OpenAI.")]


class RimeTtsParams(PassedOn, total=False):
    """Rime; SDK `RimeTtsParams`."""

    api_key: ApiKey
    speaker: Voice
    modelId: Model
    base_url: Url


class RimeTts(TtsSlot, total=False):
    """Rime; SDK `RimeTts`."""

    vendor: Required[Annotated[Literal["rime"], says("Rime.")]]
    params: Annotated[RimeTtsParams, says("Settings for Rime.")]


class SarvamTtsParams(PassedOn, total=False):
    """Sarvam; SDK `SarvamTtsParams`."""

    api_subscription_key: ApiKey
    speaker: Voice
    target_language_code: SpokenLanguage
    pitch: Pitch
    pace: Speed
    loudness: Volume
    sample_rate: Annotated[float, says("Sample rate of the audio, in Hz.", gt=0)]


class SarvamTts(TtsSlot, total=False):
    """Sarvam; SDK `SarvamTts`."""

    vendor: Required[Annotated[Literal["sarvam"], says("Sarvam.")]]
    params: Annotated[SarvamTtsParams, says("Settings for Sarvam.")]


class SmallestaiTtsParams(PassedOn, total=False):
    """Smallest AI; SDK `SmallestAiTtsParams`."""

    url: Url
    api_key: ApiKey
    model: Model
    voice_id: Voice
    sample_rate: SampleRate
    speed: Speed
    language: SpokenLanguage
    number_pronunciation_language: Annotated[str, says("Language in which numbers are read.")]
    math_notation: Flag
    pronunciation_dicts: Annotated[list[str], says("Ids of pronunciation dictionaries at the vendor.")]
    session_id: Annotated[str, says("Your id of the session, for the vendor's traces.")]
    request_id: Annotated[str, says("Your id of the request, for the vendor's traces.")]


class SmallestaiTts(TtsSlot, total=False):
    """Smallest AI; SDK `SmallestAiTts`."""

    vendor: Required[Annotated[Literal["smallestai"], says("Smallest AI.")]]
    params: Annotated[SmallestaiTtsParams, says("Settings for Smallest AI.")]


class StepfunTtsParams(PassedOn, total=False):
    """StepFun; SDK `StepfunTtsParams`."""

    api_key: ApiKey
    model: Model
    voice_id: Voice


class StepfunTts(TtsSlot, total=False):
    """StepFun; SDK `StepfunTts`."""

    vendor: Required[Annotated[Literal["stepfun"], says("StepFun; mainland China only.")]]
    params: Annotated[StepfunTtsParams, says("Settings for StepFun.")]


class TencentTtsParams(PassedOn, total=False):
    """Tencent Cloud; SDK `TencentTtsParams`."""

    app_id: AppId
    secret_id: AccessId
    secret_key: AccessSecret
    voice_type: Annotated[int, says("Number of the vendor's voice.")]
    volume: Annotated[float, says("Loudness, on the vendor's scale.")]
    speed: Annotated[float, says("Speaking rate, on the vendor's scale.")]
    emotion_category: Text
    emotion_intensity: Annotated[int, says("Strength of the emotion, on the vendor's scale.")]


class TencentTts(TtsSlot, total=False):
    """Tencent Cloud; SDK `TencentTts`."""

    vendor: Required[Annotated[Literal["tencent"], says("Tencent Cloud; mainland China only.")]]
    params: Annotated[TencentTtsParams, says("Settings for Tencent Cloud.")]


class TypecastTtsParams(PassedOn, total=False):
    """Typecast; SDK `TypecastTtsParams`."""

    api_key: ApiKey
    voice_id: Voice
    model: Model


class TypecastTts(TtsSlot, total=False):
    """Typecast; SDK `TypecastTts`."""

    vendor: Required[Annotated[Literal["typecast"], says("Typecast.")]]
    params: Annotated[TypecastTtsParams, says("Settings for Typecast.")]


class XaiTtsParams(PassedOn, total=False):
    """xAI; SDK `XAiTtsParams`."""

    api_key: ApiKey
    voice_id: Voice
    language: SpokenLanguage
    sample_rate: SampleRate


class XaiTts(TtsSlot, total=False):
    """xAI; SDK `XAiTts`."""

    vendor: Required[Annotated[Literal["xai"], says("xAI.")]]
    params: Annotated[XaiTtsParams, says("Settings for xAI.")]


DEFAULT = UNNAMED

Tts: TypeAlias = Annotated[
    Annotated[UnnamedTts, Tag(UNNAMED)]
    | Annotated[AmazonTts, Tag("amazon")]
    | Annotated[BytedanceTts, Tag("bytedance")]
    | Annotated[BytedanceDuplexTts, Tag("bytedance_duplex")]
    | Annotated[CartesiaTts, Tag("cartesia")]
    | Annotated[CosyvoiceTts, Tag("cosyvoice")]
    | Annotated[DeepgramTts, Tag("deepgram")]
    | Annotated[ElevenlabsTts, Tag("elevenlabs")]
    | Annotated[FishaudioTts, Tag("fishaudio")]
    | Annotated[GeminiTts, Tag("gemini")]
    | Annotated[GenericHttpTts, Tag("generic_http")]
    | Annotated[GoogleTts, Tag("google")]
    | Annotated[GradiumTts, Tag("gradium")]
    | Annotated[HumeaiTts, Tag("humeai")]
    | Annotated[MicrosoftTts, Tag("microsoft")]
    | Annotated[MinimaxTts, Tag("minimax")]
    | Annotated[MistralTts, Tag("mistral")]
    | Annotated[MurfTts, Tag("murf")]
    | Annotated[OpenaiTts, Tag("openai")]
    | Annotated[RimeTts, Tag("rime")]
    | Annotated[SarvamTts, Tag("sarvam")]
    | Annotated[SmallestaiTts, Tag("smallestai")]
    | Annotated[StepfunTts, Tag("stepfun")]
    | Annotated[TencentTts, Tag("tencent")]
    | Annotated[TypecastTts, Tag("typecast")]
    | Annotated[XaiTts, Tag("xai")],
    Discriminator(by_vendor(DEFAULT)),
]

VENDORS = table(
    vendor(
        "amazon",
        "params.aws_access_key_id params.aws_secret_access_key params.region_name params.voice params.engine",
    ),
    vendor("bytedance", "params.token params.app_id params.cluster params.voice_type", where="cn"),
    vendor("bytedance_duplex", "params.app_id params.token params.speaker", where="cn"),
    vendor("cartesia", "params.api_key params.model_id params.voice", host="api.cartesia.ai"),
    vendor("cosyvoice", "params.api_key params.model params.sample_rate params.voice", where="cn"),
    vendor("deepgram", "params.api_key params.model", host="api.deepgram.com"),
    vendor(
        "elevenlabs",
        "params.base_url params.key params.model_id params.voice_id",
        host="api.elevenlabs.io",
    ),
    vendor("fishaudio", "params.api_key params.reference_id params.backend"),
    vendor("gemini", "params.api_key params.model params.voice", where="preview"),
    vendor("generic_http", "url params", where="both"),
    vendor("google", "params.credentials params.VoiceSelectionParams"),
    vendor("gradium", "params.api_key", host="api.gradium.ai"),
    vendor("humeai", "params.key params.voice_id params.provider", host="api.hume.ai"),
    vendor("microsoft", "params.key params.region params.voice_name", where="both"),
    vendor(
        "minimax",
        "params.key params.model params.voice_setting.voice_id|params.timber_weights",
        where="both",
    ),
    vendor("mistral", "params.api_key"),
    vendor("murf", "params.api_key", host="global.api.murf.ai"),
    vendor("openai", "params.api_key params.voice", host="api.openai.com"),
    vendor("rime", "params.api_key params.speaker params.modelId", host="users.rime.ai"),
    vendor("sarvam", "params.api_subscription_key params.speaker params.target_language_code"),
    vendor("smallestai", "params.api_key", host="api.smallest.ai"),
    vendor("stepfun", "params.api_key params.model params.voice_id", where="cn"),
    vendor("tencent", "params.app_id params.secret_id params.secret_key params.voice_type", where="cn"),
    vendor("typecast", "params.api_key params.voice_id params.model"),
    vendor("xai", "params.api_key params.language"),
)
