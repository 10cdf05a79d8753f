"""The local state: one SQLite file beside the fleet, and a lock that dies with its process.

One commit per batch of writes (WAL, FULL): durable when it returns, the old or the new version after any crash.
Rows and blobs are `document`'s, SQL is `statements`' and `tables`'; here is the file that they lie in.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from reconciler.errors import StateError, StateLocked
from reconciler.model.address import Address
from reconciler.model.record import Entry, State
from reconciler.model.writes import Write
from reconciler.state.checks import MOST_GENERATIONS, check, older, other_lineage
from reconciler.state.document import FORMAT, Blobs, Parts, read_intent, read_record
from reconciler.state.key import KeyFile
from reconciler.state.lease import LEASE_SECONDS, SIGNS_IN_A_LEASE, FileLease
from reconciler.state.packing import pack
from reconciler.state.place import check_place, check_writable, exposures, what_stands_there
from reconciler.state.rows import Damaged, address_of, damaged
from reconciler.state.seen import Seen, SeenFile
from reconciler.state.statements import read_pins, statement
from reconciler.state.tables import TABLES, check_tables, entry, foreign, text

T = TypeVar("T")

_BEYOND_A_LEASE = 1.0
_MOST_UNUSED = 500
_LONGEST_HISTORY = 100_000


class LocalStore:
    """`ports.StateStore` in one SQLite file. Reading never creates anything."""

    def __init__(self, path: Path, *, seen: Path | None = None, lease: float = LEASE_SECONDS) -> None:
        self.path = path
        # Where this machine keeps how far its states have come; None where it does not.
        self._seen = SeenFile(seen, path) if seen is not None else None
        self._latest: Seen | None = None
        self._lease = FileLease(path.with_suffix(".lock"), lease)
        self._key = KeyFile(path.parent / "secret.key")
        self._connection: sqlite3.Connection | None = None
        # The blobs that are known to be in the file: most writes speak of few others.
        self._stored: set[bytes] = set()
        # Those of them that nothing spoke of when the state was read: what agents once had.
        self._unused: set[bytes] = set()
        self._blobs = Blobs()

    def exposures(self) -> list[str]:
        """What is open to others and should not be, for people."""
        return exposures(self.path, self._key.path)

    # --- reading

    def read(self) -> State:
        self._guarded(lambda: check_place(self.path))
        if not self.path.exists():
            key = self._guarded(self._key.read)
            return State(lineage="", serial=0, secret_key=key)
        return self._guarded(self._read)

    def _read(self) -> State:
        connection = self._open(create=False)
        meta = dict(connection.execute("select key, value from meta"))
        _check_format(meta, self.path)
        blobs = dict(connection.execute("select key, data from blobs"))
        self._stored = set(blobs)
        parts = Parts(blobs)
        records = [
            read_record(key, row, parts) for key, row in connection.execute("select key, row from records")
        ]
        intents = [
            read_intent(key, row, parts)
            for key, row in connection.execute("select key, row from intents order by key")
        ]
        generations = connection.execute("select address, generation from generations")
        strangers = connection.execute("select agent_id, name, channel from foreign_agents")
        state = State(
            lineage=meta["lineage"],
            serial=int(meta["serial"]),
            secret_key=self._key.read(),
            pins=read_pins(meta.get("pins")),
            records={each.address: each for each in records},
            intents=tuple(intents),
            generations={
                address_of(address): _generation(address, number) for address, number in generations
            },
            foreign={each.agent_id: each for each in map(foreign, strangers)},
            released=frozenset(text(row[0]) for row in connection.execute("select agent_id from released")),
            applying=meta.get("applying") or None,
        )
        check(state)
        self._unused = self._stored - parts.used
        seen = Seen(state.lineage, state.serial)
        self._check_seen(seen)
        if self._lease.is_held:  # only now is it known to be a state: what damage says is not kept
            self._latest = seen
        return state

    def _check_seen(self, now: Seen) -> None:
        before = self._seen.read() if self._seen is not None else None
        if before is not None and before.lineage != now.lineage:
            raise other_lineage(self.path)
        if before is not None and now.serial < before.serial:
            raise older(self.path, now.serial, before.serial)

    def history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        if not self.path.exists():
            return ()
        return self._guarded(lambda: self._history(address, limit))

    def _history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        connection = self._open(create=False)
        _check_format(dict(connection.execute("select key, value from meta")), self.path)
        where, values = ("where address = ? ", [str(address)]) if address else ("", [])
        rows = connection.execute(
            f"select at, address, change, result, agent_id, detail from history {where}order by id desc limit ?",  # noqa: S608  one of two literals
            [*values, limit],
        )
        return tuple(map(entry, rows))

    # --- writing

    def commit(self, writes: Sequence[Write], *, expected: int) -> int:
        return self._guarded(lambda: self._commit(writes, expected))

    def _commit(self, writes: Sequence[Write], expected: int) -> int:
        self._lease.check()
        connection = self._open(create=True)
        # What a failed commit has seen is not known to be stored: then the next one starts anew.
        blobs, self._blobs = self._blobs, Blobs()
        with _transaction(connection):
            serial = int(connection.execute("select value from meta where key = 'serial'").fetchone()[0])
            if serial != expected:
                raise StateLocked(
                    f"the state has moved on: its serial is {serial}, not {expected}; another writer is at work",
                    hint="nothing more was done; run the same command again",
                )
            for write in writes:
                connection.execute(*statement(write, blobs))
            fresh = [key for key in blobs if key not in self._stored]
            connection.executemany(
                "insert or ignore into blobs values (?, ?)", [(key, pack(blobs[key])) for key in fresh]
            )
            connection.execute("update meta set value = ? where key = 'serial'", [str(serial + 1)])
            swept = self._sweep(connection, keep=blobs)
        self._stored.update(fresh)
        self._stored -= swept
        blobs.clear()
        self._blobs = blobs
        if self._latest is not None:
            self._latest = Seen(self._latest.lineage, serial + 1)
        return serial + 1

    def _sweep(self, connection: sqlite3.Connection, *, keep: Blobs) -> set[bytes]:
        """Let go of blobs that nothing refers to, once there are many: every read would go on to read them all."""
        swept = set(self._unused) - set(keep) if len(self._unused) > _MOST_UNUSED else set()
        if swept:
            connection.executemany("delete from blobs where key = ?", [[key] for key in swept])
            connection.execute(
                "delete from history where id <= (select max(id) from history) - ?", [_LONGEST_HISTORY]
            )
            self._unused = set()
        return swept

    def acquire(self, holder: str, timeout: float) -> None:
        self._guarded(lambda: check_place(self.path))
        self._make_directory()
        # Whoever is ready to wait for a whole lease gets to see its end.
        deadline = time.monotonic() + timeout + (_BEYOND_A_LEASE if timeout >= self._lease.lease else 0.0)
        while not self._lease.is_held:
            try:
                self._guarded(lambda: self._lease.take(holder))
            except StateLocked:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)
        try:
            self._guarded(self._begin)
        except BaseException:
            self.release()
            raise

    @property
    def renewal_seconds(self) -> float:
        return self._lease.lease / SIGNS_IN_A_LEASE

    def renew(self) -> None:
        if self._lease.is_held:
            self._guarded(self._lease.renew)

    def _begin(self) -> None:
        is_new = not self.path.exists()
        if not is_new:
            check_writable(self.path)
        connection = self._open(create=True)
        self._key.create()
        meta = dict(connection.execute("select key, value from meta"))
        _check_format(meta, self.path)
        found = Seen(meta["lineage"], int(meta["serial"]))
        if is_new and self._seen is not None:
            self._seen.write(found)
        self._check_seen(found)

    def release(self) -> None:
        if not self._lease.is_held:
            return
        try:
            if self._seen is not None and self._latest is not None and self._lease.is_in_place:
                self._seen.write(self._latest)
        finally:
            self._latest = None
            self._lease.release()

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
        connection = sqlite3.connect(
            f"file:{_quoted(self.path)}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=5,
            check_same_thread=False,
        )
        try:
            check_tables(connection)
        except BaseException:
            connection.close()
            raise
        connection.execute("pragma synchronous = full")
        self._connection = connection
        return connection

    def _create(self) -> None:
        """Build the file aside and move it into place whole, so that a crash leaves none or a good one."""
        self._make_directory()
        self._key.create()
        fresh = self.path.with_suffix(f".new-{os.getpid()}")
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(fresh, isolation_level=None)
        connection.executescript(f"pragma synchronous = full; begin; {TABLES}")
        meta = {"format": str(FORMAT), "lineage": str(uuid.uuid4()), "serial": "0"}
        connection.executemany("insert into meta values (?, ?)", meta.items())
        connection.execute("commit")
        # Last, so that nothing of it lies in a second file: what closing fails to carry over would not move along.
        connection.execute("pragma journal_mode = wal")
        connection.close()
        fresh.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    def _make_directory(self) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as problem:
            raise StateError(
                f"the state {self.path} cannot be written: {self.path.parent} is no directory; nothing was done",
                hint="move it away",
            ) from problem
        except OSError as problem:
            raise _unwritable(self.path, problem) from problem

    def _guarded(self, action: Callable[[], T]) -> T:
        """Run an action on the file; what SQLite and the disk say becomes an error that says what to do."""
        try:
            return action()
        except Damaged as problem:
            raise Damaged(what_stands_there(self.path) or problem.what, self.path) from problem
        except sqlite3.DatabaseError as problem:
            text = str(problem)
            if isinstance(problem, sqlite3.OperationalError) and ("locked" in text or "busy" in text):
                raise StateLocked(
                    f"{self.path} is in use by another process", hint="run it again"
                ) from problem
            if isinstance(problem, sqlite3.OperationalError) and not text.startswith(
                ("no such", "malformed")
            ):
                raise _unwritable(self.path, problem) from problem
            raise Damaged(what_stands_there(self.path) or text, self.path) from problem
        except UnicodeDecodeError as problem:  # SQLite's own words, quoting what it could not read
            raise Damaged("it holds bytes that are no text", self.path) from problem
        except OSError as problem:
            raise _unwritable(self.path, problem) from problem


def _unwritable(path: Path, problem: Exception) -> StateError:
    words = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
    return StateError(
        f"the state {path} cannot be written or read: {words}",
        hint="no further call was made; free the disk or fix the permissions, then run the same command again",
    )


def _check_format(meta: dict[str, str], path: Path) -> None:
    found = meta.get("format", "")
    are_texts = all(isinstance(each, str) for each in meta.values())
    if not (are_texts and _is_number(found) and _is_number(meta.get("serial")) and "lineage" in meta):
        raise damaged("it does not say what it is")
    if int(found) > FORMAT:
        raise StateError(
            f"the state {path} has format {found}, and this reconciler knows {FORMAT}",
            hint="a newer reconciler wrote it; upgrade this one. Nothing was changed",
        )


def _is_number(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 17


def _generation(address: str, number: object) -> int:
    if not isinstance(number, int) or not 0 <= number <= MOST_GENERATIONS:
        raise damaged(f"the generation of {str(address)[:80]!r} is not a number")
    return number


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("begin immediate")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
