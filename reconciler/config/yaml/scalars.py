"""The values of scalars: YAML 1.2's core types, whether a text is a template, and which characters are refused.

Numbers without a leading zero, `true`, `false` and `null` have a type; everything else is text.
"""

from __future__ import annotations

import math
import re
import unicodedata

WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
DIGITS = frozenset("-0123456789")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?")
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
INTEGERS = range(-(2**63), 2**64)

_INVISIBLE = ("Cf", "Cc", "Cs", "Co", "Cn", "Zl", "Zp")


class Templated(str):
    """A text that contains a Jinja template."""

    __slots__ = ()


def is_template(text: str) -> bool:
    """Return whether Jinja would find a template in a text."""
    return "{" in text and ("{{" in text or "{%" in text or "{#" in text)


def scalar(text: str) -> str | int | float | bool | None:
    """Return the value of a plain scalar; raise ValueError for a number that no service could take."""
    value: str | int | float | bool | None = WORDS.get(text, text)
    return number(text) if value is text and text[0] in DIGITS else value


def number(text: str) -> str | int | float:
    """Return a number without a leading zero, or the text itself; raise ValueError when it is out of range."""
    match = NUMBER.fullmatch(text)
    if match is None:
        return text
    if match.lastgroup is None:
        if len(text) > 20 or (whole := int(text)) not in INTEGERS:
            raise ValueError(f"the number {_short(text)} does not fit into 64 bits")
        return whole
    value = float(text) if len(text) <= 400 else math.inf
    if math.isinf(value):
        raise ValueError(f"the number {_short(text)} is too large")
    return value


def unsafe_name(text: str) -> str | None:
    """Return what makes a text unfit for a name, an id or a URL (invisible or ambiguous characters), or None."""
    if text.isascii() and text.isprintable():
        return None
    for character in text:
        if unicodedata.category(character) in _INVISIBLE:
            return f"the invisible character U+{ord(character):04X}"
    return None if unicodedata.is_normalized("NFC", text) else "a letter that is not in its normal form (NFC)"


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:20]}… ({len(text):,} characters)"
