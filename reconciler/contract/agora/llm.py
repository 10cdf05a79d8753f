"""Language models: the styles of `llm`, its tools and its MCP servers.

Facts: the `join` reference, SDK 2.12.0 `types/llm*.py` and `types/mcp_server.py`, the pages under
models/llm. A variant for each request *style*, because the style fixes the fields; `vendor` is one of a list.
`params` goes to the model as it is: known names are typed, others are for the model to judge.
"""

from __future__ import annotations

from typing import Any

from reconciler.contract.agora.fields import ACCESS_ID, ACCESS_SECRET, CLOUD_REGION, CREDENTIAL_MODE, MODEL
from reconciler.contract.agora.tools import HEADERS, MCP_SERVERS, TOOLS
from reconciler.contract.kinds import (
    Fields,
    address,
    anything,
    explained,
    fetched,
    free,
    group,
    headers_either_way,
    identifier,
    key,
    many,
    mapping,
    number,
    prose,
    required,
    switch,
    text,
    whole,
    words,
)
from reconciler.contract.rows import Slot, row, union

_VENDORS = (
    row("openai", "url", host="api.openai.com"),
    row("azure", "url"),
    row("xai", "url", host="api.x.ai"),
    row("custom", "url"),
    row("aliyun", "url", where="cn"),
    row("bytedance", "url", where="cn"),
    row("deepseek", "url", where="cn"),
    row("tencent", "url", where="cn"),
)
_MAKERS_OF_VENDORS = (
    "OpenAI",
    "Azure OpenAI",
    "xAI",
    "your own model; requests have turn ids and times",
    "Alibaba Cloud; mainland China only",
    "ByteDance; mainland China only",
    "DeepSeek; mainland China only",
    "Tencent; mainland China only",
)
# Each style other than OpenAI's belongs to one maker, also if `vendor` names another.
_MAKERS = (
    row("gemini", "url", host="generativelanguage.googleapis.com"),
    row("anthropic", "url", host="api.anthropic.com"),
    row("dify", "url"),
    row("bedrock", "url api_key|access_key api_key|secret_key|secret"),
)
_DEFAULT = "openai"
_STYLES = (_DEFAULT, *(each.name for each in _MAKERS))

_MESSAGES = many(
    free("One message: `role`, `content` and what else the model takes."),
    "Messages that stand before every conversation: the prompt. May use {{variables}}.",
)
_TEMPERATURE = number("How varied the answers are.", ge=0, le=2)
_TOP_P = number("Share of likely words to choose from, 0 to 1.", ge=0, le=1)
_TOP_K = whole("How many likely words to choose from.", gt=0)
_MAX_TOKENS = whole("Most tokens in one answer.", gt=0)

_COMMON: Fields = {
    "credential_mode": CREDENTIAL_MODE,
    "vendor": explained(
        "Whose model it is; `custom` adds turn ids and times to the requests.",
        dict(zip((each.name for each in _VENDORS), _MAKERS_OF_VENDORS, strict=True)),
    ),
    "url": address("Address of the model."),
    "api_key": key("Key for the model; write a reference, not the value. Default empty."),
    "system_messages": _MESSAGES,
    "max_history": whole("Messages to remember, 1 to 1024; default 32.", ge=1, le=1024),
    "input_modalities": many(
        explained("", {"text": "text", "image": "pictures"}),
        "What the model takes; default text.",
        min_length=1,
    ),
    "output_modalities": many(
        explained("", {"text": "text", "audio": "sound"}),
        "What the model gives; default text.",
        min_length=1,
    ),
    "greeting_configs": group(
        "How the greeting is played.",
        {
            "mode": explained(
                "Greet every user who joins (`single_every`, the default) or only the first.",
                {"single_every": "greet every user who joins", "single_first": "greet the first user only"},
            ),
            "delay_ms": whole("Wait before the greeting, 0 to 5000 ms.", ge=0, le=5000),
            "interruptable": switch("Whether speech may cut the greeting short; default true."),
            "audio_download_timeout_ms": whole(
                "Time to fetch the recording, 200 to 10000 ms; default 1000.", ge=200, le=10000
            ),
            "audio_pcm_sample_rate": whole("Sample rate of a PCM recording, in Hz; default 16000.", gt=0),
            "uninterruptible_asr_policy": explained(
                "What becomes of speech heard meanwhile: answered afterwards, or kept as context.",
                {"merge_reply": "answer it afterwards", "context": "keep it as context"},
            ),
        },
        name="greeting_configs",
    ),
    "greeting_message": prose("Words of greeting. May use {{variables}}."),
    "greeting_audio_url": fetched(
        "Recording to greet with, at most 2048 bytes; needs greeting_message too.",
        max_length=2048,
        pattern="^([hH][tT][tT][pP][sS]?://|ref\\+)\\S+$",
    ),
    "failure_message": prose("Words when the model fails. May use {{variables}}."),
    "template_variables": mapping(
        prose(), "Values for the {{variables}} in prompt, greeting, failure and silence texts."
    ),
    "mcp_servers": MCP_SERVERS,
    "tools": TOOLS,
}

