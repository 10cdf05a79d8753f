"""A slice of the campaign for every test run: enough to notice that something has broken, not to prove anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from . import campaign, disk, logs, mutants
from .checks import CHECKS
from .days import Shape
from .scenarios import SCENARIOS, crash_points, crashed

ROOT = Path(__file__).parents[2]


def test_what_failed_once_holds() -> None:
    assert campaign.regressions().failures == []


def test_random_lives() -> None:
    assert campaign.lives(0, 60).failures == []


def test_short_lives() -> None:
    assert campaign.seeds(0, 60).failures == []


def test_fleets_of_59_to_71_hours() -> None:
    assert campaign.ages(0, 2).failures == []


def test_half_a_day_of_controllers() -> None:
    assert campaign.days(0, Shape(days=0.5, agents=16)).failures == []


def test_every_row_of_the_fault_matrix() -> None:
    assert campaign.all_rows().failures == []


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_crash_points(scenario: object) -> None:
    for crash in list(crash_points(scenario))[::7]:  # type: ignore[arg-type]  # ids are for people
        crashed(scenario, (crash,))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [name for name in CHECKS if name not in ("controllers", "disk", "log")])
def test_directed_checks(name: str) -> None:
    assert CHECKS[name]() is None


def test_the_disk_may_crash_anywhere() -> None:
    assert list(disk.crashes(commits=3, subsets=2)) == []


def test_every_operation_of_the_disk_may_fail() -> None:
    assert list(disk.failures(commits=2)) == []


def test_one_seed_has_one_history_whatever_the_hash_seed() -> None:
    command = [sys.executable, "-m", "tests.simulation", "seed", "11"]
    told = {
        subprocess.run(
            command,
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(told) == 1


def test_planted_bugs_are_still_in_their_places() -> None:
    """Every snippet is found; whether each bug is caught is the campaign's business."""
    for mutant in mutants.MUTANTS:
        by_module: dict[str, list[mutants.Edit]] = {}
        for edit in mutant.edits:
            by_module.setdefault(edit.module, []).append(edit)
        for module, edits in by_module.items():
            source = (ROOT / (module.replace(".", "/") + ".py")).read_text()
            assert mutants.rewritten(source, edits) != source, mutant.key


def test_the_log_holds_whatever_befalls_its_drawer() -> None:
    problems, seen = logs.lived(0, 60)
    assert problems == []
    assert {name: seen[name] for name in (*logs.FATES, *logs.PATHS) if seen[name] < 10} == {}


@pytest.mark.parametrize("key", ["B7", "B29", "L1", "L2", "L3", "L4", "C3"])
def test_a_planted_bug_is_caught(key: str) -> None:
    assert campaign.planted(key).done["planted bugs caught"] == 1
