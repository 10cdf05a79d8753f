"""Find the credentials, headers and URLs in a tree of `properties`, by the types of the fields.

What the tables do not know is judged by its name and its characters (`literals`), so that a credential is found also in
an unknown vendor's fields and under a misspelt key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from reconciler.contract.agora.properties import PROPERTIES, SLOTS
from reconciler.contract.kinds import FieldType, Holds, Path
from reconciler.contract.literals import (
    KEY_LIKE,
    is_literal,
    looks_random,
    names_a_credential,
    url_credential,
    word_set,
)


def _typed(kind: FieldType, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Holds]]:
    """Yield the path and meaning of every text in a type, `*` for keys and indexes; shared fields may come twice."""
    if kind.variants:
        for variant in kind.variants.values():
            yield from _typed(variant, path)
    elif kind.fields:
        for name, each in kind.fields.items():
            yield from _typed(each, (*path, name))
    elif kind.inner is not None:
        yield from _typed(kind.inner, (*path, "*"))
    elif kind.shape in ("str", "literal"):
        yield path, kind.holds


_TYPED: Final = tuple(_typed(PROPERTIES))


def _paths(*holds: Holds) -> frozenset[Path]:
    return frozenset(path for path, each in _TYPED if each in holds)


def _params(holds: Holds) -> frozenset[Path]:
    """Return the keys below some vendor's `params` with this meaning, for all slots: unknown vendors use them, too."""
    names = {path[-1] for path, each in _TYPED if each is holds and len(path) == 3 and path[1] == "params"}
    return frozenset((slot, "params", name) for slot in SLOTS for name in names)


HEADER_PATHS: Final = _paths(Holds.HEADER)
CREDENTIAL_PATHS: Final = HEADER_PATHS | _paths(Holds.CREDENTIAL) | _params(Holds.CREDENTIAL)
URL_PATHS: Final = _paths(Holds.ADDRESS, Holds.FETCHED) | _params(Holds.ADDRESS)
# Keys whose value, or whose `url`, is a URL from which the service only fetches something.
FETCHED_KEYS: Final = frozenset(
    [part for part in path if part not in ("*", "url")][-1] for path in _paths(Holds.FETCHED)
)
# Paths to which a type gives another meaning than credential, so that their names cannot make them one.
_HARMLESS: Final = _paths(Holds.PLAIN, Holds.ID, Holds.PROSE, Holds.ADDRESS, Holds.FETCHED) - CREDENTIAL_PATHS
_IDS: Final = _paths(Holds.ID)

# Keys of texts for users and models, which may contain anything; and keys that have only such texts below them.
PROSE_KEYS: Final = frozenset(
    {
        "text",
        *(
            next(part for part in reversed(path) if part != "*")
            for path, each in _TYPED
            if each is Holds.PROSE
        ),
    }
)
PROSE_ABOVE: Final = frozenset({"system_messages", "messages", "labels", "template_variables"})

# Names of headers whose values are credentials, and names that show one inside a text of several headers.
_CREDENTIAL_HEADER: Final = re.compile(
    r"auth|token|secret|cookie|password|credential|api-?key|^x-.*key$|^key$", re.IGNORECASE
)
_CREDENTIAL_NAMED: Final = re.compile(r"authorization|api-key", re.IGNORECASE)


class Places:
    """A set of paths, with `*` for any key or index, as a tree: a test costs one look-up for each part of a path."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._root: dict[Any, Any] = {}
        for path in paths:
            node = self._root
            for part in path:
                node = node.setdefault(part, {})
            node[_END] = True

    def __contains__(self, path: Path) -> bool:
        nodes = [self._root]
        for part in path:
            nodes = [below for node in nodes for key in (part, "*") if (below := node.get(key)) is not None]
            if not nodes:
                return False
        return any(_END in node for node in nodes)


_END: Final = object()  # unlike any key of a tree

_CREDENTIALS: Final = Places(CREDENTIAL_PATHS)
_HEADERS: Final = Places(HEADER_PATHS)
_URLS: Final = Places(URL_PATHS)
_KNOWN: Final = Places(_HARMLESS)
_KNOWN_IDS: Final = Places(_IDS)


def credential_paths(tree: Any) -> Iterator[Path]:
    """Yield the paths of credentials and headers in a tree, in its own order: by type, by name and by characters."""
    return (path for path, value, named in _leaves(tree) if _is_credential(path, value, named))


def holds_credential(path: Path, value: Any) -> bool:
    """Return whether a leaf of `properties` is one of `credential_paths`."""
    named = False
    for key in path:
        if isinstance(key, str):
            named = names_a_credential(key) or (named and key not in _BESIDE)
    return _is_credential(path, value, named)


def url_paths(tree: Any) -> Iterator[Path]:
    """Yield the paths of URLs that the service will contact, in the tree's own order."""
    return (path for path, _, _ in _leaves(tree) if _judged(path).is_url)


