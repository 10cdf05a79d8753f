"""Rules for URLs that the service will contact with our credentials: public, encrypted, well-formed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

from reconciler.config.rules.registry import Subject, value_rule
from reconciler.config.rules.texts import LOOKS_LIKE_REFERENCE
from reconciler.config.words import shown
from reconciler.contract.agora.properties import SLOTS
from reconciler.contract.places import URL_PATHS
from reconciler.diagnostics import Problem
from reconciler.model.tree import Path, dotted
from reconciler.secrets import MARK

_REALTIME = frozenset({"asr", "tts", "mllm"})
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+))*\.?")
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".intranet", ".corp")
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}")


@value_rule(URL_PATHS)
def urls(subject: Subject, path: Path, value: Any) -> Iterator[Problem]:
    """Report what is wrong with a URL to which the service sends credentials."""
    if isinstance(value, str) and value:
        for each in _examined(value, path[0] in _REALTIME, _is_param(path)):
            yield replace(each, summary=f"{dotted(path)} {each.summary}", at=("properties", *path))


def _is_param(path: Path) -> bool:
    return len(path) == 3 and path[0] in SLOTS and path[1] == "params"


@lru_cache(4096)
def _examined(text: str, realtime: bool, param: bool) -> tuple[Problem, ...]:
    return tuple(_wrong(text, realtime, param))


def _wrong(text: str, realtime: bool, param: bool) -> Iterator[Problem]:
    """Yield the problems of one URL; a summary continues a sentence that begins with the URL's path."""
    reference = LOOKS_LIKE_REFERENCE.search(text.partition("?")[0])
    if reference is not None and (reference.start() == 0 or not param):
        return  # the host is secret itself; or a reference is not allowed here, which another rule reports
    plain = _PLACEHOLDER.sub(
        "x", text[: reference.start()] if reference is not None else text.partition(MARK)[0]
    )
    if "://" not in plain and param:
        plain = f"https://{plain}"
    if not plain.isascii() or any(character.isspace() or character in '\\<>"`' for character in plain):
        help = "percent-encode what is not ASCII; write the host in its xn-- form"
        yield Problem("url-malformed", f"is not a URL: {shown(text)}", help=help)
        return
    try:
        parts = urlsplit(plain)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        yield Problem("url-malformed", f"is not a URL: {error}")
        return
    schemes = ("https", "wss") if realtime else ("https",)
    if parts.scheme.lower() not in schemes:
        wanted = " or ".join(f"{each}://" for each in schemes)
        yield Problem("url-scheme", f"must begin with {wanted}", why="credentials travel with it")
    if not host or port == 0:
        yield Problem("url-malformed", "has no such port" if host else "has no host")
        return
    yield from _wrong_host(parts, host, text)


def _wrong_host(parts: SplitResult, host: str, text: str) -> Iterator[Problem]:
    if "@" in parts.netloc:
        yield Problem(
            "url-userinfo", "holds a user name or password", help="use a header or the credential field"
        )
    if "{{" in text.partition("://")[2].partition("/")[0]:
        help = "write the host out: it decides where credentials go"
        yield Problem("url-malformed", "has a placeholder for a host", help=help)
    elif _is_private(host):
        summary = f"leads to {host}, which is not on the public internet"
        yield Problem("url-private", summary, why="the service calls it from Agora's network")


def _is_private(host: str) -> bool:
    name = host.rstrip(".")
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        if _NUMERIC.fullmatch(name):
            return True  # a number in one of the forms that resolvers read as an IPv4 address
        return "." not in name or name.endswith(_PRIVATE_SUFFIXES)
    inner = getattr(address, "ipv4_mapped", None)
    return not (inner or address).is_global
