"""Speech recognition: the vendors of `asr` and the shape of their `params`.

Facts: SDK 2.12.0 `types/*_asr_params.py` and the vendor pages under models/asr. No defaults are filled in.
"""

from __future__ import annotations

from reconciler.contract.agora.fields import (
    ACCESS_ID,
    ACCESS_SECRET,
    API_KEY,
    APP_ID,
    CLOUD_REGION,
    CREDENTIAL_MODE,
    FLAG,
    LANGUAGE,
    MODEL,
    SAMPLE_RATE,
    URL,
)
from reconciler.contract.kinds import (
    Fields,
    free,
    group,
    identifier,
    key,
    many,
    prose,
    required,
    switch,
    text,
    whole,
)
from reconciler.contract.rows import slot, vendor

_TEXT_FLAG = text("A switch that this vendor takes as text: `true` or `false`.")
_KEYWORDS = many(prose(), "Words that recognition should favour.")

# iFlytek; SDK `XfyunAsrParams`.
_XFYUN: Fields = {"api_key": API_KEY, "app_id": APP_ID, "api_secret": ACCESS_SECRET, "language": LANGUAGE}

_COMMON: Fields = {
    "credential_mode": CREDENTIAL_MODE,
    "language": text("BCP-47 tag of the main language; default `en-US`, in mainland China `zh-CN`."),
}


