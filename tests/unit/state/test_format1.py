"""A state of format 1, written by the release before format 2: read as it was, and converted once, whatever happens."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import pytest

from reconciler.errors import StateError, StateLocked
from reconciler.model.record import Entry, State
from reconciler.model.writes import PutGeneration
from reconciler.state.local import LocalStore
from tests.contracts.state_store import ADDRESS
from tests.fakes.stores import acquire

# Made at f08c74d: a fleet with a history, open intents, foreign agents, a released one, and odd keys and texts.
FORMAT_1 = Path(__file__).with_name("format1")
EXPECTED = orjson.loads((FORMAT_1 / "expected.json").read_bytes())
for _record in EXPECTED["records"]:
    _record |= {"stops": [], "stopped_agent": ""}  # fields that came later


@pytest.fixture
def path(tmp_path: Path) -> Path:
    directory = tmp_path / ".reconciler"
    directory.mkdir(mode=0o700)
    for name in ("default.state", "secret.key"):
        shutil.copy(FORMAT_1 / name, directory / name)
        (directory / name).chmod(0o600)
    return directory / "default.state"


def parts(state: State, history: Sequence[Entry]) -> dict[str, Any]:
    """All that is remembered, in the form of the expected parts."""
    assert state.pins is not None
    found = {
        "lineage": state.lineage,
        "serial": state.serial,
        "pins": asdict(state.pins),
        "applying": state.applying,
        "secret_key": state.secret_key.decode(),
        "records": [asdict(state.records[each]) for each in sorted(state.records)],
        "intents": [asdict(each) for each in state.intents],
        "generations": {str(each): number for each, number in state.generations.items()},
        "foreign": [asdict(state.foreign[each]) for each in sorted(state.foreign)],
        "released": sorted(state.released),
        "history": [asdict(each) for each in history],
    }
    tree: dict[str, Any] = orjson.loads(orjson.dumps(found))
    return tree


def read(path: Path) -> dict[str, Any]:
    with closing(LocalStore(path)) as store:
        return parts(store.read(), store.history(None, 1_000))


def format_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("select value from meta where key = 'format'").fetchone()[0])


def convert(path: Path) -> str:
    with closing(LocalStore(path)) as store:
        return acquire(store, "a test", 0)


def test_it_is_read_as_it_was_and_reading_writes_nothing(path: Path) -> None:
    before = path.read_bytes()
    assert read(path) == EXPECTED
    assert path.read_bytes() == before
    assert format_of(path) == "1"
    assert not list(path.parent.glob("*.bak*"))


def test_the_first_lock_converts_it_and_keeps_what_was(path: Path) -> None:
    before = path.read_bytes()
    said = convert(path)
    assert "converted to format 2" in said
    assert "default.state.v1.bak" in said
    assert (format_of(path), read(path)) == ("2", EXPECTED)
    backup = path.with_name("default.state.v1.bak")
    assert backup.read_bytes() == before
    assert backup.stat().st_mode & 0o077 == 0
    assert convert(path) == ""


def test_the_copy_is_a_state_that_can_be_put_back(path: Path) -> None:
    convert(path)
    for each in path.parent.glob("default.state*"):
        if not each.name.endswith(".bak"):
            each.unlink()
    path.with_name("default.state.v1.bak").rename(path)
    assert read(path) == EXPECTED
    assert "converted" in convert(path)


def test_what_is_only_in_the_log_beside_it_is_converted_too(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("update meta set value = '22' where key = 'serial'")
        other.commit()
        assert path.with_name("default.state-wal").stat().st_size
        convert(path)
        assert read(path)["serial"] == 22
    with closing(sqlite3.connect(path.with_name("default.state.v1.bak"))) as copy:
        assert copy.execute("select value from meta where key = 'serial'").fetchone() == ("22",)


def test_a_reader_that_is_at_work_meanwhile_reads_the_one_or_the_other(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("begin")
        assert reader.execute("select count(*) from blobs").fetchone() != (0,)
        convert(path)
        assert reader.execute("select value from meta where key = 'format'").fetchone() == ("1",)
    assert read(path) == EXPECTED


@pytest.mark.parametrize(
    "edit",
    [
        "update records set row = x'00'",
        "delete from blobs",
        "create table more (a)",
        "update meta set value = '2' where key = 'format'",
        "insert or replace into meta values ('pins', '7')",
        "update history set at = 1e300",
    ],
)
def test_a_damaged_one_is_refused_and_stays_as_it_is(path: Path, edit: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(edit)
        connection.commit()
        connection.execute("pragma wal_checkpoint(truncate)")
    before = path.read_bytes()
    with pytest.raises(StateError, match="damaged"):
        convert(path)
    assert path.read_bytes() == before


def test_who_holds_it_is_not_converted_from(path: Path) -> None:
    with closing(LocalStore(path)) as store:
        store.lease.take("somebody else")
        with pytest.raises(StateLocked, match="somebody else"):
            convert(path)
    assert format_of(path) == "1"


# Ends the process, as SIGKILL does, at the N-th statement, file operation or page of work of the conversion.
_KILLED = """
import os, sqlite3, sys
from pathlib import Path
from reconciler.state import database
from reconciler.state.local import LocalStore
left = int(sys.argv[2])
def step(*_):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
for name in ("replace", "fsync", "open"):
    def watched(*args, _call=getattr(os, name), **more):
        step()
        return _call(*args, **more)
    setattr(os, name, watched)
connect = sqlite3.connect
def connected(*args, **more):
    connection = connect(*args, **more)
    connection.set_trace_callback(step)
    return connection
sqlite3.connect = connected
store = LocalStore(Path(sys.argv[1]))
store.take("the killed one")
store.create_key()
store.prepare()
"""


def test_killed_at_any_step_it_is_the_one_or_the_other_and_the_next_lock_converts_it(
    path: Path, tmp_path: Path
) -> None:
    formats: list[str] = []
    for step in range(1_000):
        directory = tmp_path / f"{step}" / ".reconciler"
        shutil.copytree(path.parent, directory)
        victim = directory / path.name
        killed = subprocess.run(
            [sys.executable, "-c", _KILLED, str(victim), str(step)], env=os.environ, check=False
        )
        formats.append(format_of(victim))
        assert read(victim) == EXPECTED
        convert(victim)
        assert (format_of(victim), read(victim)) == ("2", EXPECTED)
        with closing(LocalStore(victim)) as store:
            acquire(store, "a test", 0)
            store.commit([PutGeneration(ADDRESS, 9)], expected=store.read().serial)
        shutil.rmtree(directory)
        if killed.returncode == 0:
            break
    assert set(formats) == {"1", "2"}
    assert len(formats) > 40
