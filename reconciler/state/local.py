"""The local state: one SQLite file beside the fleet, and a lock that ends with its process.

One commit per batch of writes (WAL, FULL): durable when it returns, the old or the new version after any crash. Calls
block; `state.blocking` puts them behind the asynchronous ports.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from reconciler.errors import StateLocked
from reconciler.model.address import Address
from reconciler.model.record import Entry, State
from reconciler.model.spec import Body
from reconciler.model.writes import Append, SetLineage, Write, all_of
from reconciler.ports import Version
from reconciler.state import database
from reconciler.state.checks import check, older, other_lineage
from reconciler.state.damage import address_of
from reconciler.state.document import FORMAT, Bodies, RowReader
from reconciler.state.door import FileDoor
from reconciler.state.key import KeyFile
from reconciler.state.lease import CONTROLLER_SECONDS, LEASE_SECONDS, FileLease
from reconciler.state.place import check_links, check_place, check_writable, exposures
from reconciler.state.seen import Seen, SeenFile
from reconciler.state.statements import read_offset, read_pins, statement
from reconciler.state.tables import entry, foreign, generation, read_meta, text
from reconciler.state.wal_file import check_gone

T = TypeVar("T")

_MOST_UNUSED = 500
_LONGEST_HISTORY = 100_000
_HISTORY = "select at, address, change, result, agent_id, detail from history"


class _ControllersLease(FileLease):
    """The lease of the leading controller; it creates the directory, since it may be the first to write there."""

    def take(self, holder: str) -> None:
        database.make_directory(self.path)
        database.guarded(self.path, lambda: FileLease.take(self, holder))


class LocalStore:
    """The state in one SQLite file, for one caller at a time. Reading never creates or converts anything."""

    def __init__(
        self,
        path: Path,
        *,
        seen: Path | None = None,
        lease: float = LEASE_SECONDS,
        is_beside_fleet: bool = False,
    ) -> None:
        self.path = path
        # The file in which this machine notes the highest serial that it has seen here; None if it keeps none.
        self._seen = SeenFile(seen, path) if seen is not None else None
        self._latest: Seen | None = None
        self.lease = FileLease(path.with_suffix(".lock"), lease)
        self.door = FileDoor(path.with_suffix(".knock"))
        self.controllers = _ControllersLease(path.with_suffix(".controller"), CONTROLLER_SECONDS)
        self.key = KeyFile(path.parent / "secret.key")
        self._no_links = (path.parent, path, self.key.path) if is_beside_fleet else ()
        # The copy that was made before a commit of this store put another state in place of the whole state; else None.
        self.backup: Path | None = None
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        # The digests of texts that are known to be stored, so that a commit need not write them again.
        self._stored: set[str] = set()
        # Those of them that nothing referred to when the state was read: earlier prompts.
        self._unused: set[str] = set()
        self._bodies = Bodies()

    @property
    def name(self) -> str:
        """The path of the file, as it is shown to the user."""
        return str(self.path)

    @property
    def lease_seconds(self) -> float:
        """The seconds from its holder's last sign of life to the end of the right to write."""
        return self.lease.seconds

    def exposures(self) -> list[str]:
        """Return messages for the user about files that others can read or write."""
        return exposures(self.path, self.key.path)

    def holder(self) -> str | None:
        """Return the process that has the right to write now, or None. Nothing is taken."""
        return self.lease.holder()

    # --- reading

    def read(self, likely: Mapping[str, Body] | None = None) -> State:
        """Return the present state; an empty one without a lineage where nothing was stored yet."""
        self._guarded(lambda: check_place(self.path))
        if not self.path.exists():
            check_gone(self.path)
            key = self._guarded(self.key.read)
            return State(lineage="", serial=0, secret_key=key)
        return self._guarded(lambda: self._read(likely or {}))

    def _read(self, likely: Mapping[str, Body]) -> State:
        connection = self._open()
        meta = read_meta(connection, self.path)
        if int(meta["format"]) == FORMAT:
            texts = dict(connection.execute("select digest, text from texts"))
            reader = RowReader(texts, likely)
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
        if self.lease.is_held:  # noted only now: the serial of a damaged file must not be noted as seen
            self._latest = seen
        return state

    def _check_seen(self, now: Seen) -> None:
        before = self._seen.read() if self._seen is not None else None
        if before is not None and before.lineage != now.lineage:
            raise other_lineage(self.path)
        if before is not None and now.serial < before.serial:
            raise older(self.path, now.serial, before.serial)

    def history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        """Return the latest entries, newest first, of one address or of all."""
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
        """Return the latest commit: its serial, and the nonce of its writer."""
        return self._guarded(self._version) if self.path.exists() else Version(0, "")

    def _version(self) -> Version:
        meta = read_meta(self._open(), self.path)
        return Version(int(meta["serial"]), meta.get("nonce", ""))

    # --- writing

    def commit(self, writes: Sequence[Write], *, expected: int, nonce: str = "") -> int:
        """Make writes durable, all or none, if the serial is still `expected`; return the new serial.

        Raises `StateLocked` when another writer has committed or taken the lease over: nothing was written. After a
        `StateError` it is unknown whether it was written: the nonce of `version` decides.
        """
        return self._guarded(lambda: self._commit(writes, expected, nonce))

    def _commit(self, writes: Sequence[Write], expected: int, nonce: str) -> int:
        # A holder whose lease was taken over must not write; the serial below refuses what slips through.
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
            # In the transaction that writes, so that of two writers with the same serial only one can commit.
            if any(isinstance(each, SetLineage) for each in writes):
                self._make_way(connection, serial)
            fresh = self._write(connection, writes, texts)
            connection.executemany(
                "insert or replace into meta values (?, ?)", [("serial", str(serial + 1)), ("nonce", nonce)]
            )
            swept = self._sweep(connection, keep=texts)
        # Only after the commit: the texts of a failed commit may not be stored.
        self._stored.update(fresh)
        self._stored -= swept
        if self._latest is not None:
            became = next(
                (each.lineage for each in writes if isinstance(each, SetLineage)), self._latest.lineage
            )
            self._latest = Seen(became, serial + 1)
        return serial + 1

    def _make_way(self, connection: sqlite3.Connection, serial: int) -> None:
        """Copy the state before another one replaces it, and forget its lineage, so that the new one is accepted."""
        if serial:
            lineage = read_meta(connection, self.path)["lineage"]
            self.backup = database.back_up(connection, self.path, f".{lineage[:8]}.{serial}.bak")
        if self._seen is not None:
            self._seen.forget()

    def _write(
        self, connection: sqlite3.Connection, writes: Sequence[Write], texts: dict[str, str]
    ) -> list[str]:
        """Execute writes; return the digests of the texts that were not stored before."""
        for write in writes:
            connection.execute(*statement(write, texts, self._bodies))
        fresh = [digest for digest in texts if digest not in self._stored]
        connection.executemany(
            "insert or ignore into texts values (?, ?)", [(digest, texts[digest]) for digest in fresh]
        )
        return fresh

    def _sweep(self, connection: sqlite3.Connection, *, keep: dict[str, str]) -> set[str]:
        """Delete texts that nothing refers to, once there are many, since each read loads all; return their digests."""
        swept = self._unused - set(keep) if len(self._unused) > _MOST_UNUSED else set()
        if swept:
            connection.executemany("delete from texts where digest = ?", [[digest] for digest in swept])
            connection.execute(
                "delete from history where id <= (select max(id) from history) - ?", [_LONGEST_HISTORY]
            )
            self._unused = set()
        return swept

    # --- the exclusive right to write

    def create_key(self) -> None:
        """Create the key for digests of secrets where there is none."""
        self._guarded(self.key.create)

    def read_key(self) -> bytes:
        """Return the key for digests of secrets; empty where there is none."""
        return self._guarded(self.key.read)

    def take(self, holder: str) -> None:
        """Take the lease now, or raise `StateLocked`, which names its holder."""
        self._guarded(lambda: check_place(self.path))
        database.make_directory(self.path)
        self._guarded(lambda: self.lease.take(holder))

    def prepare(self) -> str:
        """Create the file if there is none, or convert an older format; return a message for the user, mostly empty."""
        return self._guarded(self._prepare)

    def _prepare(self) -> str:
        is_new = not self.path.exists()
        if is_new:
            check_gone(self.path)
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
        """Rewrite a file of an older format in one transaction, after a durable copy of it was made next to it.

        A crash leaves either the old format, which the next lock converts again, perhaps with its copy, or the new one.
        """
        connection = self._open()
        with database.transaction(connection):
            state = self._read({})  # checked: damage is refused before anything is dropped
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
        """Give a sign of life, if the right is held; raise `StateLocked` when another process has taken over."""
        self._guarded(self.lease.renew)

    def release(self) -> None:
        """Release the right to write; without effect when it is not held. It also ends with the process."""
        if not self.lease.is_held:
            return
        try:
            if self._seen is not None and self._latest is not None and self.lease.is_in_place:
                self._seen.write(self._latest)
        finally:
            self._latest = None
            self.lease.release()

    def close(self) -> None:
        """Close the file, and release the right to write."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.release()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._inode != _inode(self.path):
            self._connection.close()  # another file was put in its place: open that one
            self._connection = None
        if self._connection is None:
            self._connection = database.connect(self.path)
            self._inode = _inode(self.path)
        return self._connection

    def _guarded(self, action: Callable[[], T]) -> T:
        check_links(*self._no_links)
        done = database.guarded(self.path, action)
        check_links(*self._no_links)
        return done


def _inode(path: Path) -> int | None:
    """Return the number of the file that is at a path now; None where there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
