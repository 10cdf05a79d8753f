"""The README's first minute: its second step changes something, and the plan shows it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .harness import EXAMPLES, blocks, copied, environment

README = EXAMPLES.parent / "README.md"


def test_the_first_minute(tmp_path: Path) -> None:
    copied("hotel-chain", tmp_path / "examples" / "hotel-chain")
    first, second, tests = blocks(README, "sh")
    assert "pip install" in first and "pytest" in tests
    start = " && ".join(first.split(" && ")[2:]).replace(".venv/bin/", "")
    path, *lines = second.splitlines()
    assert path.startswith("PATH=")
    said = []
    for line in [start, *lines]:
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (line, done.stderr)
        said.append(done.stdout)
    applied, edited, planned, again, status = said
    assert "12 joined" in applied
    assert edited == ""
    assert "12 to update, 0 to replace" in planned
    assert "Offer a glass of water." in planned
    assert "12 updated" in again
    assert "12 in sync" in status


def test_every_shell_line_is_bash() -> None:
    bash = shutil.which("bash")
    assert bash is not None
    for block in [*blocks(README, "sh"), *blocks(README, "console")]:
        assert subprocess.run([bash, "-n", "-c", block], capture_output=True, check=False).returncode == 0
