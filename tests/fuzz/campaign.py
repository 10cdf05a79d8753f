"""The campaign: numbers in worker processes, watched from outside, added up into one report.

An input that kills its process, or never ends, is known by its number, which stands in shared memory before the
input is tried. Nothing here knows what a target does.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from .arguments import CommandLines
from .files import YamlFiles
from .plans import PlanFiles
from .replies import Replies
from .states import StateFiles
from .target import ROOT, Outcome, Target, chance_of, skeleton
from .templates import Templates

TARGETS: Mapping[str, type[Target]] = {
    "yaml": YamlFiles,
    "jinja": Templates,
    "plan": PlanFiles,
    "state": StateFiles,
    "replies": Replies,
    "argv": CommandLines,
}
REGRESSIONS = Path(__file__).with_name("regressions.txt")
MOST_SECONDS = 6.0
MOST_MEMORY = 700  # MiB
# Where the kernel refuses: a bomb must not take the machine along before it is noticed.
_ADDRESS_SPACE = 3 * 1024**3
# A piece that stands at one number for so long is killed; slower than the limit is told by the piece itself.
PATIENCE = 4 * MOST_SECONDS
_CONTEXT = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Failure:
    """One way of failing of one target. Two inputs that fail so count as one failure, found twice."""

    target: str
    number: int
    problem: str

    def __str__(self) -> str:
        words = f"{self.target} {self.number}"
        return f"{words}: {self.problem}\n    replay: python -m tests.fuzz one {words}"


@dataclass(slots=True)
class Tally:
    """What came of some inputs, by target."""

    inputs: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    deep: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    # target -> the most, and the number that took it: seconds, and MiB.
    slowest: dict[str, tuple[float, int]] = field(default_factory=dict)
    largest: dict[str, tuple[float, int]] = field(default_factory=dict)
    failures: dict[tuple[str, str], Failure] = field(default_factory=dict)
    repeated: Counter[tuple[str, str]] = field(default_factory=Counter)

    def took(self, target: str, outcome: Outcome) -> None:
        self.accepted[target] += not outcome.reasons
        self.deep[target] += outcome.deep
        self.reasons[target].update(outcome.reasons)

    def failed(self, failure: Failure, kind: str) -> None:
        key = failure.target, kind
        self.failures.setdefault(key, failure)
        self.repeated[key] += 1

    def add(self, other: Tally) -> list[Failure]:
        """Add another tally to this one; the failures that are new."""
        new = [each for key, each in other.failures.items() if key not in self.failures]
        self.inputs += other.inputs
        self.accepted += other.accepted
        self.deep += other.deep
        self.repeated += other.repeated
        self.failures = other.failures | self.failures
        for target, found in other.reasons.items():
            self.reasons[target] += found
        for mine, theirs in ((self.slowest, other.slowest), (self.largest, other.largest)):
            for target, most in theirs.items():
                mine[target] = max(mine.get(target, most), most)
        return new


# --- one process --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """Numbers of one target, tried one after the other in a process of their own."""

    target: str
    numbers: Sequence[int]


def attempt(target: Target, name: str, number: int, tally: Tally) -> None:
    """Try one number, and note what came of it."""
    tally.inputs[name] += 1
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        began = time.monotonic()
        try:
            tally.took(name, target.check(target.make(chance_of(name, number))))
        except Exception as problem:
            tally.failed(Failure(name, number, _told(problem)), _kind(problem))
        seconds = time.monotonic() - began
    memory = peak_memory()
    tally.slowest[name] = max(tally.slowest.get(name, (0.0, 0)), (seconds, number))
    if memory > tally.largest.get(name, (0.0, 0))[0]:
        tally.largest[name] = memory, number
    if seconds > MOST_SECONDS:
        tally.failed(Failure(name, number, f"takes {seconds:.1f} s"), "slow")
    if memory > MOST_MEMORY:
        tally.failed(Failure(name, number, f"takes {memory:,.0f} MiB"), "large")
    for each in warned:
        tally.failed(Failure(name, number, f"{each.category.__name__}: {each.message}"), str(each.category))


def _told(problem: Exception) -> str:
    words = " ".join(str(problem).split())
    words = words if len(words) <= 400 else f"{words[:150]} … {words[-250:]}"
    return f"{type(problem).__name__}: {words} ({_place(problem)})"


def _kind(problem: Exception) -> str:
    """What tells failures apart: the place, and what another process told of its own."""
    *before, last = str(problem).strip().splitlines() or [""]
    return f"{type(problem).__name__} {_place(problem)} {skeleton(last) if before else ''}"


def _place(problem: Exception) -> str:
    """The last line of ours that was on the way to the problem: the product's, if it was there."""
    frames = traceback.extract_tb(problem.__traceback__)
    ours = [each for each in frames if f"{os.sep}reconciler{os.sep}" in each.filename] or frames
    path = Path(ours[-1].filename)
    return f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name}:{ours[-1].lineno}"


