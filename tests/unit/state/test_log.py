"""The log on a drawer that shows and answers less than it holds, one case a test; by chance: `tests/simulation/logs.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from reconciler.driver.committing import make_durable
from reconciler.errors import StateError, StateLocked
from reconciler.model.address import Address
from reconciler.model.writes import PutGeneration, PutMoved, SetLineage
from reconciler.state.blocking import behind_ports
from reconciler.state.lease import FileLease
from reconciler.state.log.drawer import Creation, entry_key
from reconciler.state.log.store import LogStore
from tests.fakes.directory_drawer import DirectoryDrawer
from tests.fakes.stores import acquire

ADDRESS = Address("lobby", "greeter")


class Veiled(DirectoryDrawer):
    """A drawer whose lists leave out some keys, and whose next answers are lost together with the look that follows."""

    hidden: frozenset[str] = frozenset()
    lost = 0
    blind = 0

    def list(self, after: str) -> Sequence[str]:
        return [each for each in super().list(after) if each not in self.hidden]

    def create(self, key: str, data: bytes) -> Creation:
        made = super().create(key, data)
        if self.lost:
            self.lost -= 1
            self.blind = 1
            return Creation.UNKNOWN
        return made

    def get(self, key: str) -> bytes | None:
        if self.blind:
            self.blind -= 1
            raise StateError("no answer")
        return super().get(key)


def opened(tmp_path: Path, drawer: DirectoryDrawer | None = None) -> LogStore:
    found = drawer or DirectoryDrawer(tmp_path / "state")
    return LogStore(found, FileLease(tmp_path / "lease"), name="the log")


def generation(number: int) -> PutGeneration:
    return PutGeneration(ADDRESS, number)


def test_what_a_list_leaves_out_before_a_key_that_it_shows_is_asked_for(tmp_path: Path) -> None:
    writer = opened(tmp_path)
    for number in range(4):
        writer.commit([generation(number + 1)], expected=number)
    drawer = Veiled(tmp_path / "state")
    drawer.hidden = frozenset({entry_key(1), entry_key(3)})
    assert opened(tmp_path, drawer).read() == writer.read()
    (tmp_path / "state" / entry_key(3)).unlink()
    with pytest.raises(StateError, match=f"{entry_key(3)} is missing"):
        opened(tmp_path, drawer).read()


def test_a_commit_without_an_answer_is_found_below_what_others_have_written_since(tmp_path: Path) -> None:
    drawer = Veiled(tmp_path / "state")
    ours = opened(tmp_path, drawer)
    drawer.lost = 1

    class Others(LogStore):
        """Somebody else writes on top before the first look."""

        def version(self) -> object:  # type: ignore[override]
            if ours.read().serial == 1:
                opened(tmp_path).commit([generation(2)], expected=1)
            return ours.version()

    store = Others(drawer, FileLease(tmp_path / "lease"), name="the log")
    ledger = behind_ports(store).ledger
    assert asyncio.run(make_durable(ledger, [generation(1)], expected=0, nonce="ours")) == 1
    assert opened(tmp_path).read().serial == 2
    with pytest.raises(StateLocked, match="moved on"):
        store.commit([generation(3)], expected=1, nonce="another")


def test_another_state_goes_on_in_the_same_log(tmp_path: Path) -> None:
    reader, writer = opened(tmp_path), opened(tmp_path)
    writer.commit([generation(1)], expected=0)
    first = reader.read()
    writer.commit([SetLineage("another lineage", 41), generation(2), PutMoved("elsewhere")], expected=1)
    for number in range(2, 110):  # past a snapshot
        writer.commit([generation(number + 1)], expected=number)
    for each in (reader, opened(tmp_path)):
        state = each.read()
        assert (state.lineage, state.serial, state.version) == ("another lineage", 110, 151)
        assert (state.moved_to, state.generations) == ("elsewhere", {ADDRESS: 110})
    assert first.lineage not in ("", "another lineage")


def test_the_first_entry_bears_the_lineage_that_goes_on(tmp_path: Path) -> None:
    writer = opened(tmp_path)
    acquire(writer, "a test", 0)
    writer.commit([SetLineage("a lineage from elsewhere", 7), generation(1)], expected=0)
    writer.close()
    assert b'"lineage":"a lineage from elsewhere","nonce"' in (tmp_path / "state" / entry_key(1)).read_bytes()
    assert (opened(tmp_path).read().version, opened(tmp_path).read().serial) == (8, 1)
