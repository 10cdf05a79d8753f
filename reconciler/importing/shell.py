"""Finds the curl commands in a shell script, as words without quotes, with their standard input.

Nothing is run, and nothing is read from this machine's environment: an expansion stays in its word as a mark that holds
the variable's name. Quoting as in the shell's grammar (POSIX.1-2024, 2.2 and 2.7.4) with `$'…'`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field

from reconciler.importing.problems import SourceLine, Unimportable
from reconciler.importing.windows import in_posix
from reconciler.values import dataclass

# Unicode noncharacters, which valid text does not hold; they enclose a variable in a word.
OPEN, SHUT = "\ufdd0", "\ufdd1"
MARK = re.compile(f"{OPEN}([A-Za-z_][A-Za-z0-9_]*)?(=[^{OPEN}{SHUT}]*)?{SHUT}")

_WORD_CHARACTERS = re.compile(r"[^ \t\r\n'\"\\$`;&|<>()]+")
_IN_QUOTES = re.compile(r'[^"\\$`]+')
_IN_DOCUMENT = re.compile(r"[^\\$`]+")
_BLANK = re.compile(r"(?:[ \t]|\\\r?\n)+")
_REDIRECTION = re.compile(r"[0-9]*(<<<|<<-?|>>|>\||<>|[<>]&?|&>)")
_IN_ANSI = re.compile(r"(?:[^'\\]|\\.)*'", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-=])([^{}$`\"'\\]*)|[^{}]*)\}")
_NESTED = re.compile(r"\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"|[()]", re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})|(.))", re.DOTALL
)
_LETTERS = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\x1b",
    "E": "\x1b",
}
# The word curl, or an assignment at the beginning of a line.
_BEGINNING = re.compile(
    r"(?<![\w.-])curl(?:\.exe)?(?=[ \t\\])|^[ \t]*(?:export[ \t]+|readonly[ \t]+)?(?P<name>[A-Za-z_]\w*)=",
    re.MULTILINE,
)
# What may be before a command on its line.
_BEFORE = re.compile(
    r"(?:^|[;&|({`!]|\b(?:then|do|else|if|while|until|time|sudo|exec|env|nohup))[ \t]*"
    r"(?:[$%>][ \t]+)?(?:[A-Za-z_]\w*=[^ \t]*[ \t]+)*(?:[\w./~-]*/)?$"
)
_LOOK_BACK = 200
# How many unterminated assignments are read, each to the end of the text; a bound, so that the work stays linear.
_MOST_MISREAD = 20


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command, with the line on which it begins."""

    text: str
    at: SourceLine


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """One command: its words, its standard input if the text shows it, and the variables set before it.

    `input_from` is the file that is its standard input.
    """

    words: tuple[Word, ...]
    at: SourceLine
    input: Word | None = None
    input_from: Word | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


def curl_commands(text: str, file: str) -> Iterator[ShellCommand]:
    """Yield every curl command of a text. Raises `Unimportable` for a quote or a here-document without an end."""
    reader = _ShellReader(in_posix(text.translate({ord(OPEN): None, ord(SHUT): None})), file)
    variables: dict[str, str] = {}
    at = misread = 0
    while (found := _BEGINNING.search(reader.text, at)) is not None:
        at = found.end()
        if (name := found["name"]) is None:
            if _begins_a_command(reader.text, found.start()):
                command, at = reader.command(at, dict(variables))
                yield command
        elif misread < _MOST_MISREAD:
            try:
                word, end = reader.word(at)
            except Unimportable:  # only looks like an assignment: prose has quotes too
                misread += 1
                continue
            variables[name] = word
            at = end if "curl" not in reader.text[at:end] else at  # VALUE=$(curl …) holds a command