def peak_memory() -> float:
    """The most that this process, or a child of it, has had at one time, MiB."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) / unit


@contextmanager
def clean_home(home: Path) -> Iterator[None]:
    """A new directory as home and working directory, and nothing of whoever runs this in the environment."""
    home.mkdir(parents=True)
    for name in list(os.environ):
        if name.startswith(("AGORA_", "GITHUB_")) or name in ("CI", "NO_COLOR", "COLUMNS"):
            del os.environ[name]
    os.environ |= {"HOME": str(home), "XDG_STATE_HOME": str(home / "seen")}
    before = Path.cwd()
    os.chdir(home)
    try:
        yield
    finally:
        os.chdir(before)


def _work(piece: Piece, home: Path, current: Synchronized[int], answer: Connection) -> None:
    """The numbers of a piece, up to one that takes so much memory that its process cannot be told from it."""
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tally, done = Tally(), 0
    with clean_home(home):
        target = TARGETS[piece.target](home / "target")
        for number in piece.numbers:
            current.value = number
            attempt(target, piece.target, number, tally)
            done += 1
            if peak_memory() > MOST_MEMORY:
                break
    answer.send((tally, done))


class _Worker:
    """A process with a piece."""

    def __init__(self, piece: Piece, home: Path) -> None:
        self.piece = piece
        self._current: Any = _CONTEXT.Value("q", -1, lock=False)
        self._answer, theirs = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=_work, args=(piece, home, self._current, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._seen, self._since = -2, time.monotonic()

    def result(self) -> tuple[Tally, list[Piece]] | None:
        """What came of it, and what is still to be done; None while it goes on."""
        if self._answer.poll():
            try:
                tally, done = self._answer.recv()
            except EOFError:
                return self._ended("its process died")
            self._process.join()
            return tally, self._pieces(self.piece.numbers[done:])
        if self._current.value != self._seen:
            self._seen, self._since = self._current.value, time.monotonic()
        if time.monotonic() - self._since > PATIENCE:
            self._process.kill()
            return self._ended(f"no end after {PATIENCE:.0f} s")
        return None

    def _ended(self, why: str) -> tuple[Tally, list[Piece]]:
        """The input at fault is told; what came before it is tried again, since nothing is known of it any more."""
        self._process.join()
        number, tally = self._current.value, Tally()
        if number < 0:
            raise RuntimeError(f"{self.piece.target} could not even begin: what it says is above")
        tally.inputs[self.piece.target] += 1
        code = self._process.exitcode
        tally.failed(Failure(self.piece.target, number, f"{why} (exit {code})"), why)
        at = self.piece.numbers.index(number)
        return tally, self._pieces(self.piece.numbers[:at], self.piece.numbers[at + 1 :])

    def _pieces(self, *parts: Sequence[int]) -> list[Piece]:
        return [Piece(self.piece.target, part) for part in parts if part]


# --- all of it ----------------------------------------------------------------------------------------------------


def regressions() -> Iterator[Piece]:
    """What has failed once, first and for ever."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for line in REGRESSIONS.read_text(encoding="utf-8").splitlines():
        words = line.split("#")[0].split()
        if words:
            numbers[words[0]].append(int(words[1]))
    for target, each in numbers.items():
        yield Piece(target, each)


def pull_request(share: float = 1.0, only: str | None = None) -> Iterator[Piece]:
    """The numbers of a pull request, or a share of them."""
    yield from regressions()
    for name, target in TARGETS.items():
        if only not in (None, name):
            continue
        count = round(target.share * share)
        for first in range(0, count, 250):
            yield Piece(name, range(first, min(first + 250, count)))


def long_haul(first_number: int) -> Iterator[Piece]:
    """New numbers for ever, in the same proportions."""
    yield from regressions()
    first = dict.fromkeys(TARGETS, first_number)
    while True:
        for name, target in TARGETS.items():
            size = target.share // 10
            yield Piece(name, range(first[name], first[name] + size))
            first[name] += size


def run(
    pieces: Iterable[Piece], *, workers: int, minutes: float | None = None, say: Callable[[str], None] = print
) -> Tally:
    """Run pieces side by side until they or the time are used up."""
    total, started = Tally(), time.monotonic()
    told = started
    running: list[_Worker] = []
    again: list[Piece] = []
    waiting = iter(pieces)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        homes = (Path(folder) / str(number) for number in range(10**9))
        while True:
            late = minutes is not None and time.monotonic() - started > minutes * 60
            while len(running) < workers and not late:
                piece = again.pop() if again else next(waiting, None)
                if piece is None:
                    break
                running.append(_Worker(piece, next(homes)))
            if not running:
                return total
            for worker in running.copy():
                result = worker.result()
                if result is not None:
                    running.remove(worker)
                    again += result[1]
                    for failure in total.add(result[0]):
                        say(str(failure))
            time.sleep(0.01)
            if time.monotonic() - told > 30:
                told = time.monotonic()
                say(
                    f"{told - started:5.0f} s: {total.inputs.total():,} inputs, {len(total.failures)} failures"
                )


def report(total: Tally, seconds: float) -> str:
    """The report, as Markdown."""
    lines = [
        "# Fuzzing campaign",
        "",
        f"{total.inputs.total():,} inputs in {seconds:,.0f} s, {len(total.failures)} kinds of failure.",
        "",
        "| target | inputs | accepted | past the first look | refused for so many reasons | slowest | peak memory |",
        "|---|---:|---:|---:|---:|---|---|",
    ]
    for name, count in total.inputs.items():
        slow, slow_at = total.slowest.get(name, (0.0, 0))
        large, large_at = total.largest.get(name, (0.0, 0))
        lines.append(
            f"| {name} | {count:,} | {total.accepted[name] / count:.0%} | {total.deep[name] / count:.0%} "
            f"| {len(total.reasons[name])} | {slow:.2f} s ({slow_at}) | {large:,.0f} MiB ({large_at}) |"
        )
    lines += ["", "## Failures", ""]
    lines += [f"- {each}\n    seen: {total.repeated[key]:,}" for key, each in total.failures.items()] or [
        "none"
    ]
    lines += ["", "## Reasons", ""]
    for name, reasons in total.reasons.items():
        lines += [f"- {name}: " + ", ".join(f"{each} {count:,}" for each, count in reasons.most_common(200))]
    return "\n".join(chain(lines, [""]))
