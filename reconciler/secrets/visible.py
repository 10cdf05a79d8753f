"""Make foreign text visible: write out every character that hides, moves or imitates others."""

from __future__ import annotations

import re
import unicodedata

# Controls, formats (bidi, zero-width), surrogates, private and unassigned characters, and separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Characters that are letters or marks by category, but show nothing: fillers, joiners, a blank of Braille.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_WIDE_SPACE = "\u3000"
# After a symbol, one of them is how phones write emoji; any others can carry hidden content.
EMOJI_STYLE = frozenset("\ufe0e\ufe0f")
_STRAY_STYLE = re.compile("([^\ufe0e\ufe0f]?)([\ufe0e\ufe0f]+)", re.DOTALL)
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def visible(text: str) -> str:
    """Return the text with every character that hides, moves or imitates others written out, as `\\u{202e}`.

    Line breaks are written out as well; a caller that wants lines splits the text first.
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
    """Return whether a character is invisible, or looks like a space without being one."""
    category = unicodedata.category(character)
    if category == "Zs":  # characters that look like the space
        return character not in (" ", _WIDE_SPACE)
    return category in _HIDDEN or character in _BLANK or _is_variation(character)


def _is_variation(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0d" or "\U000e0100" <= character <= "\U000e01ef"
