"""The memory limit of this process, as the system enforces it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def bound_memory(size: int) -> None:
    """Limit this process to `size` bytes of address space."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    with suppress(OSError, ValueError):  # an administrator's bound may be lower
        resource.setrlimit(resource.RLIMIT_AS, (size, hard))


def more_memory(size: int) -> None:
    """Raise the limit by `size` bytes, if there is one."""
    try:
        import resource
    except ImportError:  # Windows: nothing is bound there
        return
    now = resource.getrlimit(resource.RLIMIT_AS)[0]
    if now != resource.RLIM_INFINITY:
        bound_memory(now + size)


def address_space() -> int:
    """Return the bytes of address space that this process has already; 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[0]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
