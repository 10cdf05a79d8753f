"""The stored form of what we remember: bytes <-> values, strictly, with every row's checksum.

Bodies are content-addressed: each part of `properties`, and each long text inside, is a blob stored once, so a
thousand agents with one prompt store it once; read again, equal parts are one object. Rows and blobs are packed
with the words that most of them share. Stores decide where rows and blobs lie; formats live here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconciler.errors import StateError
from reconciler.model.address import Address
from reconciler.model.fingerprint import canonical
from reconciler.model.record import Intent, Operation, Record
from reconciler.model.spec import Body
from reconciler.model.tree import Tree
from reconciler.state.packing import pack, unpack

FORMAT = 1
_LONG_TEXT = 160
_BLOB = "$blob"
# In the bytes of whatever holds a reference, or a key that must not be taken for one.
_MARKED = b'$blob":'
_CHECK_SIZE = 8
_CONTAINERS = (dict, list)

_MOST_PARTS = 100_000


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


_AnyDocument = TypeVar("_AnyDocument", bound=_Document)

# --- rows -----------------------------------------------------------------------------------------------------


def seal(key: str, document: bytes) -> bytes:
    """A row's bytes, packed, with their checksum in front; the checksum also covers the row's key."""
    packed = pack(document)
    return _check(key, packed) + packed


def unseal(key: object, row: object) -> bytes:
    """The document of a row; `StateError` when it is not what was written."""
    if not isinstance(key, str) or not isinstance(row, bytes):  # SQLite keeps any type in any column
        raise damaged("a row is not of this format")
    packed = row[_CHECK_SIZE:]
    if row[:_CHECK_SIZE] != _check(key, packed):
        raise damaged(f"the row of {key} does not match its checksum")
    return _unpacked(packed)


def damaged(what: str) -> StateError:
    """The error for a state whose bytes are not what was written: it is never taken for an empty one."""
    return StateError(
        f"the state is damaged: {what}",
        hint="nothing was changed; put a good copy back, or move the file away: the next plan finds every agent "
        "again by its name",
    )


def _check(key: str, packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=_CHECK_SIZE, key=key.encode()[:64], person=b"state").digest()


def _unpacked(packed: bytes) -> bytes:
    try:
        return unpack(packed)
    except ValueError as problem:
        raise damaged(str(problem)) from problem


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
    }
    return seal(str(record.address), orjson.dumps(_without_defaults(document, _RecordDocument)))


def read_record(key: str, row: bytes, parts: Parts) -> Record:
    """The record of a row; `StateError` when the row is damaged."""
    found = _validated(_RecordDocument, key, row)
    values = {**found.__dict__, "address": _address(found.address), "body": parts.body(found.body)}
    return Record(**values)


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
    }
    return seal(intent.key, orjson.dumps(_without_defaults(document, _IntentDocument)))


def read_intent(key: str, row: bytes, parts: Parts) -> Intent:
    """The intent of a row; `StateError` when the row is damaged."""
    found = _validated(_IntentDocument, key, row)
    values = {**found.__dict__, "address": _address(found.address)}
    values["body"] = parts.body(found.body) if found.body is not None else None
    if found.operation not in Operation.__members__.values():
        raise damaged(f"intent {key} is about an unknown operation {found.operation!r}")
    values["operation"] = Operation(found.operation)
    return Intent(**values)


def _validated(kind: type[_AnyDocument], key: str, row: bytes) -> _AnyDocument:
    try:
        return kind.model_validate(orjson.loads(unseal(key, row)))
    except (ValidationError, orjson.JSONDecodeError) as problem:
        raise damaged(f"the row of {key} is not of this format") from problem


def _without_defaults(document: Mapping[str, object], kind: type[_Document]) -> dict[str, object]:
    """The document without what the format fills in anyway: most rows are half as long."""
    defaults = kind.defaults()
    return {key: value for key, value in document.items() if key not in defaults or value != defaults[key]}


def _address(text: str) -> Address:
    channel, _, name = text.rpartition("/")
    return Address(channel, name)


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

    def body(self, document: _BodyDocument) -> Body:
        """A body with its references followed."""
        properties = {_unescaped(key): self._texts_in(value) for key, value in document.properties.items()}
        return Body(properties, document.preset, document.pipeline_id)

    def _texts_in(self, value: Any) -> Any:
        if value.__class__ is dict:
            if len(value) == 1 and isinstance(value.get(_BLOB), str):
                return self._part(value[_BLOB])
            return {
                _unescaped(key): self._texts_in(each) if each.__class__ in _CONTAINERS else each
                for key, each in value.items()
            }
        if value.__class__ is list:
            return [self._texts_in(each) for each in value]
        return value

    def _part(self, key: str) -> Any:
        if key not in self._known:
            packed = self._packed.get(bytes.fromhex(key))
            if packed is None:
                raise damaged(f"blob {key} is missing")
            data = _unpacked(packed)
            if _blob_key(data).hex() != key:
                raise damaged(f"blob {key} does not match its digest")
            tree = orjson.loads(data)
            self._known[key] = self._texts_in(tree) if _MARKED in data else tree
        return self._known[key]


# --- the schema -----------------------------------------------------------------------------------------------


def state_schema() -> dict[str, Any]:
    """The JSON Schema of a state's rows, for whoever reads one."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "reconciler state",
        "description": f"The documents in a state of format {FORMAT}: rows of the tables `records` and `intents`, "
        f"each packed behind {_CHECK_SIZE} bytes of checksum; {_BLOB} refers to the table `blobs`.",
        "type": "object",
        "$defs": {},
        "properties": {},
    }
    for name, kind in (("record", _RecordDocument), ("intent", _IntentDocument)):
        found = kind.model_json_schema(ref_template="#/$defs/{model}")
        schema["$defs"] |= found.pop("$defs", {})
        schema["properties"][name] = {**found, "title": name}
    return schema
