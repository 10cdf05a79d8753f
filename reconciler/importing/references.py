"""Replaces credentials that are written out by references to environment variables, with names that say whose they are.

The rules of `validate` (`config.rules`) say where a credential is: what they would refuse is replaced, so that a fleet
written here has none left. A value always gets the same name. Values stay in memory and are never returned.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Final
from urllib.parse import urlsplit

from reconciler.config.rules.registry import Rules
from reconciler.contract.literals import KEY_LIKE, names_a_credential, url_credential, word_set
from reconciler.contract.places import (
    credential_paths,
    is_credential_header,
    is_header_path,
    is_prose,
    last_key,
)
from reconciler.importing.shell import MARK, filled
from reconciler.model.address import Address, Owner
from reconciler.model.spec import AgentSpec, Body
from reconciler.model.tree import Path, is_deeper, leaves, value_at
from reconciler.secrets import MARK as REFERENCE
from reconciler.secrets import references
from reconciler.services import own_prefixes
from reconciler.values import dataclass

# The rules of `validate` that report a credential that is written out.
_WRITTEN_OUT: Final = frozenset({"literal-secret", "secret-like", "url-userinfo"})
_SCHEME: Final = re.compile(r"(?i)((?:bearer|basic|token|apikey|api-key|key)\s+)(\S+)")
# A key with the characters that may continue it; a private key up to its end line.
_KEY_IN_PROSE: Final = re.compile(
    rf"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|.*)|(?:{KEY_LIKE.pattern})(?:[\w+/=.~-]*[\w+/=~-])?",
    re.DOTALL,
)
_PARAMETER: Final = re.compile(r"([?&;]([^=&?#;\s]*)=)([^&?#;\s]+)")
_USER: Final = re.compile(r"://[^/?#@\s]+@")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_GENERAL: Final = word_set("api www com org net io ai co dev app cloud prod v1 v2")
_LONGEST: Final = 48
_ROUNDS: Final = 4
_DEEPEST: Final = 40
_TELLING: Final = 12


@dataclass(slots=True)
class Names:
    """The variables that a fleet will need, each with the places of its value in the sources, never the value.

    `taken` are names that a source uses itself; no value is given one of them.
    """

    places: dict[str, list[str]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    _by_value: dict[str, str] = field(default_factory=dict, repr=False)
    _by_head: dict[str, list[str]] = field(default_factory=dict, repr=False)

    def reserve(self, name: str, place: str) -> None:
        """Record a variable that a source uses itself."""
        self.places.setdefault(name, []).append(place)

    def of(self, value: str, wish: str, place: str) -> str:
        """Return the variable of a value: the one that it has already, else a free name like `wish`."""
        name = self._by_value.get(value)
        if name is None:
            name, number = wish, 1
            while name in self.places or name in self.taken:
                number += 1
                name = f"{wish}_{number}"
            self._by_value[value] = name
            if len(value) >= _TELLING:
                self._by_head.setdefault(value[:_TELLING], []).append(value)
        self.places.setdefault(name, []).append(place)
        return name

    def sweep(self, text: str) -> str:
        """Return a text in which known credential values of at least `_TELLING` characters are replaced."""
        pieces: list[str] = []
        at = begun = 0
        while at <= len(text) - _TELLING:
            alike = self._by_head.get(text[at : at + _TELLING], ())
            found = max((each for each in alike if text.startswith(each, at)), key=len, default=None)
            if found is None:
                at += 1
                continue
            close = "" if found == text else "+"
            pieces += [text[begun:at], f"{REFERENCE}env://{self._by_value[found]}{close}"]
            at = begun = at + len(found)
        return "".join([*pieces, text[begun:]]) if pieces else text


def sweep(trees: Sequence[dict[str, Any]], names: Names) -> None:
    """Replace known credentials, in place, wherever else they occur: in a prompt, or under any key."""
    for tree in trees:
        for path, text in list(leaves(tree)):
            if isinstance(text, str) and REFERENCE not in text and (swept := names.sweep(text)) is not text:
                _put(tree, path, swept)


def names_written(properties: dict[str, Any]) -> Iterator[str]:
    """Yield the variables that properties use themselves, as references or as a script's variables."""
    for _, text in leaves(properties):
        if isinstance(text, str):
            yield from (mark[1] for mark in MARK.finditer(text) if mark[1])
            yield from (each.path for each in references(text) if each.scheme == "env")


def put_references(
    properties: dict[str, Any], variables: Mapping[str, str], names: Names, place: str
) -> list[Path]:
    """Replace credentials in properties by references, and fill in a script's variables, in place.

    Returns the paths of texts whose variables have no known value.
    """
    credentials = set(credential_paths(properties))
    unfilled: list[Path] = []
    for path, leaf in list(leaves(properties)):
        value = leaf
        if path in credentials and isinstance(leaf, (int, float)) and not isinstance(leaf, bool):
            value = str(leaf)
            _put(properties, path, value)
        if not isinstance(value, str):
            continue
        for each in references(value):
            if each.scheme == "env":
                names.reserve(each.path, place)
        if MARK.search(value) is None:
            continue
        if path in credentials:
            _put(properties, path, _named_by_script(value, path, properties, names, place))
            continue
        told = filled(value, variables)
        if MARK.search(told):
            unfilled.append(path)
        _put(properties, path, told)
    for _ in range(_ROUNDS):
        found = sorted(set(_written_out(properties)), key=str)
        if not found:
            break
        for path in found:
            text = value_at(properties, path)
            if isinstance(text, str):
                _put(properties, path, _replaced(text, path, properties, names, place))
    return unfilled


