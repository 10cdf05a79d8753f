"""Which tests run a line of the package, learned once by a run of the quick tests under coverage.

A test that does not run a mutant's line cannot notice it, and one that runs few lines is quick and is about them: those
come first. Processes that a test starts are not seen; tests that start them are among the slow ones.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from functools import cached_property
from pathlib import Path

from coverage import CoverageData

from .guards import QUICK

ROOT = Path(__file__).parents[2]


def learn(path: Path) -> int:
    """Run the quick tests of every module, and write to a file which lines each of them runs; the exit code of pytest."""
    tests = sorted({test for tests in QUICK.values() for test in tests})
    words = ["-q", "-p", "no:xdist", "--cov=reconciler", "--cov-context=test", "--cov-report=", *tests]
    environment = {**os.environ, "COVERAGE_FILE": str(path.resolve())}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=ROOT, env=environment, check=False
    ).returncode


class Reach:
    """What was learned, from one file or several."""

    def __init__(self, *paths: Path) -> None:
        self._learned: list[CoverageData] = []
        for path in paths:
            data = CoverageData(str(path))
            data.read()
            self._learned.append(data)

    def tests(self, module: Path, line: int) -> list[str]:
        """The tests that run a line of a module, by its path below the package; those that run the fewest lines first."""
        found = set(self._by_line(module).get(line, ()))
        return sorted(found, key=lambda each: (self._sizes[each], each))

    def _by_line(self, module: Path) -> dict[int, set[str]]:
        lines: dict[int, set[str]] = {}
        for data in self._learned:
            for name in data.measured_files():
                if name.endswith(f"/reconciler/{module.as_posix()}"):
                    for line, contexts in data.contexts_by_lineno(name).items():
                        lines.setdefault(line, set()).update(each.split("|")[0] for each in contexts if each)
        return lines

    @cached_property
    def _sizes(self) -> Counter[str]:
        """How many lines each test runs."""
        sizes: Counter[str] = Counter()
        for data in self._learned:
            for name in data.measured_files():
                for contexts in data.contexts_by_lineno(name).values():
                    sizes.update(each.split("|")[0] for each in contexts if each)
        return sizes
