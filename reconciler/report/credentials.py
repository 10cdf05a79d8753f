"""Shows a credential: references and parts that are no secret as they are, the rest as `(sensitive)`.

What is hidden here is hidden from the reviewer too, so no more of a text is hidden than could be a secret: a reference,
an address and a header without a credential are always shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from reconciler.contract.literals import KEY_LIKE, looks_random, names_a_credential
from reconciler.contract.places import is_credential_header, is_header_path
from reconciler.model.tree import Path, Tree
from reconciler.secrets import pieces


class Masked(str):
    """The text shown instead of a literal credential; a type of its own, so that it is never read as a value."""

    __slots__ = ()


SENSITIVE: Final = Masked("(sensitive)")

# The scheme of an Authorization header.
_SCHEME = re.compile(r"[A-Za-z]{0,10}[ :]?(?=\0)")
# An address, or a word with the name before it, if it has one.
_WORD = re.compile(
    r"(?P<address>[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>;,]*)"
    r"|(?P<name>(?P<key>[A-Za-z][\w.-]{0,31})\"?\s*[=:]\s*\"?)?(?P<value>[^\s;,&\"'<>{}=]+)"
)
_SHORTEST = 4  # letters that could be a secret
_ASIDE = re.compile(r"(\0\d+\0)")
_USER = re.compile(r"(?<=://)([^/?#@\s]+)@")
_PARAMETER = re.compile(r"[?&]([^=&?#\s]*)=([^&?#\s]*)")
_END = re.compile(r"[&#\s]")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NAMES_A_SECRET = re.compile(
    r"(?<![a-z])(?:[a-z]*key|token|secret|sig|signature|pass|password|passwd|pwd|auth|authorization|"
    r"cred|credentials?)(?![a-z])",
    re.IGNORECASE,
)
_NAMES_AN_ADDRESS = re.compile(r"(?:ur[il]|host|endpoint|server|proxy|domain|target)s?$", re.IGNORECASE)
_IS_AN_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*(?::|%3a)(?:/|%2f){2}", re.IGNORECASE)
# One of several headers that are written as JSON in one text.
_PAIR = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:\s*")((?:[^"\\]|\\.)*)(?=")', re.DOTALL)


def credential(path: Path, value: Tree) -> Tree:
    """Return the value of a credential field or a header with its secret parts hidden."""
    if not isinstance(value, str):
        is_shown = is_header_path(path) and not is_credential_header(path, str(value))
        return value if is_shown else SENSITIVE
    if not is_header_path(path):
        return _literals_hidden(value)
    if path[-1] == "headers" and _is_mapping(value):
        return _PAIR.sub(lambda pair: f"{pair[1]}{pair[2]}{_header(json.loads(pair[1]), pair[3])}", value)
    return _header(str(path[-1]), value)


def address(url: str) -> str:
    """Return an address without possible secrets: its user, and query parameters whose name or value looks like one."""
    return _with_references_aside(url, _without_secrets)


def _header(name: str, value: str) -> str:
    return _literals_hidden(value) if is_credential_header((name,), value) else address(value)


def _is_mapping(text: str) -> bool:
    try:
        tree = json.loads(text)
    except ValueError:
        return False
    return isinstance(tree, dict) and all(isinstance(each, str) for each in tree.values())


def _literals_hidden(text: str) -> str:
    """Return a credential's text with only its references and parts that can be no secret."""
    if not any(is_reference for _, is_reference in pieces(text)):
        return SENSITIVE if text else text
    return _with_references_aside(text, _words_hidden)


def _words_hidden(text: str) -> str:
    scheme = _SCHEME.match(text)
    start = scheme.end() if scheme else 0
    return text[:start] + _WORD.sub(_word, text[start:])


def _word(match: re.Match[str]) -> str:
    if match["address"]:
        is_key = KEY_LIKE.search(match["address"])
        return _hidden(match["address"]) if is_key else _without_secrets(match["address"])
    name, value = match["name"] or "", match["value"]
    return name + (value if _is_address(match["key"] or "", value) else _hidden(value))


def _without_secrets(url: str) -> str:
    url = _USER.sub(lambda user: f"{_hidden(user[1], 1)}@", url)
    shown, at = [], 0
    while parameter := _PARAMETER.search(url, at):
        shown.append(url[at : parameter.start(2)])
        at = parameter.start(2)
        name, value = parameter.groups()
        is_named = names_a_credential(name) or _NAMES_A_SECRET.search(_HUMP.sub("_", name))
        if KEY_LIKE.search(value) or looks_random(value) or (is_named and not _is_address(name, value)):
            end = _END.search(url, at)
            shown.append(_hidden(url[at : end.start() if end else len(url)], 1))
            at = end.start() if end else len(url)
    return "".join([*shown, url[at:]])


def _is_address(name: str, value: str) -> bool:
    if KEY_LIKE.search(value):
        return False
    return bool(_NAMES_AN_ADDRESS.search(name) or _IS_AN_ADDRESS.match(value))


def _hidden(text: str, shortest: int = _SHORTEST) -> str:
    """Return a text with everything hidden except references, and literals that are too short or hold only signs."""
    return "".join(
        each
        if _ASIDE.fullmatch(each) or len(each) < shortest or not any(map(str.isalnum, each))
        else SENSITIVE
        for each in _ASIDE.split(text)
    )


def _with_references_aside(text: str, change: Callable[[str], str]) -> str:
    """Return the text changed by a function, with every reference kept as it is written."""
    written: list[str] = []
    plain = ""
    for piece, is_reference in pieces(text):
        plain += f"\0{len(written)}\0" if is_reference else piece.replace("\0", "\ufffd")
        written += [piece] if is_reference else []
    return re.sub(r"\0(\d+)\0", lambda aside: written[int(aside[1])], change(plain))
