"""The stored form of what we remember: bytes <-> values, strictly, with every row's checksum.

Bodies are content-addressed: each part of `properties`, and each long text inside, is a blob stored once, so a
thousand agents with one prompt store it once; read again, equal parts are one object. Rows and blobs are packed
with the words that most of them share. Stores decide where rows and blobs lie; formats live here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconciler.model.fingerprint import canonical
from reconciler.model.record import Intent, Operation, Record
from reconciler.model.spec import Body
from reconciler.model.tree import Tree
from reconciler.state.rows import CHECK_SIZE, address_of, damaged, loads, seal, unpacked, unseal

FORMAT = 1
_LONG_TEXT = 160
_BLOB = "$blob"
# In the bytes of whatever holds a reference, or a key that must not be taken for one.
_MARKED = b'$blob":'
_CONTAINERS = (dict, list)

_MOST_PARTS = 100_000
_KEY = re.compile(r"(?:[0-9a-f]{2})+")


class Blobs(dict[bytes, bytes]):
    """Blobs by their keys, not yet packed, for the rows that refer to them.

    The parts that were seen stay known when the blobs are cleared: most agents share most parts, and what an intent
    holds is soon held by its record. Trees are never changed in place, so that an object is known by its identity.
    """

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[int, tuple[object, str]] = {}

    def key_of(self, part: Tree) -> str:
        """The key of a part's blob, which is here or was before."""
        known = self._keys.get(id(part))
        if known is None:
            if len(self._keys) >= _MOST_PARTS:
                self._keys.clear()
            known = self._keys[id(part)] = part, _store(canonical(_texts_out(part, self)), self)
        return known[1]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    @cache
    def defaults(cls) -> dict[str, object]:
        """What is filled in for each field that may be left out."""
        fields = cls.model_fields.items()
        return {
            key: field.get_default(call_default_factory=True)
            for key, field in fields
            if not field.is_required()
        }


class _BodyDocument(_Document):
    properties: dict[str, Any]
    preset: str | None = None
    pipeline_id: str | None = None


class _RecordDocument(_Document):
    address: str
    agent_id: str
    name: str
    generation: int
    uid: str
    body: _BodyDocument
    started_at: float
    token_expires_at: float | None = None
    protect: bool = False
    unsent: bool = False
    declared: bool = False
    secrets: dict[str, str] = Field(default_factory=dict)
    failures: int = 0
    retry_at: float = 0.0
    replacing: bool = False


class _IntentDocument(_Document):
    operation: str
    address: str
    name: str
    created_at: float
    agent_id: str = ""
    generation: int = 0
    uid: str = ""
    body: _BodyDocument | None = None
    protect: bool = False
    attempt: int = 1
    unknown_since: float | None = None
    refused_since: float | None = None


T = TypeVar("T")
_AnyDocument = TypeVar("_AnyDocument", bound=_Document)

# --- rows -----------------------------------------------------------------------------------------------------


def record_row(record: Record, blobs: Blobs) -> bytes:
    """The row of a record; the blobs that it refers to are added to `blobs`."""
    document = {
        "address": str(record.address),
        "agent_id": record.agent_id,
        "name": record.name,
        "generation": record.generation,
        "uid": record.uid,
        "body": _dump_body(record.body, blobs),
        "started_at": float(record.started_at),
        "token_expires_at": record.token_expires_at,
        "protect": record.protect,
        "unsent": record.unsent,
        "declared": record.declared,
        "secrets": dict(record.secrets),
        "failures": record.failures,
        "retry_at": float(record.retry_at),
        "replacing": record.replacing,
    }
    return seal(str(record.address), orjson.dumps(_without_defaults(document, _RecordDocument)))


def read_record(key: str, row: bytes, parts: Parts) -> Record:
    """The record of a row; `StateError` when the row is damaged."""
    found = _validated(_RecordDocument, key, row)
    values = {**found.__dict__, "address": address_of(found.address), "body": parts.body(found.body)}
    return _of_key(key, str(found.address), Record(**values))


def intent_row(intent: Intent, blobs: Blobs) -> bytes:
    """The row of an intent; the blobs that it refers to are added to `blobs`."""
    document = {
        "operation": intent.operation.value,
        "address": str(intent.address),
        "name": intent.name,
        "created_at": float(intent.created_at),
        "agent_id": intent.agent_id,
        "generation": intent.generation,
        "uid": intent.uid,
        "body": _dump_body(intent.body, blobs) if intent.body is not None else None,
        "protect": intent.protect,
        "attempt": intent.attempt,
        "unknown_since": intent.unknown_since,
        "refused_since": intent.refused_since,
    }
    return seal(intent.key, orjson.dumps(_without_defaults(document, _IntentDocument)))


def read_intent(key: str, row: bytes, parts: Parts) -> Intent:
    """The intent of a row; `StateError` when the row is damaged."""
    found = _validated(_IntentDocument, key, row)
    values = {**found.__dict__, "address": address_of(found.address)}
    values["body"] = parts.body(found.body) if found.body is not None else None
    if found.operation not in Operation.__members__.values():
        raise damaged(f"intent {key} is about an unknown operation {found.operation!r}")
    values["operation"] = Operation(found.operation)
    intent = Intent(**values)
    return _of_key(key, intent.key, intent)


