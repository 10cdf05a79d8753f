"""Foreign text made fit for a sink: one function per sink, since what is harmless in one attacks another.

Names, prompts and the service's messages are written by others. Nothing of them may move a cursor, hide a
word, close a block that we opened, or call upon people. Every renderer passes all foreign text through here.
"""

from __future__ import annotations

import json
import re
import unicodedata

# Controls, formats (bidi, zero-width), surrogates, private and unassigned characters, and separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters and marks by category, and yet nothing to see: fillers, joiners, a blank of Braille.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_WIDE_SPACE = "\u3000"
# After a symbol, one of them is how phones write emoji; any other carries something that nobody sees.
_EMOJI_STYLE = frozenset("\ufe0e\ufe0f")
_STRAY_STYLE = re.compile("([^\ufe0e\ufe0f]?)([\ufe0e\ufe0f]+)", re.DOTALL)
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}

# What Markdown and its HTML give a meaning to.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#!|~^$<>&]|^[-+=])")
_NUMBERED = re.compile(r"^(\d+)([.)])")
_BACKTICKS = re.compile(r"`+")


def visible(text: str) -> str:
    """The text with every character that hides, moves or imitates others written out, as `\\u{202e}`.

    Line breaks are written out as well; who wants lines splits first.
    """
    if text.isascii() and text.isprintable():
        return text
    if not _EMOJI_STYLE.isdisjoint(text):
        text = _STRAY_STYLE.sub(_spelled_out, text)
    return text.translate({ord(each): _spelled(each) for each in set(text) if _is_hidden(each)})


def json_text(text: str) -> str:
    """JSON in which nothing hides or moves: such characters stand in strings only, and are escaped there."""
    if text.isascii() and "\x7f" not in text:
        return text
    hidden = {each for each in set(text) if each != "\n" and (_is_hidden(each) or each in _EMOJI_STYLE)}
    return text.translate({ord(each): _utf16(each) for each in hidden})


def yaml_text(text: str) -> str:
    """YAML whose texts with hidden characters all stand in double quotes: there they are escaped."""
    if text.isascii():
        return text
    hidden = {each for each in set(text) if each != "\n" and _is_hidden(each)}
    return text.translate({ord(each): f"\\U{ord(each):08x}" for each in hidden})


def _utf16(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def _spelled(character: str) -> str:
    return _SHORT.get(character) or f"\\u{{{ord(character):x}}}"


def _spelled_out(match: re.Match[str]) -> str:
    style = match[2]
    is_emoji = unicodedata.category(match[1] or " ") == "So"
    return match[1] + (style[:1] if is_emoji else "") + "".join(map(_spelled, style[is_emoji:]))


def _is_hidden(character: str) -> bool:
    category = unicodedata.category(character)
    if category == "Zs":  # spaces that look like the space, and are another character
        return character not in (" ", _WIDE_SPACE)
    return category in _HIDDEN or character in _BLANK or _is_variation(character)


def _is_variation(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0d" or "\U000e0100" <= character <= "\U000e01ef"


def prose(text: str) -> str:
    """A text inside a Markdown paragraph or table cell: no markup, no HTML, no mention, one line."""
    shown = _MARKDOWN.sub(lambda match: _ENTITIES.get(match[1], "\\" + match[1]), visible(text))
    shown = _NUMBERED.sub(r"\1\\\2", shown)
    # An invisible comment parts what GitHub would link: a mention, an issue, a host name.
    shown = shown.replace("@", "@<!-- -->").replace("\\#", "&#35;<!-- -->")
    return shown.replace("://", ":<!-- -->//").replace("www.", "www<!-- -->.")


_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;", "`": "&#96;", "\\": "&#92;"}


def code(text: str) -> str:
    """A text as code in a line of Markdown, whatever backticks it holds; not in tables: a pipe ends cells."""
    shown = visible(text)
    ticks = "`" * (longest_run(shown) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") or not shown.strip() else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def html(text: str) -> str:
    """A text inside an HTML element such as `<summary>`, where Markdown is not read, and mentions are."""
    shown = (
        visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    )
    return shown.replace("@", "@<!-- -->").replace("#", "#<!-- -->")


def fenced(lines: list[str], language: str = "") -> str:
    """Lines as a fenced block of Markdown that none of them can close."""
    fence = "`" * max(3, max(map(longest_run, lines), default=0) + 1)
    return "\n".join((f"{fence}{language}", *lines, fence))


def longest_run(text: str) -> int:
    """The length of the longest run of backticks."""
    return max(map(len, _BACKTICKS.findall(text)), default=0)


def github_message(text: str) -> str:
    """A text as the message of a GitHub workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def github_property(text: str) -> str:
    """A text as a property of a GitHub workflow command."""
    return github_message(text).replace(":", "%3A").replace(",", "%2C")
