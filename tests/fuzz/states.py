"""Target `state`: a state that somebody has changed is read or refused; it is never overwritten, and harms nobody."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from reconciler import workflow
from reconciler.errors import ReconcilerError, StateError
from reconciler.model.address import Address, Owner
from reconciler.plan.guard import Policy
from reconciler.state.blocking import BlockingStore
from reconciler.state.document import checksum, text_digest
from reconciler.state.local import LocalStore
from reconciler.state.memory import MemoryStore
from tests.fakes.fleets import agent, fleet
from tests.fakes.virtual import Virtual

from .mutate import ODD_NUMBERS, ODD_TEXTS, bytes_mutant, chosen, few, json_bytes, json_odd, near, tree_mutant
from .target import Outcome, reason
from .worlds import interrupted, shared_with, views

_KEYS = (
    "address agent_id name generation uid body properties preset pipeline_id secrets started_at token_expires_at "
    "protect unsent declared failures retry_at operation attempt created_at unknown_since $text $$text channel llm "
    "agent_rtc_uid"
).split()
_WAYS = {"bytes": 2, "header": 0.5, "cells": 3, "documents": 6, "texts": 2, "schema": 1}
# SQLite's journal modes, in its header: what is in memory can have no log beside it.
_JOURNAL = slice(18, 20)
_LONG = {"system_messages": [{"role": "system", "content": "Be kind. " * 60}]}
_KEPT = agent("bar/waiter"), agent("hall/porter", agent_rtc_uid="7", labels={"a": "b"}), agent("hall/maid")
_WANTED = fleet(agent("lobby/greeter", llm=_LONG, idle_timeout=5), agent("spa/host"), *_KEPT)
# The mutating calls at which the last run may have died: it means to leave an agent, or to join one.
_DIED = (2, 3)
_LENIENT = Policy({"hang_ups": 99.0, "leave": 99.0, "replace": 99.0, "join": 99.0}, allow_beside=("*",))


@dataclass(frozen=True, slots=True)
class StateFile:
    """The bytes of a state, how they came about, and when the last run died."""

    way: str
    data: bytes
    died: int


class StateFiles:
    """Changed states: read, planned and applied with."""

    share = 1_500

    def __init__(self, home: Path) -> None:
        self._directory = home / "state"
        self._directory.mkdir(parents=True)
        self._path = self._directory / "default.state"
        (self._directory / "secret.key").write_bytes(b"0" * 64)
        self._good = {died: self._remembered(died) for died in _DIED}

    def _remembered(self, died: int) -> bytes:
        """The state of a life; nothing in it is from chance or from a clock."""
        _lived(LocalStore(self._path), died)
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute("update meta set value = 'a lineage' where key = 'lineage'")
            connection.commit()
            connection.execute("pragma wal_checkpoint(truncate)")
            connection.execute("vacuum")
        return self._taken()

    def _taken(self) -> bytes:
        data = self._path.read_bytes()
        for each in self._directory.glob("default.*"):
            each.unlink()
        return data

    def make(self, chance: random.Random) -> StateFile:
        way = chosen(chance, _WAYS)
        died = chance.choice(_DIED)
        good = self._good[died]
        if way == "bytes":
            return StateFile(way, bytes_mutant(good, chance), died)
        if way == "header":
            return StateFile(way, bytes_mutant(good[:100], chance) + good[100:], died)
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            data = bytearray(good)
            data[_JOURNAL] = b"\1\1"
            connection.deserialize(bytes(data))
            connection.text_factory = bytes
            for _ in range(few(chance) if way in ("cells", "schema") else 1):
                # A second change may find nothing that it could change.
                with suppress(sqlite3.Error, ValueError, StateError):
                    _CHANGES[way](connection, chance)
            data = bytearray(connection.serialize())
        data[_JOURNAL] = b"\2\2"
        return StateFile(way, bytes(data), died)

    def check(self, made: StateFile) -> Outcome:
        virtual = _lived(MemoryStore(), made.died)
        foreign = _foreign(virtual)
        self._path.write_bytes(made.data)
        virtual.state = LocalStore(self._path)
        try:
            return self._used(virtual, made)
        finally:
            virtual.state.close()
            self._taken()
            assert _foreign(virtual) == foreign, "somebody else's agent was touched"

    def _used(self, virtual: Virtual, made: StateFile) -> Outcome:
        refusals: list[str] = []

        def history() -> object:
            return virtual.state.history(None, 1_000)

        for act in (virtual.state.read, history, *views(virtual, self._job(virtual))):
            try:
                act()
            except ReconcilerError as problem:
                refusals.append(reason(problem))
                if isinstance(problem, StateError):
                    break
        assert virtual.sent == {}
        assert self._path.read_bytes() == made.data, "it was changed by reading it"
        try:
            virtual.run(workflow.apply(self._job(virtual), virtual.provider()))
        except ReconcilerError as problem:
            virtual.state.release()
            refusals.append(reason(problem))
            assert not isinstance(problem, StateError) or (
                virtual.sent == {} and self._path.read_bytes() == made.data
            )
        else:
            virtual.state.close()  # what was written, can be read
            with closing(LocalStore(self._path)) as store:
                store.read()
        return Outcome(tuple(dict.fromkeys(refusals)), deep=not refusals or "damaged" not in refusals[0])

    @staticmethod
    def _job(virtual: Virtual) -> workflow.Job:
        return virtual.job(_WANTED, policy=_LENIENT)


def _lived(store: BlockingStore, died: int) -> Virtual:
    """A world in which much has happened, and what is remembered of it; `died` is the last run's last call."""
    virtual = Virtual(store)
    shared_with(virtual, fleet(agent("lobby/theirs"), agent("pool/theirs"), owner=Owner("other")))
    before = fleet(agent("lobby/greeter", llm=_LONG), agent("bar/gone"), agent("spa/kept"), *_KEPT)
    virtual.run(workflow.apply(virtual.job(before), virtual.provider()))
    virtual.run(workflow.forget(virtual.job(before), Address("spa", "kept")))
    job = virtual.job(_WANTED, policy=_LENIENT)
    interrupted(virtual, died, lambda: virtual.run(workflow.apply(job, virtual.provider())))
    store.close()
    return virtual


