"""The tables of a state's file, and what may stand in them.

SQLite keeps any value in any column, and whoever can write the file can put a view in a table's place or a trigger
on it: reading would then run what they wrote. A file is taken only with exactly the tables that we make.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache

from reconciler.model.record import Entry, Foreign
from reconciler.state.checks import is_time
from reconciler.state.rows import address_of, damaged

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


def check_tables(connection: sqlite3.Connection) -> None:
    """Raises `StateError` unless the file has our tables and nothing else."""
    if _schema(connection) != _ours():
        raise damaged("its tables are not of this format")


@cache
def _ours() -> frozenset[tuple[object, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        return _schema(connection)


def _schema(connection: sqlite3.Connection) -> frozenset[tuple[object, ...]]:
    return frozenset(connection.execute("select type, name, sql from sqlite_master"))


def text(value: object) -> str:
    """A cell that holds a text."""
    if not isinstance(value, str):
        raise damaged("a row is not of this format")
    return value


def foreign(row: Sequence[object]) -> Foreign:
    """A row of `foreign_agents`."""
    agent_id, name, channel = row
    return Foreign(text(agent_id), text(name), None if channel is None else text(channel))


def entry(row: Sequence[object]) -> Entry:
    """A row of `history`, without its number."""
    at, address, *rest = row
    if not isinstance(at, (int, float)) or not is_time(at):
        raise damaged("a row is not of this format")
    return Entry(float(at), address_of(address), *map(text, rest))
