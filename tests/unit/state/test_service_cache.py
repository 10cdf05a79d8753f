"""What is remembered of a service from run to run: kept whole, for its owner alone, and never in the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.model.record import Foreign
from reconciler.observe import ForeignMemory
from reconciler.ports import Pace
from reconciler.state.service_cache import ServiceCache

HOST, APP = "api.example.com", "0" * 32
MEMORY = ForeignMemory(
    {
        "A1": (Foreign("A1", "somebody's", "lobby"), 1_790_000_000.0),
        "A2": (Foreign("A2", "ünïcödé", None), 5.5),
    },
    frozenset({"lobby", "bar"}),
)


def cache(directory: Path, app: str = APP) -> ServiceCache:
    return ServiceCache(directory, HOST, app)


def filled(directory: Path) -> Path:
    kept = cache(directory)
    kept.pace, kept.memory = Pace(123.5, 200.0), MEMORY
    kept.save()
    (path,) = directory.iterdir()
    return path


def test_the_next_run_knows_what_this_one_learned(tmp_path: Path) -> None:
    path = filled(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    again = cache(tmp_path)
    assert (again.pace, again.memory) == (Pace(123.5, 200.0), MEMORY)


def test_another_app_id_knows_nothing_of_it(tmp_path: Path) -> None:
    filled(tmp_path)
    other = cache(tmp_path, "1" * 32)
    assert (other.pace, other.memory) == (None, ForeignMemory())


def test_nothing_is_written_when_nothing_was_learned(tmp_path: Path) -> None:
    cache(tmp_path / "none").save()
    assert not (tmp_path / "none").exists()
    path = filled(tmp_path)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    cache(tmp_path).save()
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_a_pace_alone_makes_no_directory(tmp_path: Path) -> None:
    kept = cache(tmp_path / "none")
    kept.pace, kept.memory = Pace(60.0), ForeignMemory({}, frozenset({"lobby"}))
    kept.save()
    assert not (tmp_path / "none").exists()
    kept.memory = MEMORY
    kept.save()
    assert cache(tmp_path / "none").pace == Pace(60.0)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"agents": [["A1"]]},
        {"agents": [["A1", "x", None, "soon"]]},
        {"searched": None},
        {"pace": [None, None]},
        {"pace": ["fast", 3]},
        {"pace": [1.0]},
    ],
)
def test_a_cache_that_makes_no_sense_is_none(tmp_path: Path, change: dict[str, Any]) -> None:
    path = filled(tmp_path)
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), **change}))
    again = cache(tmp_path)
    assert again.pace is None or again.memory.agents == MEMORY.agents
    again.pace, again.memory = Pace(1.0), MEMORY
    again.save()
    assert cache(tmp_path).memory == MEMORY


@given(data=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_are_a_crash(tmp_path: Path, data: bytes) -> None:
    path = filled(tmp_path)
    path.write_bytes(data)
    cache(tmp_path)


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    kept = cache(blocked)
    kept.memory = MEMORY
    kept.save()
    assert blocked.read_text() == "in the way"


def test_no_link_is_followed(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    path = filled(directory)
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    again = cache(directory)
    assert again.memory == ForeignMemory()
    before = elsewhere.read_bytes()
    again.pace = Pace(7.0)
    again.save()
    assert elsewhere.read_bytes() == before
    assert not path.is_symlink()
