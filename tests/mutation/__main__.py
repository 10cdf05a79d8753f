"""`python -m tests.mutation`: mutants by chance, and who notices them. See README.md."""

from __future__ import annotations

import argparse
import os
import random
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

from .operators import Mutant, mutants_of
from .plant import MODULE, SOURCE

ROOT = Path(__file__).parents[2]
VERDICTS = Path(__file__).with_name("verdicts.yaml")
# A share that leaves room for mutants that change nothing (an equal bound, a wait that is longer).
GOAL = 0.85
# How many of a room's folders and files come before the simulation.
_FIRST = 3
# A mutant that takes this long has been noticed: something never ends.
SECONDS = 900

_ENGINE = (
    "tests/unit/plan",
    "tests/unit/apply",
    "tests/scenarios/test_verbs.py",
    "tests/scenarios/test_callers.py",
    "tests/scenarios/test_foreign_agents.py",
    "tests/contracts",
    "tests/hostile/test_guards.py",
    "tests/scenarios",
    "tests/unit/report",
)
# Room -> the tests that know it, the quick ones first.
TESTS: dict[str, tuple[str, ...]] = {
    "apply": _ENGINE,
    "plan": _ENGINE,
    "workflow": _ENGINE,
    "observe.py": _ENGINE,
    "state": (
        "tests/unit/state",
        "tests/contracts",
        "tests/hostile/test_states.py",
        "tests/numbered/test_state.py",
    ),
    "providers": (
        "tests/unit/providers",
        "tests/contracts",
        "tests/numbered/test_replies.py",
        "tests/scenarios",
    ),
    "driver": (
        "tests/unit/providers/test_http_sender.py",
        "tests/scenarios",
        "tests/hostile/test_interruption.py",
    ),
}


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
    print(f"{len(chosen)} of {len(every):,} mutants of {', '.join(arguments.only or TESTS)}", flush=True)
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
    parser.add_argument("--only", nargs="*", choices=[*TESTS], help="rooms")
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
    rooms = [package / each for each in only or TESTS]
    return sorted(path for room in rooms for path in (room.rglob("*.py") if room.is_dir() else [room]))


def _of(path: Path) -> list[Mutant]:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
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
        source.write_text(mutant.source, encoding="utf-8")
        environment = {
            **os.environ,
            MODULE: mutant.module,
            SOURCE: str(source),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_STATE_HOME": directory,
        }
        room = mutant.module.split(".")[1]
        tests = TESTS.get(room) or TESTS[f"{room}.py"]
        pytest = ["-m", "pytest", "-x", "-q", "-p", "tests.mutation.plant"]
        ways = {
            "quick tests": [*pytest, *tests[:_FIRST]],
            "simulation": ["-m", "tests.mutation.simulate"],
        }
        if not quick:
            ways["slow tests"] = [*pytest, *tests[_FIRST:]]
        noticed = ""
        for name, words in ways.items():
            noticed = noticed or (name if not _passes([sys.executable, *words], environment) else "")
    return Judged(mutant, noticed, time.monotonic() - started)


def _passes(command: list[str], environment: dict[str, str]) -> bool:
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, timeout=SECONDS, check=False
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
