"""Find out whether a run could write a state now, without creating, locking or changing anything."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from reconciler.errors import ReconcilerError, StateError, StateLocked
from reconciler.state import database
from reconciler.state.blocking import BlockingStore
from reconciler.state.damage import Damaged
from reconciler.state.files import NO_LINK
from reconciler.state.local import LocalStore
from reconciler.state.place import check_place, check_writable
from reconciler.state.statements import read_pins
from reconciler.state.tables import read_meta

# The bytes that must be free; one commit needs less, but an apply makes many.
_LEAST_ROOM = 1024 * 1024


def troubles(store: BlockingStore) -> list[ReconcilerError]:
    """Return the errors that would keep an apply from writing the state, also that another process holds it."""
    found: list[ReconcilerError] = []
    for check in (require_writable, _require_free):
        try:
            check(store)
        except (StateError, StateLocked) as problem:
            if problem.message not in {each.message for each in found}:
                found.append(problem)
    return found


def app_id_of(store: BlockingStore) -> str:
    """Return the App ID that a local state is pinned to; empty where it has none, or cannot be read."""
    if not isinstance(store, LocalStore):
        return ""  # reading it would cost a fetch
    try:
        with closing(database.connect(store.path)) as connection:
            pins = read_pins(read_meta(connection, store.path).get("pins"))
    except (ReconcilerError, Damaged, OSError, sqlite3.Error, ValueError):
        return ""
    return (pins.app_id or "") if pins is not None else ""


def require_writable(store: BlockingStore) -> None:
    """Raise `StateError` where the state could not be created or written. A remote one is read, not written."""
    if isinstance(store, LocalStore):
        database.guarded(store.path, lambda: _check_writable(store))
    else:
        from reconciler.state.log.store import LogStore

        store.version()
        if isinstance(store, LogStore):
            store.probe()


def _check_writable(store: LocalStore) -> None:
    path, home = store.path, store.path.parent
    check_place(path)
    if not home.exists() and not home.is_symlink():
        home = home.parent  # the directory is made at the first apply
    elif not home.is_dir():
        database.make_directory(path)  # raises, with what is there instead of a directory
    check_writable(path, home)
    _check_room(home)
    if path.exists():
        # Not opened: closing the file would release the locks that SQLite has on it in this process.
        check_writable(path, path)
    _check_lock(store.lease.path)


def _check_lock(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | NO_LINK))
    except FileNotFoundError:
        return
    except OSError as problem:
        raise StateError(
            f"the lock {path} of the state cannot be taken: {problem.strerror}",
            hint="move that file away, or give it back to this user (chown)",
        ) from problem


def _check_room(directory: Path) -> None:
    room = shutil.disk_usage(directory).free
    if room < _LEAST_ROOM:
        raise StateError(
            f"the disk of {directory} is full ({room // 1024} KB are left), and the state could not be written",
            hint="free some of it before an apply",
        )


def _require_free(store: BlockingStore) -> None:
    try:
        holder = store.holder()
    except (OSError, StateError):
        return  # found by `require_writable`
    if holder is not None:
        raise StateLocked(
            f"the state is held by {holder}",
            hint="wait until that run has ended, or stop it: the lock ends with its process",
        )
