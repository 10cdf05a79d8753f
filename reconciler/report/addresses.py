"""Many addresses in few lines: all of them if there is room, else the first and the last of each prefix.

Or in few characters: as shell brace expressions that expand to exactly these addresses.
`shop-{0001..5000}-desk/{concierge,greeter}` is 10,000 addresses. bash and zsh expand it, so a user who pastes it gets
every address. Addresses with characters that have a meaning in a shell are quoted one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeAlias

from reconciler.model.address import Address
from reconciler.report.alike import grouped_by
from reconciler.report.escape import visible
from reconciler.report.folding import LONGEST, in_lines

# The width of a line of addresses, if there is room.
WIDEST = 110
# The most lines of addresses for a group in a terminal.
_MOST_LINES = 12
_NUMBER = re.compile(r"([0-9]+)")
# The prefix of a channel: everything before its first digit or separator.
_PREFIX = re.compile(r"[^\d\-_.:#/ ]*")

# The explanation below addresses in braces.
BRACES = (
    "Braces stand for each of what is in them, as a shell reads them: `{0007..0012}` is every number from 0007 to 0012, "
    "`{1..9..2}` every second of 1 to 9, `{a,b}` is a and b. `echo` before a line lists all of it."
)

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+-]+")
# Words that end in a number, numbers, other words, and separators.
_TOKEN = re.compile(r"([A-Za-z]+)([0-9]+)(?![A-Za-z0-9])|[A-Za-z0-9]+|[^A-Za-z0-9]+")

# The least room for a list in a word, however long the rest of the word is.
_LEAST = 80
# Numbers with a step above one form a range from the next count on, or share all digits but so many last ones.
_FEW_STEPS = 3
_TAIL = 2
# For each token of an address, its one or several values.
_Cell: TypeAlias = tuple[frozenset[str], ...]


def in_order(addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses sorted, with desk-9 before desk-10."""
    return sorted(addresses, key=_natural)


def every(addresses: Iterable[Address], width: int = WIDEST) -> list[str]:
    """Return lines with every address, in order."""
    return in_lines(map(_spelled, in_order(addresses)), width)


