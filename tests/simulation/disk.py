"""The disk under `LocalStore`: every write, sync and rename that SQLite and we really make, and what a crash may keep.

SQLite reaches its files through a table of functions (`sqlite3_vfs`); here a copy of that table is put in place, by
ctypes, that writes down each write, sync, truncation and deletion, and can fail the N-th of them. `os.replace` and
`os.fsync` are watched too. From the log, the files are built as they may be after a crash
at any instant: what was synced is there, of the rest any prefix, any subset, or half of the last write (as ALICE
does). The store must then read as the last acknowledged version or as the one in flight, and as nothing else.

Not covered: the shared-memory index of the WAL (it is rebuilt from the WAL by design), reordering inside one sync,
lying disks, and file systems that lose synced data.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import random
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.errors import ReconcilerError, StateError
from reconciler.model.address import Address, AgentName
from reconciler.model.record import Intent, Operation
from reconciler.model.writes import DropIntent, PutIntent, Write
from reconciler.state.local import LocalStore
from tests.fakes.stores import acquire

from .clock import EPOCH
from .fleets import agent
from .world import OWNER

_OK, _FULL, _IOERR_WRITE = 0, 13, 778


@dataclass(frozen=True, slots=True)
class Op:
    """One thing done to the disk. `ack` marks no operation but the return of a commit, with its serial."""

    kind: str
    path: str = ""
    offset: int = 0
    data: bytes = b""
    serial: int = 0


@dataclass(slots=True)
class Log:
    """What was done, in order; `fail_at` makes the N-th operation fail, and all after it with `forever`."""

    ops: list[Op] = field(default_factory=list)
    fail_at: int = -1
    forever: bool = True
    short: bool = False
    failed: int = 0

    def note(self, op: Op) -> bool:
        """Write an operation down; False when it is to fail."""
        place = len(self.ops)
        if self.fail_at >= 0 and (place == self.fail_at or (self.forever and place > self.fail_at)):
            self.failed += 1
            self.ops.append(Op("failed", op.path))
            return False
        self.ops.append(op)
        return True


# --- the table of functions: sqlite3.h, "OS Interface Object" ------------------------------------------------------

_Pointer = ctypes.c_void_p
# The name is a pointer: SQLite keeps it for as long as the file is open.
_Open = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, _Pointer, _Pointer, ctypes.c_int, _Pointer)
_Delete = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, ctypes.c_char_p, ctypes.c_int)
_WriteCall = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, _Pointer, ctypes.c_int, ctypes.c_int64)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, ctypes.c_int)


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("max_path", ctypes.c_int),
        ("next", _Pointer),
        ("name", ctypes.c_char_p),
        ("data", _Pointer),
        ("open", _Open),
        ("delete", _Delete),
        ("rest", _Pointer * 16),
    ]


class _Methods(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int),
        ("close", _Pointer),
        ("read", _Pointer),
        ("write", _WriteCall),
        ("truncate", _Truncate),
        ("sync", _Sync),
        ("rest", _Pointer * 14),
    ]


class _Shim:
    """The default VFS with eyes. One per process: SQLite keeps the table for good."""

    def __init__(self) -> None:
        self.log = Log()
        self._paths: dict[int, str] = {}
        self._methods: dict[int, _Methods] = {}
        self._library = ctypes.CDLL(_library_path())
        self._library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self._original = self._library.sqlite3_vfs_find(None).contents
        self._vfs = _Vfs.from_buffer_copy(self._original)
        self._vfs.name = b"watched"
        self._vfs.open = self._hold = _Open(self._open)
        self._vfs.delete = self._hold_delete = _Delete(self._delete)
        if self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) != _OK:
            raise RuntimeError("SQLite does not take the watched VFS")

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        code = self._original.open(vfs, name, file, flags, out)
        if code == _OK and name:
            self._paths[file] = ctypes.string_at(name).decode()
            self._watch(file)
        return int(code)

    def _watch(self, file: int) -> None:
        """Give an open file methods of our own, made once for each table of the original ones."""
        slot = ctypes.cast(file, ctypes.POINTER(_Pointer))
        theirs = slot[0]
        if theirs not in self._methods:
            original = ctypes.cast(theirs, ctypes.POINTER(_Methods)).contents
            ours = _Methods.from_buffer_copy(original)
            ours.write = _WriteCall(
                lambda f, data, size, offset: self._write(original, f, data, size, offset)
            )
            ours.truncate = _Truncate(lambda f, size: self._change(original.truncate, "truncate", f, size))
            ours.sync = _Sync(lambda f, how: self._change(original.sync, "sync", f, how))
            self._methods[theirs] = ours
        slot[0] = ctypes.addressof(self._methods[theirs])

    def _write(self, original: _Methods, file: int, data: int, size: int, offset: int) -> int:
        content = ctypes.string_at(data, size)
        if not self.log.note(Op("write", self._paths[file], offset, content)):
            if self.log.short and size > 1:
                original.write(file, data, size // 2, offset)
            return _FULL
        return int(original.write(file, data, size, offset))

    def _change(self, original: Any, kind: str, file: int, number: int) -> int:
        if not self.log.note(Op(kind, self._paths[file], number)):
            return _IOERR_WRITE
        return int(original(file, number))

    def _delete(self, vfs: int, name: bytes, sync: int) -> int:
        if not self.log.note(Op("delete", name.decode())):
            return _IOERR_WRITE
        return int(self._original.delete(vfs, name, sync))


def _library_path() -> str | None:
    """The very library that Python's own module has loaded."""
    sqlite3.connect(":memory:").close()
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "libsqlite3" in line:
            return line.split()[-1]
    return ctypes.util.find_library("sqlite3")


