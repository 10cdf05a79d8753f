"""Foreign text with every character written out that hides, moves or imitates others."""

from __future__ import annotations

import re
import unicodedata

# Controls, formats (bidi, zero-width), surrogates, private and unassigned characters, and separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters and marks by category, and yet nothing to see: fillers, joiners, a blank of Braille.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_WIDE_SPACE = "\u3000"
# After a symbol, one of them is how phones write emoji; any other carries something that nobody sees.
EMOJI_STYLE = frozenset("\ufe0e\ufe0f")
_STRAY_STYLE = re.compile("([^\ufe0e\ufe0f]?)([\ufe0e\ufe0f]+)", re.DOTALL)
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def visible(text: str) -> str:
    """The text with every character that hides, moves or imitates others written out, as `\\u{202e}`.

    Line breaks are written out as well; who wants lines splits first.
    """
    if text.isascii() and text.isprintable():
        return text
    if not EMOJI_STYLE.isdisjoint(text):
        text = _STRAY_STYLE.sub(_spelled_out, text)
    return text.translate({ord(each): _spelled(each) for each in set(text) if is_hidden(each)})


def _spelled(character: str) -> str:
    return _SHORT.get(character) or f"\\u{{{ord(character):x}}}"


def _spelled_out(match: re.Match[str]) -> str:
    style = match[2]
    is_emoji = unicodedata.category(match[1] or " ") == "So"
    return match[1] + (style[:1] if is_emoji else "") + "".join(map(_spelled, style[is_emoji:]))


def is_hidden(character: str) -> bool:
    """Whether a character is invisible, or looks like a space and is not one."""
    category = unicodedata.category(character)
    if category == "Zs":  # spaces that look like the space, and are another character
        return character not in (" ", _WIDE_SPACE)
    return category in _HIDDEN or character in _BLANK or _is_variation(character)


def _is_variation(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0d" or "\U000e0100" <= character <= "\U000e01ef"
