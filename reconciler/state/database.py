"""The SQLite file of a local state: made, opened, and converted from an older format. What its rows say is not known here."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from reconciler.errors import StateError, StateLocked
from reconciler.state import files
from reconciler.state.damage import Damaged
from reconciler.state.place import what_stands_there
from reconciler.state.tables import TABLES

T = TypeVar("T")

# A record of a fully spelled agent has 1.8 KB, its prompt apart: nine of them fill such a page, and two leave a tenth of
# SQLite's usual 4 KB unused.
_PAGE_BYTES = 16_384
# What a file is copied to before it is converted; the number is the format of the copy.
BACKUP = ".v1.bak"


def connect(path: Path) -> sqlite3.Connection:
    """A connection to an existing file: writable where this user can write, durable at each commit."""
    writable = os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)
    mode = "rw" if writable else "ro&immutable=1"
    connection = sqlite3.connect(
        f"file:{_quoted(path)}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=5,
        check_same_thread=False,
    )
    connection.execute("pragma synchronous = full")
    return connection


def create(path: Path, meta: Iterable[tuple[str, str]]) -> None:
    """Build a file aside and move it into place whole, so that a crash leaves none or a good one."""
    fresh = path.with_suffix(f".new-{os.getpid()}")
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(fresh, isolation_level=None)
    connection.executescript(f"pragma page_size = {_PAGE_BYTES}; pragma synchronous = full; begin; {TABLES}")
    connection.executemany("insert into meta values (?, ?)", meta)
    connection.execute("commit")
    # Last, so that nothing of it lies in a second file: what closing fails to carry over would not move along.
    connection.execute("pragma journal_mode = wal")
    connection.close()
    _move(fresh, path)


def back_up(connection: sqlite3.Connection, path: Path, suffix: str = BACKUP) -> Path:
    """Copy the file, as the open transaction sees it, to a place beside it; the copy is durable and whole, or absent."""
    backup = path.with_name(path.name + suffix)
    fresh = path.with_name(f"{backup.name}.new-{os.getpid()}")
    with os.fdopen(files.create(fresh), "wb") as file:
        file.write(connection.serialize())
        file.flush()
        os.fsync(file.fileno())
    _move(fresh, backup)
    return backup


def empty_tables(connection: sqlite3.Connection) -> None:
    """Put this format's tables, empty, in the place of all others; inside the caller's transaction."""
    tables = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
    for (name,) in connection.execute(tables).fetchall():
        connection.execute(f'drop table "{name}"')  # `read_meta` has found no other names than ours
    for statement in filter(str.strip, TABLES.split(";\n")):
        connection.execute(statement)


def _move(fresh: Path, path: Path) -> None:
    """Rename a finished file into its place, durably."""
    fresh.replace(path)
    files.sync_directory(path.parent)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block, or nothing of it; durable when it has ended."""
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def make_directory(path: Path) -> None:
    """Make the directory of a state; `StateError` where it cannot be made."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as problem:
        raise StateError(
            f"the state {path} cannot be written: {path.parent} is no directory; nothing was done",
            hint="move it away",
        ) from problem
    except OSError as problem:
        raise _unwritable(path, problem) from problem


def guarded(path: Path, action: Callable[[], T]) -> T:
    """Run an action on the file; what SQLite and the disk say becomes an error that says what to do."""
    try:
        return action()
    except Damaged as problem:
        raise Damaged(what_stands_there(path) or problem.what, path) from problem
    except sqlite3.DatabaseError as problem:
        text = str(problem)
        if isinstance(problem, sqlite3.OperationalError) and ("locked" in text or "busy" in text):
            raise StateLocked(f"{path} is in use by another process", hint="run it again") from problem
        if isinstance(problem, sqlite3.OperationalError) and not text.startswith(("no such", "malformed")):
            raise _unwritable(path, problem) from problem
        raise Damaged(what_stands_there(path) or text, path) from problem
    except UnicodeDecodeError as problem:  # SQLite's own words, quoting what it could not read
        raise Damaged("it holds bytes that are no text", path) from problem
    except OSError as problem:
        raise _unwritable(path, problem) from problem


def _unwritable(path: Path, problem: Exception) -> StateError:
    words = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
    return StateError(
        f"the state {path} cannot be written or read: {words}",
        hint="no further call was made; free the disk or fix the permissions, then run the same command again",
    )


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