_shim: list[_Shim] = []


@contextmanager
def watched(log: Log) -> Iterator[Log]:
    """Watch what this process does to the state's files."""
    if not _shim:
        _shim.append(_Shim())
    _shim[0].log = log

    replace, fsync = os.replace, os.fsync

    def watched_replace(source: Path, target: Path) -> None:
        if not log.note(Op("rename", str(source), data=str(target).encode())):
            raise OSError(28, "No space left on device")
        replace(source, target)

    def watched_fsync(number: int) -> None:
        path = os.readlink(f"/proc/self/fd/{number}")
        if not log.note(Op("sync directory" if os.path.isdir(path) else "sync", path)):
            raise OSError(5, "Input/output error")
        fsync(number)

    os.replace, os.fsync = watched_replace, watched_fsync  # type: ignore[assignment]  # fewer arguments
    try:
        yield log
    finally:
        os.replace, os.fsync = replace, fsync
        _shim[0].log = Log()


# --- what is done, and what may be left of it ----------------------------------------------------------------------


def _work(store: LocalStore, log: Log, commits: int) -> int:
    """A few commits like those of an apply; returns the last serial that was acknowledged."""
    acquire(store, "the simulation", 0.0)
    serial = store.read().serial
    for number in range(commits):
        serial = store.commit(_writes(number), expected=serial)
        log.ops.append(Op("ack", serial=serial))
    return serial


def _name(number: int) -> str:
    return str(AgentName.make(OWNER, Address("lobby", "greeter"), "1abcdefgh", number + 1))


def _writes(number: int) -> Sequence[Write]:
    spec = agent("lobby/greeter", f"a prompt that is long enough to fill a page {number} " * 90)
    now = EPOCH - 1e8 + number  # long ago, by any clock of today
    intent = Intent(
        Operation.JOIN, spec.address, _name(number), now, generation=number + 1, uid="1", body=spec.body
    )
    dropped = (DropIntent(f"join:{_name(number - 1)}"),) if number % 3 else ()
    return (*dropped, PutIntent(intent))


