"""Makes a line diff of two texts, with context and the changed words marked: the form in which prompts are shown.

Changed text is never cut; long unchanged text is cut, with a mark.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal, TypeAlias

from reconciler.values import dataclass

Kind: TypeAlias = Literal[" ", "-", "+"]
Mark: TypeAlias = Literal[" ", "-", "+", "~", "@"]
# (tag, i, j, k, m) as in difflib: how `old[i:j]` becomes `new[k:m]`.
Opcode: TypeAlias = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of characters in a line: kept, removed or added."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a diff; `~` holds words of both sides, `@` marks lines that were left out."""

    mark: Mark
    pieces: tuple[Piece, ...]


# With more pairs of equal items than this, plus so many for each item, the best alignment is not searched: the search
# would take time quadratic in the text's length.
_MOST_PAIRS = 20_000
_PAIRS_EACH = 10
# With more pairs of places than these the texts are aligned in parts, because difflib searches all that is left after each
# run of equal items.
_MOST_PLACES = 1_000_000
# Lines less similar than this are an old and a new line, not one that changed.
_ALIKE = 0.4
# How many new lines are searched for a changed one; to search all would take quadratic time.
_MOST_AHEAD = 40
_CONTEXT = 2
# Characters of unchanged text kept beside a change in a long line.
_BESIDE = 60
_LONG_LINE = 200
WORD = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")


def text_diff(before: str, after: str) -> tuple[Line, ...]:
    """Return the lines that differ, with two lines of context around each."""
    return tuple(_with_context(list(_lines(before.split("\n"), after.split("\n")))))