def _written_out(properties: dict[str, Any]) -> Iterator[Path]:
    """Yield the paths at which `validate` would report a credential, and those of JSON texts that hold one."""
    for path, text in leaves(properties):
        if isinstance(text, str) and REFERENCE not in text and not is_prose(path):
            nested = _mapping_in(text)
            if any(names_a_credential(str(below[-1])) and value for below, value in leaves(nested) if below):
                yield path
    spec = AgentSpec(Address("channel", "agent"), Body(properties))
    for problem in Rules(Owner("fleet"), None).agent(spec):
        if problem.rule in _WRITTEN_OUT and isinstance(problem.at, tuple):
            yield problem.at[1:]


def _named_by_script(text: str, path: Path, properties: dict[str, Any], names: Names, place: str) -> str:
    """Return a credential that the source takes from a variable as a reference to that variable.

    An expansion without a name, or with a prefix of the service's own, gets a new name.
    """

    def reference(mark: re.Match[str]) -> str:
        name = mark[1]
        if name is None or name.upper().startswith(own_prefixes()):
            name = names.of(mark[0] + place, wish(path, properties), place)
        else:
            names.reserve(name, place)
        return f"{REFERENCE}env://{name}" + ("" if mark[0] == text else "+")

    return MARK.sub(reference, text)


def _replaced(text: str, path: Path, properties: dict[str, Any], names: Names, place: str) -> str:
    """Return a text with its credential replaced by a reference: the credential alone if it can be found, else all."""

    def reference(value: str, hint: str = "") -> str:
        name = names.of(value, wish((*path, hint) if hint else path, properties), place)
        return f"{REFERENCE}env://{name}" + ("" if value == text else "+")

    if is_prose(path):
        return _KEY_IN_PROSE.sub(lambda found: reference(found[0]), text)
    if REFERENCE in text or _USER.search(text):  # a reference is not allowed before the query of an address
        return reference(text)
    if (scheme := _SCHEME.fullmatch(text)) is not None:
        return scheme[1] + reference(scheme[2])
    if (headers := _headers(text, path)) is not None:
        for name, value in headers.items():
            if is_credential_header((*path, name), value):
                scheme = _SCHEME.fullmatch(value)
                headers[name] = (
                    scheme[1] + reference(scheme[2], name) if scheme is not None else reference(value, name)
                )
        return json.dumps(headers, ensure_ascii=False)

    def parameter(found: re.Match[str]) -> str:
        is_one = url_credential(f"?{found[2]}={found[3]}") is not None
        return found[1] + (reference(found[3], found[2]) if is_one else found[3])

    changed = _PARAMETER.sub(parameter, text)
    return changed if changed != text else reference(text)


def _headers(text: str, path: Path) -> dict[str, str] | None:
    """Return headers that are written as JSON in one text; None if it holds none."""
    found = _mapping_in(text) if is_header_path(path) else {}
    return found if found and all(isinstance(each, str) for each in found.values()) else None


def _mapping_in(text: str) -> dict[str, Any]:
    """Return the mapping that a text holds as JSON; empty if it holds none."""
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and not is_deeper(found, _DEEPEST) else {}


def wish(path: Path, properties: Mapping[str, Any]) -> str:
    """Return the preferred name of a credential's variable: the vendor or host, and the field."""
    words = [_label(path, properties), "" if path[0] in ("llm", "mllm") else path[0], last_key(path)]
    parts: list[str] = []
    for word in words:
        parts += [
            each for each in re.findall(r"[A-Z0-9]+", _HUMP.sub("_", str(word)).upper()) if each not in parts
        ]
    name = "_".join(parts)[:_LONGEST].strip("_") or "KEY"
    return f"VENDOR_{name}" if name.startswith((*own_prefixes(), *"0123456789")) else name


def _label(path: Path, properties: Mapping[str, Any]) -> str:
    """Return the vendor, host or name of the nearest part above a path that has one; empty if none has."""
    for end in range(len(path) - 1, 0, -1):
        part = value_at(properties, path[:end])
        if not isinstance(part, Mapping):
            continue
        vendor, url, name = (part.get(each) for each in ("vendor", "url", "name"))
        if isinstance(vendor, str) and vendor and vendor != "custom":
            return vendor
        if isinstance(url, str) and (host := _maker(url)):
            return host
        if isinstance(name, str) and name:
            return name[:_LONGEST]
    return ""


def _maker(url: str) -> str:
    """Return the part of a host name that says whose it is: `openai` of `api.openai.com`."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    words = [each for each in host.split(".") if each not in _GENERAL and not each.isdigit()]
    return words[-1] if words else ""


def _put(node: Any, path: Path, value: Any) -> None:
    """Replace the value at a path that exists."""
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