def _apply(files: dict[str, bytearray], op: Op, *, torn: bool = False) -> None:
    match op.kind:
        case "write":
            data = op.data[: len(op.data) // 2] if torn else op.data
            content = files.setdefault(op.path, bytearray())
            content.extend(bytes(max(0, op.offset + len(data) - len(content))))
            content[op.offset : op.offset + len(data)] = data
        case "truncate":
            content = files.setdefault(op.path, bytearray())
            content[op.offset :] = bytes(max(0, op.offset - len(content)))
        case "delete":
            files.pop(op.path, None)
        case "rename":
            if op.path in files:
                files[op.data.decode()] = files.pop(op.path)
        case _:
            """Syncs and acknowledgements change nothing."""


def crash_states(ops: Sequence[Op], chance: random.Random, subsets: int) -> Iterator[dict[str, bytearray]]:
    """Files as a crash after these operations may leave them: what was synced, and some of the rest."""
    synced: set[str] = set()
    pending: list[int] = []
    for place in range(len(ops) - 1, -1, -1):
        op = ops[place]
        if op.kind == "sync":
            synced.add(op.path)
        elif op.kind == "sync directory":
            synced.add("rename")
        elif op.kind in ("write", "truncate") and op.path not in synced:
            pending.append(place)
        elif op.kind in ("rename", "delete") and "rename" not in synced:
            pending.append(place)
        if op.kind == "rename" and op.data.decode() in synced:
            synced.add(op.path)
    pending.reverse()
    choices: list[frozenset[int]] = [frozenset(), frozenset(pending)]
    choices += [frozenset(pending[:length]) for length in range(1, len(pending))][-subsets:]
    choices += [frozenset(each for each in pending if chance.random() < 0.5) for _ in range(subsets)]
    for kept in dict.fromkeys(choices):
        for torn in {False, bool(kept)}:
            files: dict[str, bytearray] = {}
            for place, op in enumerate(ops):
                if place not in pending or place in kept:
                    _apply(files, op, torn=torn and bool(kept) and place == max(kept))
            yield files


def crashes(*, commits: int = 6, subsets: int = 4, seed: int = 1) -> Iterator[str]:
    """Crash at every operation and look at what may be left; yields problems, and counts in `tried`."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "state"
        with watched(Log()) as log:
            store = LocalStore(directory / "state.db")
            _work(store, log, commits)
            ops = list(log.ops)
            store.close()
        chance = random.Random(seed)
        acknowledged = 0
        for end in range(1, len(ops) + 1):
            if ops[end - 1].kind == "ack":
                acknowledged = ops[end - 1].serial
            for number, files in enumerate(crash_states(ops[:end], chance, subsets)):
                tried[0] += 1
                problem = _read_back(files, directory, Path(place) / "crashed", acknowledged)
                if problem is not None:
                    yield f"crash after operation {end} ({ops[end - 1].kind}), case {number}: {problem}"


tried = [0]


def _read_back(
    files: dict[str, bytearray], directory: Path, elsewhere: Path, acknowledged: int
) -> str | None:
    """Open what is left: the last acknowledged version or the next one, and intact."""
    elsewhere.mkdir(exist_ok=True)
    for old in elsewhere.iterdir():
        old.unlink()
    for path, content in files.items():
        if Path(path).parent == directory:
            (elsewhere / Path(path).name).write_bytes(content)
    store = LocalStore(elsewhere / "state.db")
    try:
        state = store.read()
        if state.serial not in (acknowledged, acknowledged + 1):
            return f"serial {state.serial}, and {acknowledged} was acknowledged"
        if state.serial:
            newest = _name(state.serial - 1)
            if newest not in {each.name for each in state.intents}:
                return f"serial {state.serial} without its own intent"
    except ReconcilerError as problem:
        return f"unreadable: {problem.message}"
    finally:
        store.close()
    return None


def failures(*, commits: int = 4) -> Iterator[str]:
    """Let every operation fail in turn: the writer is told, and what was acknowledged stays; yields problems."""
    with tempfile.TemporaryDirectory() as place, watched(Log()) as log:
        store = LocalStore(Path(place) / "0" / "state.db")
        _work(store, log, commits)
        store.close()
        total = sum(1 for each in log.ops if each.kind != "ack")
    for number in range(total):
        for forever, short in ((True, False), (False, False), (True, True)):
            tried[0] += 1
            problem = _one_failure(number, commits, forever=forever, short=short)
            if problem is not None:
                yield f"operation {number} fails{' for good' if forever else ''}: {problem}"


def _one_failure(number: int, commits: int, *, forever: bool, short: bool) -> str | None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "state" / "state.db"
        log = Log(fail_at=number, forever=forever, short=short)
        told: Exception | None = None
        with watched(log):
            store = LocalStore(path)
            try:
                _work(store, log, commits)
            except StateError as problem:
                told = problem
            except ReconcilerError as problem:
                return f"the wrong error: {problem!r}"
            finally:
                log.fail_at = -1
                store.close()
        acknowledged = max((each.serial for each in log.ops if each.kind == "ack"), default=0)
        if told is None and acknowledged != commits:
            return "nobody was told"
        reader = LocalStore(path)
        try:
            serial = reader.read().serial
        except ReconcilerError as problem:
            return f"unreadable afterwards: {problem.message}"
        finally:
            reader.close()
        if serial not in (acknowledged, acknowledged + 1):
            return f"serial {serial}, and {acknowledged} was acknowledged"
    return None


def check() -> str | None:
    """The first problem of all the above, or None."""
    return next(crashes(), None) or next(failures(), None)
