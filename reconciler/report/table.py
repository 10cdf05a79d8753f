"""Aligned columns for the width of a terminal: cells without room are left out or put below their row, never cut."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from reconciler.report.escape import visible
from reconciler.values import dataclass

_GAP = "  "
_BELOW = "    "
# The first column is never padded to less than this to make room for the others.
_FILLED = 24


@dataclass(frozen=True, slots=True)
class Column:
    """One column. If there is no room, the column with the highest `rank` is left out first; rank 0 always stays.

    `wraps` is for sentences, in the last column only: one without room in its row is wrapped below it.
    """

    heading: str = ""
    rank: int = 0
    wraps: bool = False


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None, indent: str = ""
) -> str:
    """Return rows as lines, below a heading if the columns have one.

    A line is longer than `width` only if the columns that stay need more: an address is never broken.
    """
    room = None if width is None else width - len(indent)
    shown = [[visible(cell) for cell in row] for row in rows]
    if any(each.heading for each in columns):
        shown.insert(0, [each.heading for each in columns])
    widths = [max(len(row[place]) for row in shown) for place in range(len(columns))]
    kept = _kept(columns, widths, room)
    gap = _GAP if room is None or _taken(columns, widths, kept, len(_GAP)) <= room else " "
    if room is not None:  # one long address need not move the columns of all rows
        excess = _taken(columns, widths, kept, len(gap)) - room
        widths[0] = max(widths[0] - max(excess, 0), min(widths[0], _FILLED))
    return "\n".join(
        indent + line
        for row in shown
        for line in _lines([row[each] for each in kept], columns, kept, widths, room, gap)
    )


def _kept(columns: Sequence[Column], widths: Sequence[int], room: int | None) -> list[int]:
    """Return the indexes of the columns that are shown."""
    kept = list(range(len(columns)))
    for place in sorted(kept, key=lambda each: -columns[each].rank):
        if room is None or not columns[place].rank or _taken(columns, widths, kept, len(_GAP)) <= room:
            break
        kept.remove(place)
    return kept


def _taken(columns: Sequence[Column], widths: Sequence[int], kept: Sequence[int], gap: int) -> int:
    """Return the length of the lines; a sentence does not count, because it can be wrapped."""
    return sum(0 if columns[each].wraps else widths[each] + gap for each in kept) - gap


def _lines(
    row: Sequence[str],
    columns: Sequence[Column],
    kept: Sequence[int],
    widths: Sequence[int],
    room: int | None,
    gap: str,
) -> list[str]:
    *cells, last = row
    line = "".join(cell.ljust(widths[place]) + gap for cell, place in zip(cells, kept, strict=False))
    if room is None or not columns[kept[-1]].wraps or len(line) + len(last) <= room:
        return [(line + last).rstrip()]
    below = textwrap.wrap(
        last,
        max(room, _FILLED),
        initial_indent=_BELOW,
        subsequent_indent=_BELOW,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.rstrip(), *below]