def _foreign(virtual: Virtual) -> dict[str, Any]:
    return {each.agent_id: each.properties for each in virtual.live() if each.name.startswith("other.")}


# --- changes that SQLite makes ------------------------------------------------------------------------------------

_TABLES = {
    "meta": ("key", "value"),
    "records": ("address", "record", "checksum"),
    "intents": ("key", "intent", "checksum"),
    "texts": ("digest", "text"),
    "generations": ("address", "generation"),
    "foreign_agents": ("agent_id", "name", "channel"),
    "released": ("agent_id",),
    "history": ("id", "at", "address", "change", "result", "agent_id", "detail"),
}
_NEVER_ENDS = "with recursive c(x) as (select 1 union all select x + 1 from c) select"


def _cells(connection: sqlite3.Connection, chance: random.Random) -> None:
    """One cell, whatever its column was made for; or a whole row."""
    table = chance.choice(list(_TABLES))
    columns = _TABLES[table]
    rows = connection.execute(f"select {', '.join(columns)} from {table}").fetchall()
    row = chance.choice(rows)
    if chance.random() < 0.1:
        connection.execute(f"delete from {table} where {columns[0]} = ?", [row[0]])
        return
    at = chance.randrange(len(columns))
    new = [*row[:at], _cell(chance, chance.choice(rows)[at]), *row[at + 1 :]]
    if new[at] is None:
        connection.execute("pragma writable_schema = on")
        connection.execute(
            "update sqlite_master set sql = replace(sql, ' not null', '') where name = ?", [table]
        )
        connection.execute("pragma writable_schema = reset")
    if chance.random() < 0.8:
        connection.execute(f"delete from {table} where {columns[0]} = ?", [row[0]])
    # What is text comes as bytes, and is text again; a text that is none in any encoding can come about.
    marks = ", ".join("cast(? as text)" if isinstance(each, bytes) else "?" for each in new)
    connection.execute(f"insert or replace into {table} ({', '.join(columns)}) values ({marks})", new)


