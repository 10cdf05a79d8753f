"""The child process in which templates run: it gives up its rights, does the work and sends the results.

It has no environment, no open files and no terminal, cannot write files or start processes, and its memory is bounded.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from reconciler.config.templates.progress import WorkProgress, address_space, bound_memory

# The kind and the size of a message; its data follows.
HEADER = struct.Struct("<BQ")
PART, DONE, OUT_OF_MEMORY, BROKEN = range(4)


def run_child(
    descriptor: int, work: Callable[[], Iterator[Any]], memory_bytes: int, progress: WorkProgress
) -> NoReturn:
    """Do the work, send its results, and exit; never return."""
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
    except BaseException:  # noqa: BLE001  # the parent process must be told
        _send(descriptor, BROKEN, traceback.format_exc().encode())
    finally:
        os._exit(0)


def _send(descriptor: int, kind: int, data: bytes) -> None:
    rest = memoryview(HEADER.pack(kind, len(data)) + data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _confined(descriptor: int, memory_bytes: int) -> int:
    """Give up environment, files, terminal, writing and starting processes, and bound the memory.

    Returns the pipe's descriptor, moved to a number that is not one of a standard stream.
    """
    import fcntl  # these modules do not exist on systems without fork
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
