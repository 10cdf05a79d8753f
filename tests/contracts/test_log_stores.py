"""The log against the contract of every state store, on a directory and on a ref of a bare remote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from reconciler.errors import StateError, StateLocked
from reconciler.git import Git
from reconciler.model.address import Address
from reconciler.model.record import Entry
from reconciler.model.spec import Body
from reconciler.model.writes import Append, PutGeneration, PutRecord, StateView
from reconciler.state.lease import FileLease
from reconciler.state.log.drawer import Creation, entry_key, is_entry, snapshot_key
from reconciler.state.log.git_ref import GitDrawer
from reconciler.state.log.ref_lease import RefLease
from reconciler.state.log.replay import SNAPSHOT_EVERY
from reconciler.state.log.store import LogStore
from tests.contracts.state_store import ADDRESS, RECORD, Open, StateStoreContract
from tests.fakes.directory_drawer import DirectoryDrawer
from tests.fakes.stores import acquire

KEY = b"a key for digests of values"


class TestLogInADirectory(StateStoreContract):
    """Entries as files."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Open:
        def opened() -> LogStore:
            return LogStore(
                DirectoryDrawer(tmp_path / "state"), FileLease(tmp_path / "lease"), name="the log", key=KEY
            )

        return opened


class TestLogInAGitRef(StateStoreContract):
    """Entries as commits of a ref."""

    # What writes mean is the log's business, and tried above: hundreds of pushes would say no more.
    test_any_body_comes_back_as_it_was = None  # type: ignore[assignment]
    test_a_store_and_a_view_agree_on_what_writes_mean = None  # type: ignore[assignment]

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Open:
        Git(tmp_path).run("init", "--quiet", "--bare", "remote.git")
        Git(tmp_path).run("init", "--quiet", "checkout")
        git = Git(tmp_path / "checkout")

        def opened() -> LogStore:
            remote = str(tmp_path / "remote.git")
            lease = RefLease(git, remote, "refs/reconciler-lease/demo.-")
            return LogStore(GitDrawer(git, remote, "refs/reconciler/demo.-"), lease, name="the ref", key=KEY)

        return opened


def opened(place: Path) -> LogStore:
    return LogStore(DirectoryDrawer(place / "state"), FileLease(place / "lease"), name="the log", key=KEY)


def test_snapshots_change_nothing_of_what_is_read(tmp_path: Path) -> None:
    """Texts are named by their digest across snapshots, which forget those that nothing refers to."""
    store, view = opened(tmp_path), StateView("", 0, KEY)
    acquire(store, "a test", 0.0)
    early = opened(tmp_path)
    last = 2 * SNAPSHOT_EVERY + 3
    for serial in range(last):
        body = Body({"prompt": "long " * 100 + str(serial % 3 if serial < 150 else 9)})
        writes = [
            PutRecord(replace(RECORD, body=body)),
            Append(Entry(float(serial), ADDRESS, "join", "done", f"A{serial}")),
        ]
        assert store.commit(writes, expected=serial) == serial + 1
        view.absorb(writes)
        if serial in (0, 5, SNAPSHOT_EVERY - 1, last - 2):
            assert early.read().records == opened(tmp_path).read().records == view.records
    late = opened(tmp_path)
    assert late.read().records == view.records
    assert [each.agent_id for each in late.history(ADDRESS, 1000)] == [f"A{n}" for n in reversed(range(last))]
    assert late.history(Address("other", "one"), 5) == ()
    keys = DirectoryDrawer(tmp_path / "state").list("snapshot/")
    assert keys == [snapshot_key(SNAPSHOT_EVERY), snapshot_key(2 * SNAPSHOT_EVERY)]
    # A reader of the newest snapshot needs nothing that lies before it.
    for serial in range(1, 2 * SNAPSHOT_EVERY + 1):
        (tmp_path / "state" / entry_key(serial)).unlink()
    assert opened(tmp_path).read().records == view.records
    assert len(opened(tmp_path).history(ADDRESS, 1000)) == 3
    # One that was made late is as good.
    (tmp_path / "state" / keys[1]).unlink()
    (tmp_path / "state" / keys[0]).unlink()
    with pytest.raises(StateError, match="is missing"):
        opened(tmp_path).read()


class Troubled(DirectoryDrawer):
    """A drawer whose answers are lost, before or after the effect."""

    lost: ClassVar[list[str]] = []

    def create(self, key: str, data: bytes) -> Creation:
        how = self.lost.pop() if self.lost else ""
        if how != "before":
            super().create(key, data)
        return Creation.UNKNOWN if how in ("before", "after") else Creation.EXISTS


def test_an_answer_that_says_little_is_settled_by_the_nonce(tmp_path: Path) -> None:
    store = LogStore(Troubled(tmp_path / "state"), FileLease(tmp_path / "lease"), name="the log")
    acquire(store, "a test", 0.0)
    Troubled.lost[:] = ["before", "after"]
    assert store.commit([PutGeneration(ADDRESS, 1)], expected=0, nonce="first") == 1
    with pytest.raises(StateError, match="is not there"):
        store.commit([PutGeneration(ADDRESS, 2)], expected=1, nonce="second")
    # Told "exists", though it is ours: as whoever sends for us twice is told.
    assert store.commit([PutGeneration(ADDRESS, 2)], expected=1, nonce="second") == 2
    other = LogStore(Troubled(tmp_path / "state"), FileLease(tmp_path / "other"), name="the log")
    other.read()
    assert store.commit([PutGeneration(ADDRESS, 3)], expected=2, nonce="third") == 3
    with pytest.raises(StateLocked, match="a test"):
        other.commit([PutGeneration(ADDRESS, 9)], expected=2, nonce="another")
    assert other.read().generations == {ADDRESS: 3}
    assert DirectoryDrawer(tmp_path / "state").list("") == [entry_key(each) for each in (1, 2, 3)]


def test_a_snapshot_that_could_not_be_made_is_made_by_the_next_commit(tmp_path: Path) -> None:
    class Without(DirectoryDrawer):
        works = False

        def create(self, key: str, data: bytes) -> Creation:
            if is_entry(key) or self.works:
                return super().create(key, data)
            return Creation.UNKNOWN

    drawer = Without(tmp_path / "state")
    store = LogStore(drawer, FileLease(tmp_path / "lease"), name="the log", key=KEY)
    acquire(store, "a test", 0.0)
    for serial in range(SNAPSHOT_EVERY + 2):
        drawer.works = serial == SNAPSHOT_EVERY + 1
        body = Body({"prompt": "long " * 100 + str(serial % 2)})
        store.commit([PutRecord(replace(RECORD, body=body))], expected=serial)
    assert drawer.list("snapshot/") == [snapshot_key(SNAPSHOT_EVERY + 2)]
    for serial in range(1, SNAPSHOT_EVERY + 3):
        (tmp_path / "state" / entry_key(serial)).unlink()
    late = opened(tmp_path)
    assert late.read() == store.read()
    late.lease.release()
    # Both know the same texts, so that either may leave one out.
    store.commit(
        [PutRecord(replace(RECORD, body=Body({"prompt": "long " * 100 + "0"})))], expected=SNAPSHOT_EVERY + 2
    )
    assert late.read() == opened(tmp_path).read() == store.read()
