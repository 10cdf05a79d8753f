"""`python -m tests.quick_score`: plant the bugs of `bugs.yaml` one after the other, and run the quick tests on each.

A bug is planted in a copy of the tree. Prints which were noticed, by which test, and the score; exit 1 below eight.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
BUGS = Path(__file__).with_name("bugs.yaml")
ENOUGH = 8
QUICK = ("-m", "pytest", "-m", "quick", "-q", "-n", "2", "--no-header", "--tb=no")


@dataclass(frozen=True, slots=True)
class Bug:
    """One planted bug: `line` occurs once in the modules of `room`, and is replaced."""

    name: str
    why: str
    room: str
    line: str
    becomes: str

    def plant(self, tree: Path) -> Path:
        """Write the bug into a copy of the tree; the changed file. ValueError where its line is not found once."""
        found = [
            each
            for each in sorted((tree / "reconciler" / self.room).rglob("*.py"))
            for _ in range(each.read_text(encoding="utf-8").count(self.line))
        ]
        if len(found) != 1:
            raise ValueError(f"{self.name}: its line occurs {len(found)} times below reconciler/{self.room}")
        text = found[0].read_text(encoding="utf-8")
        found[0].write_text(text.replace(self.line, self.becomes), encoding="utf-8")
        return found[0]


def bugs() -> list[Bug]:
    """The bugs of the list, in its order."""
    return [Bug(**each) for each in yaml.safe_load(BUGS.read_text(encoding="utf-8"))]


def copied(target: Path) -> Path:
    """A copy of the working tree: what git tracks or would track."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"],
        check=True,
        capture_output=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if source.is_file() or source.is_symlink():  # links of the bad fleets stay links, broken ones too
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)
    return target


def quick(tree: Path, *more: str) -> tuple[bool, str, float]:
    """Whether the quick tests of a tree pass, what they say at the end, and the seconds that they took."""
    variables = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *QUICK, *more], cwd=tree, env=variables, capture_output=True, text=True, check=False
    )
    return done.returncode == 0, done.stdout, time.monotonic() - began


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.quick_score", description=__doc__)
    options.add_argument("--only", metavar="NAME", help="one bug of the list")
    chosen = options.parse_args()
    noticed, planted = 0, 0
    with tempfile.TemporaryDirectory() as made:
        if chosen.only is None:
            is_green, said, took = quick(copied(Path(made) / "clean"))
            print(f"without a bug: {said.strip().splitlines()[-1]} ({took:.0f} s)", flush=True)
            if not is_green:
                print("\n".join(re.findall(r"^(?:FAILED|ERROR) .*", said, re.MULTILINE)))
                return 2
        for bug in bugs():
            if chosen.only not in (None, bug.name):
                continue
            tree = copied(Path(made) / bug.name)
            bug.plant(tree)
            passed, said, took = quick(tree, "-x")
            test = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
            planted += 1
            noticed += not passed
            by = "NOT NOTICED" if passed else f"noticed by {test[1] if test else '?'}"
            print(f"{bug.name}: {by} ({took:.0f} s)", flush=True)
    print(f"{noticed} of {planted} noticed")
    return 0 if noticed >= min(ENOUGH, planted) else 1


if __name__ == "__main__":
    sys.exit(main())
