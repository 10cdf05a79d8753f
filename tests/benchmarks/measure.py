"""Measuring in pairs: our work and its floor in turns, medians of both, and of their ratios.

CPU-bound work is measured in CPU seconds of a process of its own, which other jobs on the machine disturb least;
what waits for sockets or disks is measured by the clock.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]


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
        median(each[0] for each in pairs), median(each[1] for each in pairs), median(a / b for a, b in pairs)
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


def command_seconds(*command: str) -> float:
    """The time of a whole process, with its start and its end. It must succeed."""
    return clock_seconds(
        lambda: subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=_environment())
    )


def command_cpu(*command: str) -> tuple[float, int]:
    """The CPU time of a whole process, and how many bytes it printed. It must succeed."""
    began = os.times()
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=_environment())
    ended = os.times()
    seconds = ended.children_user + ended.children_system - began.children_user - began.children_system
    return seconds, len(done.stdout)


def in_child(task: str, *arguments: object) -> dict[str, Any]:
    """What a task of `child` tells, run in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.child", task, *map(str, arguments)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=_environment()
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _environment() -> dict[str, str]:
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
