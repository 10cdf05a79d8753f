"""A child of this process in which templates run, so that whatever they do can be ended.

Time, memory and the size of the result are bounded from outside; the child has no environment, no open files, no
terminal, and can write none. What comes back is plain data and the few classes that it is asked for: nothing that
a child could send makes this process run anything. Nothing here knows what a template is.

Where a system cannot fork, the work is done here, with the bounds that the sandbox itself has.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import select
import signal
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

MIB: int = 1024 * 1024
_HEADER = struct.Struct("<BQ")
_SHARED = struct.Struct("<qqd")
_PART, _DONE, _MEMORY, _BROKEN = range(4)
_POLL_SECONDS = 0.25
# What a data file may need: generous, since its size is bounded.
_READ_A_SECOND = 256 * 1024
_MEMORY_FOR_DATA = 32


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Bounds on rendering; set by whoever runs the tool, never by the files.

    Seconds are of the clock on the wall. An item is an agent. What a data file needs to be read is added.
    """

    silence_seconds: float = 6.0
    seconds: float = 10.0
    seconds_an_item: float = 0.02
    memory_bytes: int = 512 * MIB
    output_bytes: int = 256 * MIB
    output_bytes_an_item: int = 16 * 1024


class Ended(Exception):
    """The work was ended, or ended itself: under which rule, why, what to do, and at which number it was."""

    def __init__(self, rule: str, summary: str, help: str, number: int) -> None:
        super().__init__(summary)
        self.rule = rule
        self.summary = summary
        self.help = help
        self.number = number


class Progress:
    """How the work says that it goes on: which number it is at, and the file that it reads, which takes longer."""

    def __init__(self) -> None:
        self._count = 0
        self._number = -1
        self._granted = 0.0
        self._memory: mmap.mmap | None = None

    def share(self, memory: mmap.mmap) -> None:
        """From now on the other process sees it too."""
        self._memory = memory
        self.at(-1)

    def at(self, number: int) -> None:
        """It is at this number now."""
        self._count += 1
        self._number = number
        if self._memory is not None:
            _SHARED.pack_into(self._memory, 0, self._count, number, self._granted)

    def reads(self, size: int) -> None:
        """It is about to read a file of so many bytes, which takes time and memory in proportion."""
        self._granted += size / _READ_A_SECOND
        if self._memory is not None:
            _more_memory(size * _MEMORY_FOR_DATA)
        self.at(self._number)

    @property
    def told(self) -> tuple[int, int, float]:
        """How often it was told, the number, and the seconds granted for files, by whichever process."""
        if self._memory is None:
            return self._count, self._number, self._granted
        count, number, granted = _SHARED.unpack_from(self._memory, 0)
        return count, number, granted


class Worker:
    """Does work in a child. `parts` are the classes of which the results may be made, plain data apart."""

    def __init__(self, limits: WorkerLimits, parts: tuple[type, ...]) -> None:
        self.limits = limits
        self.progress = Progress()
        self._parts = {(each.__module__, each.__qualname__): each for each in parts}

    def run(self, work: Callable[[], Iterator[T]]) -> Iterator[T]:
        """What the work yields, as it comes; raises `Ended`. A list counts as so many items."""
        if not hasattr(os, "fork"):
            yield from work()
            return
        with mmap.mmap(-1, _SHARED.size) as memory:
            self.progress.share(memory)
            before = self.progress.told  # the child may be faster than we are: its first word counts
            answers = _Answers(*self._forked(work), self.progress, before, self.limits)
            try:
                for data in answers:
                    part = _Plain(data, self._parts).load()
                    answers.items += len(part) if isinstance(part, list) else 0
                    yield part
            finally:
                answers.close()

    def _forked(self, work: Callable[[], Iterator[Any]]) -> tuple[int, int]:
        """A child that does the work, and the end of a pipe from which to read what it sends."""
        reading, writing = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # closed by whoever started us
                stream.flush()
        with warnings.catch_warnings():
            # Threads of others do not come along, and the child touches nothing that they could hold.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            _be_child(writing, work, self.limits)
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


class _Answers:
    """What a child sends, and the watch over it."""

    def __init__(
        self,
        child: int,
        descriptor: int,
        progress: Progress,
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
        self._heard = heard

    def __iter__(self) -> Iterator[bytes]:
        while True:
            kind, size = _HEADER.unpack(self._take(_HEADER.size))
            self._received += size
            room = self._limits.output_bytes + self.items * self._limits.output_bytes_an_item
            if self._received > room:
                raise self._ended(
                    "template-size",
                    f"what the templates give is larger than {room // MIB:,} MiB",
                    "let the agents have shorter texts",
                )
            data = self._take(size)
            if kind == _DONE:
                return
            if kind == _MEMORY:
                raise self._out_of_memory()
            if kind == _BROKEN:
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
        """Until there is something to read; the time that we take ourselves does not count."""
        limits = self._limits
        while True:
            started = time.monotonic()
            ready = self._poll.poll(_POLL_SECONDS * 1000)
            passed = time.monotonic() - started
            heard, before = self._progress.told, self._heard
            self._heard = heard
            self._waited += passed
            self._silent = before[2] - heard[2] if heard != before else self._silent + passed
            if ready:
                return
            if self._silent > limits.silence_seconds:
                raise self._overdue(f"it has made no progress for {limits.silence_seconds:g} s")
            most = limits.seconds + limits.seconds_an_item * self.items + heard[2]
            if self._waited > most:
                raise self._overdue(f"{self.items:,} agents in {most:.0f} s are too few")

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
        except ChildProcessError:  # somebody collects all children of this process
            return 0

    def close(self) -> None:
        os.close(self._descriptor)
        if self._child:
            os.kill(self._child, signal.SIGKILL)
        self._reap()


# --- in the child ---------------------------------------------------------------------------------------------------


def _be_child(descriptor: int, work: Callable[[], Iterator[Any]], limits: WorkerLimits) -> NoReturn:
    """Do the work, send what it yields, and end without ever returning."""
    try:
        descriptor = _confined(descriptor, limits)
        for part in work():
            _send(descriptor, _PART, pickle.dumps(part, pickle.HIGHEST_PROTOCOL))
        _send(descriptor, _DONE, b"")
    except MemoryError:
        _send(descriptor, _MEMORY, b"")
    except BrokenPipeError:
        pass
    except BaseException:  # noqa: BLE001  # the parent has to hear of it
        _send(descriptor, _BROKEN, traceback.format_exc().encode())
    finally:
        os._exit(0)


def _send(descriptor: int, kind: int, data: bytes) -> None:
    rest = memoryview(_HEADER.pack(kind, len(data)) + data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _confined(descriptor: int, limits: WorkerLimits) -> int:
    """No environment, no files but the pipe, no terminal, nothing written, nothing started, bounded memory.

    Gives the pipe's descriptor: where standard streams are closed, it may have the number of one.
    """
    import fcntl  # not there where there is no fork
    import resource

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.environ.clear()
    descriptor = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 3)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, 65_536)
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
        resource.setrlimit(kind, (0, 0))
    used = _address_space()
    if used:
        _bound_memory(used + limits.memory_bytes)
    return descriptor


def _bound_memory(size: int) -> None:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    with suppress(OSError, ValueError):  # an administrator's bound may be lower
        resource.setrlimit(resource.RLIMIT_AS, (size, hard))


def _more_memory(size: int) -> None:
    import resource

    now = resource.getrlimit(resource.RLIMIT_AS)[0]
    if now != resource.RLIM_INFINITY:
        _bound_memory(now + size)


def _address_space() -> int:
    """The bytes of address space that this process has already; 0 where nobody tells."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[0]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
