"""The stored form of records and intents: JSON text with a checksum, and each long text stored once under its digest.

A prompt that a thousand agents share is stored once. The fields of records and intents are defined only in
`model.record`: one pydantic adapter for each writes and reads them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import orjson
from pydantic_core import ValidationError

from reconciler.model.record import Intent, Record
from reconciler.model.spec import Body
from reconciler.model.tree import Tree, is_deeper
from reconciler.state.adapter import Adapter
from reconciler.state.damage import address_of, damaged

FORMAT: Final = 2
_LONG_TEXT = 160
_TEXT = "$text"
_NUMBERS = frozenset({int, float, bool, type(None)})
# Found in the JSON of a value that holds a reference to a text, or a user's key that looks like one.
_MARKED = f'{_TEXT}":'
# A template's value has at most 50 levels, at most 50 deep in a body; a row adds a few levels around it.
_DEEPEST = 120
# The largest text of one row; no body that a fleet's files may hold comes near.
_LARGEST = 64 * 1024 * 1024

RECORD: Final = Adapter(Record)
INTENT: Final = Adapter(Intent)

T = TypeVar("T", Record, Intent)


def text_digest(text: str) -> str:
    """Return the digest under which a long text is stored."""
    return hashlib.blake2b(text.encode(), digest_size=12, person=b"text").hexdigest()


def checksum(key: str, text: str) -> str:
    """Return the checksum of a row's JSON; it covers the row's key, so that no row can be moved to another key."""
    return hashlib.blake2b(text.encode(), digest_size=8, key=key.encode()[:64], person=b"state").hexdigest()


# --- values -> JSON -------------------------------------------------------------------------------------------


def record_json(record: Record, texts: dict[str, str]) -> str:
    """Return the JSON of a record; the long texts that it refers to are added to `texts`, by digest."""
    stored = replace(record, body=_without_texts(record.body, texts))
    return RECORD.write(stored, exclude_defaults=True)


def intent_json(intent: Intent, texts: dict[str, str]) -> str:
    """Return the JSON of an intent; the long texts that it refers to are added to `texts`, by digest."""
    stored = intent if intent.body is None else replace(intent, body=_without_texts(intent.body, texts))
    return INTENT.write(stored, exclude_defaults=True)


def _without_texts(body: Body, texts: dict[str, str]) -> Body:
    def out(value: Tree) -> Tree:
        if isinstance(value, str):
            if len(value) < _LONG_TEXT:
                return value
            digest = text_digest(value)
            texts[digest] = value
            return {_TEXT: digest}
        if isinstance(value, (dict, Mapping)):
            return {
                _escaped(key) if key.startswith("$") else key: each if type(each) in _NUMBERS else out(each)
                for key, each in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [out(each) for each in value]
        return value

    return replace(body, properties=out(body.properties))  # type: ignore[arg-type]  # a mapping stays one


def _escaped(key: str) -> str:
    """Add a `$` to a user's key that looks like a reference, so that no body can refer to a text."""
    return f"${key}" if key.startswith("$") and key.lstrip("$") == _TEXT[1:] else key


def _unescaped(key: str) -> str:
    return key[1:] if key.startswith("$$") and key.lstrip("$") == _TEXT[1:] else key


# --- JSON -> values -------------------------------------------------------------------------------------------


