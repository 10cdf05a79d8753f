"""Translate the YAML parser's errors: what is wrong, where, and what to write instead."""

from __future__ import annotations

import re
from typing import Any

import yaml

from reconciler.config.yaml.errors import in_text, unquoted_template
from reconciler.diagnostics import Problem, Span

# A part of libyaml's or PyYAML's wording -> (what is wrong, what to do).
_TRANSLATIONS: tuple[tuple[str, str, str], ...] = (
    (
        "mapping values are not allowed",
        "a colon opens a mapping inside of a value",
        "quote the value if the colon belongs to it; otherwise put the key on a line of its own",
    ),
    ("found unexpected end of stream", "the quoted text never ends", "close the quote"),
    (
        "did not find expected ',' or ']'",
        "the list is not closed, or a comma is missing",
        "add the missing comma or ']'",
    ),
    (
        "did not find expected ',' or '}'",
        "the mapping is not closed, or a comma is missing",
        "add the missing comma or '}'",
    ),
    ("expected ',' or ']'", "the list is not closed, or a comma is missing", "add the missing comma or ']'"),
    (
        "expected ',' or '}'",
        "the mapping is not closed, or a comma is missing",
        "add the missing comma or '}'",
    ),
    (
        "did not find expected key",
        "this line does not fit what precedes it",
        "check indentation, quotes and colons",
    ),
    (
        "expected <block end>",
        "this line does not fit what precedes it",
        "check indentation, quotes and colons",
    ),
    (
        "did not find expected '-' indicator",
        "this line is not an item of the list around it",
        "indent it like its neighbours, or begin it with '- '",
    ),
    (
        "could not find expected ':'",
        "the key has no colon",
        "write 'key: value', or quote a text of several lines",
    ),
    (
        "did not find expected <document start>",
        "text follows the end of the document",
        "remove the '...' or the text",
    ),
    ("expected '<document start>'", "text follows the end of the document", "remove the '...' or the text"),
    (
        "unknown escape character",
        "this escape is not known to YAML",
        "use single quotes, or double the backslash",
    ),
    ("invalid Unicode character escape", "this escape is not a character", "write the character itself"),
    ("duplicate anchor", "this anchor exists already", "give it another name"),
    ("undefined tag handle", "this tag is not allowed", "leave the tag out"),
)
# libyaml's own bound, 1,000 levels since 0.2.6. It reads a thousand characters ahead for a colon, and so may reach it
# before it has given us the event of the fiftieth level.
_TOO_DEEP = "exceeded max"
_OPENING = "[{"
# What looks like one value inside brackets.
_TOKEN = re.compile(r"[^\s,\]}]+")
_OTHER_QUOTE = {
    '"': "use '…' outside, or inside, as in \"{{ hotel.open == 'true' }}\"",
    "'": 'use "…" outside, or write the quote twice',
}


def explain_syntax(error: yaml.YAMLError, text: str) -> Problem:
    """Return a parser's exception as a problem with a place; the parser's message is kept as the reason."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return _unreadable(error, text)
    line, column = mark.line, mark.column
    source = _line(text, line)
    problem = str(getattr(error, "problem", None) or getattr(error, "context", None) or error)
    special = _special(source, line, column, problem)
    if special is not None:
        return special
    context = getattr(error, "context_mark", None)
    related: tuple[tuple[Span, str], ...] = ()
    if context is not None and (context.line, context.column) != (line, column):
        begun = f"{getattr(error, 'context', None) or 'begun'}, from here"
        related = ((in_text((context.line, context.column)), begun),)
    for wording, summary, help in _TRANSLATIONS:
        if wording in problem:
            return Problem(
                "yaml-syntax",
                summary,
                in_text((line, column)),
                why=f"YAML: {problem}",
                help=help,
                related=related,
            )
    return Problem("yaml-syntax", f"this is not YAML: {problem}", in_text((line, column)), related=related)


def deep_place(
    error: yaml.YAMLError, text: str, innermost: tuple[int, int], levels: int
) -> tuple[int, int] | None:
    """Return where a text opens the last of `levels` containers inside its `innermost` one, for an error about depth.

    None for any other error. All that the parser has read ahead is in one line.
    """
    mark = getattr(error, "problem_mark", None)
    if mark is None or _TOO_DEEP not in str(getattr(error, "problem", "")):
        return None
    opened = (column for column, each in enumerate(_line(text, mark.line)) if each in _OPENING)
    unheard = [each for each in opened if (mark.line, each) > innermost]
    return mark.line, unheard[levels - 1] if levels <= len(unheard) else mark.column


def _special(source: str, line: int, column: int, problem: str) -> Problem | None:
    """Return a better problem for common mistakes: an unquoted template, a tab, a star, a quote inside a text."""
    at = source[column : column + 1]
    before = source[:column]
    if at == "%" and before.endswith("{"):
        return unquoted_template((line, column - 1), "{%")
    opened = source.find("{{")
    if opened != -1 and source[:opened].count('"') % 2 == 0 and source[:opened].count("'") % 2 == 0:
        return unquoted_template((line, opened))
    if at == "\t" or ("\t" in before and not before.strip()):
        return Problem(
            "yaml-syntax", "a tab cannot indent", in_text((line, column)), help="indent with spaces"
        )
    if "expected alphabetic or numeric character" in problem and before.endswith(("*", "&")):
        mark = before[-1]
        return Problem(
            "yaml-syntax",
            f'a value cannot begin with "{mark}"',
            in_text((line, column - 1)),
            why=f"to YAML, {mark} stands before the name of an anchor",
            help=f'quote it: "{_TOKEN.match(source, column - 1)[0]}"',  # type: ignore[index]  # it matches the mark
        )
    if at and before.endswith(('"', "'")) and before.count(before[-1]) > 1 and not at.isspace():
        return Problem(
            "yaml-syntax",
            "a quote inside ends the text",
            in_text((line, column - 1)),
            why=f"YAML: {problem}",
            help=_OTHER_QUOTE[before[-1]],
        )
    if "cannot start any token" in problem:
        return Problem(
            "yaml-syntax",
            f'a value cannot begin with "{at}"',
            in_text((line, column)),
            help=f'quote it: "{source[column:].strip()}"',
        )
    return None


def _unreadable(error: Any, text: str) -> Problem:
    """Return the problem for a character that the parser refuses, found by its offset."""
    offset = getattr(error, "position", None) or 0
    before = (
        text.encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "replace")
        if yaml.__with_libyaml__
        else text[:offset]
    )
    line = before.count("\n")
    code = getattr(error, "character", 0)
    shown = f"U+{code:04X}" if isinstance(code, int) else repr(code)
    column = len(before) - (before.rfind("\n") + 1)
    summary = f"the character {shown} may not stand in YAML"
    return Problem("control-character", summary, in_text((line, column)), help="remove it")


def _line(text: str, number: int) -> str:
    for index, line in enumerate(text.split("\n")):
        if index == number:
            return line
    return ""
