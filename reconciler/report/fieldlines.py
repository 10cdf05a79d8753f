"""Makes lines with signs from field rows: the part of a change that text and Markdown show alike.

What changes is never cut here: whoever approves a prompt must be able to read it. A sink without room for all of it
says how much is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciler.plan.diff import Absent
from reconciler.report.credentials import Masked
from reconciler.report.escape import visible
from reconciler.report.shown import Side, in_line
from reconciler.report.style import Style
from reconciler.report.view import Field
from reconciler.report.wording import Piece, text_diff

# Text of so many characters stands on a line of its own fields; longer text is shown as lines.
_SHORT_TEXT = 80
# What reads as one of our marks around words that came or went, and what would make one at the edge of such words.
_MARK = re.compile(r"\{(?=[-+])|(?<=[-+])\}")
_EDGE = re.compile(r"^\}|\{$")


@dataclass(frozen=True, slots=True)
class Shown:
    """One line below a change: `sign` is one of `+ - ~` or a space, `depth` how far it stands in."""

    sign: str
    depth: int
    text: str


class FieldLines:
    """Writes fields as lines, and a text that many agents share only once: the others point to the first.

    `two_sided` writes a changed line of a text as an old and a new one, for diff viewers.
    """

    def __init__(self, style: Style, *, two_sided: bool = False) -> None:
        self._style = style
        self._two_sided = two_sided
        self._seen: dict[tuple[str, str], str] = {}

    def of(self, field: Field, address: str) -> Iterator[Shown]:
        """A field of the agent at an address, as lines."""
        style, before, after = self._style, field.before, field.after
        name = _plain(field.path)
        forces = f"   {style.paint('# forces replacement', 31)}" if field.forces else ""
        if not _is_long(before) and not _is_long(after):
            yield Shown(field.sign, 0, f"{name} = {_values(field, style)}{forces}")
            return
        title, lines = self._text(before, after)
        first = self._seen.setdefault((repr(before), repr(after)), address)
        if first != address:
            yield Shown(field.sign, 0, f"{name}{title} {style.dim(f'as for {visible(first)}')}{forces}")
            return
        yield Shown(field.sign, 0, f"{name}{title}{forces}")
        yield from lines

    def _text(self, before: Side, after: Side) -> tuple[str, Iterator[Shown]]:
        """What stands behind the field's name, and the lines below it."""
        if _is_text(before) and _is_text(after):
            return ":", _text_lines(str(before), str(after), self._style, two_sided=self._two_sided)
        if _is_long(after):
            title = ":" if isinstance(before, Absent) else f" = {_value(before)} ->"
            return title, _whole("+", str(after), self._style)
        title = ":" if isinstance(after, Absent) else f" -> {_value(after)}:"
        return title, _whole("-", str(before), self._style)


def _is_text(value: Side) -> bool:
    return isinstance(value, str) and not isinstance(value, Masked)


def _is_long(value: Side) -> bool:
    """Whether a value is shown as lines of its own."""
    return isinstance(value, str) and _is_text(value) and (len(value) > _SHORT_TEXT or "\n" in value)


def _values(field: Field, style: Style) -> str:
    if isinstance(field.before, Absent):
        return style.added(_value(field.after))
    if isinstance(field.after, Absent):
        return style.removed(_value(field.before))
    return f"{style.removed(_value(field.before))} -> {style.added(_value(field.after))}"


def _value(value: Side) -> str:
    return _spelled(in_line(value))


def _plain(text: str) -> str:
    """Foreign text, of which nothing hides and nothing reads as a mark of ours."""
    return _spelled(visible(text))


def _spelled(text: str, marks: re.Pattern[str] = _MARK) -> str:
    return marks.sub(lambda brace: f"\\u{{{ord(brace[0]):x}}}", text)


def _whole(sign: str, text: str, style: Style) -> Iterator[Shown]:
    """A text that is all new or all old."""
    paint = style.added if sign == "+" else style.removed
    for line in text.split("\n"):
        yield Shown(sign, 1, paint(_plain(line)))


def _text_lines(before: str, after: str, style: Style, *, two_sided: bool) -> Iterator[Shown]:
    for line in text_diff(before, after):
        if line.mark == "~" and two_sided:
            yield Shown("-", 1, _marked([each for each in line.pieces if each.kind != "+"], style))
            yield Shown("+", 1, _marked([each for each in line.pieces if each.kind != "-"], style))
        elif line.mark == "@":
            yield Shown(" ", 1, style.dim(line.pieces[0].text))
        elif line.mark in ("+", "-"):
            paint = style.added if line.mark == "+" else style.removed
            yield Shown(line.mark, 1, paint(_plain(line.pieces[0].text)))
        else:
            yield Shown(line.mark, 1, _marked(line.pieces, style))


def _marked(pieces: Sequence[Piece], style: Style) -> str:
    return "".join(_piece(each, style) for each in pieces)


def _piece(piece: Piece, style: Style) -> str:
    text = _plain(piece.text)
    if piece.kind == " ":
        return text
    if style.colour:
        # Underlined too: white space that came or went has no colour of its own.
        return style.paint(text, 9, 31) if piece.kind == "-" else style.paint(text, 4, 32)
    return f"{{{piece.kind}{_spelled(text, _EDGE)}{piece.kind}}}"
