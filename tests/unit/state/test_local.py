"""The state in one file: its history, its version, what it forgets, and what it has seen."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.errors import StateError, StateLocked
from reconciler.model.address import Address
from reconciler.model.record import Entry, State
from reconciler.model.spec import Body
from reconciler.model.writes import (
    Append,
    DropRecord,
    PutApplying,
    PutGeneration,
    PutMoved,
    PutRecord,
    SetLineage,
    Write,
)
from reconciler.ports import Version
from reconciler.state import database, local
from reconciler.state.blocking import BlockingStore
from reconciler.state.local import LocalStore
from reconciler.state.memory import MemoryStore
from reconciler.state.seen import Seen, SeenFile
from tests.contracts.state_store import ADDRESS, RECORD
from tests.fakes.stores import acquire

OTHER = Address("lobby", "other")


def entry(number: int, address: Address = ADDRESS) -> Append:
    return Append(Entry(float(number), address, "join", "done", f"A{number}"))


def opened(path: Path, **settings: object) -> LocalStore:
    store = LocalStore(path, **settings)  # type: ignore[arg-type]
    acquire(store, "a test", 0)
    return store


def put(store: BlockingStore, *writes: Write) -> int:
    return store.commit(writes, expected=store.read().serial)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "in" / "a.state"


@pytest.mark.parametrize("make", [lambda path: opened(path), lambda _: MemoryStore()])
def test_the_history_is_newest_first_of_one_address_or_of_all(make: object, path: Path) -> None:
    store = make(path)  # type: ignore[operator]
    assert store.history(None, 5) == ()
    put(store, entry(1), entry(2, OTHER), entry(3))

    def agents(address: Address | None, limit: int) -> list[str]:
        return [each.agent_id for each in store.history(address, limit)]

    assert agents(None, 5) == ["A3", "A2", "A1"]
    assert agents(None, 2) == ["A3", "A2"]
    assert agents(ADDRESS, 5) == ["A3", "A1"]
    assert agents(ADDRESS, 1) == ["A3"]
    assert agents(OTHER, 5) == ["A2"]


def test_a_state_that_is_not_there_has_no_history_and_no_version(path: Path) -> None:
    store = LocalStore(path)
    assert (store.history(ADDRESS, 5), store.version()) == ((), Version(0, ""))
    assert store.read() == State("", 0, b"")
    assert not path.parent.exists()


def test_the_version_is_the_last_commit_and_its_nonce(path: Path) -> None:
    store = opened(path)
    assert store.version() == Version(0, "")
    store.commit([entry(1)], expected=0, nonce="mine")
    assert store.version() == LocalStore(path).version() == Version(1, "mine")
    store.commit([entry(1)], expected=1)
    assert store.version() == Version(2, "")


def test_what_is_said_of_a_plan_and_a_move_is_read_and_taken_back(path: Path) -> None:
    store = opened(path)
    assert (store.read().applying, store.read().moved_to, store.read().offset) == (None, None, 0)
    put(store, PutApplying("d"), PutMoved("there"))
    assert (store.read().applying, store.read().moved_to) == ("d", "there")
    put(store, PutApplying(None), PutMoved(None))
    assert (store.read().applying, store.read().moved_to) == (None, None)


def test_a_writer_whose_serial_is_another_writes_nothing(path: Path) -> None:
    store = opened(path)
    put(store, PutGeneration(ADDRESS, 3))
    for serial in (0, 2):
        with pytest.raises(StateLocked, match=f"its serial is 1, not {serial}; another writer is at work"):
            store.commit([PutGeneration(ADDRESS, 9)], expected=serial)
    assert store.read().generations == {ADDRESS: 3}


def with_text(number: int) -> PutRecord:
    return PutRecord(replace(RECORD, body=Body({"prompt": f"{number} " + "x" * 200})))


def test_texts_and_history_are_swept_once_there_are_many(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_MOST_UNUSED", 3)
    monkeypatch.setattr(local, "_LONGEST_HISTORY", 2)
    store = opened(path)

    def stored() -> int:
        return int(store._open().execute("select count(*) from texts").fetchone()[0])

    for number in range(4):
        put(store, with_text(number), entry(number))
    assert (stored(), len(store.history(None, 99))) == (4, 4), "three are unused"
    put(store, with_text(4), entry(4))
    assert stored() == 5
    # Now four are unused: they go with the next commit, but for one that it needs again.
    put(store, with_text(0), entry(5))
    assert stored() == 2
    assert [each.agent_id for each in store.history(None, 99)] == ["A5", "A4"]
    assert store.read().records[ADDRESS].body == with_text(0).record.body
    # What was swept is known to be gone: the next commit stores it again.
    put(store, with_text(1))
    assert LocalStore(path).read().records[ADDRESS].body == with_text(1).record.body


def test_another_state_takes_the_place_of_this_one_after_a_copy_of_it(path: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    store = opened(path, seen=seen)
    put(store, PutRecord(RECORD))
    lineage = store.read().lineage
    assert store.backup is None
    put(store, DropRecord(ADDRESS), SetLineage("another", 7))
    assert store.backup == path.with_name(f"a.state.{lineage[:8]}.1.bak")
    assert (store.read().lineage, store.read().serial, store.read().version) == ("another", 2, 9)
    shutil.copy(store.backup, tmp_path / "copy.state")
    assert LocalStore(tmp_path / "copy.state").read().records == {ADDRESS: RECORD}
    store.close()
    assert SeenFile(seen, path).read() == Seen("another", 2)
    first = opened(tmp_path / "new" / "b.state")
    put(first, SetLineage("another", 7))
    assert first.backup is None, "there was nothing to copy"


def test_what_was_seen_is_noted_by_the_holder_of_the_lease(path: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    note = SeenFile(seen, path)
    store = opened(path, seen=seen)
    lineage = store.read().lineage
    assert note.read() == Seen(lineage, 0)
    put(store, entry(1))
    assert note.read() == Seen(lineage, 0), "not before the lease is given back"
    store.release()
    assert note.read() == Seen(lineage, 1)
    reader = LocalStore(path, seen=seen)
    note.forget()
    reader.read()
    reader.close()
    assert note.read() is None, "who only reads notes nothing"
    note.write(Seen(lineage, 2))
    with pytest.raises(StateError, match="its serial is 1, and this machine has seen 2"):
        reader.read()
    note.write(Seen(lineage, 1))
    reader.read()
    note.write(Seen("another", 1))
    with pytest.raises(StateError, match="not the one that this machine has seen"):
        acquire(LocalStore(path, seen=seen), "x", 0)


def test_who_lost_the_lease_notes_nothing(path: Path, tmp_path: Path) -> None:
    store = opened(path, seen=tmp_path / "seen")
    put(store, entry(1))
    store.lease.path.unlink()
    store.release()
    assert SeenFile(tmp_path / "seen", path).read() == Seen(LocalStore(path).read().lineage, 0)


def test_another_file_in_its_place_is_opened_anew(path: Path, tmp_path: Path) -> None:
    store = opened(path)
    put(store, PutGeneration(ADDRESS, 3))
    other = opened(tmp_path / "other" / "b.state")
    put(other, PutGeneration(ADDRESS, 7))
    other.close()
    reader = LocalStore(path)
    assert reader.read().generations == {ADDRESS: 3}
    store.close()
    for each in path.parent.glob("a.state-*"):  # as who restores a copy is told to
        each.unlink()
    os.replace(tmp_path / "other" / "b.state", path)
    assert reader.read().generations == {ADDRESS: 7}


def test_who_holds_it_and_for_how_long(path: Path) -> None:
    store = opened(path, lease=7.0)
    assert (store.lease_seconds, store.name) == (7.0, str(path))
    assert LocalStore(path).holder() is not None
    store.renew()
    store.close()
    assert LocalStore(path).holder() is None
    store.close()
    assert store.exposures() == []


def test_beside_a_fleet_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "in").symlink_to(tmp_path / "there")
    with pytest.raises(StateError, match="is a link"):
        LocalStore(tmp_path / "in" / "a.state", is_beside_fleet=True).read()
    assert LocalStore(tmp_path / "in" / "a.state").read().serial == 0


def test_a_state_in_memory_begins_as_it_is_told() -> None:
    assert (MemoryStore().read().lineage, MemoryStore().version()) == ("memory", Version(0, ""))
    store = MemoryStore(State("l", 4, b"k"))
    assert (store.read().lineage, store.read_key(), store.commit([], expected=4, nonce="n")) == ("l", b"k", 5)
    assert store.version() == Version(5, "n")
    store.take("ann")
    assert store.holder() == "ann"
    with pytest.raises(StateLocked, match="held by ann"):
        store.take("bob")
    store.close()
    assert (store.holder(), store.prepare(), store.exposures()) == (None, "", [])


# --- a copy in the place of a state whose latest commits are still in its `-wal` file ------------------------------


def commits(path: Path, count: int) -> None:
    """Some commits of one process, which ends in order: they are in the file itself then."""
    store = opened(path)
    for number in range(count):
        put(store, entry(number), PutRecord(RECORD))
    store.close()


def killed(path: Path, count: int, place: Path) -> Path:
    """The files of a process that was killed after some commits, at another place."""
    store = opened(path)
    for number in range(count):
        put(store, entry(number))
    place.mkdir(mode=0o700)
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(f"{path}{suffix}", place)
    store.close()
    return place / path.name


def contents(path: Path) -> list[bytes]:
    return [path.read_bytes(), path.with_name(f"{path.name}-wal").read_bytes()]


@pytest.fixture
def older(path: Path, tmp_path: Path) -> Path:
    """A copy at serial 3; the state is at 6 then."""
    commits(path, 3)
    shutil.copy(path, tmp_path / "older")
    commits(path, 3)
    return tmp_path / "older"


def test_what_a_killed_process_leaves_is_read(path: Path, older: Path, tmp_path: Path) -> None:
    left = killed(path, 4, tmp_path / "left")
    assert LocalStore(left).read().serial == 10


@pytest.mark.parametrize("serial", [3, 12])
def test_a_copy_beside_the_commits_of_another_version_is_refused_and_nothing_is_written(
    serial: int, path: Path, older: Path, tmp_path: Path
) -> None:
    left = killed(path, 4, tmp_path / "left")
    if serial == 12:
        commits(path, 2)
    shutil.copy(older if serial == 3 else path, left)
    before = contents(left)
    for act in (LocalStore(left).read, LocalStore(left).version, lambda: opened(left)):
        with pytest.raises(
            StateError, match=rf"is at serial {serial}, and a.state-wal .* to serial 10 of another"
        ):
            act()
    assert contents(left) == before
    left.with_name("a.state-wal").rename(tmp_path / "kept")
    assert LocalStore(left).read().serial == serial


def test_a_state_that_is_gone_beside_its_latest_commits_is_not_begun_anew(
    path: Path, older: Path, tmp_path: Path
) -> None:
    left = killed(path, 4, tmp_path / "left")
    left.unlink()
    log = left.with_name("a.state-wal")
    before = log.read_bytes()
    for act in (LocalStore(left).read, lambda: opened(left)):
        with pytest.raises(StateError, match=r"is gone, and a\.state-wal beside it holds its latest commits"):
            act()
    assert log.read_bytes() == before
    assert not left.exists()
    log.rename(tmp_path / "kept")
    assert opened(left).read().serial == 0


def test_a_copy_of_the_version_that_the_commits_follow_becomes_the_state_that_was_there(
    path: Path, older: Path, tmp_path: Path
) -> None:
    shutil.copy(path, tmp_path / "base")
    left = killed(path, 4, tmp_path / "left")
    shutil.copy(tmp_path / "base", left)
    assert LocalStore(left).read().serial == 10


def test_a_state_at_work_is_read_by_others(path: Path, older: Path) -> None:
    store = opened(path)
    for number in range(30):
        put(store, entry(number))
        assert LocalStore(path).read().serial == 7 + number
    connection = database.connect(path)
    connection.execute("pragma wal_checkpoint(restart)")
    put(store, entry(30))
    assert LocalStore(path).read().serial == 37


def test_remains_of_a_file_of_commits_change_nothing(path: Path, older: Path) -> None:
    log = path.with_name("a.state-wal")
    for remains in (b"", b"\0" * 31, b"\0" * 32, b"\xff" * 500):
        log.write_bytes(remains)
        assert LocalStore(path).read().serial == 6
