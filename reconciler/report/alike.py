"""Groups rows by a key, and merges texts that differ in a few words, so that copies of a prompt are shown once.

Where words differ, the merged text has one character of `HOLES`. Foreign text that holds such a character must be
escaped before (`without_holes`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from reconciler.report.line_diff import WORD, opcodes
from reconciler.secrets.visible import visible
from reconciler.values import dataclass

# Private-use characters, each for one place at which words differ.
_FIRST, _LAST = 0x100000, 0x10FFFD
HOLES = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")
# A text with more different words than this in one place is not merged: it is shown by itself.
_FEW_WORDS = 12
# A line of at most so many words may differ completely; of a longer line a third must be the same.
_FREE_WORDS = 3
# How many texts are compared to find the common words of a line.
_SAMPLES = 24
# How many different texts are shown one below the other.
MOST_TEXTS = 12
FEW = 3


@dataclass(frozen=True, slots=True)
class Hole:
    """A place at which texts differ: its first values, and the number of its values."""

    values: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Merged:
    """Similar rows of texts as one row with holes; `members` are the indexes of these rows."""

    texts: tuple[str, ...]
    holes: Mapping[str, Hole]
    members: tuple[int, ...]


_T = TypeVar("_T")
_Lines = tuple[str, ...]


def grouped_by(rows: Iterable[_T], key: Callable[[_T], Hashable]) -> tuple[tuple[_T, ...], ...]:
    """Return the rows in groups of equal keys, in the order of their first rows."""
    found: dict[Hashable, list[_T]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return tuple(map(tuple, found.values()))


def without_holes(text: str) -> str:
    """Return a text with the characters of `HOLES` escaped."""
    return text if text.isascii() else HOLES.sub(lambda found: visible(found[0]), text)


def merge(rows: Iterable[Sequence[str]], apart: Iterable[Hashable]) -> tuple[Merged, ...]:
    """Return the rows as few merged rows, at most `MOST_TEXTS`, beginning with that of the first row.

    All rows have the same number of texts; rows with different words in `apart` are never merged. Holes with the same
    values in all members share one character.
    """
    # The lines of each row, equal lines as one object, and a number for its kind: only rows of one kind are merged.
    lines: list[_Lines] = []
    kinds: list[int] = []
    known: dict[str, str] = {}
    numbers: dict[tuple[tuple[int, ...], Hashable], int] = {}
    for row, words in zip(rows, apart, strict=True):
        sides = [without_holes(text).split("\n") for text in row]
        lines.append(tuple([line for side in sides for line in map(known.setdefault, side, side)]))
        # How many lines each of its texts has.
        shape = tuple(map(len, sides))
        kinds.append(numbers.setdefault((shape, words), len(numbers)))
    del known
    shapes = [shape for shape, _ in numbers]
    found: list[Merged] = []
    rest = list(range(len(lines)))
    while rest and len(found) < MOST_TEXTS:
        alike = [each for each in rest if kinds[each] == kinds[rest[0]]]
        merged = _merged(lines, alike, shapes[kinds[rest[0]]])
        taken = set(merged.members)
        rest = [each for each in rest if each not in taken]
        found.append(merged)
    return tuple(found)


def _merged(lines: Sequence[_Lines], candidates: Sequence[int], shape: Sequence[int]) -> Merged:
    """Return the first candidate merged with all candidates that are similar to it."""
    first = lines[candidates[0]]
    columns = enumerate(zip(*(lines[each] for each in candidates), strict=True))
    varying = [number for number, column in columns if len(set(column)) > 1]
    near = _near(lines, candidates, varying)
    numbers = [at for at in varying if any(lines[each][at] != first[at] for each in near)]
    gaps = {number: _gaps(first[number], {lines[each][number] for each in near}) for number in numbers}
    members = [each for each in near if all(lines[each][at] in split for at, (_, split) in gaps.items())]
    holes: dict[str, Hole] = {}
    names: dict[tuple[str, ...], str] = {}
    whole = list(first)
    for number, (anchors, split) in sorted(gaps.items()):
        pieces_of = zip(*(split[lines[each][number]] for each in members), strict=True)
        pieces = [_piece(column, names, holes) for column in pieces_of]
        whole[number] = pieces[0] + "".join(a + b for a, b in zip(anchors, pieces[1:], strict=True))
    return Merged(tuple(_texts(whole, shape)), holes, tuple(members))


def _texts(lines: Sequence[str], shape: Iterable[int]) -> Iterator[str]:
    at = 0
    for count in shape:
        yield "\n".join(lines[at : at + count])
        at += count


def _near(lines: Sequence[_Lines], candidates: Sequence[int], varying: Sequence[int]) -> list[int]:
    """Return the candidates that share at least half of their words with the first, and most words of each line."""
    first = lines[candidates[0]]
    words = [frozenset(WORD.findall(line)) for line in first]
    room = sum(map(len, words)) // 2
    found = []
    for each in candidates:
        others = 0
        for number in varying:
            if lines[each][number] == first[number]:
                continue
            own = WORD.findall(lines[each][number])
            other = len(set(own) - words[number])
            others += other
            if other > _FEW_WORDS or other > max(_FREE_WORDS, len(set(own)) * 2 // 3):
                others = room + 1
                break
        if others <= room or each == candidates[0]:
            found.append(each)
    return found


def _gaps(first: str, distinct: Iterable[str]) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Return the words that all lines share, and for each line its words between them; without very different lines."""
    every = sorted(distinct)
    anchors = WORD.findall(first)
    for sample in every[:: max(1, len(every) // _SAMPLES)]:
        other = WORD.findall(sample)
        anchors = [
            word for tag, a, b, _, _ in opcodes(anchors, other) if tag == "equal" for word in anchors[a:b]
        ]
    split = {line: found for line in every if (found := _between(line, anchors)) is not None}
    if first not in split:  # the first line itself differs by much: treat the whole line as one hole
        return [], {line: (line,) for line in every}
    return anchors, split


def _between(line: str, anchors: Sequence[str]) -> tuple[str, ...] | None:
    gaps: list[list[str]] = [[]]
    at = 0
    for word in WORD.findall(line):
        if at < len(anchors) and word == anchors[at]:
            at += 1
            gaps.append([])
        else:
            gaps[-1].append(word)
    if at < len(anchors) or any(len(gap) > _FEW_WORDS for gap in gaps):
        return None
    return tuple(map("".join, gaps))


def _piece(column: tuple[str, ...], names: dict[tuple[str, ...], str], holes: dict[str, Hole]) -> str:
    """Return what is between two shared words: the text of all rows, or a hole, with white space that all end in."""
    distinct = tuple(dict.fromkeys(column))
    if len(distinct) == 1:
        return distinct[0]
    space = " " if all(each.endswith(" ") for each in distinct) else ""
    name = names.get(column)
    if name is None:
        name = names[column] = chr(_FIRST + len(names)) if len(names) < _LAST - _FIRST else chr(_LAST)
        values = tuple(each.removesuffix(space) for each in distinct[:FEW])
        holes[name] = Hole(values, len(distinct))
    return name + space
