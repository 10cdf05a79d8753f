"""The stored form of records and intents: JSON text with a checksum, and each long text stored once under its digest.

A prompt that a thousand agents share is stored once. The fields of records and intents are defined only in
`model.record`: one pydantic adapter for each writes and reads them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import orjson
from pydantic_core import ValidationError

from reconciler.model.record import Intent, Record
from reconciler.model.spec import Body
from reconciler.model.tree import LEAVES, NON_TEXTS, Tree, is_deeper
from reconciler.state.adapter import Adapter
from reconciler.state.damage import damaged

FORMAT: Final = 2
_LONG_TEXT = 160
# More open intents than there are at any parallelism.
_MOST_BODIES = 1000
_TEXT = "$text"
# Found in the JSON of a value that holds a reference to a text, or a user's key that looks like one.
_MARKED = f'{_TEXT}":'.encode()
_ANY_MARK = f'{_TEXT}":'
_REFERENCE = re.compile(rf'\{{"{re.escape(_TEXT)}":"([0-9a-f]{{24}})"\}}')
# A template's value has at most 50 levels, at most 50 deep in a body; a row adds a few levels around it.
_DEEPEST = 120
# The largest text of one row; no body that a fleet's files may hold comes near.
_LARGEST = 64 * 1024 * 1024

RECORD: Final = Adapter(Record)
INTENT: Final = Adapter(Intent)
_BODY: Final = Adapter(Body)

T = TypeVar("T", Record, Intent)


def text_digest(text: str) -> str:
    """Return the digest under which a long text is stored."""
    return hashlib.blake2b(text.encode(), digest_size=12, person=b"text").hexdigest()


def checksum(key: str, text: str) -> str:
    """Return the checksum of a row's JSON; it covers the row's key, so that no row can be moved to another key."""
    return hashlib.blake2b(text.encode(), digest_size=8, key=key.encode()[:64], person=b"state").hexdigest()


# --- values -> JSON -------------------------------------------------------------------------------------------


class Bodies:
    """The stored forms of the bodies in open intents: a join's record repeats the body of its intent."""

    def __init__(self) -> None:
        # By identity; the body is kept too, so that no other one can get its number.
        self._known: dict[int, tuple[Body, orjson.Fragment, dict[str, str]]] = {}

    def of_intent(self, body: Body, texts: dict[str, str]) -> orjson.Fragment:
        """Return a body's properties as JSON; the long texts that they refer to are added to `texts`, by digest."""
        found = self._known.get(id(body))
        if found is None:
            if len(self._known) >= _MOST_BODIES:
                self._known.clear()
            own: dict[str, str] = {}
            stored = orjson.dumps(_stored(body.properties, own), default=dict)
            found = self._known[id(body)] = (body, orjson.Fragment(stored), own)
        texts.update(found[2])
        return found[1]

    def of_record(self, body: Body, texts: dict[str, str]) -> orjson.Fragment:
        """Return the same as `of_intent`, and forget it: with its record, the intent of a join is closed."""
        found = self.of_intent(body, texts)
        del self._known[id(body)]
        return found


def record_json(record: Record, texts: dict[str, str], bodies: Bodies | None = None) -> str:
    """Return the JSON of a record; the long texts that it refers to are added to `texts`, by digest."""
    stored = (bodies or Bodies()).of_record(record.body, texts)
    return _json(RECORD.changed(record), record.body, stored)


def intent_json(intent: Intent, texts: dict[str, str], bodies: Bodies | None = None) -> str:
    """Return the JSON of an intent; the long texts that it refers to are added to `texts`, by digest."""
    if intent.body is None:
        return orjson.dumps(INTENT.changed(intent)).decode()
    stored = (bodies or Bodies()).of_intent(intent.body, texts)
    return _json(INTENT.changed(intent), intent.body, stored)


def _json(fields: dict[str, Any], body: Body, properties: orjson.Fragment) -> str:
    return _dumped({**fields, "body": {**_BODY.changed(body), "properties": properties}})


def _dumped(value: object) -> str:
    return orjson.dumps(value, default=dict).decode()


def _stored(value: Tree, texts: dict[str, str]) -> Tree:
    """Return a tree as it is stored: a reference for each long text, which is added to `texts`, by digest.

    Parts without long texts are shared, not copied.
    """
    if isinstance(value, str):
        if len(value) < _LONG_TEXT:
            return value
        digest = text_digest(value)
        texts[digest] = value
        return {_TEXT: digest}
    if isinstance(value, (dict, Mapping)):
        return _stored_mapping(value, texts)
    if isinstance(value, (list, tuple)):
        return [_stored(each, texts) for each in value]
    return value


def _stored_mapping(value: Mapping[str, Tree], texts: dict[str, str]) -> Mapping[str, Tree]:
    changed: dict[str, Tree] = {}
    is_escaped = False
    for key, each in value.items():
        is_escaped = is_escaped or key.startswith("$")
        kind = type(each)
        # Most values are numbers and short texts, which are stored as they are.
        if kind in NON_TEXTS or (kind is str and len(each) < _LONG_TEXT):  # type: ignore[arg-type]  # a text
            continue
        if (stored := _stored(each, texts)) is not each:
            changed[key] = stored
    if is_escaped:
        return {_escaped(key): changed.get(key, each) for key, each in value.items()}
    return {**value, **changed} if changed else value


