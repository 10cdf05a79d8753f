"""Find the hosts to which a secret in a properties tree is sent.

It fails closed: every text that may be read as a URL counts, and all URLs that may decide a secret's host are returned.
A text too many causes a needless question about a host; a text too few could lose a secret.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from reconciler.contract.agora.properties import SLOTS
from reconciler.contract.offers import VENDOR_HOSTS, vendor_of
from reconciler.contract.places import FETCHED_KEYS, PROSE_KEYS, is_url_path
from reconciler.model.tree import Path, value_at
from reconciler.secrets import MARK, pieces

AGORA: Final = "vendor:agora"

# Lists whose items are servers of their own: the secrets of an item are sent to the item's URL and not to the part's,
# and the part's secrets are not sent to the item's.
_SERVERS: Final = frozenset({"tools", "mcp_servers"})
# Mappings of texts that may mention a URL without sending anything to it.
_ALL_PROSE: Final = frozenset({"system_messages", "template_variables", "labels"})
# Keys whose text is always taken for a URL; and keys whose text is taken for one if it contains a dot.
_ADDRESS_KEY: Final = re.compile(
    r"url|proxy|endpoint(?!ing)|gateway|upstream|hostname|(?<![a-z])(?:uri|host|server|origin)s?(?![a-z])",
    re.IGNORECASE,
)
_PERHAPS_KEY: Final = re.compile(r"(?<![a-z])(?:domain|address|base|target|site)(?![a-z])", re.IGNORECASE)
_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BEGINNING: Final = r"[A-Za-z][A-Za-z0-9+.-]*://|(?:https?|wss?):"
_BEGINS_AS_ADDRESS: Final = re.compile(rf"\s*(?:{_BEGINNING}|//)", re.IGNORECASE)
# A scheme is searched only at the beginning of a run of its characters. A search at each place of the run would take
# time quadratic in the length of a word.
_ADDRESS: Final = re.compile(
    r"(?:(?<![A-Za-z0-9+.-])[0-9+.-]*+(?P<any>[A-Za-z][A-Za-z0-9+.-]*+://[^\s\"'<>]*)"
    r"|(?P<known>(?:https?|wss?):[^\s\"'<>]*))",
    re.IGNORECASE,
)
_ASIDE: Final = re.compile(r"\0(\d+)\0")
# A path without a host: joined to a URL in any way, it does not change the URL's host.
_ONLY_A_PATH: Final = re.compile(r"(?:/(?:[^/\\\s].*)?)?", re.DOTALL)


class _Found(NamedTuple):
    """The URLs of one part, and paths that could change their hosts when joined to them."""

    addresses: list[str]
    paths: list[str]


def secret_destination(path: Path, tree: Any) -> str:
    """Return the host to which a secret at `path` is sent (with its port, if given), or a symbolic `vendor:<name>`.

    The secret may be in a credential, a header, a URL or any other text of the same part. A URL that is itself a
    reference, or that two parsers could read differently, is returned as it is written. Where several URLs could decide
    a secret's host, all are returned, comma-separated, so that none is hidden by another.
    """
    if is_url_path(path) and not FETCHED_KEYS.isdisjoint(map(str, path)):
        url = value_at(tree, path)
        return (_host(url) if isinstance(url, str) and url else "") or AGORA
    found = _governing(path, tree)
    hosts = {_host(each) for each in found.addresses}
    for odd in found.paths:
        hosts.update(_host(each + odd) for each in found.addresses or [f"https://{_symbol(path, tree)}"])
        if odd.startswith(("/", "\\")):
            hosts.add(odd)
    return ", ".join(sorted(hosts)) if hosts else _symbol(path, tree)


def _symbol(path: Path, tree: Any) -> str:
    for slot in SLOTS:
        if path[:1] == (slot,):
            name = vendor_of(slot, tree)
            return VENDOR_HOSTS.get((slot, name), f"vendor:{name or slot}")
    return AGORA


def _governing(path: Path, tree: Any) -> _Found:
    """Return the URLs that may decide a path's host: those of the server that holds it, else of its whole part."""
    found = _Found([], [])
    for at in range(len(path) - 2, -1, -1):
        if path[at] in _SERVERS and isinstance(path[at + 1], int):
            _look("", value_at(tree, path[: at + 2]), found)
            if found.addresses:
                return found
    part = path[0] if path else ""
    if (part in SLOTS or part == "filler_words") and part in tree:
        _look("", tree[part], found)
    return found


def _look(key: str, value: Any, found: _Found) -> None:
    if isinstance(value, str):
        if key not in PROSE_KEYS and key not in FETCHED_KEYS:
            found.addresses.extend(_addresses(key, value))
            if key == "path" and not _ONLY_A_PATH.fullmatch(value):
                found.paths.append(value)
    elif isinstance(value, Mapping):
        for name, below in value.items():
            if name not in _ALL_PROSE and name not in FETCHED_KEYS:
                _look(name, below, found)
    elif isinstance(value, (list, tuple)):
        for below in value:
            if key not in _SERVERS or not isinstance(below, Mapping):
                _look(key, below, found)


def _addresses(key: str, text: str) -> tuple[str, ...]:
    """Return the URLs in a text; the whole text where its key or its beginning makes it a URL."""
    if _is_address_key(key, "." in text):
        return (text,) if text else ()
    return _addresses_in(text) if ":" in text or "//" in text else ()


@lru_cache(4096)
def _is_address_key(key: str, dotted: bool) -> bool:
    words = _HUMP.sub("_", key)
    return bool(_ADDRESS_KEY.search(words) or (dotted and _PERHAPS_KEY.search(words)))


@lru_cache(1024)
def _addresses_in(text: str) -> tuple[str, ...]:
    # A reference is no URL, but may be part of one: placeholders replace references while URLs are searched for.
    written: list[str] = []
    plain = ""
    for piece, is_reference in pieces(text):
        plain += f"\0{len(written)}\0" if is_reference else piece.replace("\0", " ")
        written += [piece] if is_reference else []
    if _BEGINS_AS_ADDRESS.match(plain):
        return (text,)
    found = [each["any"] or each["known"] for each in _ADDRESS.finditer(plain)]
    return tuple(_ASIDE.sub(lambda at: written[int(at[1])], each) for each in found)


@lru_cache(4096)
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
