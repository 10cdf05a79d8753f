"""Foreign text made fit for a sink: one function per sink, since what is harmless in one attacks another.

Names, prompts and the service's messages are written by others. Nothing of them may move a cursor, hide a
word, close a block that we opened, or call upon people. Every renderer passes all foreign text through here.
"""

from __future__ import annotations

import json
import re

from reconciler.secrets.visible import EMOJI_STYLE, is_hidden
from reconciler.secrets.visible import visible as visible  # noqa: PLC0414  renderers find all escaping here

# What Markdown and its HTML give a meaning to.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#!|~^$<>&]|^[-+=])")
_NUMBERED = re.compile(r"^(\d+)([.)])")
# How the links of GitHub and GitLab begin: to an issue, a milestone, a merge request, a label, a snippet, an alert.
# In prose they are escaped by then; in HTML, a number sign after an ampersand belongs to an entity of ours.
_ESCAPED_SIGNS = re.compile(r"\\#|(?:%|\\[!~$^])(?=\w)")
_SIGNS = re.compile(r"(?<!&)#|[%!~$^](?=\w|&quot;)")
_IN_HTML = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "[": "&#91;", "]": "&#93;", "`": "&#96;"}
)
_WWW = re.compile(r"(www)\.", re.IGNORECASE)
_WORD = re.compile(r"\S+")
_BACKTICKS = re.compile(r"`+")


def json_text(text: str) -> str:
    """JSON in which nothing hides or moves: such characters stand in strings only, and are escaped there."""
    if text.isascii() and "\x7f" not in text:
        return text
    hidden = {each for each in set(text) if each != "\n" and (is_hidden(each) or each in EMOJI_STYLE)}
    return text.translate({ord(each): _utf16(each) for each in hidden})


def yaml_text(text: str) -> str:
    """YAML whose texts with hidden characters all stand in double quotes: there they are escaped."""
    if text.isascii():
        return text
    hidden = {each for each in set(text) if each != "\n" and is_hidden(each)}
    return text.translate({ord(each): f"\\U{ord(each):08x}" for each in hidden})


def _utf16(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def prose(text: str) -> str:
    """A text inside a Markdown paragraph or table cell: no markup, no HTML, no mention, one line."""
    shown = _MARKDOWN.sub(lambda match: _ENTITIES.get(match[1], "\\" + match[1]), visible(text))
    shown = _NUMBERED.sub(r"\1\\\2", shown)
    return _unlinked(shown, _ESCAPED_SIGNS)


def _unlinked(shown: str, signs: re.Pattern[str]) -> str:
    """Text in HTML in which nothing calls upon people or links: neither a mention, an issue, nor an address.

    It is code, where code hosts look for none of them; entities, since readers of Markdown look for addresses in code of
    HTML. Of a name with an `@` the sign alone is code: where all of it is, it is read as a mail address.
    """
    shown = signs.sub(
        lambda match: f"<code>&#{ord(match[0][-1])};</code>", _WORD.sub(_unlinked_address, shown)
    )
    return shown.replace("@", "<code>&#64;</code>")


def _unlinked_address(match: re.Match[str]) -> str:
    word = match[0]
    spelled = _WWW.sub(r"\1&#46;", word.replace("://", "&#58;//"))
    return word if spelled == word else f"<code>{spelled}</code>"


_ENTITIES = {
    "[": "&#91;",
    "]": "&#93;",
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    "|": "&#124;",
    "`": "&#96;",
    "\\": "&#92;",
}


def code(text: str) -> str:
    """A text as code in a line of Markdown, whatever backticks it holds; not in tables: a pipe ends cells."""
    shown = visible(text)
    ticks = "`" * (longest_run(shown) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") or not shown.strip() else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def html(text: str) -> str:
    """A text inside an HTML element such as `<summary>`, where Markdown is not read, and mentions are."""
    shown = visible(text).translate(_IN_HTML)
    return _unlinked(shown, _SIGNS)


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


def xml(text: str) -> str:
    """A text as the content or an attribute of an XML element; lines are kept, and GitLab attaches no file that it names."""
    lines = (visible(line) for line in text.split("\n"))
    shown = "\n".join(lines).replace("[[", "[\\u{5b}")
    for character, entity in _XML.items():
        shown = shown.replace(character, entity)
    return shown


_XML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;"}