def filled(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with its marks filled in, if the source gives the value or a default."""

    def value(mark: re.Match[str]) -> str:
        name, default = mark[1], mark[2]
        if name is not None and name in variables:
            return variables[name]
        return mark[0] if default is None else default[1:]

    return MARK.sub(value, text)


def unset(text: str) -> list[str]:
    """Return the variables whose marks are in a text, as `$NAME`; `$(…)` for an expansion without a name."""
    return list(dict.fromkeys(f"${mark[1]}" if mark[1] else "$(…)" for mark in MARK.finditer(text)))


def _begins_a_command(text: str, at: int) -> bool:
    begin = max(text.rfind("\n", 0, at) + 1, at - _LOOK_BACK)
    return _BEFORE.search(text[begin:at]) is not None


class _ShellReader:
    """Reads words at offsets of one text."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self._line, self._counted = 1, 0

    def line(self, offset: int) -> SourceLine:
        """Return the line of an offset. Fast for ascending offsets; a smaller one counts from the beginning again."""
        if offset < self._counted:
            self._line, self._counted = 1, 0
        self._line += self.text.count("\n", self._counted, offset)
        self._counted = offset
        return SourceLine(self.file, self._line)

    def command(self, at: int, variables: Mapping[str, str]) -> tuple[ShellCommand, int]:
        """Return the command whose name ends at an offset, and the offset of its end."""
        text, begin = self.text, self.line(at)
        words: list[Word] = []
        given: Word | None = None
        input_from: Word | None = None
        documents: list[
            tuple[str, bool, bool]
        ] = []  # delimiter, whether variables are expanded, whether leading tabs are removed
        while at < len(text):
            if (blank := _BLANK.match(text, at)) is not None:
                at = blank.end()
                continue
            if (redirection := _REDIRECTION.match(text, at)) is not None:
                operator = redirection[1]
                blank = _BLANK.match(text, redirection.end())
                start = blank.end() if blank else redirection.end()
                target, at = self.word(start)
                if operator in ("<<", "<<-"):
                    documents.append((target, text[start:at] == target, operator == "<<-"))
                elif operator == "<<<":
                    given = Word(target, self.line(start))
                elif operator == "<":
                    input_from = Word(target, self.line(start))
                continue
            if text[at] in "\n\r;&|()" or (text[at] == "`"):
                break
            if text[at] == "#":
                at = _end_of_line(text, at)
                continue
            where = self.line(at)
            word, at = self.word(at)
            words.append(Word(word, where))
        if documents:
            at = _end_of_line(text, at) + 1
            for delimiter, is_expanded, drops_tabs in documents:
                given, at = self._document(at, delimiter, is_expanded=is_expanded, drops_tabs=drops_tabs)
        return ShellCommand(tuple(words), begin, given, input_from, variables), at

    def word(self, at: int) -> tuple[str, int]:
        """Return the word at an offset, without quotes, and the offset of its end."""
        text, pieces = self.text, []
        while at < len(text):
            if (plain := _WORD_CHARACTERS.match(text, at)) is not None:
                pieces.append(plain[0])
                at = plain.end()
                continue
            character = text[at]
            if character == "'":
                end = self._closed(at, text.find("'", at + 1))
                pieces.append(text[at + 1 : end])
                at = end + 1
            elif character == '"':
                piece, at = self._quoted(at)
                pieces.append(piece)
            elif text.startswith("$'", at):
                piece, at = self._ansi(at)
                pieces.append(piece)
            elif text.startswith('$"', at):
                piece, at = self._quoted(at + 1)
                pieces.append(piece)
            elif character == "\\":
                if not text.startswith(("\\\n", "\\\r\n"), at):
                    pieces.append(text[at + 1 : at + 2])
                    at += 2
                else:
                    at = text.index("\n", at) + 1
            elif character in "$`":
                piece, at = self._expansion(at)
                pieces.append(piece)
            else:
                break
        return "".join(pieces), at

    def _closed(self, opened: int, end: int) -> int:
        if end < 0:
            raise Unimportable.at(self.line(opened), "the quote that opens here has no end")
        return end

    def _quoted(self, opened: int) -> tuple[str, int]:
        """Return the content of double quotes, and the offset behind them."""
        text, pieces, at = self.text, [], opened + 1
        while True:
            if (plain := _IN_QUOTES.match(text, at)) is not None:
                pieces.append(plain[0])
                at = plain.end()
            if at >= len(text):
                self._closed(opened, -1)
            if text[at] == '"':
                return "".join(pieces), at + 1
            if text[at] == "\\":
                piece, at = _escaped(text, at)
            else:
                piece, at = self._expansion(at)
            pieces.append(piece)

    def _ansi(self, opened: int) -> tuple[str, int]:
        """Return the content of `$'…'`, and the offset behind it."""
        found = _IN_ANSI.match(self.text, opened + 2)
        end = self._closed(opened, found.end() if found else -1)
        return _ESCAPE.sub(_ansi_character, self.text[opened + 2 : end - 1]), end

    def _expansion(self, at: int) -> tuple[str, int]:
        """Return the mark of the expansion at an offset, or the dollar sign itself, and the offset of its end."""
        text = self.text
        if text[at] == "`":
            return f"{OPEN}{SHUT}", self._closed(at, text.find("`", at + 1)) + 1
        if (name := _NAME.match(text, at + 1)) is not None:
            return f"{OPEN}{name[0]}{SHUT}", name.end()
        if (braced := _BRACED.match(text, at + 1)) is not None:
            default = f"={braced[3]}" if braced[2] else ""
            return f"{OPEN}{braced[1]}{default}{SHUT}", braced.end()
        if text.startswith("$(", at):
            return f"{OPEN}{SHUT}", self._end_of_nested(at + 1)
        if text.startswith("${", at):
            return f"{OPEN}{SHUT}", self._closed(at, text.find("}", at)) + 1
        return "$", at + 1

    def _end_of_nested(self, opened: int) -> int:
        depth = 0
        for token in _NESTED.finditer(self.text, opened):
            depth += {"(": 1, ")": -1}.get(token[0], 0)
            if depth == 0:
                return token.end()
        return self._closed(opened, -1)

    def _document(self, at: int, delimiter: str, *, is_expanded: bool, drops_tabs: bool) -> tuple[Word, int]:
        """Return the here-document that begins at an offset, and the offset of its end."""
        tabs = r"\t*" if drops_tabs else ""
        end = re.compile(rf"^{tabs}{re.escape(delimiter)}[ \t]*\r?$", re.MULTILINE).search(self.text, at)
        if end is None:
            raise Unimportable.at(self.line(at - 1), "the here-document that begins below has no end")
        body = self.text[at : end.start()]
        if drops_tabs:
            body = re.sub(r"(?m)^\t+", "", body)
        where = self.line(at)
        if is_expanded:
            body = _ShellReader(body, self.file)._expanded()
        return Word(body, where), end.end()

    def _expanded(self) -> str:
        """Return the whole text as in double quotes, where quote characters have no meaning."""
        pieces, at = [], 0
        while at < len(self.text):
            if self.text[at] == "\\":
                piece, at = _escaped(self.text, at)
            elif self.text[at] in "$`":
                piece, at = self._expansion(at)
            else:
                plain = _IN_DOCUMENT.match(self.text, at)
                assert plain is not None, "what is neither stands for itself"
                piece, at = plain[0], plain.end()
            pieces.append(piece)
        return "".join(pieces)


def _escaped(text: str, at: int) -> tuple[str, int]:
    """Return what a backslash in double quotes stands for, and the offset behind it."""
    if text.startswith(("\\\n", "\\\r\n"), at):
        return "", text.index("\n", at) + 1
    following = text[at + 1 : at + 2]
    return (following if following in tuple('$`"\\') else f"\\{following}"), at + 2


def _ansi_character(found: re.Match[str]) -> str:
    for digits, base in ((found[1], 16), (found[2], 16), (found[3], 16), (found[4], 8)):
        if digits is not None:
            code = int(digits, base)
            return chr(code) if code < 0x110000 else "\ufffd"
    return _LETTERS.get(found[5], found[5] if found[5] in "\\'\"?" else f"\\{found[5]}")


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
