"""The files of a standing fleet are read when they have changed, and not while they are being written."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output
from reconciler.cli.watched_files import WatchedFiles
from reconciler.errors import InvalidConfig
from reconciler.model.fleet import DesiredFleet
from tests.fakes.fleets import TWO_AGENTS

MORE = TWO_AGENTS.replace("{name: door}", "{name: door}, {name: bell}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "fleet.yaml").write_text(f"fleet: desk\n{TWO_AGENTS}", encoding="utf-8")
    return tmp_path


def looks(files: WatchedFiles, count: int = 1) -> list[DesiredFleet | None]:
    return [asyncio.run(files.read()) for _ in range(count)]


def test_what_is_unchanged_is_not_read_and_a_change_once(home: Path) -> None:
    files = WatchedFiles(FleetFlags(str(home)), Output())
    assert looks(files, 3) == [None, None, None]
    (home / "fleet.yaml").write_text(f"fleet: desk\n{MORE}", encoding="utf-8")
    (home / ".reconciler").mkdir()
    (home / ".reconciler" / "default.state").write_text("not a file of the fleet", encoding="utf-8")
    first, second, third = looks(files, 3)
    assert (first, third) == (None, None)
    assert second is not None
    assert len(second.agents) == 3


def test_what_is_being_written_is_not_read(home: Path) -> None:
    files = WatchedFiles(FleetFlags(str(home)), Output())
    for length in (5, 20, 40):
        (home / "fleet.yaml").write_text(f"fleet: desk\n{MORE}"[:length], encoding="utf-8")
        assert looks(files) == [None], "half of a file is no wish, and no mistake either"
    (home / "fleet.yaml").write_text(f"fleet: desk\n{MORE}", encoding="utf-8")
    (found,) = [each for each in looks(files, 3) if each is not None]
    assert len(found.agents) == 3


def test_files_that_are_wrong_or_gone_are_said_once(home: Path) -> None:
    files = WatchedFiles(FleetFlags(str(home)), Output())
    (home / "fleet.yaml").write_text("fleet: [", encoding="utf-8")
    assert looks(files) == [None]
    with pytest.raises(InvalidConfig):
        looks(files)
    assert looks(files, 2) == [None, None]
    shutil.rmtree(home)
    assert looks(files) == [None]
    with pytest.raises(InvalidConfig):
        looks(files)
