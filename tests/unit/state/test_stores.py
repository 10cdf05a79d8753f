"""The stores against their contract, and what is special about the local file."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from reconciler import config
from reconciler.errors import StateError, StateLocked
from reconciler.model.address import Address
from reconciler.model.record import Entry
from reconciler.model.spec import Body
from reconciler.model.writes import Append, PutGeneration, PutRecord, Write
from reconciler.state.local import LocalStore
from reconciler.state.memory import MemoryStore
from tests.benchmarks import fleets
from tests.contracts.state_store import ADDRESS, RECORD, Open, StateStoreContract
from tests.fakes.stores import acquire


class TestMemoryStore(StateStoreContract):
    """The store that ends with the process."""

    @pytest.fixture
    def open_store(self) -> Open:
        store = MemoryStore()
        return lambda: store


class TestLocalStore(StateStoreContract):
    """The store beside the fleet."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Open:
        return lambda: LocalStore(tmp_path / ".reconciler" / "default.state")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".reconciler" / "default.state"


def written(path: Path) -> LocalStore:
    store = LocalStore(path)
    acquire(store, "a test", 0)
    store.commit([PutRecord(RECORD)], expected=0)
    store.close()
    return store


def test_reading_creates_nothing(path: Path) -> None:
    LocalStore(path).read()
    assert not path.parent.exists()


def test_only_the_owner_may_read_it_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        written(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize("kept", [0, 1, 100, 4096, 5000])
def test_a_truncated_state_is_refused_and_not_overwritten(path: Path, kept: int) -> None:
    written(path)
    data = path.read_bytes()[:kept]
    path.write_bytes(data)
    with pytest.raises(StateError, match="state"):
        LocalStore(path).read()
    assert path.read_bytes() == data


def test_text_in_its_place_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("<<<<<<< HEAD\n", encoding="utf-8")
    with pytest.raises(StateError, match="damaged"):
        LocalStore(path).read()


@pytest.mark.parametrize(
    "edit",
    [
        "update records set record = substr(record, 1, length(record) - 1)",
        "update records set record = replace(record, 'A1', 'A2')",
        "update records set address = 'lobby/other'",
        "update records set record = zeroblob(40)",
        "delete from texts",
        "update texts set text = 'another prompt'",
        "delete from meta",
        "update meta set value = 'x' where key = 'serial'",
    ],
)
def test_an_edited_state_is_refused(path: Path, edit: str) -> None:
    written(path)
    connection = sqlite3.connect(path)
    connection.execute(edit)
    connection.commit()
    connection.close()
    with pytest.raises(StateError, match="damaged"):
        LocalStore(path).read()


def test_a_newer_format_is_refused_with_what_to_do(path: Path) -> None:
    written(path)
    connection = sqlite3.connect(path)
    connection.execute("update meta set value = '99' where key = 'format'")
    connection.commit()
    connection.close()
    with pytest.raises(StateError, match="format 99") as refusal:
        LocalStore(path).read()
    assert refusal.value.hint is not None
    assert "upgrade" in refusal.value.hint


def test_the_lock_dies_with_its_process(path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from reconciler.state.local import LocalStore\n"
        "store = LocalStore(Path(sys.argv[1])); store.take('the other process')\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StateLocked, match="the other process"):
            acquire(LocalStore(path), "we", 0.0)
        other.kill()
        other.wait()
    store = LocalStore(path)
    acquire(store, "we", 5.0)
    store.release()


def test_equal_prompts_are_stored_once(path: Path) -> None:
    store = LocalStore(path)
    acquire(store, "a test", 0)
    records = [replace(RECORD, address=Address("c", f"a{n}"), agent_id=f"A{n}") for n in range(200)]
    store.commit([PutRecord(each) for each in records], expected=0)
    connection = sqlite3.connect(path)
    (texts,) = connection.execute("select count(*) from texts").fetchone()
    connection.close()
    assert texts == 1
    assert len(store.read().records) == 200
    assert ADDRESS not in store.read().records


def test_a_directory_that_cannot_be_written_is_a_message(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(StateError, match="cannot be written"):
        acquire(LocalStore(blocker / "default.state"), "we", 0)


def test_what_nobody_refers_to_any_more_is_let_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Years of edits must not be read by every run; and what is edited back must be there again."""
    monkeypatch.setattr("reconciler.state.local._MOST_UNUSED", 20)
    monkeypatch.setattr("reconciler.state.local._LONGEST_HISTORY", 30)
    bodies = [
        replace(RECORD, body=Body({"llm": {"system_messages": [f"prompt {number} " * 40]}}))
        for number in range(60)
    ]
    for record in [*bodies, *bodies[:3]]:
        store = LocalStore(path)
        acquire(store, "a test", 0)
        state = store.read()
        entry = Entry(0.0, ADDRESS, "update", "done", "A1")
        for _ in range(2):  # once more: what was let go is not taken for stored
            state = replace(
                state, serial=store.commit([PutRecord(record), Append(entry)], expected=state.serial)
            )
        store.close()
        assert LocalStore(path).read().records[ADDRESS].body == record.body
    connection = sqlite3.connect(path)
    (texts,) = connection.execute("select count(*) from texts").fetchone()
    (entries,) = connection.execute("select count(*) from history").fetchone()
    assert texts <= 50
    assert entries <= 30 + 2 * 20


def test_a_person_reads_what_runs_with_the_sqlite3_shell(path: Path) -> None:
    written(path)
    connection = sqlite3.connect(path)
    row = connection.execute("select address, agent_id, name, started_at, record from records").fetchone()
    texts = connection.execute("select text from texts").fetchall()
    connection.close()
    assert row[:4] == ("lobby/greeter", "A1", RECORD.name, "1970-01-01T00:00:01Z")
    assert orjson.loads(row[4])["body"]["properties"]["idle_timeout"] == 0
    assert texts == [("long " * 400,)]


def test_an_agent_takes_two_kilobytes_its_prompt_apart(path: Path, tmp_path: Path) -> None:
    """The fully spelled agent of the benchmarks, ten thousand times, with what an apply writes beside each record."""
    fleets.write_for_each(tmp_path / "fleet", 1)
    (spec,) = config.load(tmp_path / "fleet").agents.values()
    store = LocalStore(path)
    acquire(store, "a test", 0)
    writes: list[Write] = []
    for number in range(10_000):
        address = Address(f"desk-{number:06}", "concierge")
        record = replace(
            RECORD, address=address, agent_id=f"A42AC37NR64PA{number:08}", body=spec.body, started_at=1.78e9
        )
        entry = Entry(1.78e9, address, "join", "done", record.agent_id)
        writes += [PutRecord(record), PutGeneration(address, 1), Append(entry)]
    store.commit(writes, expected=0)
    store.close()
    size = sum(each.stat().st_size for each in path.parent.iterdir())
    assert size <= 2048 * 10_000