# Keys of other values than the credential, in a mapping that has the name of a credential.
_BESIDE: Final = word_set(
    "type kind mode provider region name scheme url host user username role audience issuer scope scopes "
    "method header query id location in prefix"
)


def _leaves(tree: Any) -> list[tuple[Path, Any, bool]]:
    """Return every leaf with its path, and whether the name of a key above it means a credential."""
    found: list[tuple[Path, Any, bool]] = []

    def walk(value: Any, path: Path, named: bool) -> None:
        if isinstance(value, (dict, Mapping)):  # a test for dict first is quick, and nearly all are dicts
            for key, below in value.items():
                is_named = isinstance(key, str) and names_a_credential(key)
                walk(below, (*path, key), is_named or (named and key not in _BESIDE))
        elif isinstance(value, list):
            for index, below in enumerate(value):
                walk(below, (*path, index), named)
        else:
            found.append((path, value, named))

    walk(tree, (), False)
    return found


class _Judged(NamedTuple):
    """The traits of the text at a path."""

    is_credential: bool
    is_prose: bool
    is_url: bool
    may_be_named: bool
    may_look_random: bool


@lru_cache(8192)
def _judged(path: Path) -> _Judged:
    """Return the traits of a path; cached, because the agents of a fleet have the same paths."""
    is_credential, is_url = path in _CREDENTIALS, path in _URLS
    return _Judged(is_credential, is_prose(path), is_url, may_be_named(path), may_look_random(path))


def _is_credential(path: Path, value: Any, named: bool) -> bool:
    place = _judged(path)
    if place.is_credential:
        return True
    if not isinstance(value, str) or place.is_prose:
        return False
    if named and place.may_be_named and is_literal(value):
        return True
    if KEY_LIKE.search(value) is not None or (not place.is_url and url_credential(value) is not None):
        return True
    return place.may_look_random and looks_random(value)


def named_literals(path: Path, value: Any) -> Iterator[Path]:
    """Yield the paths of literals at or below a key with a credential's name, except below another such key."""
    if isinstance(value, str):
        if path not in _CREDENTIALS and may_be_named(path) and is_literal(value):
            yield path
    elif isinstance(value, Mapping):
        for key, below in value.items():
            if key not in _BESIDE and not (isinstance(key, str) and names_a_credential(key)):
                yield from named_literals((*path, key), below)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from named_literals((*path, index), below)


def is_credential_path(path: Path) -> bool:
    """Return whether a path is that of a credential or a header, by the types."""
    return path in _CREDENTIALS


def is_url_path(path: Path) -> bool:
    """Return whether a path is that of a URL."""
    return path in _URLS


def is_header_path(path: Path) -> bool:
    """Return whether a path is that of a header, or of all headers in one text."""
    return path in _HEADERS


def is_prose(path: Path) -> bool:
    """Return whether a path is that of a text for users or models, which may contain anything."""
    if is_header_path(path):
        return False
    return last_key(path) in PROSE_KEYS or not PROSE_ABOVE.isdisjoint(map(str, path))


def last_key(path: Path) -> str:
    """Return the last key of a path; empty where there is none."""
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def may_be_named(path: Path) -> bool:
    """Return whether a path's name can make its text a credential: no type gives it another meaning."""
    return path not in _KNOWN and not is_prose(path) and not _is_schema(path)


def may_look_random(path: Path) -> bool:
    """Return whether a text at a path is judged by its characters; ids of voices and models look as random as keys."""
    name = last_key(path)
    return (
        path not in _KNOWN_IDS and path not in _URLS and _NAMES_A_THING.search(_HUMP.sub("_", name)) is None
    )


_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NAMES_A_THING: Final = re.compile(
    r"(?<![a-z])(?:u?u?ids?|voices?|models?|speakers?|avatars?|references?|names?|versions?|revisions?|hash|digest|"
    r"checksum|etag|engine|deployment|cluster|project|region|agent|assistant|character|persona|face|scene)(?![a-z])",
    re.IGNORECASE,
)


def _is_schema(path: Path) -> bool:
    """Return whether a path is in the JSON Schema of a tool's arguments, whose keys are names of arguments."""
    return "parameters" in path[1:] and ("function" in path or "tools" in path)


def is_credential_header(path: Path, text: str) -> bool:
    """Return whether the value of a header is a credential, which must be given as a reference.

    `{{…}}` is filled in by the service. A path that ends with `headers` is that of all headers in one text.
    """
    if KEY_LIKE.search(text) is not None:
        return True
    if "{{" in text:
        return False
    if path[-1] == "headers":
        return _CREDENTIAL_NAMED.search(text) is not None
    return _CREDENTIAL_HEADER.search(str(path[-1])) is not None