class RowReader:
    """A reader of rows. Each text is checked once, and equal parts of bodies become one object."""

    def __init__(self, texts: Mapping[str, object]) -> None:
        self._texts = texts
        self._checked: set[str] = set()
        self._parts: dict[bytes, Any] = {}

    @property
    def unused(self) -> set[str]:
        """The digests of the texts that no row so far refers to."""
        return set(self._texts) - self._checked

    def record(self, key: object, text: object, check: object) -> Record:
        """Return the record of a row; raise `StateError` when the row is damaged."""
        return self._read(RECORD, key, text, check)

    def intent(self, key: object, text: object, check: object) -> Intent:
        """Return the intent of a row; raise `StateError` when the row is damaged."""
        return self._read(INTENT, key, text, check)

    def _read(self, kind: Adapter[T], key: object, text: object, check: object) -> T:
        if not isinstance(key, str) or not isinstance(text, str):  # SQLite keeps any type in any column
            raise damaged("a row is not of this format")
        if check != checksum(key, text):
            raise damaged(f"the row of {key} does not match its checksum")
        loads(text, f"the row of {key}")
        return self.parsed(kind, key, text)

    def parsed(self, kind: Adapter[T], key: str | None, text: str | bytes) -> T:
        """Return the record or intent in JSON of checked size and depth, with its texts; raises as `validated` does."""
        return self._followed(validated(kind, key, text))

    def stored(self, key: str, found: T) -> T:
        """Return a record or intent stored under a key, its texts filled in; `StateError` if it has another key."""
        return self._followed(_belonging(key, found))

    def _followed(self, found: T) -> T:
        if found.body is None:
            return found
        properties = {_unescaped(name): self._part(value) for name, value in found.body.properties.items()}
        return replace(found, body=replace(found.body, properties=properties))

    def _part(self, value: Any) -> Any:
        if not isinstance(value, (dict, list)):
            return value
        known = orjson.dumps(value)
        if known not in self._parts:
            self._parts[known] = self._with_texts(value) if _MARKED.encode() in known else value
        return self._parts[known]

    def _with_texts(self, value: Any) -> Any:
        if isinstance(value, dict):
            if len(value) == 1 and isinstance(value.get(_TEXT), str):
                return self._text(value[_TEXT])
            return {_unescaped(key): self._with_texts(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._with_texts(each) for each in value]
        return value

    def _text(self, digest: str) -> str:
        text = self._texts.get(digest)
        if not isinstance(text, str):
            raise damaged(f"text {digest[:80]} is missing")
        if digest not in self._checked and text_digest(text) != digest:
            raise damaged(f"text {digest} does not match its digest")
        self._checked.add(digest)
        return text


def validated(kind: Adapter[T], key: str | None, text: str | bytes) -> T:
    """Return the record or intent in the JSON of the row `key`, its body as stored; `StateError` for anything else.

    `key` is None for an entry of a log, which has no key beside its JSON.
    """
    try:
        found = kind.read(text)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        if first["type"] == "enum":
            raise damaged(f"intent {key} is about an unknown operation {first['input']!r:.40}") from None
        place = ".".join(map(str, first["loc"]))
        raise damaged(f"the row of {key} is not of this format{f', at {place}' if place else ''}") from None
    return _belonging(key, found)


def _belonging(key: str | None, found: T) -> T:
    """Return a value that was stored under a key, if the key is its own; raise `StateError` otherwise."""
    if address_of(str(found.address)) != found.address:
        raise damaged(f"{str(found.address)[:80]!r} is not an address")
    # Under another row's key it would never be overwritten or dropped.
    if key is not None and key != found.key:
        raise damaged(f"the row of {key} is about {found.key[:80]}")
    return found


def _brackets(data: str | bytes) -> int:
    """Return an upper bound of the number of containers in a JSON text; much faster than parsing it."""
    if isinstance(data, str):
        return data.count("{") + data.count("[")
    return data.count(b"{") + data.count(b"[")


def loads(data: str | bytes, what: str) -> Any:
    """Parse JSON of a size and depth that files can have; raise `StateError` for all else, also NaN and infinity."""
    if len(data) > _LARGEST:
        raise damaged(f"{what} is larger than any that is written")
    try:
        tree = orjson.loads(data)
    except orjson.JSONDecodeError as problem:
        raise damaged(f"{what} is not JSON") from problem
    if _brackets(data) > _DEEPEST and is_deeper(tree, _DEEPEST):
        raise damaged(f"{what} is nested deeper than {_DEEPEST} levels")
    return tree
