"""Packs the lines of a long group: fields of one parent beside each other, then lines of texts too.

Nothing is left out, and `--full` shows each by itself. Only for text: Markdown and HTML fold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reconciler.report.fieldlines import Shown
from reconciler.report.folding import in_lines
from reconciler.report.view import Field

# The most lines of fields before they are packed; with these a plan of one group has some 60 lines.
_MOST = 44
_NARROW = 110
# With fewer columns nothing fits beside another.
_NARROWEST = 72
# The end of a field that has several values.
_COUNT = re.compile(r"   ((?:\x1b\[2m)?)# ([\d,]+ values)((?:\x1b\[0m)?)$")
_END = " ⏎ "


def packed(fields: Sequence[tuple[Field, list[Shown]]], width: int) -> list[Shown]:
    """Return the lines of a group's fields, packed only as far as needed to get below the limit."""
    lines = [line for _, shown in fields for line in shown]
    wide = ((_NARROW, False), (width, False), (width, True))
    narrow = ((width, False),) if width >= _NARROWEST else ()
    for room, texts in wide if width > _NARROW else narrow:
        if len(lines) <= _MOST:
            break
        lines = list(_beside(fields, room, texts=texts))
    return lines


def _beside(fields: Sequence[tuple[Field, list[Shown]]], width: int, *, texts: bool) -> Iterator[Shown]:
    """Yield short fields of one parent on shared lines, at the place of the first; with `texts` also lines of texts."""
    siblings: dict[tuple[str, str], list[str]] = {}
    for field, shown in fields:
        if _is_plain(field, shown):
            siblings.setdefault(_parent(field, shown[0]), []).append(_key(shown[0].text))
    for field, shown in fields:
        if not _is_plain(field, shown):
            yield from _joined(shown, width) if texts else shown
        elif keys := siblings.pop(_parent(field, shown[0]), []):
            sign, parent = _parent(field, shown[0])
            head = f"{parent}: " if parent and len(keys) > 1 else f"{parent}." if parent else ""
            yield from (Shown(sign, 0, head + line) for line in in_lines(keys, width - len(head) - 10))


def _is_plain(field: Field, shown: Sequence[Shown]) -> bool:
    return len(shown) == 1 and field.sign != "~" and not field.forces


def _parent(field: Field, shown: Shown) -> tuple[str, str]:
    name = shown.text.partition(" = ")[0]
    return field.sign, name.rpartition(".")[0]


def _key(text: str) -> str:
    name, equals, value = _COUNT.sub(r" \1(\2)\3", text).partition(" = ")
    return f"{name.rpartition('.')[2]}{equals}{value}"


def _joined(shown: Sequence[Shown], width: int) -> Iterator[Shown]:
    """Yield a field whose text is all new or all old with its lines beside each other; any other field as it is."""
    [first, *rest] = shown
    if len(rest) < 2 or {line.sign for line in rest} not in ({"+"}, {"-"}):
        yield from shown
        return
    lines = [line.text.replace("⏎", "\\u{23ce}") for line in rest]
    yield Shown(first.sign, 0, f"{first.text}   # {len(lines):,} lines, each ends with ⏎")
    *full, last = in_lines(lines, width - 16 - len(_END), _END)
    yield from (Shown(rest[0].sign, 1, line) for line in (*full, last + _END.rstrip(" ")))