def _lines(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    for tag, a, b, c, d in opcodes(old, new):
        if tag == "equal":
            yield from (Line(" ", (Piece(" ", each),)) for each in old[a:b])
        else:
            yield from _changed(old[a:b], new[c:d])


def opcodes(old: Sequence[str], new: Sequence[str]) -> list[Opcode]:
    """Return the operations that turn one sequence into the other: exact ones, or coarse ones if that takes long."""
    if len(old) * len(new) <= _MOST_PLACES:
        return _aligned(old, new)
    found: list[Opcode] = []
    a = c = 0
    for b, d in [*_anchors(old, new), (len(old), len(new))]:
        for tag, i, j, k, m in _aligned(old[a:b], new[c:d]):
            moved = (tag, i + a, j + a, k + c, m + c)
            if found and found[-1][0] == tag == "equal":
                moved = (tag, found[-1][1], j + a, found.pop()[3], m + c)
            found.append(moved)
        a, c = b, d
    return found


def _aligned(old: Sequence[str], new: Sequence[str]) -> list[Opcode]:
    shorter = min(len(old), len(new))
    start = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    room = shorter - start
    end = next((i for i in range(room) if old[-1 - i] != new[-1 - i]), room)
    a, b = old[start : len(old) - end], new[start : len(new) - end]
    left, right = Counter(a), Counter(b)
    most = _MOST_PAIRS + _PAIRS_EACH * (len(a) + len(b))
    if not a and not b:
        inner: list[Opcode] = []
    elif len(a) * len(b) > _MOST_PLACES or sum(count * right[item] for item, count in left.items()) > most:
        inner = [("replace", 0, len(a), 0, len(b))]
    else:
        inner = list(SequenceMatcher(None, a, b, autojunk=False).get_opcodes())
    moved = [(tag, i + start, j + start, k + start, m + start) for tag, i, j, k, m in inner]
    head = [("equal", 0, start, 0, start)] if start else []
    tail = [("equal", len(old) - end, len(old), len(new) - end, len(new))] if end else []
    return [*head, *moved, *tail]


def _anchors(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Return the places in both where runs of items begin that are unique in each, for the most items in one order."""
    left, right = Counter(old), Counter(new)
    places = {item: at for at, item in enumerate(new) if left[item] == right[item] == 1}
    pairs = [(at, places[item]) for at, item in enumerate(old) if item in places]
    # The longest increasing subsequence: for each length the lowest last place, for each pair its predecessor.
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for index, (_, at) in enumerate(pairs):
        length = bisect_left(tops, at)
        before.append(ends[length - 1] if length else -1)
        tops[length : length + 1] = [at]
        ends[length : length + 1] = [index]
    chain: list[tuple[int, int]] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        chain.append(pairs[index])
        index = before[index]
    known = set(chain)
    return [(a, c) for a, c in reversed(chain) if (a - 1, c - 1) not in known]


def _changed(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    """Yield replaced lines, each with the line that it became if there is a similar one."""
    position = 0
    words = [_counted(line) for line in new]
    for index, line in enumerate(old):
        room = min(_MOST_AHEAD, max(1, len(new) - len(old) + 1) + index)
        own = _counted(line)
        reach = range(position, min(len(new), position + room))
        partner = next((each for each in reach if _is_alike(own, words[each])), None)
        if partner is None:
            yield Line("-", (Piece("-", line),))
            continue
        yield from (Line("+", (Piece("+", each),)) for each in new[position:partner])
        yield Line("~", _shortened(_words(line, new[partner])))
        position = partner + 1
    yield from (Line("+", (Piece("+", each),)) for each in new[position:])


def _counted(line: str) -> tuple[Counter[str], int]:
    """Return the words of a line with their counts, and the number of words."""
    words = WORD.findall(line)
    return Counter(words), len(words)


def _is_alike(old: tuple[Counter[str], int], new: tuple[Counter[str], int]) -> bool:
    (a, left), (b, right) = old, new
    size = left + right
    # A short line is never similar to a long one; checked first, because intersecting counters is slow.
    if size == 0 or 2 * min(left, right) / size < _ALIKE or a.keys().isdisjoint(b):
        return False
    return 2 * (a & b).total() / size >= _ALIKE


def _words(old: str, new: str) -> tuple[Piece, ...]:
    a, b = WORD.findall(old), WORD.findall(new)
    pieces: list[Piece] = []
    for tag, i, j, k, m in opcodes(a, b):
        gone, come = "".join(a[i:j]), "".join(b[k:m])
        if tag == "equal":
            pieces.append(Piece(" ", gone))
            continue
        # White space that both end with is not part of the change.
        shared = _shared_space(gone, come)
        pieces += _pieces(gone[: len(gone) - shared], come[: len(come) - shared], gone[len(gone) - shared :])
    return tuple(pieces)


def _shared_space(gone: str, come: str) -> int:
    pairs = enumerate(zip(reversed(gone), reversed(come), strict=False))
    return next((i for i, (x, y) in pairs if x != y or not x.isspace()), min(len(gone), len(come)))


def _pieces(gone: str, come: str, kept: str) -> list[Piece]:
    rows: tuple[tuple[Kind, str], ...] = (("-", gone), ("+", come), (" ", kept))
    return [Piece(kind, text) for kind, text in rows if text]


def _shortened(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    if sum(len(each.text) for each in pieces) <= _LONG_LINE:
        return pieces
    last = len(pieces) - 1
    return tuple(
        Piece(" ", _cut(each.text, head=index > 0, tail=index < last)) if each.kind == " " else each
        for index, each in enumerate(pieces)
    )


def _cut(text: str, *, head: bool, tail: bool) -> str:
    """Return unchanged text shortened to what is beside a change."""
    room = _BESIDE * (head + tail)
    if len(text) <= room + _BESIDE:
        return text
    first = f"{text[:_BESIDE]} " if head else ""
    final = f" {text[-_BESIDE:]}" if tail else ""
    return f"{first}[…]{final}"


def _with_context(lines: list[Line]) -> Iterator[Line]:
    changed = [index for index, line in enumerate(lines) if line.mark != " "]
    near = {each for index in changed for each in range(index - _CONTEXT, index + _CONTEXT + 1)}
    for is_near, group in groupby(enumerate(lines), key=lambda item: item[0] in near):
        rows = [line for _, line in group]
        if is_near or len(rows) == 1:  # a note "1 unchanged line" would take as much room as the line
            yield from map(_as_context, rows)
        else:
            yield Line("@", (Piece(" ", f"({len(rows):,} unchanged lines)"),))


def _as_context(line: Line) -> Line:
    if line.mark != " ":
        return line
    return Line(" ", (Piece(" ", _cut(line.pieces[0].text, head=True, tail=False)),))
