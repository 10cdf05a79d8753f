"""Language models: the styles of `llm`, its tools and its MCP servers.

Facts: the `join` reference, SDK 2.12.0 `types/llm*.py` and `types/mcp_server.py`, the pages under
models/llm. A class per request *style*, because the style fixes the fields; `vendor` is one of a list.
`params` goes to the model as it is: known names are typed, others are for the model to judge.
"""

from typing import Annotated, Any, Literal, Required, TypeAlias

from pydantic import Discriminator, Tag, WithJsonSchema

from reconciler.model.vendors import (
    AccessId,
    AccessSecret,
    Checked,
    CloudRegion,
    CredentialMode,
    Model,
    PassedOn,
    says,
    table,
    vendor,
)

Style = Literal["openai", "gemini", "anthropic", "dify", "bedrock"]
VendorName = Literal["openai", "azure", "xai", "custom", "aliyun", "bytedance", "deepseek", "tencent"]

Headers = Annotated[dict[str, str], says("HTTP headers to add; write references for credentials.")]
Messages = Annotated[
    list[Annotated[dict[str, Any], says("One message: `role`, `content` and what else the model takes.")]],
    says("Messages that stand before every conversation: the prompt. May use {{variables}}."),
]
Temperature = Annotated[float, says("How varied the answers are.", ge=0, le=2)]
TopP = Annotated[float, says("Share of likely words to choose from, 0 to 1.", ge=0, le=1)]
TopK = Annotated[int, says("How many likely words to choose from.", gt=0)]
MaxTokens = Annotated[int, says("Most tokens in one answer.", gt=0)]


class McpServer(Checked, total=False):
    """A server of tools over MCP; SDK `McpServer`."""

    name: Required[
        Annotated[str, says("Name, at most 48 letters and digits.", max_length=48, pattern="^[A-Za-z0-9]+$")]
    ]
    endpoint: Required[Annotated[str, says("Address of the server.")]]
    transport: Annotated[Literal["streamable_http"], says("Transport; only `streamable_http` is spoken.")]
    headers: Headers
    allowed_tools: Annotated[list[str], says("Tools the agent may use; left out or `*` all, empty none.")]
    timeout_ms: Annotated[int, says("How long to wait for the server, in ms.", gt=0)]


class ToolParameters(PassedOn, total=False):
    """Arguments of a tool as JSON Schema; SDK `LlmToolFunctionParameters`."""

    type: Required[Annotated[Literal["object"], says("Always `object`.")]]
    properties: Required[Annotated[dict[str, Any], says("The arguments by name.")]]
    required: Annotated[list[str], says("Arguments that must be given.")]


class ToolFunction(Checked, total=False):
    """A tool as the model sees it; SDK `LlmToolFunction`."""

    name: Required[
        Annotated[str, says("Name of the tool; case does not tell two tools apart.", min_length=1)]
    ]
    description: Annotated[str, says("What the tool does, for the model.")]
    parameters: Required[Annotated[ToolParameters, says("The arguments the model may give.")]]


class ToolExecution(Checked, total=False):
    """When a tool runs; SDK `LlmToolExecution`."""

    mode: Annotated[Literal["sync"], says("Only `sync`, the default: the answer is awaited.")]


class ToolServer(Checked, total=False):
    """The request behind a tool; SDK `LlmToolServer`."""

    method: Required[Annotated[Literal["GET", "POST"], says("HTTP method.")]]
    url: Required[Annotated[str, says("Address; may hold {{args.x}} and {{template_variables.x}}.")]]
    headers: Headers
    body: Annotated[dict[str, Any], says("JSON to post, with {{placeholders}}; not with GET.")]
    timeout_ms: Annotated[
        int, says("How long to wait, 1000 to 100000 ms; default 10000.", ge=1000, le=100000)
    ]


class Tool(Checked, total=False):
    """A REST tool written out in place; SDK `LlmTool`."""

    type: Required[Annotated[Literal["function"], says("Always `function`.")]]
    function: Required[Annotated[ToolFunction, says("The tool as the model sees it.")]]
    execution: Annotated[ToolExecution, says("When the tool runs.")]
    server: Required[Annotated[ToolServer, says("The request behind the tool.")]]


McpServers = Annotated[list[McpServer], says("Servers of tools; need advanced_features.enable_tools.")]
Tools = Annotated[list[Tool], says("REST tools; need advanced_features.enable_tools.")]