# Where `params` takes a language, the slot's language may be given instead; by the reference, that of params wins.
ASR = slot(
    "asr",
    "Speech recognition.",
    _COMMON,
    (
        vendor(
            "ares",
            "Agora's own recognizer; the service's default",
            "Agora's own recognizer, used when no vendor is named; SDK `AresAsr`, its params are free",
            free("Settings of the recognizer, handed on as they are."),
            also={"keywords": _KEYWORDS},
            is_default=True,
        ),
        vendor(
            "amazon",
            "Amazon Transcribe",
            "Amazon Transcribe; SDK `AmazonAsrParams`",
            {
                "region": CLOUD_REGION,
                "access_key_id": ACCESS_ID,
                "secret_access_key": ACCESS_SECRET,
                "language_code": LANGUAGE,
                "media_sample_rate_hz": SAMPLE_RATE,
                "media_encoding": text("Encoding of the audio that goes to the vendor."),
            },
            needs="params.region params.access_key_id params.secret_access_key params.language_code|language",
        ),
        vendor(
            "assemblyai",
            "AssemblyAI",
            "AssemblyAI; SDK `AssemblyAiAsrParams`. The SDK writes `ws_url`, the vendor page `uri`",
            {"api_key": API_KEY, "language": LANGUAGE, "ws_url": URL, "uri": URL},
            needs="params.api_key params.language|language",
            host="streaming.assemblyai.com",
        ),
        vendor(
            "deepgram",
            "Deepgram",
            "Deepgram; SDK `DeepgramAsrParams` and its builder's extra switches. Guides write `api_key` for `key`",
            {
                "key": API_KEY,
                "api_key": API_KEY,
                "url": URL,
                "model": MODEL,
                "language": LANGUAGE,
                "keyterm": prose("Terms and brands to favour; only with nova-3."),
                "smart_format": FLAG,
                "punctuation": FLAG,
            },
            needs="params.key|params.api_key",
            disputed="params.key",
            host="api.deepgram.com",
        ),
        vendor(
            "fengming",
            "Agora's recognizer and the default in mainland China",
            "Agora's recognizer in mainland China; SDK `FengmingAsr`, its params are free",
            free("Settings of the recognizer, handed on as they are."),
            where="cn",
            also={"keywords": _KEYWORDS},
        ),
        vendor(
            "gemini",
            "Google Gemini",
            "Google Gemini; SDK `GeminiAsrParams`",
            {
                "api_key": API_KEY,
                "model": MODEL,
                "sample_rate": SAMPLE_RATE,
                "language": LANGUAGE,
                "language_hints": many(text(), "Languages that may be heard; go before `language`."),
                "custom_vocabulary": many(prose(), "Words to favour; not together with `word_timestamp`."),
                "mode": text("`SMART` tidies the text, `VERBATIM` keeps it.", examples=["SMART", "VERBATIM"]),
                "word_timestamp": switch(
                    "Times for each word; neither with SMART nor with custom_vocabulary."
                ),
                "diarization": switch("Say who spoke; not with SMART."),
            },
            needs="params.api_key params.model",
            maker="Gemini",
        ),
        vendor(
            "google",
            "Google Cloud Speech-to-Text",
            "Google Cloud Speech; SDK `GoogleAsrParams`",
            {
                "project_id": identifier("The Google Cloud project."),
                "location": CLOUD_REGION,
                "adc_credentials_string": key(
                    "Service-account JSON as text; write a reference, not the value."
                ),
                "language": LANGUAGE,
                "model": MODEL,
            },
            needs="params.project_id params.location params.adc_credentials_string params.language|language",
            maker="Google Cloud",
        ),
        vendor(
            "microsoft",
            "Microsoft Azure Speech",
            "Azure Speech; SDK `MicrosoftAsrParams`",
            {
                "key": API_KEY,
                "region": CLOUD_REGION,
                "language": LANGUAGE,
                "phrase_list": many(prose(), "Phrases that recognition should favour."),
            },
            needs="params.key params.region params.language|language",
            where="both",
            maker="Azure Speech",
        ),
        vendor(
            "openai",
            "OpenAI",
            "OpenAI; SDK `OpenAiAsrParams`",
            {
                "api_key": API_KEY,
                "input_audio_transcription": group(
                    "How the audio is transcribed.",
                    {
                        "model": required(text("The transcription model.")),
                        "prompt": required(prose("Text that guides the transcription.")),
                        "language": required(text("Language code, such as `en`.")),
                    },
                ),
            },
            needs="params.api_key params.input_audio_transcription",
        ),
        vendor(
            "sarvam",
            "Sarvam",
            "Sarvam; SDK `SarvamAsrParams`, and the model of its builder, which the live service asked for",
            {
                "api_key": API_KEY,
                "language": text("Language code; `unknown` lets the vendor find it."),
                "model": MODEL,
            },
            needs="params.api_key params.language|language",
            disputed="params.model",
        ),
        vendor(
            "smallestai",
            "Smallest AI",
            "Smallest AI; SDK `SmallestAiAsrParams`: its switches are text, not booleans",
            {
                "api_key": API_KEY,
                "url": URL,
                "language": LANGUAGE,
                "sample_rate": SAMPLE_RATE,
                "encoding": text("Encoding of the audio; default `linear16`."),
                "word_timestamps": _TEXT_FLAG,
                "sentence_timestamps": _TEXT_FLAG,
                "diarize": _TEXT_FLAG,
                "vad_events": _TEXT_FLAG,
                "endpointing": _TEXT_FLAG,
                "eou_timeout_ms": whole("Silence that ends an utterance, in ms.", ge=0),
                "format": _TEXT_FLAG,
                "finalize_on_words": _TEXT_FLAG,
                "max_words": text("Most words in one result, as text."),
                "punctuate": _TEXT_FLAG,
                "capitalize": _TEXT_FLAG,
                "itn_normalize": _TEXT_FLAG,
                "full_transcript": _TEXT_FLAG,
                "keywords": prose("Words to favour: `word:weight,word:weight`."),
                "redact_pii": _TEXT_FLAG,
                "redact_pci": _TEXT_FLAG,
            },
            needs="params.api_key",
            host="api.us.smallest.ai",
        ),
        vendor(
            "speechmatics",
            "Speechmatics",
            "Speechmatics; SDK `SpeechmaticsAsrParams`. The vendor page writes `api_key`, the SDK prefers `key`",
            {"key": API_KEY, "api_key": API_KEY, "language": LANGUAGE, "uri": URL, "model": MODEL},
            needs="params.key|params.api_key params.language|language",
        ),
        vendor(
            "tencent",
            "Tencent Cloud",
            "Tencent Cloud; SDK `TencentAsrParams`",
            {
                "key": API_KEY,
                "app_id": APP_ID,
                "secret": ACCESS_SECRET,
                "engine_model_type": MODEL,
                "voice_id": identifier("Id of the recognition session."),
            },
            needs="params.key params.app_id params.secret params.engine_model_type params.voice_id",
            where="cn",
        ),
        vendor(
            "xai",
            "xAI",
            "xAI; SDK `XAiAsrParams`",
            {"api_key": API_KEY, "base_url": URL, "sample_rate": SAMPLE_RATE, "language": LANGUAGE},
            needs="params.api_key",
            host="api.x.ai",
        ),
        vendor(
            "xfyun",
            "iFlytek",
            "iFlytek; SDK `XfyunAsrParams`",
            _XFYUN,
            needs="params.api_key params.app_id params.api_secret params.language|language",
            where="cn",
        ),
        vendor(
            "xfyun_bigmodel",
            "iFlytek's large model",
            "iFlytek's large model; SDK `XfyunBigmodelAsrParams`",
            {**_XFYUN, "language_name": text("The family of languages.")},
            needs="params.api_key params.app_id params.api_secret params.language_name params.language|language",
            where="cn",
        ),
        vendor(
            "xfyun_dialect",
            "iFlytek's dialect model",
            "iFlytek's dialect model; SDK `XfyunDialectAsrParams`",
            {
                "app_id": APP_ID,
                "access_key_id": ACCESS_ID,
                "access_key_secret": ACCESS_SECRET,
                "language": LANGUAGE,
            },
            needs="params.app_id params.access_key_id params.access_key_secret params.language|language",
            where="cn",
        ),
    ),
    default="ares",
)
