"""Run work in a child process with a deadline and a memory limit: one request, one reply in several parts.

Time, memory and the size of the result are bounded from outside; the child has no environment, no open files, no
terminal, and cannot write files. Its results are plain data and a few given classes: nothing that a child could send
makes this process run code. Templates are not known here.

On a system without fork the work is done in this process, with the bounds that the sandbox itself has.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from reconciler.config.templates.child import BROKEN, DONE, HEADER, OUT_OF_MEMORY, run_child
from reconciler.config.templates.progress import SHARED_SIZE, WorkProgress
from reconciler.diagnostics import Problem, ProblemError
from reconciler.values import dataclass

T = TypeVar("T")

MIB: int = 1024 * 1024
# Whether this system can do the work in a process that is bounded from outside.
CONFINES: bool = hasattr(os, "fork")
_POLL_SECONDS = 0.25
# A child that uses no CPU time waits for a busy machine, or for a file that cannot be read: it has so many times as long.
_STARVED = 5.0


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Bounds on rendering; set by the user who runs the command, never by the files.

    An item is an agent. The time to read data files is added. A template that takes longer than `template_seconds` is
    interrupted, so that its place is known; if that does not help, the whole work is ended after `silence_seconds`. These
    two are CPU time of the child where the system tells it, so that a busy machine ends nothing; all else is real time.
    """

    template_seconds: float = 3.0
    silence_seconds: float = 6.0
    seconds: float = 10.0
    seconds_an_item: float = 0.02
    memory_bytes: int = 512 * MIB
    output_bytes: int = 256 * MIB
    output_bytes_an_item: int = 16 * 1024


class Ended(ProblemError):
    """The work was ended, or ended itself, at item `number`; the problem has no place yet."""

    def __init__(self, rule: str, summary: str, help: str, number: int) -> None:
        super().__init__(Problem(rule, summary, help=help))
        self.number = number


class Worker:
    """Does work in a child process. `parts` are the classes that results may contain, in addition to plain data."""

    def __init__(self, limits: WorkerLimits, parts: tuple[type, ...]) -> None:
        self.limits = limits
        self.progress = WorkProgress()
        self._parts = {(each.__module__, each.__qualname__): each for each in parts}

    def run(self, work: Callable[[], Iterator[T]]) -> Iterator[T]:
        """Yield the results of the work as they come; raise `Ended`. A list counts as its number of items."""
        if not CONFINES:
            yield from work()
            return
        with mmap.mmap(-1, SHARED_SIZE) as memory:
            self.progress.share(memory)
            before = self.progress.told  # before the fork: the child may report at once
            answers = _Answers(*self._forked(work), self.progress, before, self.limits)
            try:
                for data in answers:
                    part = _Plain(data, self._parts).load()
                    answers.items += len(part) if isinstance(part, list) else 0
                    yield part
            finally:
                answers.close()

    def _forked(self, work: Callable[[], Iterator[Any]]) -> tuple[int, int]:
        """Start a child that does the work; return its id, and the end of the pipe for its results."""
        reading, writing = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # the parent process may have closed it
                stream.flush()
        with warnings.catch_warnings():
            # Other threads do not exist in the child, and it uses nothing that they could have locked.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            run_child(writing, work, self.limits.memory_bytes, self.progress)
        os.close(writing)
        return child, reading


