"""The benchmarks run, and their table has every row. No time is ever asserted here: machines are noisy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.benchmarks.goals import GOALS
from tests.benchmarks.measure import ROOT

CHEAP = ("calls", "calm", "diff", "for-each", "size", "watch")


def test_the_table_has_every_row(tmp_path: Path) -> None:
    out = tmp_path / "results.md"
    chosen = [word for name in CHEAP for word in ("--only", name)]
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks",
        "--quick",
        "--agents",
        "50",
        *chosen,
        "--out",
        str(out),
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    rows = [
        line.split(" | ") for line in out.read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    ]
    for goal in GOALS:
        assert any(row[0].removeprefix("| ").startswith(goal.work) for row in rows), goal.key
    assert {len(row) for row in rows} == {7}
    measured = [row for row in rows if "not measured" not in row[-1]]
    assert len(measured) > len(CHEAP)
