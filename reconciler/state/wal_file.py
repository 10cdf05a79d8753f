"""Check that a local state's file and the file of its latest commits (`-wal`) belong together, and that both are there.

A process that was killed leaves that file, and SQLite adds its commits to whatever then stands in the state's place. An
older or newer copy that was put there would become a mixture of two versions, each row of it valid.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing, suppress
from pathlib import Path

from reconciler.errors import StateError

# Of the file's header: size of a page, salts. Of each frame's: number of pages after a commit, else 0; salts. See
# https://www.sqlite.org/fileformat2.html#walformat
_HEADER = struct.Struct(">8xI4x8s8x")
_FRAME = struct.Struct(">4xI8s8x")


def check_wal(path: Path) -> None:
    """Raise `StateError` if commits in the `-wal` file cannot follow the version in the state's file.

    Each commit raises the serial by one, and a file lacks no more commits than its `-wal` file has. The order of the
    reads allows for a process that commits meanwhile. Nothing is written: both files stay as they are.
    """
    wal = path.with_name(f"{path.name}-wal")
    last = _serial(path, "mode=ro") if _has_commits(wal) else None
    if last is None:
        return
    commits = _commits(wal)
    found = _serial(path, "mode=ro&immutable=1")  # without the commits in the other file
    if found is None or last - commits <= found <= (_serial(path, "mode=ro") or found):
        return
    raise StateError(
        f"the state {path} is at serial {found}, and {wal.name} beside it holds the commits to serial {last} of another "
        "version: a copy was put in the state's place; nothing was done",
        hint=f"put back the file that was there; or, if the copy is what you want, move {wal.name} away and keep it",
    )


def check_gone(path: Path) -> None:
    """Raise `StateError` if a state that is not there has left the file of its latest commits; nothing is written."""
    wal = path.with_name(f"{path.name}-wal")
    if _has_commits(wal):
        raise StateError(
            f"the state {path} is gone, and {wal.name} beside it holds its latest commits; nothing was done",
            hint=f"put the state back; or, to begin without it, move {wal.name} away and keep it: what runs is found by name",
        )


def _has_commits(wal: Path) -> bool:
    try:
        return wal.stat().st_size > _HEADER.size
    except OSError:
        return False


def _commits(wal: Path) -> int:
    """Return the number of commits in the file: its frames up to the first one of an earlier use of the file.

    The last process that uses a state deletes the file, after its commits are in the state's own: then there are none.
    """
    commits = 0
    with suppress(FileNotFoundError), wal.open("rb") as file:
        header = file.read(_HEADER.size)
        size, salts = _HEADER.unpack(header.ljust(_HEADER.size, b"\0"))
        while len(head := file.read(_FRAME.size)) == _FRAME.size:
            pages, own = _FRAME.unpack(head)
            if own != salts:
                break
            commits += pages > 0
            file.seek(size, os.SEEK_CUR)
    return commits


def _serial(path: Path, mode: str) -> int | None:
    """Return the serial of the state; None if it cannot be read so: opening it will say why."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True)) as connection:
            return int(connection.execute("select value from meta where key = 'serial'").fetchone()[0])
    except (sqlite3.Error, TypeError, ValueError):
        return None
