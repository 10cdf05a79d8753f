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
from .reach import Reach, learn

ROOT = Path(__file__).parents[2]
VERDICTS = Path(__file__).with_name("verdicts.yaml")
# A share that leaves room for mutants that change nothing (an equal bound, a wait that is longer).
GOAL = 0.85
# A mutant that takes so many seconds of the processor has been noticed: something never ends. Those on the clock are for one
# that sleeps; a busy machine must not count as a test.
SECONDS = {"quick tests": 400, "simulation": 200, "slow tests": 900}
_ASLEEP = 3600
SIMULATION = ["-m", "tests.mutation.simulate"]
# pytest's exit code for a test that is not there, among others: what was learned is of other tests.
_NO_SUCH_TEST = 4


@dataclass(frozen=True, slots=True)
class Judged:
    """Who noticed a mutant (`by` is empty where nobody did), after how many seconds."""

    mutant: Mutant
    by: str
    seconds: float


def main() -> int:
    """Judge a sample; 0 when at least the goal's share of it was noticed."""
    arguments = _parser().parse_args()
    if arguments.learn is not None:
        return learn(arguments.learn)
    reach = Reach(*arguments.reach) if arguments.reach else None
    verdicts = read_verdicts()
    every = [mutant for path in _modules(arguments.only) for mutant in _of(path)]
    chosen = random.Random(arguments.seed).sample(every, min(arguments.sample, len(every)))
    if arguments.survivors:
        chosen = [each for each in every if each.key in verdicts]
    print(f"{len(chosen)} of {len(every):,} mutants of {', '.join(arguments.only or ROOMS)}", flush=True)
    if _exit_code(SIMULATION, {**os.environ, "PYTHONPATH": str(ROOT)}, SECONDS["simulation"]):
        print("The simulation fails without a mutant, and would notice every one: mend it first.")
        return 1
    ends = time.monotonic() + 60 * arguments.minutes if arguments.minutes else None
    found: list[Judged] = []
    with ThreadPoolExecutor(arguments.workers) as pool:
        for judgement in pool.map(lambda each: judged(each, ends, reach, quick=arguments.quick), chosen):
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
    parser.add_argument("--learn", type=Path, metavar="FILE", help="only learn which tests run which lines")
    parser.add_argument(
        "--reach", type=Path, nargs="+", metavar="FILE", help="what was learned: much quicker"
    )
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


def judged(
    mutant: Mutant, ends: float | None, reach: Reach | None = None, *, quick: bool = False
) -> Judged | None:
    """Give a mutant to the quickest tests, to the simulation, and to the other tests of its room, until one notices it.

    Of the quickest tests only those that run its line, where that is known. None where the time is up.
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
        path = _path(mutant.module)
        reached = Path(directory) / "tests"
        reached.write_text("\n".join(reach.tests(path, mutant.line) if reach else ()), encoding="utf-8")
        noticed = _noticed_by(environment, path, reached, quick=quick)
    return Judged(mutant, noticed, time.monotonic() - started)


def _noticed_by(environment: dict[str, str], path: Path, reached: Path, *, quick: bool) -> str:
    """The first way that notices the planted mutant of a module; empty where none does.

    `reached` lists the quick tests that run the mutant's line; where it lists none, all of the module are run.
    """
    quick_tests, slow_tests = guards_of(path)
    pytest = ["-m", "pytest", "-x", "-q", "-p", "no:xdist", "--timeout", "600"]
    ways = [("quick tests", [*pytest, *quick_tests]), ("simulation", SIMULATION)]
    if not quick:
        ways.append(("slow tests", [*pytest, *slow_tests]))
    if reached.stat().st_size:
        code = _exit_code([*pytest, f"@{reached}"], environment, SECONDS["quick tests"])
        if code not in (0, _NO_SUCH_TEST):
            return "quick tests"
        if code == 0:
            del ways[0]
    return next((name for name, words in ways if _exit_code(words, environment, SECONDS[name])), "")


def _path(module: str) -> Path:
    """The path of a module below the package; a package's is its folder."""
    path = ROOT.joinpath(*module.split("."))
    return (path if path.is_dir() else path.with_suffix(".py")).relative_to(ROOT / "reconciler")


def _exit_code(words: list[str], environment: dict[str, str], seconds: int) -> int:
    """What a process of Python ends with, which may use so many seconds of the processor; -1 where it does not end."""
    limited = ["sh", "-c", f'ulimit -t {seconds}; exec "$@"', "sh", sys.executable, *words]
    try:
        done = subprocess.run(
            limited, cwd=ROOT, env=environment, capture_output=True, timeout=_ASLEEP, check=False
        )
    except subprocess.TimeoutExpired:
        return -1
    return done.returncode


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
