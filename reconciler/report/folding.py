"""Folds the long lines of a text, and joins words to lines: nothing of a prompt is cut, and no line is longer than a terminal can search."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 240
_DEEPEST = 40
# How much of a line is examined at a time: a prompt may be one line of a megabyte.
_WINDOW = 8 * LONGEST
_CODE = re.compile(r"\x1b\[[0-9;]*m")
_RESET = "\x1b[0m"
_AGAIN = "↳ "
_CONTINUED = re.compile(rf"\n *{_AGAIN}")
_NEW_LINE = re.compile(rf"\n(?! *{_AGAIN})")


def folded(text: str, width: int = LONGEST) -> str:
    """Return the text with each line longer than `width` continued on further lines, after an arrow.

    A line is split at spaces, and inside a word only if the word is longer than `LONGEST`; not inside a command in
    backticks, which is copied, if that leaves at least half of the line.
    """
    lines = text.split("\n")
    if all(len(line) <= width for line in lines):
        return text
    return "\n".join(line if len(line) <= width else _line(line, width) for line in lines)


def in_lines(words: Iterable[str], width: int, separator: str = ", ") -> list[str]:
    """Return words joined to lines of at most so many columns; a longer word has a line of its own."""
    lines: list[str] = []
    room = 0
    for word in words:
        size = len(separator) + (len(_CODE.sub("", word)) if "\x1b" in word else len(word))
        if lines and size <= room:
            lines[-1] += separator + word
            room -= size
        else:
            lines[-1:] = [f"{lines[-1]}{separator.rstrip(' ')}", word] if lines else [word]
            room = width + len(separator) - size
    return lines


def refolded(text: str, width: int = LONGEST) -> str:
    """Return a folded text in which commands in backticks have become longer, with their lines folded anew."""
    lines = _NEW_LINE.split(text)
    return "\n".join(
        _line(_CONTINUED.sub(" ", line), width) if "`" in line and _is_wide(line, width) else line
        for line in lines
    )


def _is_wide(line: str, width: int) -> bool:
    return any(len(_CODE.sub("", each)) > width for each in line.split("\n"))


def _line(line: str, width: int) -> str:
    """Return one line as several; colours end with each line and begin again on the next."""
    indent = min(len(line) - len(line.lstrip(" ")) + 4, _DEEPEST, width // 3)
    head = " " * indent + _AGAIN
    lines: list[str] = []
    at, opened = 0, ""
    room, most = width, LONGEST
    while at + (end := _end(line[at : at + _WINDOW], room, most)) < len(line):
        piece, before = line[at : at + end], opened
        at += end
        for code in _CODE.findall(piece):
            opened = "" if code == _RESET else opened + code
        lines.append(before + piece.rstrip(" ") + (_RESET if opened else ""))
        room, most = width - len(head), LONGEST - len(head)
    lines.append(opened + line[at:])
    return f"\n{head}".join(lines)


def _end(text: str, room: int, most: int) -> int:
    """Return how many characters fit, colour codes not counted: to the last space in the room, or the first after."""
    shown = space = outside = at = 0
    quoted = False
    for part in _CODE.split(text):
        for offset, character in enumerate(part):
            if shown >= room and space:
                return outside if outside > room // 2 else space
            if shown >= most:
                return at + offset
            shown += 1
            quoted ^= character == "`"
            if character == " " and text[: at + offset].strip(" "):
                space = at + offset + 1
                outside = outside if quoted else space
                if shown > room:
                    return space
        code = _CODE.match(text, at + len(part))
        at = code.end() if code else len(text)
    return len(text)
