"""How much memory this process may have, as the system enforces it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def bound_memory(size: int) -> None:
    """Let this process have so many bytes of address space."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    with suppress(OSError, ValueError):  # an administrator's bound may be lower
        resource.setrlimit(resource.RLIMIT_AS, (size, hard))


def more_memory(size: int) -> None:
    """Let it have so many bytes more, if it is bound at all."""
    try:
        import resource
    except ImportError:  # Windows: nothing is bound there
        return
    now = resource.getrlimit(resource.RLIMIT_AS)[0]
    if now != resource.RLIM_INFINITY:
        bound_memory(now + size)


def address_space() -> int:
    """The bytes of address space that this process has already; 0 where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[0]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