class _Plain(pickle.Unpickler):
    """Reads plain data and the given classes, and refuses everything else."""

    def __init__(self, data: bytes, parts: dict[tuple[str, str], type]) -> None:
        super().__init__(io.BytesIO(data))
        self._parts = parts

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._parts[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not what a template gives") from None


def _cpu_seconds(process: int) -> float | None:
    """Return the CPU time that a process has used, in seconds; None where the system has no `/proc`."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
        user, system = status.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None


class _Answers:
    """The messages of a child, and the check of its limits."""

    def __init__(
        self,
        child: int,
        descriptor: int,
        progress: WorkProgress,
        heard: tuple[int, int, float],
        limits: WorkerLimits,
    ) -> None:
        self.items = 0
        self._descriptor = descriptor
        self._child = child
        self._progress = progress
        self._limits = limits
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._received = 0
        self._waited = 0.0
        self._silent = 0.0
        self._used: float | None = None
        self._heard = heard

    def __iter__(self) -> Iterator[bytes]:
        while True:
            kind, size = HEADER.unpack(self._take(HEADER.size))
            self._received += size
            room = self._limits.output_bytes + self.items * self._limits.output_bytes_an_item
            if self._received > room:
                raise self._ended(
                    "template-size",
                    f"what the templates give is larger than {room // MIB:,} MiB",
                    "let the agents have shorter texts",
                )
            data = self._take(size)
            if kind == DONE:
                return
            if kind == OUT_OF_MEMORY:
                raise self._out_of_memory()
            if kind == BROKEN:
                raise RuntimeError(f"rendering failed:\n{data.decode(errors='replace')}")
            yield data

    def _take(self, size: int) -> bytes:
        taken = bytearray()
        while len(taken) < size:
            self._wait()
            piece = os.read(self._descriptor, min(size - len(taken), MIB))
            if not piece:
                raise self._died()
            taken += piece
        return bytes(taken)

    def _wait(self) -> None:
        """Wait until there is something to read; raise `Ended` if it takes too long. Our own time is not counted."""
        limits = self._limits
        while True:
            started = time.monotonic()
            ready = self._poll.poll(_POLL_SECONDS * 1000)
            passed = time.monotonic() - started
            heard, before = self._progress.told, self._heard
            self._heard = heard
            self._waited += passed
            if heard != before:
                self._silent = before[2] - heard[2]
            if ready:
                return
            used, self._used = self._used, _cpu_seconds(self._child)
            if heard == before:
                busy = self._used - used if used is not None and self._used is not None else passed
                self._silent += min(passed, max(busy, passed / _STARVED))
            if self._silent > limits.template_seconds:
                self._interrupt()
            if self._silent > limits.silence_seconds:
                raise self._overdue(f"it has made no progress for {limits.silence_seconds:g} s")
            most = limits.seconds + limits.seconds_an_item * self.items + heard[2]
            if self._waited > most:
                raise self._overdue(f"{self.items:,} agents in {most:.0f} s are too few")

    def _interrupt(self) -> None:
        """Ask the running template to end; repeated until the child makes progress."""
        self._progress.ask_to_end(self._heard[0])
        with suppress(ProcessLookupError):  # other code of this process reaped the child
            os.kill(self._child, signal.SIGALRM)

    def _overdue(self, why: str) -> Ended:
        return self._ended(
            "template-time",
            f"rendering takes too long: {why}",
            "repeat less: a loop within a loop multiplies",
        )

    def _died(self) -> Ended:
        status = self._reap()
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if number in (0, signal.SIGKILL):
            return self._out_of_memory()
        if number == signal.SIGXCPU:
            return self._ended("template-time", "rendering was ended: it needs too much time", "repeat less")
        name = signal.Signals(number).name
        return self._ended(
            "template-failed", f"rendering ended by the signal {name}", "make the template simpler"
        )

    def _out_of_memory(self) -> Ended:
        return self._ended(
            "template-size",
            f"rendering needs more than {self._limits.memory_bytes // MIB:,} MiB of memory",
            "make smaller values, or load less data",
        )

    def _ended(self, rule: str, summary: str, help: str) -> Ended:
        return Ended(rule, summary, help, self._progress.told[1])

    def _reap(self) -> int:
        child, self._child = self._child, 0
        try:
            return os.waitpid(child, 0)[1] if child else 0
        except ChildProcessError:  # other code of this process reaped the child
            return 0

    def close(self) -> None:
        os.close(self._descriptor)
        if self._child:
            os.kill(self._child, signal.SIGKILL)
        self._reap()