class GreetingConfigs(Checked, total=False):
    """How the greeting is played; `join` reference and SDK `LlmGreetingConfigs`."""

    mode: Annotated[
        Literal["single_every", "single_first"],
        says("Greet every user who joins (`single_every`, the default) or only the first."),
    ]
    delay_ms: Annotated[int, says("Wait before the greeting, 0 to 5000 ms.", ge=0, le=5000)]
    interruptable: Annotated[bool, says("Whether speech may cut the greeting short; default true.")]
    audio_download_timeout_ms: Annotated[
        int, says("Time to fetch the recording, 200 to 10000 ms; default 1000.", ge=200, le=10000)
    ]
    audio_pcm_sample_rate: Annotated[int, says("Sample rate of a PCM recording, in Hz; default 16000.", gt=0)]
    uninterruptible_asr_policy: Annotated[
        Literal["merge_reply", "context"],
        says("What becomes of speech heard meanwhile: answered afterwards, or kept as context."),
    ]


class LlmSlot(Checked, total=False):
    """What every style takes; `join` reference and SDK `Llm`."""

    credential_mode: CredentialMode
    vendor: Annotated[
        VendorName, says("Whose model it is; `custom` adds turn ids and times to the requests.")
    ]
    url: Annotated[str, says("Address of the model.")]
    api_key: Annotated[str, says("Key for the model; write a reference, not the value. Default empty.")]
    system_messages: Messages
    max_history: Annotated[int, says("Messages to remember, 1 to 1024; default 32.", ge=1, le=1024)]
    input_modalities: Annotated[
        list[Literal["text", "image"]], says("What the model takes; default text.", min_length=1)
    ]
    output_modalities: Annotated[
        list[Literal["text", "audio"]], says("What the model gives; default text.", min_length=1)
    ]
    greeting_configs: Annotated[GreetingConfigs, says("How the greeting is played.")]
    greeting_message: Annotated[str, says("Words of greeting. May use {{variables}}.")]
    greeting_audio_url: Annotated[
        str,
        says(
            "Recording to greet with, at most 2048 bytes; needs greeting_message too.",
            max_length=2048,
            pattern=r"^([hH][tT][tT][pP][sS]?://|ref\+)\S+$",
        ),
    ]
    failure_message: Annotated[str, says("Words when the model fails. May use {{variables}}.")]
    template_variables: Annotated[
        dict[str, str], says("Values for the {{variables}} in prompt, greeting, failure and silence texts.")
    ]
    mcp_servers: McpServers
    tools: Tools


class OpenaiLlmParams(PassedOn, total=False):
    """Body of a chat completion; SDK `LlmParams` and builders, names from OpenAI's API."""

    model: Model
    max_tokens: MaxTokens
    max_completion_tokens: MaxTokens
    temperature: Temperature
    top_p: TopP
    stream: Annotated[bool, says("Whether the answer comes in pieces.")]
    frequency_penalty: Annotated[float, says("Penalty for frequent words, -2 to 2.", ge=-2, le=2)]
    presence_penalty: Annotated[float, says("Penalty for words already used, -2 to 2.", ge=-2, le=2)]
    seed: Annotated[int, says("Seed for repeatable answers.")]
    stop: Annotated[Any, says("Text, or texts, that end the answer.")]
    n: Annotated[int, says("How many answers to ask for.", gt=0)]
    user: Annotated[str, says("Your id of the user, for the vendor.")]
    reasoning_effort: Annotated[
        str, says("How long the model thinks.", examples=["minimal", "low", "medium", "high"])
    ]
    response_format: Annotated[dict[str, Any], says("Form of the answer.")]
    tools: Annotated[list[Any], says("Tools in OpenAI's own form.")]
    tool_choice: Annotated[Any, says("Which tool to use.")]
    parallel_tool_calls: Annotated[bool, says("Whether tools may be called side by side.")]
    service_tier: Annotated[str, says("Class of service at the vendor.")]


class GeminiLlmParams(PassedOn, total=False):
    """Body of a Gemini request; SDK builders `Gemini` and `VertexAILLM`."""

    model: Model
    temperature: Temperature
    top_p: TopP
    top_k: TopK
    max_tokens: MaxTokens
    max_output_tokens: MaxTokens


class AnthropicLlmParams(PassedOn, total=False):
    """Body of an Anthropic request; SDK builder `Anthropic`."""

    model: Model
    max_tokens: MaxTokens
    temperature: Annotated[float, says("How varied the answers are, 0 to 1.", ge=0, le=1)]
    top_p: TopP
    top_k: TopK


