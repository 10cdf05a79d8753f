"""Translate a write to its SQL statement, and read the stored forms of pins and offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from pydantic_core import ValidationError

from reconciler.model.record import Intent, Pins, Record
from reconciler.model.writes import (
    Append,
    DropForeign,
    DropIntent,
    DropRecord,
    DropReleased,
    PutApplying,
    PutForeign,
    PutGeneration,
    PutIntent,
    PutMoved,
    PutPins,
    PutRecord,
    PutReleased,
    SetLineage,
    Write,
)
from reconciler.state.adapter import Adapter
from reconciler.state.damage import damaged
from reconciler.state.document import Bodies, checksum, intent_json, record_json

_PINS = Adapter(Pins)


def record_row(record: Record, texts: dict[str, str], bodies: Bodies | None = None) -> list[str]:
    """Return the row of a record: its address, its JSON, their checksum."""
    return _sealed(record.key, record_json(record, texts, bodies))


def intent_row(intent: Intent, texts: dict[str, str], bodies: Bodies | None = None) -> list[str]:
    """Return the row of an intent: its key, its JSON, their checksum."""
    return _sealed(intent.key, intent_json(intent, texts, bodies))


def _sealed(key: str, text: str) -> list[str]:
    return [key, text, checksum(key, text)]


def statement(write: Write, texts: dict[str, str], bodies: Bodies) -> tuple[str, Sequence[object]]:
    """Return the statement and its values; long texts that it refers to are added to `texts`, by digest."""
    match write:
        case PutRecord(record):
            # Not "insert or replace": an updated row keeps its place in the file, so that the file does not grow.
            sql = (
                "insert into records (address, record, checksum) values (?, ?, ?) on conflict (address) "
                "do update set record = excluded.record, checksum = excluded.checksum"
            )
            return sql, record_row(record, texts, bodies)
        case DropRecord(address):
            return "delete from records where address = ?", [str(address)]
        case PutIntent(intent):
            sql = "insert or replace into intents (key, intent, checksum) values (?, ?, ?)"
            return sql, intent_row(intent, texts, bodies)
        case DropIntent(key):
            return "delete from intents where key = ?", [key]
        case PutGeneration(address, generation):
            sql = (
                "insert into generations values (?, ?) on conflict (address) "
                "do update set generation = max(generation, excluded.generation)"
            )
            return sql, [str(address), generation]
        case PutForeign(foreign):
            sql = "insert or replace into foreign_agents values (?, ?, ?)"
            return sql, [foreign.agent_id, foreign.name, foreign.channel]
        case DropForeign(agent_id):
            return "delete from foreign_agents where agent_id = ?", [agent_id]
        case PutReleased(agent_id):
            return "insert or ignore into released values (?)", [agent_id]
        case DropReleased(agent_id):
            return "delete from released where agent_id = ?", [agent_id]
        case PutPins(pins):
            return "insert or replace into meta values ('pins', ?)", [_PINS.write(pins)]
        case PutApplying(digest):
            return "insert or replace into meta values ('applying', ?)", [digest or ""]
        case PutMoved(place):
            return "insert or replace into meta values ('moved', ?)", [place or ""]
        case SetLineage(lineage, offset):
            sql = "insert or replace into meta values ('lineage', ?), ('offset', ?)"
            return sql, [lineage, str(offset)]
        case Append(entry):
            sql = "insert into history (at, address, change, result, agent_id, detail) values (?, ?, ?, ?, ?, ?)"
            return sql, [
                entry.at,
                str(entry.address),
                entry.change,
                entry.result,
                entry.agent_id,
                entry.detail,
            ]
        case _:
            assert_never(write)


def read_offset(text: str) -> int:
    """Return the offset as stored; raise `StateError` for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise damaged("its offset is no number")
    return int(text)


def read_pins(text: str | None) -> Pins | None:
    """Return the pins as stored; raise `StateError` for anything else."""
    try:
        return None if text is None else _PINS.read(text)
    except ValidationError:
        raise damaged("its pins are not of this format") from None
