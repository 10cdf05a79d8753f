"""The local state: one SQLite file beside the fleet, and a lock that dies with its process.

One commit per batch of writes (WAL, FULL): durable when it returns, the old or the new version after any crash.
Rows and blobs are `document`'s; here is where they lie. The key for digests of secrets lies in a file of its own.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, assert_never

import orjson

from reconciler.errors import StateError, StateLocked
from reconciler.model.address import Address
from reconciler.model.record import Entry, Foreign, Pins, State
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
from reconciler.state.document import FORMAT, Blobs, damaged, intent_row, read_intent, read_record, record_row

T = TypeVar("T")

_TABLES = """
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


class LocalStore:
    """`ports.StateStore` in one SQLite file. Reading never creates anything."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_path = path.with_suffix(".lock")
        self._key_path = path.parent / "secret.key"
        self._connection: sqlite3.Connection | None = None
        self._lock: int | None = None

    # --- reading

    def read(self) -> State:
        if not self.path.exists():
            return State(lineage="", serial=0, secret_key=self._secret_key(create=False))
        return self._guarded(self._read)

    def _read(self) -> State:
        connection = self._open(create=False)
        meta = dict(connection.execute("select key, value from meta"))
        _check_format(meta, self.path)
        fetch = _blob_reader(connection)
        records = [read_record(key, row, fetch) for key, row in connection.execute("select key, row from records")]
        intents = [
            read_intent(key, row, fetch) for key, row in connection.execute("select key, row from intents order by key")
        ]
        generations = connection.execute("select address, generation from generations")
        foreign = connection.execute("select agent_id, name, channel from foreign_agents")
        return State(
            lineage=meta["lineage"],
            serial=int(meta["serial"]),
            secret_key=self._secret_key(create=False),
            pins=_read_pins(meta.get("pins")),
            records={each.address: each for each in records},
            intents=tuple(intents),
            generations={_address(address): generation for address, generation in generations},
            foreign={row[0]: Foreign(*row) for row in foreign},
            released=frozenset(row[0] for row in connection.execute("select agent_id from released")),
            applying=meta.get("applying") or None,
        )

    def history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        if not self.path.exists():
            return ()
        return self._guarded(lambda: self._history(address, limit))

    def _history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        connection = self._open(create=False)
        _check_format(dict(connection.execute("select key, value from meta")), self.path)
        where, values = ("where address = ? ", [str(address)]) if address else ("", [])
        rows = connection.execute(
            f"select at, address, change, result, agent_id, detail from history {where}order by id desc limit ?",
            [*values, limit],
        )
        return tuple(Entry(row[0], _address(row[1]), *row[2:]) for row in rows)

    # --- writing

    def commit(self, writes: Sequence[Write], *, expected: int) -> int:
        return self._guarded(lambda: self._commit(writes, expected))

    def _commit(self, writes: Sequence[Write], expected: int) -> int:
        connection = self._open(create=True)
        with _transaction(connection):
            serial = int(connection.execute("select value from meta where key = 'serial'").fetchone()[0])
            if serial != expected:
                raise StateLocked(
                    f"the state has moved on: its serial is {serial}, not {expected}; another writer is at work",
                    hint="nothing more was done; run the same command again",
                )
            for write in writes:
                _execute(connection, write)
            connection.execute("update meta set value = ? where key = 'serial'", [str(serial + 1)])
        return serial + 1

    def acquire(self, holder: str, timeout: float) -> None:
        self._make_directory()
        deadline = time.monotonic() + timeout
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        lock = self._guarded(lambda: os.open(self._lock_path, flags, 0o600))
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= deadline:
                    held_by = os.pread(lock, 4096, 0).decode(errors="replace").strip() or "another process"
                    os.close(lock)
                    raise StateLocked(
                        f"the state is held by {held_by}; waited {timeout:.0f} s",
                        hint="the lock ends with its process; wait with a longer --lock-timeout",
                    ) from None
                time.sleep(0.05)
        os.ftruncate(lock, 0)
        os.pwrite(lock, holder.encode(), 0)
        self._lock = lock
        self._guarded(lambda: self._open(create=True))
        self._guarded(lambda: self._secret_key(create=True))

    def release(self) -> None:
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.release()

    # --- the file

    def _open(self, *, create: bool) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        if create and not self.path.exists():
            self._create()
        writable = os.access(self.path.parent, os.W_OK) and os.access(self.path, os.W_OK)
        mode = "rw" if writable else "ro&immutable=1"
        connection = sqlite3.connect(f"file:{_quoted(self.path)}?mode={mode}", uri=True, isolation_level=None, timeout=5, check_same_thread=False)
        connection.execute("pragma synchronous = full")
        self._connection = connection
        return connection

    def _create(self) -> None:
        """Build the file aside and move it into place whole, so that a crash leaves none or a good one."""
        self._make_directory()
        self._secret_key(create=True)
        fresh = self.path.with_suffix(f".new-{os.getpid()}")
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(fresh, isolation_level=None)
        connection.executescript(f"pragma synchronous = full; begin; {_TABLES}")
        meta = {"format": str(FORMAT), "lineage": str(uuid.uuid4()), "serial": "0"}
        connection.executemany("insert into meta values (?, ?)", meta.items())
        connection.execute("commit")
        # Last, so that nothing of it lies in a second file: what closing fails to carry over would not move along.
        connection.execute("pragma journal_mode = wal")
        connection.close()
        os.replace(fresh, self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    def _make_directory(self) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as problem:
            raise _unwritable(self.path, problem) from problem

    def _secret_key(self, *, create: bool) -> bytes:
        """The key for digests of secret values; without a key file, one for this process only."""
        if not self._key_path.exists() and create:
            key = os.open(self._key_path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
            os.write(key, secrets.token_hex(32).encode())
            os.close(key)
        if self._key_path.exists():
            return self._key_path.read_bytes()
        return b""

    def _guarded(self, action: Callable[[], T]) -> T:
        """Run an action on the file; what SQLite and the disk say becomes an error that says what to do."""
        try:
            return action()
        except sqlite3.DatabaseError as problem:
            text = str(problem)
            if isinstance(problem, sqlite3.OperationalError) and ("locked" in text or "busy" in text):
                raise StateLocked(f"{self.path} is in use by another process", hint="run it again") from problem
            if isinstance(problem, sqlite3.OperationalError):
                raise _unwritable(self.path, problem) from problem
            raise damaged(f"{self.path}: {text}") from problem
        except OSError as problem:
            raise _unwritable(self.path, problem) from problem


def _unwritable(path: Path, problem: Exception) -> StateError:
    return StateError(
        f"the state {path} cannot be written or read: {problem}",
        hint="no further call was made; free the disk or fix the permissions, then run the same command again",
    )


def _check_format(meta: dict[str, str], path: Path) -> None:
    found = meta.get("format", "")
    if not found.isdigit() or "lineage" not in meta or not meta.get("serial", "").isdigit():
        raise damaged(f"{path} does not say what it is")
    if int(found) > FORMAT:
        raise StateError(
            f"the state {path} has format {found}, and this reconciler knows {FORMAT}",
            hint="a newer reconciler wrote it; upgrade this one. Nothing was changed",
        )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("begin immediate")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def _blob_reader(connection: sqlite3.Connection) -> Callable[[bytes], bytes]:
    blobs: dict[bytes, bytes] = dict(connection.execute("select key, data from blobs").fetchall())

    def fetch(key: bytes) -> bytes:
        if key not in blobs:
            raise damaged(f"blob {key.hex()} is missing")
        return blobs[key]

    return fetch


def _execute(connection: sqlite3.Connection, write: Write) -> None:
    blobs: Blobs = {}
    statement, values = _statement(write, blobs)
    connection.executemany("insert or ignore into blobs values (?, ?)", blobs.items())
    connection.execute(statement, values)


def _statement(write: Write, blobs: Blobs) -> tuple[str, Sequence[object]]:
    match write:
        case PutRecord(record):
            return "insert or replace into records values (?, ?)", [str(record.address), record_row(record, blobs)]
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
            return sql, [entry.at, str(entry.address), entry.change, entry.result, entry.agent_id, entry.detail]
        case _:
            assert_never(write)


def _read_pins(text: str | None) -> Pins | None:
    if text is None:
        return None
    try:
        fleet, environment, service, app_id = orjson.loads(text)
    except ValueError as problem:
        raise damaged("its pins are not of this format") from problem
    return Pins(fleet, environment, service, app_id)


def _address(text: str) -> Address:
    channel, _, name = text.rpartition("/")
    return Address(channel, name)


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
