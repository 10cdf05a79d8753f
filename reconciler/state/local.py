"""The local state: one SQLite file beside the fleet, and a lock that dies with its process.

One commit per batch of writes (WAL, FULL): durable when it returns, the old or the new version after any crash. Calls
block; `state.blocking` puts them behind the asynchronous ports.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from reconciler.errors import StateLocked
from reconciler.model.address import Address
from reconciler.model.record import Entry, State
from reconciler.model.writes import Append, GoOnAs, Write, all_of
from reconciler.ports import Version
from reconciler.state import database
from reconciler.state.checks import check, older, other_lineage
from reconciler.state.damage import address_of
from reconciler.state.document import FORMAT, RowReader
from reconciler.state.door import FileDoor
from reconciler.state.key import KeyFile
from reconciler.state.lease import CONTROLLER_SECONDS, LEASE_SECONDS, FileLease
from reconciler.state.place import check_place, check_writable, exposures
from reconciler.state.seen import Seen, SeenFile
from reconciler.state.statements import read_offset, read_pins, statement
from reconciler.state.tables import entry, foreign, generation, read_meta, text

T = TypeVar("T")

_BEYOND_A_LEASE = 1.0
_MOST_UNUSED = 500
_LONGEST_HISTORY = 100_000
_HISTORY = "select at, address, change, result, agent_id, detail from history"


class _ControllersLease(FileLease):
    """The lease of the controller that leads; whoever takes it may be the first to write here."""

    def take(self, holder: str) -> None:
        database.make_directory(self.path)
        database.guarded(self.path, lambda: FileLease.take(self, holder))


class LocalStore:
    """The state in one SQLite file, for one caller at a time. Reading never creates or converts anything."""

    def __init__(self, path: Path, *, seen: Path | None = None, lease: float = LEASE_SECONDS) -> None:
        self.path = path
        # Where this machine keeps how far its states have come; None where it does not.
        self._seen = SeenFile(seen, path) if seen is not None else None
        self._latest: Seen | None = None
        self.lease = FileLease(path.with_suffix(".lock"), lease)
        self.door = FileDoor(path.with_suffix(".knock"))
        self.controllers = _ControllersLease(path.with_suffix(".controller"), CONTROLLER_SECONDS)
        self.key = KeyFile(path.parent / "secret.key")
        # The copy of the state that a commit of this store has replaced as a whole; None where none has.
        self.backup: Path | None = None
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        # The digests of the texts that are known to be in the file: most writes speak of few others.
        self._stored: set[str] = set()
        # Those of them that nothing referred to when the state was read: prompts that agents once had.
        self._unused: set[str] = set()

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.path)

    @property
    def lease_seconds(self) -> float:
        """How long the right to write outlasts its holder's last sign of life."""
        return self.lease.seconds

    def exposures(self) -> list[str]:
        """What is open to others and should not be, for people."""
        return exposures(self.path, self.key.path)

    def holder(self) -> str | None:
        """Who holds the right to write now; None where nobody does. Nothing is taken."""
        return self.lease.holder()

    # --- reading

    def read(self) -> State:
        """The state as it stands; an empty one without a lineage where nothing was stored yet."""
        self._guarded(lambda: check_place(self.path))
        if not self.path.exists():
            key = self._guarded(self.key.read)
            return State(lineage="", serial=0, secret_key=key)
        return self._guarded(self._read)

    def _read(self) -> State:
        connection = self._open()
        meta = read_meta(connection, self.path)
        if int(meta["format"]) == FORMAT:
            texts = dict(connection.execute("select digest, text from texts"))
            reader = RowReader(texts)
            rows = connection.execute("select address, record, checksum from records")
            records = [reader.record(*row) for row in rows]
            rows = connection.execute("select key, intent, checksum from intents order by key")
            intents = [reader.intent(*row) for row in rows]
            pins = read_pins(meta.get("pins"))
            self._stored, self._unused = set(texts), reader.unused
        else:
            from reconciler.state import format1

            records, intents = format1.read_rows(connection)
            pins = format1.read_pins(meta.get("pins"))
        numbers = connection.execute("select address, generation from generations")
        strangers = connection.execute("select agent_id, name, channel from foreign_agents")
        state = State(
            lineage=meta["lineage"],
            serial=int(meta["serial"]),
            secret_key=self.key.read(),
            pins=pins,
            records={each.address: each for each in records},
            intents=tuple(intents),
            generations={address_of(address): generation(address, number) for address, number in numbers},
            foreign={each.agent_id: each for each in map(foreign, strangers)},
            released=frozenset(text(row[0]) for row in connection.execute("select agent_id from released")),
            applying=meta.get("applying") or None,
            moved_to=meta.get("moved") or None,
            offset=read_offset(meta.get("offset", "0")),
        )
        check(state)
        seen = Seen(state.lineage, state.serial)
        self._check_seen(seen)
        if self.lease.is_held:  # only now is it known to be a state: what damage says is not kept
            self._latest = seen
        return state

    def _check_seen(self, now: Seen) -> None:
        before = self._seen.read() if self._seen is not None else None
        if before is not None and before.lineage != now.lineage:
            raise other_lineage(self.path)
        if before is not None and now.serial < before.serial:
            raise older(self.path, now.serial, before.serial)

    def history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        """The latest entries, newest first, of one address or of all."""
        if not self.path.exists():
            return ()
        return self._guarded(lambda: self._history(address, limit))

    def _history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        connection = self._open()
        read_meta(connection, self.path)
        where, values = ("where address = ? ", [str(address)]) if address else ("", [])
        rows = connection.execute(f"{_HISTORY} {where}order by id desc limit ?", [*values, limit])
        return tuple(map(entry, rows))

    def version(self) -> Version:
        """The latest commit: its serial, and the nonce of its writer."""
        return self._guarded(self._version) if self.path.exists() else Version(0, "")

    def _version(self) -> Version:
        meta = read_meta(self._open(), self.path)
        return Version(int(meta["serial"]), meta.get("nonce", ""))

    # --- writing

    def commit(self, writes: Sequence[Write], *, expected: int, nonce: str = "") -> int:
        """Make writes durable, all or none, if the serial is still `expected`; returns the new serial.

        Raises `StateLocked` when another writer has moved the state on or taken it over: nothing was written. After a
        `StateError` nobody knows whether it was: `version` tells by the nonce.
        """
        return self._guarded(lambda: self._commit(writes, expected, nonce))

    def _commit(self, writes: Sequence[Write], expected: int, nonce: str) -> int:
        self.lease.check()
        connection = self._open()
        texts: dict[str, str] = {}
        with database.transaction(connection):
            serial = int(connection.execute("select value from meta where key = 'serial'").fetchone()[0])
            if serial != expected:
                raise StateLocked(
                    f"the state has moved on: its serial is {serial}, not {expected}; another writer is at work",
                    hint="nothing more was done; run the same command again",
                )
            if any(isinstance(each, GoOnAs) for each in writes):
                self._make_way(connection, serial)
            fresh = self._write(connection, writes, texts)
            connection.executemany(
                "insert or replace into meta values (?, ?)", [("serial", str(serial + 1)), ("nonce", nonce)]
            )
            swept = self._sweep(connection, keep=texts)
        # Only now: what a failed commit has seen is not known to be stored.
        self._stored.update(fresh)
        self._stored -= swept
        if self._latest is not None:
            became = next((each.lineage for each in writes if isinstance(each, GoOnAs)), self._latest.lineage)
            self._latest = Seen(became, serial + 1)
        return serial + 1

    def _make_way(self, connection: sqlite3.Connection, serial: int) -> None:
        """Copy the state aside before another one takes its place, which is not to be refused as one never seen here."""
        if serial:
            lineage = read_meta(connection, self.path)["lineage"]
            self.backup = database.back_up(connection, self.path, f".{lineage[:8]}.{serial}.bak")
        if self._seen is not None:
            self._seen.forget()

    def _write(
        self, connection: sqlite3.Connection, writes: Sequence[Write], texts: dict[str, str]
    ) -> list[str]:
        """Execute writes; returns the digests of the texts that were not stored before."""
        for write in writes:
            connection.execute(*statement(write, texts))
        fresh = [digest for digest in texts if digest not in self._stored]
        connection.executemany(
            "insert or ignore into texts values (?, ?)", [(digest, texts[digest]) for digest in fresh]
        )
        return fresh

    def _sweep(self, connection: sqlite3.Connection, *, keep: dict[str, str]) -> set[str]:
        """Delete texts that nothing refers to, once there are many: every read would go on to read them all."""
        swept = self._unused - set(keep) if len(self._unused) > _MOST_UNUSED else set()
        if swept:
            connection.executemany("delete from texts where digest = ?", [[digest] for digest in swept])
            connection.execute(
                "delete from history where id <= (select max(id) from history) - ?", [_LONGEST_HISTORY]
            )
            self._unused = set()
        return swept

    # --- the exclusive right to write

    def acquire(self, holder: str, timeout: float) -> str:
        """Take the exclusive right to write, waiting up to `timeout` seconds, and make the file ready.

        Returns what people are to be told of it, mostly nothing. `StateLocked` names the holder.
        """
        # Whoever is ready to wait for a whole lease gets to see its end.
        deadline = time.monotonic() + timeout + (_BEYOND_A_LEASE if timeout >= self.lease.seconds else 0.0)
        while True:
            try:
                self.take(holder)
                break
            except StateLocked:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)
        try:
            self.create_key()
            return self.prepare()
        except BaseException:
            self.release()
            raise

    def create_key(self) -> None:
        """Make the key for digests of secrets where there is none."""
        self._guarded(self.key.create)

    def read_key(self) -> bytes:
        """The key for digests of secrets; empty where there is none."""
        return self._guarded(self.key.read)

    def take(self, holder: str) -> None:
        """Take the lease now, or raise `StateLocked`, which names its holder."""
        self._guarded(lambda: check_place(self.path))
        database.make_directory(self.path)
        self._guarded(lambda: self.lease.take(holder))

    def prepare(self) -> str:
        """Make the file if there is none, and convert an older format; returns what people are to be told of it."""
        return self._guarded(self._prepare)

    def _prepare(self) -> str:
        is_new = not self.path.exists()
        if is_new:
            meta = {"format": str(FORMAT), "lineage": str(uuid.uuid4()), "serial": "0"}
            database.create(self.path, meta.items())
        else:
            check_writable(self.path)
        meta = read_meta(self._open(), self.path)
        found = Seen(meta["lineage"], int(meta["serial"]))
        if is_new and self._seen is not None:
            self._seen.write(found)
        self._check_seen(found)
        return "" if int(meta["format"]) == FORMAT else self._convert()

    def _convert(self) -> str:
        """Rewrite a file of an older format in one transaction, after a durable copy of it was put beside it.

        A crash leaves the old format, perhaps with its copy, and the next lock converts it again; or the new one.
        """
        connection = self._open()
        with database.transaction(connection):
            state = self._read()  # whole and checked: damage is refused before anything is dropped
            entries = tuple(map(entry, connection.execute(f"{_HISTORY} order by id")))
            backup = database.back_up(connection, self.path)
            database.empty_tables(connection)
            meta = {"format": str(FORMAT), "lineage": state.lineage, "serial": str(state.serial)}
            connection.executemany("insert into meta values (?, ?)", meta.items())
            fresh = self._write(connection, [*all_of(state), *map(Append, entries)], {})
        self._stored, self._unused = set(fresh), set()
        return (
            f"the state {self.path} was converted to format {FORMAT}; as it was, it is kept in {backup.name}"
        )

    def renew(self) -> None:
        """Give a sign of life, if the right is held; raises `StateLocked` when somebody has taken over."""
        self._guarded(self.lease.renew)

    def release(self) -> None:
        """Give the right back; harmless when it is not held. It also ends with the process."""
        if not self.lease.is_held:
            return
        try:
            if self._seen is not None and self._latest is not None and self.lease.is_in_place:
                self._seen.write(self._latest)
        finally:
            self._latest = None
            self.lease.release()

    def close(self) -> None:
        """Close the file, and give the right back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.release()

    def _open(self) -> sqlite3.Connection:
        there = self.path.stat().st_ino if self._connection is not None and self.path.exists() else None
        if self._connection is not None and there != self._inode:
            self._connection.close()  # a run that lasts for days meets a file that was put in this one's place
            self._connection = None
        if self._connection is None:
            self._connection = database.connect(self.path)
            self._inode = self.path.stat().st_ino
        return self._connection

    def _guarded(self, action: Callable[[], T]) -> T:
        return database.guarded(self.path, action)
