"""Many addresses in few lines: all of them if there is room, else the first and the last of each prefix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from reconciler.model.address import Address
from reconciler.report.escape import visible

# The width of a line of addresses, if there is room.
WIDEST = 110
# The most lines of addresses for a group in a terminal.
_MOST_LINES = 12
_NUMBER = re.compile(r"([0-9]+)")
# The prefix of a channel: everything before its first digit or separator.
_PREFIX = re.compile(r"[^\d\-_.:#/ ]*")


def in_order(addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses sorted, with desk-9 before desk-10."""
    return sorted(addresses, key=_natural)


def every(addresses: Iterable[Address], width: int = WIDEST) -> list[str]:
    """Return lines with every address, in order."""
    return list(_wrapped(map(_spelled, in_order(addresses)), width))


def shortened(addresses: Sequence[Address], width: int = WIDEST) -> list[str]:
    """Return at most twelve lines that name every address, or ranges of addresses with their counts."""
    addresses = in_order(addresses)
    lines = list(_wrapped(map(_spelled, addresses), width))
    if len(lines) <= _MOST_LINES // 2:
        return lines
    by_prefix = (list(group) for _, group in groupby(addresses, lambda each: _prefix(each.channel)))
    runs = list(_wrapped((_run(each) for each in by_prefix), width))
    if len(runs) <= _MOST_LINES:
        return runs
    size = -(-len(addresses) // _MOST_LINES)
    slices = (addresses[at : at + size] for at in range(0, len(addresses), size))
    return list(_wrapped(map(_run, slices), width))


def _run(addresses: Sequence[Address]) -> str:
    if len(addresses) < 3:
        return ", ".join(map(_spelled, addresses))
    return f"{_spelled(addresses[0])} … {_spelled(addresses[-1])} ({len(addresses):,})"


def _spelled(address: Address) -> str:
    return visible(str(address))


def _natural(address: Address) -> tuple[list[str | int], str]:
    parts = _NUMBER.split(address.channel)
    return [int(each) if at % 2 else each for at, each in enumerate(parts)], address.name


def _prefix(channel: str) -> str:
    found = _PREFIX.match(channel)
    return found[0] if found else ""


def _wrapped(words: Iterable[str], width: int) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + len(word) + 2 > width:
            yield f"{line},"
            line = word
        else:
            line = f"{line}, {word}" if line else word
    if line:
        yield line