def _escaped(key: str) -> str:
    """Add a `$` to a user's key that looks like a reference, so that no body can refer to a text."""
    return f"${key}" if key.startswith("$") and key.lstrip("$") == _TEXT[1:] else key


def _unescaped(key: str) -> str:
    return key[1:] if key.startswith("$$") and key.lstrip("$") == _TEXT[1:] else key


# --- JSON -> values -------------------------------------------------------------------------------------------


class RowReader:
    """A reader of rows. Each text is checked once, and equal parts of bodies become one object.

    A record that has exactly its body of `likely`, which is by the keys of records, gets that object.
    """

    def __init__(self, texts: Mapping[str, object], likely: Mapping[str, Body] | None = None) -> None:
        self._texts = texts
        self._likely = likely or {}
        self._checked: set[str] = set()
        self._parts: dict[bytes, Any] = {}

    @property
    def unused(self) -> set[str]:
        """The digests of the texts that no row so far refers to."""
        return set(self._texts) - self._checked

    def record(self, key: object, text: object, check: object) -> Record:
        """Return the record of a row; raise `StateError` when the row is damaged."""
        return self._read(RECORD, key, text, check, self._likely.get(str(key)))

    def intent(self, key: object, text: object, check: object) -> Intent:
        """Return the intent of a row; raise `StateError` when the row is damaged."""
        return self._read(INTENT, key, text, check)

    def _read(
        self, kind: Adapter[T], key: object, text: object, check: object, likely: Body | None = None
    ) -> T:
        if not isinstance(key, str) or not isinstance(text, str):  # SQLite keeps any type in any column
            raise damaged("a row is not of this format")
        if check != checksum(key, text):
            raise damaged(f"the row of {key} does not match its checksum")
        rest = None if likely is None else self._without(likely, text)
        tree = loads(text if rest is None else rest, f"the row of {key}")
        if rest is not None and tree["body"] is None:
            tree["body"] = likely
        return self.parsed(kind, key, tree)

    def _without(self, body: Body, text: str) -> str | None:
        """Return a row's JSON with null for its body, or None if the row does not have exactly this body.

        To compare JSON takes a third of the time of parsing it.
        """
        fields, key, rest = text.partition('"body":')
        whole = _dumped(_BODY.changed(body))
        # A user's key that looks like a reference is stored under another name, so its JSON is not comparable.
        if _ANY_MARK in whole:
            return None
        filled = _REFERENCE.sub(lambda found: _dumped(self._text(found[1])), rest)
        return f"{fields}{key}null{filled[len(whole) :]}" if filled.startswith(whole) else None

    def parsed(self, kind: Adapter[T], key: str | None, tree: Any) -> T:
        """Return the record or intent in a tree of JSON, with its texts; raises as `validated` does."""
        return validated(kind, key, tree, self._followed)

    def stored(self, key: str, found: T) -> T:
        """Return a record or intent stored under a key, its texts filled in; `StateError` if it has another key."""
        _require_own(key, found)
        if found.body is None:
            return found
        return replace(found, body=replace(found.body, properties=self._followed(found.body.properties)))

    def _followed(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        return {_unescaped(name): self._part(value) for name, value in properties.items()}

    def _part(self, value: Any) -> Any:
        if not isinstance(value, (dict, list)):
            return value
        known = orjson.dumps(value)
        part = self._parts.get(known)
        if part is None:
            part = self._parts[known] = self._with_texts(value) if _MARKED in known else value
        return part

    def _with_texts(self, value: Any) -> Any:
        if isinstance(value, dict):
            if len(value) == 1 and isinstance(value.get(_TEXT), str):
                return self._text(value[_TEXT])
            # Most values are leaves, which are stored as they are: no call for each of them.
            return {
                _unescaped(key) if key.startswith("$") else key: each
                if type(each) in LEAVES
                else self._with_texts(each)
                for key, each in value.items()
            }
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


def validated(
    kind: Adapter[T], key: str | None, tree: Any, followed: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> T:
    """Return the record or intent of the row `key` from its JSON's tree; `StateError` for anything else.

    `key` is None for an entry of a log, which has no key beside its JSON. `followed` returns a body's properties with
    what they refer to filled in.
    """
    # Before the value is made: afterwards it would have to be copied, since it cannot be changed.
    body: Any = tree.get("body") if isinstance(tree, dict) else None
    properties = body.get("properties") if isinstance(body, dict) else None
    if isinstance(properties, dict):
        tree = {**tree, "body": {**body, "properties": followed(properties)}}
    try:
        found = kind.of_tree(tree)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        if first["type"] == "enum":
            raise damaged(f"intent {key} is about an unknown operation {first['input']!r:.40}") from None
        place = ".".join(map(str, first["loc"]))
        raise damaged(f"the row of {key} is not of this format{f', at {place}' if place else ''}") from None
    _require_own(key, found)
    return found


def _require_own(key: str | None, found: Record | Intent) -> None:
    """Raise `StateError` for a value that was stored under the key of another one."""
    address = found.address
    # A channel may have a slash in it, a name may not.
    if not (address.channel and address.name) or "/" in address.name:
        raise damaged(f"{str(address)[:80]!r} is not an address")
    # Under another row's key it would never be overwritten or dropped.
    if key is not None and key != found.key:
        raise damaged(f"the row of {key} is about {found.key[:80]}")


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
