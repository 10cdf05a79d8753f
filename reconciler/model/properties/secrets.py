"""Where in `properties` credentials and addresses stand.

Tables of paths (`*` is any key or list index) and questions about one tree. Vendors spell the same thing in
many ways, so each spelling is listed; a test holds the lists against every class. What a secret *is* lives
in `secrets.references`, and to which host it is sent in `destinations`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from reconciler.model.properties.catalogue import SLOTS
from reconciler.model.tree import Path
from reconciler.secrets import KEY_LIKE

# Keys that hold a credential directly under a slot's `params`. The last line: spellings that no known vendor
# uses, for those we do not know.
CREDENTIAL_KEYS: Final = (
    *("key", "api_key", "api_secret", "token", "secret", "secret_id", "secret_key"),
    *("access_key", "secret_access_key", "access_key_id", "access_key_secret"),
    *("aws_access_key_id", "aws_secret_access_key", "credentials", "adc_credentials_string"),
    *("agora_token", "api_subscription_key", "app_key", "spatius_api_key"),
    *("apiKey", "apikey", "auth_token", "access_token", "client_secret", "private_key", "password"),
)
URL_KEYS: Final = ("url", "base_url", "api_base_url", "ws_url", "uri", "endpoint")

_TOOLS: Final = tuple((slot, "tools", "*", "server") for slot in ("llm", "mllm"))
_MCP_SERVERS: Final = tuple((slot, "mcp_servers", "*") for slot in ("llm", "mllm"))
_FILLER_PROVIDER: Final = ("filler_words", "content", "generated_config", "llm_provider")

# Headers hold credentials, and harmless things too.
HEADER_PATHS: Final[frozenset[Path]] = frozenset(
    [
        ("llm", "headers", "*"),
        ("llm", "headers"),  # Anthropic's may be one text
        ("tts", "headers", "*"),
        ("mllm", "params", "headers"),  # GPT Live's are one text
        *((*tool, "headers", "*") for tool in _TOOLS),
        *((*server, "headers", "*") for server in _MCP_SERVERS),
    ]
)
CREDENTIAL_PATHS: Final[frozenset[Path]] = HEADER_PATHS | frozenset(
    [
        ("llm", "api_key"),
        ("llm", "access_key"),
        ("llm", "secret_key"),
        ("mllm", "api_key"),
        ("mllm", "adc_credentials_string"),
        ("rtc", "encryption_key"),
        ("rtc", "encryption_salt"),
        (*_FILLER_PROVIDER, "api_key"),
        *((slot, "params", key) for slot in SLOTS for key in CREDENTIAL_KEYS),
    ]
)
URL_PATHS: Final[frozenset[Path]] = frozenset(
    [
        ("llm", "url"),
        ("llm", "greeting_audio_url"),
        ("mllm", "url"),
        ("tts", "url"),
        ("sal", "sample_urls", "*"),
        ("avatar", "params", "sceneList", "*", "digital_role", "url"),
        (*_FILLER_PROVIDER, "url"),
        *((*tool, "url") for tool in _TOOLS),
        *((*server, "endpoint") for server in _MCP_SERVERS),
        *((slot, "params", key) for slot in SLOTS for key in URL_KEYS),
    ]
)

# Names of headers whose values are credentials, and of those that give one away inside a text of several.
_CREDENTIAL_HEADER: Final = re.compile(
    r"auth|token|secret|cookie|password|credential|api-?key|^x-.*key$|^key$", re.IGNORECASE
)
_CREDENTIAL_NAMED: Final = re.compile(r"authorization|api-key", re.IGNORECASE)

_END: Final = None  # unlike any key of a tree


def _tree_of(paths: Iterable[Path]) -> dict[str | None, Any]:
    root: dict[str | None, Any] = {}
    for path in paths:
        node = root
        for part in path:
            node = node.setdefault(str(part), {})
        node[_END] = True
    return root


_CREDENTIALS: Final = _tree_of(CREDENTIAL_PATHS)
_HEADERS: Final = _tree_of(HEADER_PATHS)
_URLS: Final = _tree_of(URL_PATHS)


def _find(value: Any, node: Mapping[str | None, Any], path: Path) -> Iterator[Path]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            step = node.get(key) or node.get("*")
            if step:
                yield from _find(below, step, (*path, key))
    elif isinstance(value, list):
        step = node.get("*")
        if step:
            for index, below in enumerate(value):
                yield from _find(below, step, (*path, index))
    elif _END in node:
        yield path


def credential_paths(tree: Any) -> Iterator[Path]:
    """Where a properties tree holds credentials, in the tree's own order."""
    return _find(tree, _CREDENTIALS, ())


def url_paths(tree: Any) -> Iterator[Path]:
    """Where a properties tree holds addresses that the service will contact, in the tree's own order."""
    return _find(tree, _URLS, ())


def is_url_path(path: Path) -> bool:
    """Whether a path is that of an address."""
    return _is_in(path, _URLS)


def is_header_path(path: Path) -> bool:
    """Whether a path is that of a header, or of all headers in one text."""
    return _is_in(path, _HEADERS)


def _is_in(path: Path, tree: Mapping[str | None, Any]) -> bool:
    nodes = [tree]
    for part in path:
        nodes = [below for node in nodes for below in (node.get(str(part)), node.get("*")) if below]
    return any(_END in node for node in nodes)


def is_credential_header(path: Path, text: str) -> bool:
    """Whether the value of a header is a credential, which only a reference may stand for.

    `{{…}}` is filled in by the service. Under `headers` itself stand all of them in one text.
    """
    if KEY_LIKE.search(text) is not None:
        return True
    if "{{" in text:
        return False
    if path[-1] == "headers":
        return _CREDENTIAL_NAMED.search(text) is not None
    return _CREDENTIAL_HEADER.search(str(path[-1])) is not None
