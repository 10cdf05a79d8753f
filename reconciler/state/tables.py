"""The tables of a state's file, and the values that they may hold.

Every row is readable with the `sqlite3` shell; columns that are derived from a row's JSON, above all its times in UTC,
are generated columns, so that nothing is stored twice. `select address, agent_id, started_at from records` lists the
agents.

SQLite keeps any value in any column, and a person who can write the file can replace a table by a view, or add a
trigger: a read would then run their SQL. So a file is accepted only with exactly the tables that we create.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache

from reconciler.errors import StateError
from reconciler.model.record import Entry, Foreign
from reconciler.state.checks import MOST_GENERATIONS, is_time
from reconciler.state.damage import address_of, damaged
from reconciler.state.document import FORMAT


def _utc(seconds: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%SZ', cast({seconds} as real), 'unixepoch')"


def _of(column: str, name: str) -> str:
    """Return the SQL of a value in a column's JSON; null where the column does not hold JSON."""
    return f"case when json_valid({column}) then json_extract({column}, '$.{name}') end"


TABLES = f"""
create table meta (key text primary key, value text not null) without rowid;
create table texts (digest text primary key, text text not null);
create table records (address text primary key, record text not null, checksum text not null,
  agent_id text as ({_of("record", "agent_id")}), name text as ({_of("record", "name")}),
  started_at text as ({_utc(_of("record", "started_at"))}));
create table intents (key text primary key, intent text not null, checksum text not null,
  operation text as ({_of("intent", "operation")}), agent_id text as ({_of("intent", "agent_id")}),
  address text as ({_of("intent", "address.channel")} || '/' || {_of("intent", "address.name")}),
  name text as ({_of("intent", "name")}), created_at text as ({_utc(_of("intent", "created_at"))}));
create table generations (address text primary key, generation integer not null) without rowid;
create table foreign_agents (agent_id text primary key, name text not null, channel text) without rowid;
create table released (agent_id text primary key) without rowid;
create table history (id integer primary key, at real not null, address text not null, change text not null,
  result text not null, agent_id text not null, detail text not null, time text as ({_utc("at")}));
create index history_by_address on history (address, id);
"""
# The table that a file must have before its format can be read; it is the same in every format.
_META = ("table", "meta")


def read_meta(connection: sqlite3.Connection, path: object) -> dict[str, str]:
    """Return a file's table `meta`; `StateError` unless its format is known and its tables are that format's."""
    found = _schema(connection)
    if not {each for each in _of_format(FORMAT) if each[:2] == _META} <= found:
        raise damaged("its tables are not of this format")
    meta = dict(connection.execute("select key, value from meta"))
    are_texts = all(isinstance(each, str) for each in meta.values())
    known = meta.get("format", "")
    if not (are_texts and _is_number(known) and _is_number(meta.get("serial")) and "lineage" in meta):
        raise damaged("it does not say what it is")
    if int(known) > FORMAT:
        raise StateError(
            f"the state {path} has format {known}, and this reconciler knows {FORMAT}",
            hint="a newer reconciler wrote it; upgrade this one. Nothing was changed",
        )
    if found != _of_format(int(known)):
        raise damaged("its tables are not of this format")
    return meta


def _of_format1() -> str:
    from reconciler.state import format1

    return format1.TABLES


@cache
def _of_format(number: int) -> frozenset[tuple[object, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES if number == FORMAT else _of_format1())
        return _schema(connection)


def _schema(connection: sqlite3.Connection) -> frozenset[tuple[object, ...]]:
    return frozenset(connection.execute("select type, name, sql from sqlite_master"))


def _is_number(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 17


def text(value: object) -> str:
    """Return a cell's text; raise `StateError` for any other value."""
    if not isinstance(value, str):
        raise damaged("a row is not of this format")
    return value


def foreign(row: Sequence[object]) -> Foreign:
    """Return the foreign agent of a row of `foreign_agents`."""
    agent_id, name, channel = row
    return Foreign(text(agent_id), text(name), None if channel is None else text(channel))


def generation(address: object, number: object) -> int:
    """Return the number in a row of `generations`."""
    if not isinstance(number, int) or not 0 <= number <= MOST_GENERATIONS:
        raise damaged(f"the generation of {str(address)[:80]!r} is not a number")
    return number


def entry(row: Sequence[object]) -> Entry:
    """Return the entry of a row of `history`, given without its id."""
    at, address, *rest = row
    if not isinstance(at, (int, float)) or not is_time(at):
        raise damaged("a row is not of this format")
    return Entry(float(at), address_of(address), *map(text, rest))
