"""Tools of a model: REST tools written out in place, and servers of tools over MCP.

Facts: SDK 2.12.0 `types/llm_tool*.py` and `types/mcp_server.py`.
"""

from __future__ import annotations

from reconciler.contract.kinds import (
    Fields,
    address,
    explained,
    free,
    group,
    headers,
    many,
    prose,
    required,
    text,
    whole,
    words,
)

HEADERS = headers("HTTP headers to add; write references for credentials.")

# A server of tools over MCP; SDK `McpServer`.
_MCP_SERVER: Fields = {
    "name": required(text("Name, at most 48 letters and digits.", max_length=48, pattern="^[A-Za-z0-9]+$")),
    "endpoint": required(address("Address of the server.")),
    "transport": words("Transport; only `streamable_http` is spoken.", "streamable_http"),
    "headers": HEADERS,
    "allowed_tools": many(text(), "Tools the agent may use; left out or `*` all, empty none."),
    "timeout_ms": whole("How long to wait for the server, in ms.", gt=0),
}

# A REST tool written out in place; SDK `LlmTool`.
_TOOL: Fields = {
    "type": required(words("Always `function`.", "function")),
    "function": required(
        group(
            "The tool as the model sees it.",
            {
                "name": required(text("Name of the tool; case does not tell two tools apart.", min_length=1)),
                "description": prose("What the tool does, for the model."),
                "parameters": required(
                    group(
                        "The arguments the model may give.",
                        {
                            "type": required(words("Always `object`.", "object")),
                            "properties": required(free("The arguments by name.")),
                            "required": many(text(), "Arguments that must be given."),
                        },
                    )
                ),
            },
        )
    ),
    "execution": group(
        "When the tool runs.", {"mode": words("Only `sync`, the default: the answer is awaited.", "sync")}
    ),
    "server": required(
        group(
            "The request behind the tool.",
            {
                "method": required(
                    explained("HTTP method.", {"GET": "read; takes no body", "POST": "send the body"})
                ),
                "url": required(address("Address; may hold {{args.x}} and {{template_variables.x}}.")),
                "headers": HEADERS,
                "body": free("JSON to post, with {{placeholders}}; not with GET."),
                "timeout_ms": whole(
                    "How long to wait, 1000 to 100000 ms; default 10000.", ge=1000, le=100000
                ),
            },
        )
    ),
}


MCP_SERVERS = many(
    group("A server of tools over MCP; SDK `McpServer`.", _MCP_SERVER, name="McpServer"),
    "Servers of tools; need advanced_features.enable_tools.",
)
TOOLS = many(
    group("A REST tool written out in place; SDK `LlmTool`.", _TOOL, name="Tool"),
    "REST tools; need advanced_features.enable_tools.",
)