def _of_key(key: str, own: str, value: T) -> T:
    """The value of a row, which lies where its key says: another one would never be overwritten or dropped."""
    if key != own:
        raise damaged(f"the row of {key} is about {own[:80]}")
    return value


def _validated(kind: type[_AnyDocument], key: str, row: bytes) -> _AnyDocument:
    try:
        return kind.model_validate(loads(unseal(key, row), f"the row of {key}"))
    except ValidationError as problem:
        place = ".".join(map(str, problem.errors(include_url=False, include_input=False)[0]["loc"]))
        raise damaged(f"the row of {key} is not of this format{f', at {place}' if place else ''}") from None


def _without_defaults(document: Mapping[str, object], kind: type[_Document]) -> dict[str, object]:
    """The document without what the format fills in anyway: most rows are half as long."""
    defaults = kind.defaults()
    return {key: value for key, value in document.items() if key not in defaults or value != defaults[key]}


# --- bodies ---------------------------------------------------------------------------------------------------


def _dump_body(body: Body, blobs: Blobs) -> dict[str, object]:
    tree: dict[str, object] = {
        "properties": {_escaped(key): _part(value, blobs) for key, value in body.properties.items()},
    }
    if body.preset is not None:
        tree["preset"] = body.preset
    if body.pipeline_id is not None:
        tree["pipeline_id"] = body.pipeline_id
    return tree


def _part(value: Tree, blobs: Blobs) -> object:
    """One part of the properties: small values as they are, mappings and lists as a blob of their own."""
    if isinstance(value, (dict, list)) and value:
        return {_BLOB: blobs.key_of(value)}
    return _texts_out(value, blobs)


def _texts_out(value: Tree, blobs: Blobs) -> object:
    """The tree with its long texts replaced by references."""
    if isinstance(value, str):
        return {_BLOB: _store(canonical(value), blobs)} if len(value) >= _LONG_TEXT else value
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, (dict, Mapping)):
        return {_escaped(key): _texts_out(each, blobs) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_texts_out(each, blobs) for each in value]
    return value


def _escaped(key: str) -> str:
    """A user's own key that looks like a reference gets one more `$`, so that no body can point into the blobs."""
    return f"${key}" if key.startswith("$") and key.lstrip("$") == _BLOB[1:] else key


def _unescaped(key: str) -> str:
    return key[1:] if key.startswith("$$") and key.lstrip("$") == _BLOB[1:] else key


def _store(data: bytes, blobs: Blobs) -> str:
    key = _blob_key(data)
    blobs[key] = data
    return key.hex()


def _blob_key(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=12, person=b"blob").digest()


class Parts:
    """The blobs of one reading: each is checked and decoded once, and shared by every body that refers to it."""

    __slots__ = ("_known", "_packed")

    def __init__(self, packed: Mapping[bytes, bytes]) -> None:
        self._packed = packed
        self._known: dict[str, Any] = {}

    @property
    def used(self) -> set[bytes]:
        """The keys of the blobs that any body so far refers to."""
        return set(map(bytes.fromhex, self._known))

    def body(self, document: _BodyDocument) -> Body:
        """A body with its references followed."""
        properties = {_unescaped(key): self._value(value) for key, value in document.properties.items()}
        return Body(properties, document.preset, document.pipeline_id)

    def _value(self, value: Any) -> Any:
        return self._part(value[_BLOB]) if _is_reference(value) else self._texts_in(value)

    def _texts_in(self, value: Any) -> Any:
        """The tree with its long texts in their places; nothing but a text is ever stored apart from a part."""
        if value.__class__ is dict:
            if _is_reference(value):
                part = self._part(value[_BLOB])
                if not isinstance(part, str):
                    raise damaged(f"blob {value[_BLOB][:80]} is not a text")
                return part
            return {
                _unescaped(key): self._texts_in(each) if each.__class__ in _CONTAINERS else each
                for key, each in value.items()
            }
        if value.__class__ is list:
            return [self._texts_in(each) for each in value]
        return value

    def _part(self, key: str) -> Any:
        if key not in self._known:
            packed = self._packed.get(bytes.fromhex(key)) if _KEY.fullmatch(key) else None
            if packed is None:
                raise damaged(f"blob {key[:80]} is missing")
            data = unpacked(packed, f"blob {key}")
            if _blob_key(data).hex() != key:
                raise damaged(f"blob {key} does not match its digest")
            tree = loads(data, f"blob {key}")
            self._known[key] = self._texts_in(tree) if _MARKED in data else tree
        return self._known[key]


def _is_reference(value: Any) -> bool:
    return value.__class__ is dict and len(value) == 1 and isinstance(value.get(_BLOB), str)


# --- the schema -----------------------------------------------------------------------------------------------


def state_schema() -> dict[str, Any]:
    """The JSON Schema of a state's rows, for whoever reads one."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "reconciler state",
        "description": f"The documents in a state of format {FORMAT}: rows of the tables `records` and `intents`, "
        f"each packed behind {CHECK_SIZE} bytes of checksum; {_BLOB} refers to the table `blobs`.",
        "type": "object",
        "$defs": {},
        "properties": {},
    }
    for name, kind in (("record", _RecordDocument), ("intent", _IntentDocument)):
        found = kind.model_json_schema(ref_template="#/$defs/{model}")
        schema["$defs"] |= found.pop("$defs", {})
        schema["properties"][name] = {**found, "title": name}
    return schema
