"""How much memory an object keeps, and how much this process."""

from __future__ import annotations

import gc
import sys
import types


def footprint(root: object) -> int:
    """The bytes of all that is reachable from an object, code and classes apart."""
    apart = (
        type,
        types.ModuleType,
        types.FunctionType,
        types.BuiltinFunctionType,
        types.CodeType,
        types.FrameType,
    )
    seen: set[int] = set()
    waiting, total = [root], 0
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, apart):
            continue
        seen.add(id(each))
        total += sys.getsizeof(each)
        waiting += gc.get_referents(each)
    return total


def resident() -> int:
    """The bytes of memory that this process has in use, where the system says it."""
    try:
        with open("/proc/self/statm", encoding="ascii") as text:
            return int(text.read().split()[1]) * 4096
    except OSError:
        return 0
