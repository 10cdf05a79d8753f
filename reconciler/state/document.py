"""The stored form of what we remember: bytes <-> values, strictly, with every row's checksum.

Bodies are content-addressed: each part of `properties`, and each long text inside, is a blob stored once, so a
thousand agents with one prompt store it once. Stores decide where rows and blobs lie; formats live here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from reconciler.errors import StateError
from reconciler.model.address import Address
from reconciler.model.fingerprint import canonical
from reconciler.model.record import Intent, Operation, Record
from reconciler.model.spec import Body
from reconciler.model.tree import Tree

FORMAT = 1
_LONG_TEXT = 160
_BLOB = "$blob"
_CHECK_SIZE = 8

Blobs = dict[bytes, bytes]
Fetch = Callable[[bytes], bytes]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


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
    secrets: dict[str, str] = {}
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
    """A row's bytes with their checksum in front; the checksum also covers the row's key."""
    return _check(key, document) + document


def unseal(key: str, row: bytes) -> bytes:
    """The document of a row; `StateError` when it is not what was written."""
    document = row[_CHECK_SIZE:]
    if row[:_CHECK_SIZE] != _check(key, document):
        raise damaged(f"the row of {key} does not match its checksum")
    return document


def damaged(what: str) -> StateError:
    """The error for a state whose bytes are not what was written: it is never taken for an empty one."""
    return StateError(
        f"the state is damaged: {what}",
        hint="nothing was changed; put a good copy back, or move the file away: the next plan finds every agent "
        "again by its name",
    )


def _check(key: str, document: bytes) -> bytes:
    return hashlib.blake2b(document, digest_size=_CHECK_SIZE, key=key.encode()[:64], person=b"state").digest()


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


def read_record(key: str, row: bytes, fetch: Fetch) -> Record:
    """The record of a row; `StateError` when the row is damaged."""
    found = _validated(_RecordDocument, key, row)
    values = {name: getattr(found, name) for name in _RecordDocument.model_fields}
    values |= {"address": _address(found.address), "body": _load_body(found.body, fetch)}
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


def read_intent(key: str, row: bytes, fetch: Fetch) -> Intent:
    """The intent of a row; `StateError` when the row is damaged."""
    found = _validated(_IntentDocument, key, row)
    values = {name: getattr(found, name) for name in _IntentDocument.model_fields}
    values["address"] = _address(found.address)
    values["body"] = _load_body(found.body, fetch) if found.body is not None else None
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
    fields = kind.model_fields
    return {key: value for key, value in document.items() if fields[key].is_required() or value != fields[key].default}


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
        return {_BLOB: _store(canonical(_texts_out(value, blobs)), blobs)}
    return _texts_out(value, blobs)


def _texts_out(value: Tree, blobs: Blobs) -> object:
    """The tree with its long texts replaced by references."""
    if isinstance(value, str):
        return {_BLOB: _store(canonical(value), blobs)} if len(value) >= _LONG_TEXT else value
    if isinstance(value, Mapping):
        return {_escaped(key): _texts_out(each, blobs) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_texts_out(each, blobs) for each in value]
    return value


def _escaped(key: str) -> str:
    """A user's own key that looks like a reference gets one more `$`, so that no body can point into the blobs."""
    return f"${key}" if key.lstrip("$") == _BLOB[1:] and key.startswith("$") else key


def _unescaped(key: str) -> str:
    return key[1:] if key.lstrip("$") == _BLOB[1:] and key.startswith("$$") else key


def _store(data: bytes, blobs: Blobs) -> str:
    key = hashlib.blake2b(data, digest_size=12, person=b"blob").digest()
    blobs[key] = data
    return key.hex()


def _load_body(document: _BodyDocument, fetch: Fetch) -> Body:
    properties = {_unescaped(key): _texts_in(value, fetch) for key, value in document.properties.items()}
    return Body(properties, document.preset, document.pipeline_id)


def _texts_in(value: Any, fetch: Fetch) -> Any:
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get(_BLOB), str):
            return _texts_in(_fetched(value[_BLOB], fetch), fetch)
        return {_unescaped(key): _texts_in(each, fetch) for key, each in value.items()}
    if isinstance(value, list):
        return [_texts_in(each, fetch) for each in value]
    return value


def _fetched(key: str, fetch: Fetch) -> Any:
    data = fetch(bytes.fromhex(key))
    if hashlib.blake2b(data, digest_size=12, person=b"blob").hexdigest() != key:
        raise damaged(f"blob {key} does not match its digest")
    return orjson.loads(data)


# --- the schema -----------------------------------------------------------------------------------------------


def state_schema() -> dict[str, Any]:
    """The JSON Schema of a state's rows, for whoever reads one."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "reconciler state",
        "description": f"The documents in a state of format {FORMAT}: rows of the tables `records` and `intents`, "
        f"each behind {_CHECK_SIZE} bytes of checksum; {_BLOB} refers to the table `blobs`.",
        "type": "object",
        "$defs": {},
        "properties": {},
    }
    for name, kind in (("record", _RecordDocument), ("intent", _IntentDocument)):
        found = kind.model_json_schema(ref_template="#/$defs/{model}")
        schema["$defs"] |= found.pop("$defs", {})
        schema["properties"][name] = {**found, "title": name}
    return schema
