"""Read a state of format 1, which is converted to format 2 when it is first locked.

Its rows are JSON with a checksum, compressed with a dictionary of frequent words; its bodies refer to parts and long
texts in another table. Nothing is ever written in this format.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeVar

import orjson

from reconciler.model.record import Intent, Pins, Record
from reconciler.state.adapter import Adapter
from reconciler.state.damage import address_of, damaged
from reconciler.state.document import INTENT, RECORD, loads, validated

TABLES = """
create table meta (key text primary key, value text not null) without rowid;
create table records (key text primary key, row blob not null) without rowid;
create table intents (key text primary key, row blob not null) without rowid;
create table blobs (key blob primary key, data blob not null) without rowid;
create table generations (address text primary key, generation integer not null) without rowid;
create table foreign_agents (agent_id text primary key, name text not null, channel text) without rowid;
create table released (agent_id text primary key) without rowid;
create table history (id integer primary key, at real not null, address text not null, change text not null,
  result text not null, agent_id text not null, detail text not null);
create index history_by_address on history (address, id);
"""
_CHECK_SIZE = 8
_BLOB = "$blob"
_KEY = re.compile(r"(?:[0-9a-f]{2})+")
# The largest row or blob when unpacked; no body that a fleet's files may hold comes near.
_LARGEST = 64 * 1024 * 1024
# The preset dictionary for zlib: frequent parts of rows and blobs, the most frequent last.
_WORDS = (
    b'"pipeline_id":"preset":"protect":true"unsent":true"declared":true"failures":"retry_at":"attempt":'
    b'"unknown_since":"operation":"join"update"leave"created_at":"idle"rtc"custom"enable_string_uid":"vad":'
    b'{"threshold":"mllm":{"avatar":{"sal":{"filler_words":{"mcp_servers":"tools":"headers":"style":"openai"'
    b'"region":"eastus"voice_name":"en-US-AvaNeural"speed":"volume":"voice_id":"model_id":"language":"en-US"'
    b'"vendor":"microsoft"azure"elevenlabs"deepgram"ares"params":{"key":"ref+env://AZURE_TTS_KEY"'
    b'"audio_scenario":"default","data_channel":"rtm","enable_error_message":true,"enable_metrics":true,'
    b'"silence_config":{"action":"speak","content":"timeout_ms":10000}}'
    b'{"api_key":"ref+env://OPENAI_API_KEY","failure_message":"Sorry, greeting_configs":{"delay_ms":'
    b',"interruptable":true,"mode":"single_first"},"greeting_message":"Welcome to Hello","input_modalities":["text"],'
    b'"max_history":32,"output_modalities":["text","audio"],"params":{"frequency_penalty":0.1,"max_tokens":1024,'
    b'"model":"gpt-4o-mini","temperature":0.7,"top_p":0.9},"system_messages":[{"content":{"$blob":"role":"system"}],'
    b'"template_variables":{"url":"https://api.openai.com/v1/chat/completions","vendor":"custom"}'
    b'{"address":"concierge","agent_id":"name":".-.","generation":1,"uid":"10","body":{"properties":{'
    b'"agent_rtc_uid":"1001","remote_rtc_uids":{"$blob":"},"idle_timeout":0,"advanced_features":{"$blob":"'
    b'},"asr":{"$blob":"},"tts":{"$blob":"},"llm":{"$blob":"},"turn_detection":{"$blob":"},"interruption":{"$blob":"'
    b'},"labels":{"$blob":"},"parameters":{"$blob":"}}},"started_at":17.0,"token_expires_at":17.0,"secrets":{"ref+env://'
)
T = TypeVar("T", Record, Intent)


def read_rows(connection: sqlite3.Connection) -> tuple[list[Record], list[Intent]]:
    """Return all records and intents of the file; raise `StateError` for damaged rows."""
    parts = _Parts(dict(connection.execute("select key, data from blobs")))
    records = connection.execute("select key, row from records")
    intents = connection.execute("select key, row from intents order by key")
    return (
        [_value(RECORD, key, row, parts) for key, row in records],
        [_value(INTENT, key, row, parts) for key, row in intents],
    )


def read_pins(text: str | None) -> Pins | None:
    """Return the pins as stored; raise `StateError` for anything else."""
    if text is None:
        return None
    try:
        fleet, environment, service, app_id = pins = orjson.loads(text)
    except (ValueError, TypeError):
        raise damaged("its pins are not of this format") from None
    if not all(each is None or isinstance(each, str) for each in pins):
        raise damaged("its pins are not of this format")
    return Pins(fleet, environment, service, app_id)


def _value(kind: Adapter[T], key: object, row: object, parts: _Parts) -> T:
    if not isinstance(key, str) or not isinstance(row, bytes):
        raise damaged("a row is not of this format")
    packed = row[_CHECK_SIZE:]
    check = hashlib.blake2b(packed, digest_size=_CHECK_SIZE, key=key.encode()[:64], person=b"state").digest()
    if row[:_CHECK_SIZE] != check:
        raise damaged(f"the row of {key} does not match its checksum")
    document = loads(_unpacked(packed, f"the row of {key}"), f"the row of {key}")
    if not isinstance(document, dict):
        raise damaged(f"the row of {key} is not of this format")
    # Format 2 stores an address as two fields; all else of a row but its references is the same in both formats.
    address = address_of(document.get("address"))
    return validated(kind, key, document | {"address": asdict(address)}, parts.followed)


class _Parts:
    """The blobs of one file; each is checked and decoded once."""

    def __init__(self, packed: Mapping[bytes, bytes]) -> None:
        self._packed = packed
        self._known: dict[str, Any] = {}

    def followed(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return properties with their references resolved: each part is one blob, which may refer to texts."""
        return {_unescaped(key): self._top(value) for key, value in properties.items()}

    def _top(self, value: Any) -> Any:
        return self._part(value[_BLOB]) if _is_reference(value) else self._with_texts(value)

    def _with_texts(self, value: Any) -> Any:
        if _is_reference(value):
            part = self._part(value[_BLOB])
            if not isinstance(part, str):  # nested references could expand without end
                raise damaged(f"blob {value[_BLOB][:80]} is not a text")
            return part
        if isinstance(value, dict):
            return {_unescaped(key): self._with_texts(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._with_texts(each) for each in value]
        return value

    def _part(self, key: str) -> Any:
        if key not in self._known:
            packed = self._packed.get(bytes.fromhex(key)) if _KEY.fullmatch(key) else None
            if not isinstance(packed, bytes):
                raise damaged(f"blob {key[:80]} is missing")
            data = _unpacked(packed, f"blob {key}")
            if hashlib.blake2b(data, digest_size=12, person=b"blob").hexdigest() != key:
                raise damaged(f"blob {key} does not match its digest")
            self._known[key] = self._with_texts(loads(data, f"blob {key}"))
        return self._known[key]


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(_BLOB), str)


def _unescaped(key: str) -> str:
    return key[1:] if key.startswith("$$") and key.lstrip("$") == _BLOB[1:] else key


def _unpacked(packed: bytes, what: str) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS, _WORDS)
    try:
        data = unpacker.decompress(packed, _LARGEST)
    except zlib.error:
        raise damaged(f"{what} cannot be unpacked") from None
    if unpacker.unconsumed_tail:
        raise damaged(f"{what} unpacks to more than any run of ours writes")
    return data
