"""`python -m tests.mutation`: mutants by chance, and who notices them. See README.md."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from .guards import ROOMS, guards_of
from .operators import Mutant, mutants_of
from .plant import MODULE, SOURCE

ROOT = Path(__file__).parents[2]
VERDICTS = Path(__file__).with_name("verdicts.yaml")
# A share that leaves room for mutants that change nothing (an equal bound, a wait that is longer).
GOAL = 0.85
# A mutant that takes this long has been noticed: something never ends. Unharmed, the quick tests and the simulation take
# a minute or two each on a busy machine.
SECONDS = {"quick tests": 400, "simulation": 500, "slow tests": 1200}


@dataclass(frozen=True, slots=True)
class Judged:
    """Who noticed a mutant (`by` is empty where nobody did), after how many seconds."""

    mutant: Mutant
    by: str
    seconds: float


def main() -> int:
    """Judge a sample; 0 when at least the goal's share of it was noticed."""
    arguments = _parser().parse_args()
    verdicts = read_verdicts()
    every = [mutant for path in _modules(arguments.only) for mutant in _of(path)]
    chosen = random.Random(arguments.seed).sample(every, min(arguments.sample, len(every)))
    if arguments.survivors:
        chosen = [each for each in every if each.key in verdicts]
    print(f"{len(chosen)} of {len(every):,} mutants of {', '.join(arguments.only or ROOMS)}", flush=True)
    ends = time.monotonic() + 60 * arguments.minutes if arguments.minutes else None
    found: list[Judged] = []
    with ThreadPoolExecutor(arguments.workers) as pool:
        for judgement in pool.map(lambda each: judged(each, ends, quick=arguments.quick), chosen):
            if judgement is None:
                continue  # the time was up
            found.append(judgement)
            told = f"noticed by {judgement.by}" if judgement.by else "SURVIVED"
            print(f"{judgement.seconds:4.0f} s  {told:22} {judgement.mutant.key}", flush=True)
    text = report(found, verdicts)
    if arguments.report is not None:
        arguments.report.write_text(text, encoding="utf-8")
    print(text)
    return 0 if sum(bool(each.by) for each in found) >= GOAL * len(found) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=100, help="how many mutants, by chance")
    parser.add_argument("--minutes", type=float, help="begin no other one after this time")
    parser.add_argument("--quick", action="store_true", help="without the slow tests")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--only", nargs="*", choices=ROOMS, help="rooms")
    parser.add_argument("--survivors", action="store_true", help="those of verdicts.yaml instead of a sample")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--report", type=Path)
    return parser


def read_verdicts() -> dict[str, str]:
    """What somebody has found out about mutants that survived, by the mutant's key."""
    rows = yaml.safe_load(VERDICTS.read_text(encoding="utf-8")) or []
    return {each["mutant"]: each["verdict"] for each in rows}


def _modules(only: Sequence[str] | None) -> list[Path]:
    package = ROOT / "reconciler"
    rooms = [package / each for each in only or ROOMS]
    return sorted(path for room in rooms for path in (room.rglob("*.py") if room.is_dir() else [room]))


def _of(path: Path) -> list[Mutant]:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return list(mutants_of(module, path.read_text(encoding="utf-8")))


def judged(mutant: Mutant, ends: float | None, *, quick: bool = False) -> Judged | None:
    """Give a mutant to the quickest tests, to the simulation, and to the other tests of its room, until one notices it.

    None where the time is up.
    """
    started = time.monotonic()
    if ends is not None and started > ends:
        return None
    with TemporaryDirectory() as directory:
        source = Path(directory) / "mutant.py"
        source.write_text(mutant.source(), encoding="utf-8")
        # Every process that a test starts plants the mutant as it begins.
        shutil.copy(Path(__file__).with_name("plant.py"), Path(directory) / "sitecustomize.py")
        environment = {
            **os.environ,
            MODULE: mutant.module,
            SOURCE: str(source),
            "PYTHONPATH": os.pathsep.join([directory, str(ROOT)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_STATE_HOME": directory,
        }
        quick_tests, slow_tests = guards_of(_path(mutant.module))
        pytest = ["-m", "pytest", "-x", "-q", "-p", "no:xdist"]
        ways = {
            "quick tests": [*pytest, *quick_tests],
            "simulation": ["-m", "tests.mutation.simulate"],
        }
        if not quick:
            ways["slow tests"] = [*pytest, *slow_tests]
        noticed = ""
        for name, words in ways.items():
            if not noticed and not _passes([sys.executable, *words], environment, SECONDS[name]):
                noticed = name
    return Judged(mutant, noticed, time.monotonic() - started)


def _path(module: str) -> Path:
    """The path of a module below the package; a package's is its folder."""
    path = ROOT.joinpath(*module.split("."))
    return (path if path.is_dir() else path.with_suffix(".py")).relative_to(ROOT / "reconciler")


def _passes(command: list[str], environment: dict[str, str], seconds: float) -> bool:
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def report(found: Sequence[Judged], verdicts: Mapping[str, str]) -> str:
    """The share that was noticed, by whom, and every mutant that was not, with what somebody has found out about it."""
    by = Counter(each.by for each in found)
    noticed = len(found) - by[""]
    survivors = [each.mutant for each in found if not each.by]
    lines = [
        "# Mutants",
        "",
        f"- noticed: {noticed} of {len(found)} ({noticed / max(1, len(found)):.0%}; the goal is {GOAL:.0%})",
        *(f"- by {name}: {count}" for name, count in sorted(by.items()) if name),
        "",
        "## Survivors",
        "",
        *(f"- {each.key} (line {each.line}): {verdicts.get(each.key, 'NOT READ YET')}" for each in survivors),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
