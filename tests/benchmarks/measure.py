"""Measuring in pairs: our work and its floor in turns, medians of both, and of their ratios.

CPU-bound work is measured in CPU seconds of a process of its own, which other jobs on the machine disturb least;
what waits for sockets or disks is measured by the clock. What is short is counted in instructions, which are the same
on a busy machine, where valgrind is installed.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[2]
# Whether instructions can be counted here.
COUNTS = shutil.which("valgrind") is not None


@dataclass(frozen=True, slots=True)
class Pair:
    """Medians of work and floor in seconds, and of the ratios of the single turns."""

    work: float
    floor: float
    ratio: float


def in_turns(work: Callable[[], float], floor: Callable[[], float], turns: int) -> Pair:
    """Run both in turns; each gives the seconds that it took."""
    pairs = [(work(), floor()) for _ in range(turns)]
    return Pair(
        median(each[0] for each in pairs),
        median(each[1] for each in pairs),
        median(a / max(b, 1e-6) for a, b in pairs),
    )


def cpu_time() -> float:
    """The CPU time of this process so far, its ended children included: templates run in one."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def cpu_seconds(action: Callable[[], object]) -> float:
    """The CPU time of an action in this process, without the collector of garbage."""
    gc.collect()
    gc.disable()
    try:
        began = cpu_time()
        action()
        return cpu_time() - began
    finally:
        gc.enable()


def clock_seconds(action: Callable[[], object]) -> float:
    """The time that passed during an action."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class Used:
    """What a whole process and its children used: CPU seconds, the peak of the largest in bytes, bytes printed."""

    cpu: float
    peak: int
    printed: int


# Runs a command from a small process, since a child's peak counts what its parent had when it began.
_SMALL_PARENT = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([done.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss, len(done.stdout)]))
"""


def command_use(*command: str) -> Used:
    """What a whole command used. It must succeed."""
    parent = [sys.executable, "-I", "-S", "-c", _SMALL_PARENT, *command]
    done = subprocess.run(parent, check=True, stdout=subprocess.PIPE, cwd=ROOT, env=environment())
    code, cpu, peak, printed = json.loads(done.stdout)
    assert code == 0, command
    return Used(cpu, peak * (1 if sys.platform == "darwin" else 1024), printed)


def start_cost(*command: str) -> float:
    """What a short command costs, in instructions, its children included; in CPU seconds without valgrind."""
    if not COUNTS:
        return command_use(*command).cpu
    variables = {**environment(), "PYTHONHASHSEED": "0"}
    with TemporaryDirectory() as parts:
        counting = ("valgrind", "--tool=callgrind", "--trace-children=yes", "--dump-before=fork")
        out = f"--callgrind-out-file={parts}/%p"
        done = subprocess.run(
            [*counting, out, *command], check=True, capture_output=True, cwd=ROOT, env=variables
        )
        whole = sum(int(each) for each in re.findall(rb"Collected : (\d+)", done.stderr))
        # A child's count begins with its parent's until the fork, which is in it twice then.
        until_fork = list(accumulate(map(_counted, sorted(Path(parts).glob("*.*")))))
        return float(whole - sum(until_fork))


def _counted(part: Path) -> int:
    with part.open(encoding="utf-8", errors="replace") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("summary:"))


def start_text(cost: float) -> str:
    """A cost of `start_cost` for people."""
    return f"{cost / 1e6:,.0f} M instructions" if cost > 1e6 else f"{cost * 1000:.0f} ms"


def in_child(task: str, *arguments: object) -> dict[str, Any]:
    """What a task of `child` tells, run in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.child", task, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment())
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def environment() -> dict[str, str]:
    """Ours, where bytecode may be kept: an installed package has its own."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def peak_bytes() -> int:
    """The most memory that this process has had. Not `ru_maxrss`: that remembers the parent of a fresh process."""
    try:
        [line] = [
            each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM:")
        ]
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def interpreter(*imports: str) -> Sequence[str]:
    """The command that only imports something."""
    return (sys.executable, "-c", f"import {', '.join(imports)}")


def ours() -> str:
    """The installed command, beside this interpreter."""
    return str(Path(sys.executable).parent / ("reconciler.exe" if os.name == "nt" else "reconciler"))