def shortened(addresses: Sequence[Address], width: int = WIDEST) -> list[str]:
    """Return at most twelve lines that name every address, or ranges of addresses with their counts."""
    addresses = in_order(addresses)
    lines = in_lines(map(_spelled, addresses), width)
    if len(lines) <= _MOST_LINES // 2:
        return lines
    by_prefix = (list(group) for _, group in groupby(addresses, lambda each: _prefix(each.channel)))
    runs = in_lines((_run(each) for each in by_prefix), width)
    if len(runs) > _MOST_LINES:
        size = -(-len(addresses) // _MOST_LINES)
        slices = (addresses[at : at + size] for at in range(0, len(addresses), size))
        runs = in_lines(map(_run, slices), width)
    # A range that is wider than the line goes on in the same column, as addresses do.
    return [
        part
        for run in runs
        for part in ([run] if len(run) <= width else in_lines(run.split(" "), width, " "))
    ]


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


# --- as braces of a shell -------------------------------------------------------------------------------------


def braced(addresses: Iterable[Address]) -> list[str]:
    """Return the addresses as few shell words, which expand to these addresses and nothing else."""
    shapes: dict[tuple[str, ...], list[_Cell]] = {}
    others: list[str] = []
    alone: dict[str, frozenset[str]] = {}
    for each in dict.fromkeys(in_order(addresses)):
        if _PLAIN.fullmatch(str(each)):
            tokens = list(_tokens(str(each)))
            shape = tuple(token if not token[0].isalnum() else _kind(token) for token in tokens)
            cell = tuple(alone.setdefault(token, frozenset((token,))) for token in tokens)
            shapes.setdefault(shape, []).append(cell)
        else:
            others.append(visible(each.quoted))
    cells = (cell for found in shapes.values() for cell in _merged(found))
    return [*(term for cell in cells for term in _terms(cell)), *others]


def _tokens(text: str) -> Iterator[str]:
    for found in _TOKEN.finditer(text):
        yield from (found[1], found[2]) if found[1] else (found[0],)


def _kind(token: str) -> str:
    return "0" if token.isdigit() else "a"


def _merged(cells: Sequence[_Cell]) -> Sequence[_Cell]:
    """Return the cells merged place by place, from the left or from the right, whichever is shorter."""
    places = [at for at in range(len(cells[0])) if len({cell[at] for cell in cells}) > 1]
    orders = (places, places[::-1]) if len(places) > 1 else (places,)
    found = [_merged_by(cells, order) for order in orders]
    return min(found, key=lambda each: sum(map(_size, each)))


def _merged_by(cells: Sequence[_Cell], order: Iterable[int]) -> Sequence[_Cell]:
    """Return the cells after merging, at each place in turn, those that differ at that place alone."""
    for place in order:
        alike: dict[tuple[_Cell, _Cell], set[str]] = {}
        for cell in cells:
            alike.setdefault((cell[:place], cell[place + 1 :]), set()).update(cell[place])
        cells = [(*before, frozenset(values), *after) for (before, after), values in alike.items()]
    return cells


def _size(cell: _Cell) -> int:
    return 1 + sum(map(len, map(_in_braces, map(_choices, cell))))


def _terms(cell: _Cell) -> Iterator[str]:
    """Yield a cell as one word, or as several words if one would be long: then its longest list is split."""
    choices = [_choices(values) for values in cell]
    spelled = [_in_braces(each) for each in choices]
    most = max(range(len(cell)), key=lambda place: len(spelled[place]))
    room = max(LONGEST - sum(map(len, spelled)) + len(spelled[most]), _LEAST)
    for part in _parted(choices[most], room):
        yield "".join((*spelled[:most], _in_braces(part), *spelled[most + 1 :]))


def _parted(choices: Sequence[str], room: int) -> Iterator[list[str]]:
    part: list[str] = []
    used = 0
    for each in choices:
        if part and used + len(each) + 1 > room:
            yield part
            part, used = [], 0
        part.append(each)
        used += len(each) + 1
    yield part


def _in_braces(choices: Sequence[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{{{','.join(choices)}}}"


def _choices(values: frozenset[str]) -> list[str]:
    """Return the values of one place: words as they are, consecutive numbers as ranges."""
    if len(values) == 1 or not all(each.isdigit() for each in values):
        return sorted(values)
    padded = {len(each) for each in values if each[0] == "0" and len(each) > 1}

    def width(number: str) -> int:
        # A range that begins with a zero pads all of it; 0 is for numbers without a width.
        return len(number) if len(number) in padded else 0

    rows = grouped_by(sorted(values, key=lambda each: (width(each), int(each))), width)
    items = [each for row in rows for each in _ranges(row)]
    return [each for alike in groupby(items, _head) for each in _shared(*alike)]


def _ranges(numbers: Sequence[str]) -> Iterator[str]:
    """Yield ascending numbers of one width: those with one step as a range, the others as they are."""
    at = 0
    while at < len(numbers):
        end = at + 1
        step = int(numbers[end]) - int(numbers[at]) if end < len(numbers) else 0
        while end < len(numbers) and int(numbers[end]) - int(numbers[end - 1]) == step:
            end += 1
        if end - at > (2 if step == 1 else _FEW_STEPS):
            yield f"{{{numbers[at]}..{numbers[end - 1]}{'' if step == 1 else f'..{step}'}}}"
            at = end
        else:
            yield numbers[at]
            at += 1


def _head(item: str) -> str:
    """Return the digits that a number shares with its neighbours; empty for a range."""
    return "" if item[0] == "{" else item[:-_TAIL]


def _shared(head: str, items: Iterable[str]) -> list[str]:
    found = list(items)
    if not head or len(found) < 3:
        return found
    return [f"{head}{{{','.join(each[len(head) :] for each in found)}}}"]
