"""Escapes foreign text for each sink, by one function each, because text that is harmless in one sink attacks another.

Names, prompts and messages of the service are written by others. They must not move a cursor, hide a word, close a
block that we opened, or notify people. Every renderer passes all foreign text through this module.
"""

from __future__ import annotations

import json
import re

from reconciler.secrets.visible import EMOJI_STYLE, is_hidden
from reconciler.secrets.visible import visible as visible  # noqa: PLC0414  renderers find all escaping here

# Characters with a meaning in Markdown or its HTML.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#!|~^$<>&]|^[-+=])")
_NUMBERED = re.compile(r"^(\d+)([.)])")
# The signs that begin links of GitHub and GitLab: to an issue, milestone, merge request, label, snippet or alert.
# In prose they are escaped already; in HTML, a number sign after an ampersand belongs to an entity of ours.
_ESCAPED_SIGNS = re.compile(r"\\#|(?:%|\\[!~$^])(?=\w)")
_SIGNS = re.compile(r"(?<!&)#|[%!~$^](?=\w|&quot;)")
_IN_HTML = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "[": "&#91;", "]": "&#93;", "`": "&#96;"}
)
_WWW = re.compile(r"(www)\.", re.IGNORECASE)
_WORD = re.compile(r"\S+")
_BACKTICKS = re.compile(r"`+")


def json_text(text: str) -> str:
    """Return JSON with invisible characters escaped; they occur in strings only."""
    if text.isascii() and "\x7f" not in text:
        return text
    hidden = {each for each in set(text) if each != "\n" and (is_hidden(each) or each in EMOJI_STYLE)}
    return text.translate({ord(each): _utf16(each) for each in hidden})


def yaml_text(text: str) -> str:
    """Return YAML with invisible characters escaped; texts that hold them are in double quotes."""
    if text.isascii():
        return text
    hidden = {each for each in set(text) if each != "\n" and is_hidden(each)}
    return text.translate({ord(each): f"\\U{ord(each):08x}" for each in hidden})


def _utf16(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def prose(text: str) -> str:
    """Return a text for a Markdown paragraph or table cell: one line without markup, HTML or mentions."""
    shown = _MARKDOWN.sub(lambda match: _ENTITIES.get(match[1], "\\" + match[1]), visible(text))
    shown = _NUMBERED.sub(r"\1\\\2", shown)
    return _unlinked(shown, _ESCAPED_SIGNS)


def _unlinked(shown: str, signs: re.Pattern[str]) -> str:
    """Return HTML text in which nothing is a mention or becomes a link to an issue or an address.

    The signs become code, in which code hosts look for neither; addresses become entities too, because readers of
    Markdown look for addresses inside HTML code. Of a name with `@` only the sign is code: as a whole it would be a
    mail address.
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
    """Return a text as inline code of Markdown, also if it contains backticks. Not for tables: a pipe ends cells."""
    shown = visible(text)
    ticks = "`" * (longest_run(shown) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") or not shown.strip() else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def html(text: str) -> str:
    """Return a text for an HTML element such as `<summary>`, in which Markdown is not read but mentions are."""
    shown = visible(text).translate(_IN_HTML)
    return _unlinked(shown, _SIGNS)


def fenced(lines: list[str], language: str = "") -> str:
    """Return lines as a fenced block of Markdown that none of them can close."""
    fence = "`" * max(3, max(map(longest_run, lines), default=0) + 1)
    return "\n".join((f"{fence}{language}", *lines, fence))


def longest_run(text: str) -> int:
    """Return the length of the longest run of backticks."""
    return max(map(len, _BACKTICKS.findall(text)), default=0)


def github_message(text: str) -> str:
    """Return a text as the message of a GitHub workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def github_property(text: str) -> str:
    """Return a text as a property of a GitHub workflow command."""
    return github_message(text).replace(":", "%3A").replace(",", "%2C")


def xml(text: str) -> str:
    """Return a text as content or attribute of an XML element; lines are kept, and GitLab reads no `[[` in it."""
    lines = (visible(line) for line in text.split("\n"))
    shown = "\n".join(lines).replace("[[", "[\\u{5b}")
    for character, entity in _XML.items():
        shown = shown.replace(character, entity)
    return shown


_XML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;"}


# What GitHub's runner reads as a workflow command in a job's log: a prompt must not be able to give it commands.
_COMMAND = re.compile(r"(?m)(^[^\S\n]*|(?=##\[))(::|##\[)")


def without_commands(text: str) -> str:
    """Return lines in which GitHub's runner finds no workflow command."""
    return _COMMAND.sub(lambda found: f"{found[1]}\\u{{{ord(found[2][0]):x}}}{found[2][1:]}", text)
