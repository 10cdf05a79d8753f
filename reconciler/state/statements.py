"""One write -> the SQL statement that makes it, and back where a value is more than a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import orjson

from reconciler.model.record import Pins
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
    PutPins,
    PutRecord,
    PutReleased,
    Write,
)
from reconciler.state.document import Blobs, intent_row, record_row
from reconciler.state.rows import damaged


def statement(write: Write, blobs: Blobs) -> tuple[str, Sequence[object]]:
    """The statement and its values; blobs that it refers to are added to `blobs`."""
    match write:
        case PutRecord(record):
            return "insert or replace into records values (?, ?)", [
                str(record.address),
                record_row(record, blobs),
            ]
        case DropRecord(address):
            return "delete from records where key = ?", [str(address)]
        case PutIntent(intent):
            return "insert or replace into intents values (?, ?)", [intent.key, intent_row(intent, blobs)]
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
            document = [pins.fleet, pins.environment, pins.service, pins.app_id]
            return "insert or replace into meta values ('pins', ?)", [orjson.dumps(document).decode()]
        case PutApplying(digest):
            return "insert or replace into meta values ('applying', ?)", [digest or ""]
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


def read_pins(text: str | None) -> Pins | None:
    """The pins as they were stored; `StateError` for anything else."""
    if text is None:
        return None
    try:
        fleet, environment, service, app_id = pins = orjson.loads(text)
    except (ValueError, TypeError) as problem:
        raise damaged("its pins are not of this format") from problem
    if not all(each is None or isinstance(each, str) for each in pins):
        raise damaged("its pins are not of this format")
    return Pins(fleet, environment, service, app_id)
