"""Where in `properties` credentials and addresses stand, and to which host a credential is sent.

Tables of paths (`*` is any key or list index) and questions about one tree. Vendors spell the same thing in
many ways, so each spelling is listed; a test holds the lists against every class. What a secret *is* lives
in `model.secret`.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from reconciler.model.properties.catalogue import SLOTS, VENDORS, vendor_of
from reconciler.model.secret import MARK
from reconciler.model.tree import Path, leaves, value_at
from reconciler.model.vendors import llm

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

# Slot, vendor (or LLM style) -> where its credential goes when no URL is given.
_ROWS: Final = [
    *((slot, row) for slot in SLOTS for row in VENDORS[slot].values()),
    *(("llm", row) for row in llm.STYLE_VENDORS.values()),
]
VENDOR_HOSTS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {(slot, row.name): row.host for slot, row in _ROWS}
)
AGORA: Final = "vendor:agora"

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


def secret_destination(path: Path, tree: Any) -> str:
    """Where a secret at `path` is sent: a host (with its port, if it has one), or a symbolic `vendor:<name>`.

    The secret may stand in a credential, a header, an address or any other text of the same part. An
    address that is itself a reference, or that two readers could read differently, is its own destination
    as written. Where several addresses could govern a secret all are named, so that none can hide behind
    another.
    """
    urls = [value_at(tree, address) for address in _addresses(path, tree)]
    hosts = {_host(url) for url in urls if isinstance(url, str) and url}
    return ", ".join(sorted(hosts)) if hosts else _symbol(path, tree)


def _symbol(path: Path, tree: Any) -> str:
    for slot in SLOTS:
        if path[:1] == (slot,):
            name = vendor_of(slot, tree)
            return VENDOR_HOSTS.get((slot, name), f"vendor:{name or slot}")
    return AGORA


def _addresses(path: Path, tree: Any) -> Iterator[Path]:
    """The addresses that may govern a path."""
    match path:
        case _ if _is_url(path):
            yield path
        case ("llm" | "mllm", "mcp_servers", int(), *_):
            yield (*path[:3], "endpoint")
        case ("llm" | "mllm", "tools", int(), *_):
            yield (*path[:3], "server", "url")
        case ("filler_words", *_):
            yield (*_FILLER_PROVIDER, "url")
        case (str() as slot, *_) if slot in SLOTS:
            yield (slot, "url")
            yield from ((slot, "params", key) for key in URL_KEYS)
            if (slot, vendor_of(slot, tree)) not in VENDOR_HOSTS:
                yield from _anything_like_an_address(slot, tree)


def _anything_like_an_address(slot: str, tree: Any) -> Iterator[Path]:
    """Of a vendor we do not know, any text that names a scheme may be where its credential goes."""
    for below, text in leaves(tree[slot]) if slot in tree else ():
        if isinstance(text, str) and "://" in text and MARK not in text:
            yield (slot, *below)


def _is_url(path: Path) -> bool:
    nodes = [_URLS]
    for part in path:
        nodes = [below for node in nodes for below in (node.get(str(part)), node.get("*")) if below]
    return any(_END in node for node in nodes)


def _host(url: str) -> str:
    text = url if "://" in url else f"//{url}"
    if MARK in text.partition("://")[0] or "\\" in text or any(char.isspace() for char in text):
        return url
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return url
    if not host or MARK in parts.netloc:
        return url
    return f"{host}:{port}" if port else host
