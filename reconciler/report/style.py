"""Colour, or none: the only place that knows the terminal's codes."""

from __future__ import annotations

from reconciler.plan.change import Action
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """Paints text, or leaves it alone; only text of ours or text that was escaped may be given to it."""

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
        """A text as this sink takes it, before it is painted."""
        return text

    def marked(self, kind: str, text: str) -> str:
        """Words of a line that came (`+`), went (`-`) or vary (`~`).

        Underlined too: white space that came or went has no colour of its own.
        """
        return self.paint(text, *_MARKED[kind])

    def sign(self, sign: str) -> str:
        """A sign of ours in the colour of what it stands for."""
        if not self.colour:
            return sign
        if sign == "-/+":
            return f"{self.removed('-')}/{self.added('+')}"
        if sign == "+/-":
            return f"{self.added('+')}/{self.removed('-')}"
        return self.paint(sign, _SIGNS[sign]) if sign in _SIGNS else sign


_MARKED = {"+": (4, 32), "-": (9, 31), "~": (4, 36)}
_SIGNS = {"+": 32, "-": 31, "~": 33, "<=": 36, ".": 2, "!": 35}

SYMBOLS = {
    Action.JOIN: "+",
    Action.UPDATE: "~",
    Action.RENEW: "~",
    Action.REPLACE: "-/+",
    Action.ROTATE: "-/+",
    Action.LEAVE: "-",
    Action.ADOPT: "<=",
    Action.FORGET: ".",
    Action.HOLD: "!",
    Action.NONE: "",
}
