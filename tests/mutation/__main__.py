"""`python -m tests.mutation`: mutants by chance, and who notices them. See README.md."""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from .operators import Mutant, mutants_of
from .plant import MODULE, SOURCE

ROOT = Path(__file__).parents[2]
# A share that leaves room for mutants that change nothing (an equal bound, a wait that is longer).
GOAL = 0.85
# A mutant that takes this long has been noticed: something never ends.
SECONDS = 300

_ENGINE = (
    "tests/contracts",
    "tests/scenarios",
    "tests/unit/report",
    "tests/hostile/test_guards.py",
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
class Verdict:
    """Who noticed a mutant (`by` is empty where nobody did), after how many seconds."""

    mutant: Mutant
    by: str
    seconds: float


def main() -> int:
    """Judge a sample; 0 when at least the goal's share of it was noticed."""
    arguments = _parser().parse_args()
    every = [mutant for path in _modules(arguments.only) for mutant in _of(path)]
    chosen = random.Random(arguments.seed).sample(every, min(arguments.count, len(every)))
    print(f"{len(chosen)} of {len(every):,} mutants of {', '.join(arguments.only or TESTS)}", flush=True)
    verdicts: list[Verdict] = []
    with ThreadPoolExecutor(arguments.workers) as pool:
        for verdict in pool.map(judged, chosen):
            verdicts.append(verdict)
            told = f"noticed by {verdict.by}" if verdict.by else "SURVIVED"
            print(f"{verdict.seconds:4.0f} s  {told:28} {verdict.mutant.label}", flush=True)
    text = report(verdicts)
    if arguments.report is not None:
        arguments.report.write_text(text, encoding="utf-8")
    print(text)
    return 0 if sum(bool(each.by) for each in verdicts) >= GOAL * len(verdicts) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="how many mutants, by chance")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--only", nargs="*", choices=[*TESTS], help="rooms")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--report", type=Path)
    return parser


def _modules(only: Sequence[str] | None) -> list[Path]:
    package = ROOT / "reconciler"
    rooms = [package / each for each in only or TESTS]
    return sorted(path for room in rooms for path in (room.rglob("*.py") if room.is_dir() else [room]))


def _of(path: Path) -> list[Mutant]:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return list(mutants_of(module, path.read_text(encoding="utf-8")))


def judged(mutant: Mutant) -> Verdict:
    """Give a mutant to the simulation, and to the tests of its room where that says nothing."""
    started = time.monotonic()
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
        ways = {
            "simulation": ["-m", "tests.mutation.simulate"],
            "tests": ["-m", "pytest", "-x", "-q", "-p", "tests.mutation.plant", *tests],
        }
        noticed = ""
        for name, words in ways.items():
            noticed = noticed or (name if not _passes([sys.executable, *words], environment) else "")
    return Verdict(mutant, noticed, time.monotonic() - started)


def _passes(command: list[str], environment: dict[str, str]) -> bool:
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def report(verdicts: Sequence[Verdict]) -> str:
    """The share that was noticed, by whom, and every mutant that was not: each is read by somebody."""
    by = Counter(each.by for each in verdicts)
    noticed = len(verdicts) - by[""]
    lines = [
        "# Mutants",
        "",
        f"- noticed: {noticed} of {len(verdicts)} ({noticed / max(1, len(verdicts)):.0%}; the goal is {GOAL:.0%})",
        *(f"- by {name}: {count}" for name, count in sorted(by.items()) if name),
        "",
        "## Survivors",
        "",
        *(f"- {each.mutant.label}" for each in verdicts if not each.by),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