class DifyLlmParams(PassedOn, total=False):
    """Body of a Dify request; SDK builder `Dify`."""

    model: Annotated[str, says("Model; `default` takes the one of the Dify application.")]
    max_tokens: MaxTokens
    user: Annotated[str, says("Your id of the user, for Dify.")]
    conversation_id: Annotated[str, says("Conversation to go on with.")]


class BedrockLlmParams(PassedOn, total=False):
    """Body of a Bedrock request; SDK builder `AmazonBedrock`."""

    model: Model
    max_tokens: MaxTokens
    temperature: Annotated[float, says("How varied the answers are, 0 to 1.", ge=0, le=1)]
    top_p: TopP


class OpenaiLlm(LlmSlot, total=False):
    """OpenAI's protocol, the default; pages models/llm/{openai,azure-openai,xai,groq}, custom-llm."""

    # Every style lands here when it is unknown, so this class names all of them; the schema shows its own.
    style: Annotated[
        Style,
        says("Protocol of the model; default `openai`."),
        WithJsonSchema({"const": "openai", "description": "OpenAI's protocol; the default."}),
    ]
    headers: Headers
    params: Annotated[OpenaiLlmParams, says("Body of the request to the model.")]


class GeminiLlm(LlmSlot, total=False):
    """Gemini and Vertex AI; pages models/llm/{gemini,google-vertex-ai}."""

    style: Required[Annotated[Literal["gemini"], says("Google's protocol.")]]
    headers: Headers
    ignore_empty: Annotated[bool, says("Whether empty answers are passed over.")]
    params: Annotated[GeminiLlmParams, says("Body of the request to the model.")]


class AnthropicLlm(LlmSlot, total=False):
    """Claude; page models/llm/claude, which writes `headers` as JSON in a text."""

    style: Required[Annotated[Literal["anthropic"], says("Anthropic's protocol.")]]
    headers: Annotated[
        Annotated[dict[str, str], Tag("mapping")] | Annotated[str, Tag("text")],
        Discriminator(lambda headers: "text" if isinstance(headers, str) else "mapping"),
        says("HTTP headers, as a mapping or as JSON in a text; must hold `anthropic-version`."),
    ]
    params: Annotated[AnthropicLlmParams, says("Body of the request to the model.")]


class DifyLlm(LlmSlot, total=False):
    """Dify; page models/llm/dify."""

    style: Required[Annotated[Literal["dify"], says("Dify's protocol.")]]
    headers: Headers
    params: Annotated[DifyLlmParams, says("Body of the request to Dify.")]


class BedrockLlm(LlmSlot, total=False):
    """Amazon Bedrock; page models/llm/amazon and SDK `Llm`."""

    style: Required[Annotated[Literal["bedrock"], says("Amazon Bedrock's protocol.")]]
    headers: Headers
    access_key: AccessId
    secret_key: AccessSecret
    region: CloudRegion
    model: Model
    params: Annotated[BedrockLlmParams, says("Body of the request to the model.")]


DEFAULT = "openai"
STYLES: tuple[str, ...] = ("openai", "gemini", "anthropic", "dify", "bedrock")


def _by_style(slot: Any) -> str | None:
    """The style's tag; an unknown vendor is its own tag, so that it reads as one in the error."""
    if not isinstance(slot, dict):
        return "style openai"
    name = slot.get("vendor", DEFAULT)
    if not isinstance(name, str) or name not in VENDORS:
        return name if isinstance(name, str) else None
    style = slot.get("style", DEFAULT)
    return f"style {style}" if style in STYLES else "style openai"


Llm: TypeAlias = Annotated[
    Annotated[OpenaiLlm, Tag("style openai")]
    | Annotated[GeminiLlm, Tag("style gemini")]
    | Annotated[AnthropicLlm, Tag("style anthropic")]
    | Annotated[DifyLlm, Tag("style dify")]
    | Annotated[BedrockLlm, Tag("style bedrock")],
    Discriminator(_by_style),
]

VENDORS = table(
    vendor("openai", "url", host="api.openai.com"),
    vendor("azure", "url"),
    vendor("xai", "url", host="api.x.ai"),
    vendor("custom", "url"),
    vendor("aliyun", "url", where="cn"),
    vendor("bytedance", "url", where="cn"),
    vendor("deepseek", "url", where="cn"),
    vendor("tencent", "url", where="cn"),
)

# Styles other than OpenAI's go to one maker, whatever `vendor` says.
STYLE_VENDORS = table(
    vendor("gemini", "url", host="generativelanguage.googleapis.com"),
    vendor("anthropic", "url", host="api.anthropic.com"),
    vendor("dify", "url"),
    vendor("bedrock", "url api_key|access_key api_key|secret_key"),
)
