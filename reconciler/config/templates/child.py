"""The process in which templates run: it gives up what it could do harm with, does the work and sends what it yields.

It has no environment, no open files and no terminal, can write no file and start no process, and its memory is bounded.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from reconciler.config.templates.memory_limit import address_space, bound_memory
from reconciler.config.templates.progress import WorkProgress

# Kind and size of a message; its data follows.
HEADER = struct.Struct("<BQ")
PART, DONE, OUT_OF_MEMORY, BROKEN = range(4)


def be_child(
    descriptor: int, work: Callable[[], Iterator[Any]], memory_bytes: int, progress: WorkProgress
) -> NoReturn:
    """Do the work, send what it yields, and end without ever returning."""
    try:
        descriptor = _confined(descriptor, memory_bytes)
        signal.signal(signal.SIGALRM, lambda _number, _frame: progress.interrupt())
        for part in work():
            _send(descriptor, PART, pickle.dumps(part, pickle.HIGHEST_PROTOCOL))
        _send(descriptor, DONE, b"")
    except MemoryError:
        _send(descriptor, OUT_OF_MEMORY, b"")
    except BrokenPipeError:
        pass
    except BaseException:  # noqa: BLE001  # the parent has to hear of it
        _send(descriptor, BROKEN, traceback.format_exc().encode())
    finally:
        os._exit(0)


def _send(descriptor: int, kind: int, data: bytes) -> None:
    rest = memoryview(HEADER.pack(kind, len(data)) + data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _confined(descriptor: int, memory_bytes: int) -> int:
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
    used = address_space()
    if used:
        bound_memory(used + memory_bytes)
    return descriptor