def _cell(chance: random.Random, other: Any) -> Any:
    match chance.randrange(6):
        case 0:
            # 2**53 would be the last serial: what is written after it cannot be read.
            return chance.choice([each for each in ODD_NUMBERS if abs(each) < 2**63 and each != 2**53])
        case 1:
            return chance.choice(ODD_TEXTS).encode("utf-8", "surrogatepass")
        case 2:
            return memoryview(chance.choice((b"", b"\x00", b"\xff" * 20, b"lobby/greeter")))
        case 3:
            return chance.choice(
                (None, float("inf"), b"\xff\xfe", b"a/b\x00c", -1, b"{}", b"[1,2,3,4]", b"99")
            )
        case _:
            return other


def _schema(connection: sqlite3.Connection, chance: random.Random) -> None:
    """The tables themselves: gone, other ones, views in their place, triggers on them."""
    table, other = chance.choice(list(_TABLES)), chance.choice(list(_TABLES))
    column = chance.choice(_TABLES[table])
    statement = chance.choice(
        (
            f"drop table {table}",
            f"alter table {table} rename to x",
            f"alter table {table} rename column {column} to x",
            f"alter table {table} add column x",
            f"drop table {table}; create view {table} as select * from {other}",
            f"drop table {table}; create view {table} as {_NEVER_ENDS} {', '.join('x' for _ in _TABLES[table])} from c",
            f"create trigger t after update on meta begin delete from {table}; end",
            "create trigger t after insert on records begin insert into released values (new.address); end",
            f"drop table {table}; create table {table} ({', '.join(_TABLES[table])})",
            f"drop table {table}; create table {table} as select * from sqlite_master, sqlite_master b",
            "drop index history_by_address",
            "create table sqlite_x (a)",
            "create table more (a, b)",
            "pragma user_version = 77",
        )
    )
    connection.executescript(statement)


def _documents(connection: sqlite3.Connection, chance: random.Random) -> None:
    """The JSON of a row, with its checksum."""
    table, key_column, column, *_ = chance.choice((_RECORDS, _RECORDS, _INTENTS))
    rows = connection.execute(f"select {key_column}, {column} from {table}").fetchall()
    key, row = chance.choice(rows)
    tree = orjson.loads(row)
    data = json_bytes(tree_mutant(tree, chance, keys=_KEYS, odd=chance.choice((near, json_odd))), chance)
    new = key.decode() if chance.random() < 0.95 else chance.choice(("lobby/other", ""))
    _put(connection, (table, key_column, column), key, new, data)


def _texts(connection: sqlite3.Connection, chance: random.Random) -> None:
    """A long text, under the digest that it has then or under another one, where the old one was."""
    digest, text = chance.choice(connection.execute("select digest, text from texts").fetchall())
    new = chance.choice((text.decode() + "!", "short", "", "a" * 5_000_000, "\x00", '{"$text": "00"}'))
    key = text_digest(new) if chance.random() < 0.8 else chance.choice((digest.decode(), "", "zz"))
    connection.execute("insert or replace into texts values (?, ?)", [key, new])
    if chance.random() < 0.3:
        connection.execute("delete from texts where digest = cast(? as text)", [digest])
    for table in (_RECORDS, _INTENTS):
        for name, row in connection.execute(f"select {table[1]}, {table[2]} from {table[0]}").fetchall():
            _put(connection, table, name, name.decode(), row.replace(digest, key.encode()))


_RECORDS = ("records", "address", "record")
_INTENTS = ("intents", "key", "intent")


def _put(
    connection: sqlite3.Connection, table: tuple[str, str, str], key: bytes, new: str, data: bytes
) -> None:
    name, key_column, column = table
    values = [new, data, checksum(new, data.decode("utf-8", "replace")), key]
    connection.execute(
        f"update {name} set {key_column} = ?, {column} = cast(? as text), checksum = ? "
        f"where {key_column} = cast(? as text)",
        values,
    )


_CHANGES: dict[str, Callable[[sqlite3.Connection, random.Random], None]] = {
    "cells": _cells,
    "documents": _documents,
    "texts": _texts,
    "schema": _schema,
}
