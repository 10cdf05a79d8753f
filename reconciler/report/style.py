"""Colours of the terminal, or none: the only module that knows the terminal's codes."""

from __future__ import annotations

from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """Paints text, or leaves it as it is; accepts only text of ours or text that was escaped."""

    colour: bool

    def paint(self, text: str, *codes: int) -> str:
        if not self.colour or not text:
            return text
        return f"\x1b[{';'.join(map(str, codes))}m{text}\x1b[0m"

    def bold(self, text: str) -> str:
        return self.paint(text, 1)

    def dim(self, text: str) -> str:
        return self.paint(text, 2)

    def error(self, text: str) -> str:
        return self.paint(text, 1, 31)

    def warning(self, text: str) -> str:
        return self.paint(text, 1, 33)

    def good(self, text: str) -> str:
        return self.paint(text, 32)

    def removed(self, text: str) -> str:
        return self.paint(text, 31)

    def added(self, text: str) -> str:
        return self.paint(text, 32)

    def text(self, text: str) -> str:
        """Return a text as this sink needs it, before it is painted."""
        return text

    def marked(self, kind: str, text: str) -> str:
        """Return words of a line as added (`+`), removed (`-`) or varying (`~`).

        They are underlined too, because white space has no colour of its own.
        """
        return self.paint(text, *_MARKED[kind])

    def sign(self, sign: str) -> str:
        """Return a sign of a change in its colour."""
        if not self.colour:
            return sign
        if sign == "-/+":
            return f"{self.removed('-')}/{self.added('+')}"
        if sign == "+/-":
            return f"{self.added('+')}/{self.removed('-')}"
        return self.paint(sign, _SIGNS[sign]) if sign in _SIGNS else sign


_MARKED = {"+": (4, 32), "-": (9, 31), "~": (4, 36)}
_SIGNS = {"+": 32, "-": 31, "~": 33, "<=": 36, ".": 2, "!": 35}
