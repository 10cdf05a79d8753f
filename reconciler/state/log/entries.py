"""Encode and decode entries and snapshots: canonical JSON, one write a line, each long text once under its digest.

Both have one form: an entry holds the writes of a commit, a snapshot those that make an empty state equal to the state.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any, Final, assert_never

import orjson

from reconciler.errors import StateError
from reconciler.model.record import Entry, Pins
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
from reconciler.state.damage import address_of, damaged
from reconciler.state.document import FORMAT, INTENT, RECORD, RowReader, intent_json, loads, record_json
from reconciler.state.statements import read_pins
from reconciler.state.tables import entry, foreign, generation, text
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Header:
    """The head of a commit: its lineage and serial, the nonce that its writer gave it, and the writer."""

    lineage: str
    serial: int
    nonce: str
    writer: str


# --- values -> bytes ------------------------------------------------------------------------------------------


def encoded(header: Header, writes: Iterable[Write], texts: dict[str, str], known: Collection[str]) -> bytes:
    """Return the bytes of a commit; the long texts in it are added to `texts`, by digest.

    The bytes hold all of `texts` except those whose digest is `known` to the readers.
    """
    lines = [_dumps(_tree(write, texts)) for write in writes]
    fresh = [_dumps(digest) + b":" + _dumps(texts[digest]) for digest in sorted(texts) if digest not in known]
    return b'{"format":%d,"lineage":%b,"nonce":%b,"serial":%d,"texts":{%b},"writer":%b,"writes":[%b]}\n' % (
        FORMAT,
        _dumps(header.lineage),
        _dumps(header.nonce),
        header.serial,
        _lines(fresh),
        _dumps(header.writer),
        _lines(lines),
    )


def _lines(parts: list[bytes]) -> bytes:
    return b"\n" + b",\n".join(parts) + b"\n" if parts else b""


def _dumps(tree: object) -> bytes:
    return orjson.dumps(tree, option=orjson.OPT_SORT_KEYS)


def _tree(write: Write, texts: dict[str, str]) -> dict[str, object]:
    match write:
        case PutRecord(record):
            return {"put_record": orjson.loads(record_json(record, texts))}
        case DropRecord(address):
            return {"drop_record": str(address)}
        case PutIntent(intent):
            return {"put_intent": orjson.loads(intent_json(intent, texts))}
        case DropIntent(key):
            return {"drop_intent": key}
        case PutGeneration(address, number):
            return {"put_generation": [str(address), number]}
        case PutForeign(found):
            return {"put_foreign": [found.agent_id, found.name, found.channel]}
        case DropForeign(agent_id):
            return {"drop_foreign": agent_id}
        case PutReleased(agent_id):
            return {"put_released": agent_id}
        case DropReleased(agent_id):
            return {"drop_released": agent_id}
        case PutPins(pins):
            return {"put_pins": asdict(pins)}
        case PutApplying(digest):
            return {"put_applying": digest}
        case PutMoved(place):
            return {"put_moved": place}
        case SetLineage(lineage, offset):
            return {"go_on_as": [lineage, offset]}
        case Append(line):
            return {"append": {**asdict(line), "address": str(line.address)}}
        case _:
            assert_never(write)


# --- bytes -> values ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredCommit:
    """A commit as stored: its writes are decoded later, since they may refer to texts of earlier commits."""

    header: Header
    texts: Mapping[str, str]
    rows: tuple[Mapping[str, Any], ...]

    def writes(self, reader: RowReader) -> list[Write]:
        """Return the writes, with the texts that `reader` knows; raise `StateError` for anything else."""
        return [_write(row, reader) for row in self.rows]

    def history(self) -> list[Entry]:
        """Return the lines that the commit adds to the history, oldest first."""
        return [_entry(row["append"]) for row in self.rows if "append" in row]


def decoded(data: bytes, key: str, state: object) -> StoredCommit:
    """Return the commit in the bytes of a key; raise `StateError` where it is none, or of a newer format."""
    tree = loads(data, key)
    if not isinstance(tree, dict) or not isinstance(tree.get("format"), int):
        raise damaged(f"{key} is no entry of a state")
    if tree["format"] > FORMAT:
        raise StateError(
            f"the state {state} has format {tree['format']}, and this reconciler knows {FORMAT}",
            hint="a newer reconciler wrote it; upgrade this one. Nothing was changed",
        )
    texts, rows, serial = tree.get("texts"), tree.get("writes"), tree.get("serial")
    if not (
        isinstance(texts, dict)
        and all(isinstance(each, str) for each in texts.values())
        and isinstance(rows, list)
        and all(isinstance(row, dict) and len(row) == 1 for row in rows)
        and isinstance(serial, int)
    ):
        raise damaged(f"{key} is not of this format")
    header = Header(text(tree.get("lineage")), serial, text(tree.get("nonce")), text(tree.get("writer")))
    if not header.lineage or not header.nonce:
        raise damaged(f"{key} does not say which state it is of")
    return StoredCommit(header, texts, tuple(rows))


def _write(row: Mapping[str, Any], reader: RowReader) -> Write:
    ((name, value),) = row.items()
    read = _READERS.get(name)
    if read is None:
        raise damaged(f"it has a write {name[:40]!r}, which nobody knows")
    try:
        return read(value, reader)
    except (TypeError, ValueError, KeyError, AttributeError) as problem:
        raise damaged(f"a write {name} is not of this format") from problem


def _pins(value: Any) -> Pins:
    pins = read_pins(orjson.dumps(value).decode())
    assert pins is not None, "a text is no missing one"
    return pins


def _generation(value: Any) -> PutGeneration:
    address, number = value
    return PutGeneration(address_of(address), generation(address, number))


def _go_on_as(value: Any) -> SetLineage:
    lineage, offset = value
    if not isinstance(offset, int):
        raise damaged("its offset is no number")
    return SetLineage(text(lineage), offset)


def _entry(value: Any) -> Entry:
    if not isinstance(value, dict) or value.keys() != {each.name for each in fields(Entry)}:
        raise damaged("a line of its history is not of this format")
    return entry([value[each.name] for each in fields(Entry)])


_READERS: Final[Mapping[str, Callable[[Any, RowReader], Write]]] = {
    "put_record": lambda value, reader: PutRecord(reader.parsed(RECORD, None, value)),
    "drop_record": lambda value, _: DropRecord(address_of(value)),
    "put_intent": lambda value, reader: PutIntent(reader.parsed(INTENT, None, value)),
    "drop_intent": lambda value, _: DropIntent(text(value)),
    "put_generation": lambda value, _: _generation(value),
    "put_foreign": lambda value, _: PutForeign(foreign(value)),
    "drop_foreign": lambda value, _: DropForeign(text(value)),
    "put_released": lambda value, _: PutReleased(text(value)),
    "drop_released": lambda value, _: DropReleased(text(value)),
    "put_pins": lambda value, _: PutPins(_pins(value)),
    "put_applying": lambda value, _: PutApplying(None if value is None else text(value)),
    "put_moved": lambda value, _: PutMoved(None if value is None else text(value)),
    "go_on_as": lambda value, _: _go_on_as(value),
    "append": lambda value, _: Append(_entry(value)),
}
