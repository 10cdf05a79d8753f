"""Create, open and copy the SQLite file of a local state. The meaning of its rows is not known here."""

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
from reconciler.state.wal_file import check_wal

T = TypeVar("T")

# A record of an agent with all fields takes 1.8 KB without its prompt: nine of them fill such a page, while in SQLite's
# usual 4 KB two would leave a tenth unused.
_PAGE_BYTES = 16_384
# The suffix of the copy that is made before a file is converted; the number is the format of the copy.
BACKUP = ".v1.bak"


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection to an existing file: writable if this user can write it, durable at each commit.

    Raises `StateError` if the file was put in the place of another one whose latest commits are still beside it.
    """
    writable = os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)
    if writable:
        check_wal(path)
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
    """Create a file under another name and rename it when it is complete, so that a crash leaves no partial file."""
    fresh = path.with_suffix(f".new-{os.getpid()}")
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(fresh, isolation_level=None)
    connection.executescript(f"pragma page_size = {_PAGE_BYTES}; pragma synchronous = full; begin; {TABLES}")
    connection.executemany("insert into meta values (?, ?)", meta)
    connection.execute("commit")
    # Last, so that nothing is left in a separate WAL file, which the rename would not move along.
    connection.execute("pragma journal_mode = wal")
    connection.close()
    _move(fresh, path)


def back_up(connection: sqlite3.Connection, path: Path, suffix: str = BACKUP) -> Path:
    """Copy the file, as the open transaction sees it, to a file next to it; the copy is durable and complete."""
    backup = path.with_name(path.name + suffix)
    fresh = path.with_name(f"{backup.name}.new-{os.getpid()}")
    with os.fdopen(files.create(fresh), "wb") as file:
        file.write(connection.serialize())
        file.flush()
        os.fsync(file.fileno())
    _move(fresh, backup)
    return backup


def empty_tables(connection: sqlite3.Connection) -> None:
    """Replace all tables by this format's, empty; inside the caller's transaction."""
    tables = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
    for (name,) in connection.execute(tables).fetchall():
        connection.execute(f'drop table "{name}"')  # `read_meta` has found no other names than ours
    for statement in filter(str.strip, TABLES.split(";\n")):
        connection.execute(statement)


def _move(fresh: Path, path: Path) -> None:
    """Rename a finished file to its final path, durably."""
    fresh.replace(path)
    files.sync_directory(path.parent)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block as one transaction, committed in whole or rolled back; durable when it has ended."""
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def make_directory(path: Path) -> None:
    """Create the directory of a state; raise `StateError` where that fails."""
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
    """Run an action on the file; errors of SQLite and of the disk become errors with a hint what to do."""
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
    except UnicodeDecodeError as problem:  # SQLite quotes the bytes that it could not read
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