_OPENAI: Fields = {
    # An unknown style is checked by this variant, so it names all of them; an editor shows only the others' own.
    "style": words("Protocol of the model; default `openai`.", *_STYLES, const="openai"),
    "headers": HEADERS,
    "params": group(
        "Body of the request to the model.",
        {
            "model": MODEL,
            "max_tokens": _MAX_TOKENS,
            "max_completion_tokens": _MAX_TOKENS,
            "temperature": _TEMPERATURE,
            "top_p": _TOP_P,
            "stream": switch("Whether the answer comes in pieces."),
            "frequency_penalty": number("Penalty for frequent words, -2 to 2.", ge=-2, le=2),
            "presence_penalty": number("Penalty for words already used, -2 to 2.", ge=-2, le=2),
            "seed": whole("Seed for repeatable answers."),
            "stop": anything("Text, or texts, that end the answer."),
            "n": whole("How many answers to ask for.", gt=0),
            "user": identifier("Your id of the user, for the vendor."),
            "reasoning_effort": text(
                "How long the model thinks.", examples=["minimal", "low", "medium", "high"]
            ),
            "response_format": free("Form of the answer."),
            "tools": many(anything(), "Tools in OpenAI's own form."),
            "tool_choice": anything("Which tool to use."),
            "parallel_tool_calls": switch("Whether tools may be called side by side."),
            "service_tier": text("Class of service at the vendor."),
        },
    ),
}
_GEMINI: Fields = {
    "style": required(words("Google's protocol.", "gemini")),
    "headers": HEADERS,
    "ignore_empty": switch("Whether empty answers are passed over."),
    "params": group(
        "Body of the request to the model.",
        {
            "model": MODEL,
            "temperature": _TEMPERATURE,
            "top_p": _TOP_P,
            "top_k": _TOP_K,
            "max_tokens": _MAX_TOKENS,
            "max_output_tokens": _MAX_TOKENS,
        },
    ),
}
_ANTHROPIC: Fields = {
    "style": required(words("Anthropic's protocol.", "anthropic")),
    "headers": headers_either_way(
        "HTTP headers, as a mapping or as JSON in a text; must hold `anthropic-version`."
    ),
    "params": group(
        "Body of the request to the model.",
        {
            "model": MODEL,
            "max_tokens": _MAX_TOKENS,
            "temperature": number("How varied the answers are, 0 to 1.", ge=0, le=1),
            "top_p": _TOP_P,
            "top_k": _TOP_K,
        },
    ),
}
_DIFY: Fields = {
    "style": required(words("Dify's protocol.", "dify")),
    "headers": HEADERS,
    "params": group(
        "Body of the request to Dify.",
        {
            "model": text("Model; `default` takes the one of the Dify application."),
            "max_tokens": _MAX_TOKENS,
            "user": identifier("Your id of the user, for Dify."),
            "conversation_id": identifier("Conversation to go on with."),
        },
    ),
}
_BEDROCK: Fields = {
    "style": required(words("Amazon Bedrock's protocol.", "bedrock")),
    "headers": HEADERS,
    "access_key": ACCESS_ID,
    "secret_key": ACCESS_SECRET,
    "secret": ACCESS_SECRET,  # the page's name for it
    "region": CLOUD_REGION,
    "model": MODEL,
    "params": group(
        "Body of the request to the model.",
        {
            "model": MODEL,
            "max_tokens": _MAX_TOKENS,
            "temperature": number("How varied the answers are, 0 to 1.", ge=0, le=1),
            "top_p": _TOP_P,
        },
    ),
}


def _by_style(part: Any) -> str | None:
    """Return the tag of the style; an unknown vendor is its own tag, so that the error names it."""
    if not isinstance(part, dict):
        return f"style {_DEFAULT}"
    name = part.get("vendor", _DEFAULT)
    if not isinstance(name, str) or name not in _NAMES:
        return name if isinstance(name, str) else None
    style = part.get("style", _DEFAULT)
    return f"style {style if style in _STYLES else _DEFAULT}"


_NAMES = frozenset(each.name for each in _VENDORS)
_FIELDS = {"openai": _OPENAI, "gemini": _GEMINI, "anthropic": _ANTHROPIC, "dify": _DIFY, "bedrock": _BEDROCK}
_SOURCES = {
    "openai": "OpenAI's protocol; pages models/llm/{openai,azure-openai,xai,groq}, custom-llm",
    "gemini": "Gemini and Vertex AI; pages models/llm/{gemini,google-vertex-ai}",
    "anthropic": "Claude; page models/llm/claude, which writes `headers` as JSON in a text",
    "dify": "Dify; page models/llm/dify",
    "bedrock": "Amazon Bedrock; page models/llm/amazon and SDK `Llm`",
}
LLM = Slot(
    union(
        "The language model.",
        {
            f"style {style}": group(_SOURCES[style], {**_COMMON, **fields}, name=f"llm_{style}")
            for style, fields in _FIELDS.items()
        },
        _by_style,
    ),
    {each.name: each for each in _VENDORS},
    _DEFAULT,
    {each.name: each for each in _MAKERS},
)
