"""Problems of the files, and errors that end a command, with a code frame: what, where, and what to do.

As text and as Markdown; the formats for machines are in `problem_formats`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from reconciler.diagnostics import Problem, Span, plural
from reconciler.errors import ReconcilerError
from reconciler.model.address import Address
from reconciler.report.alike import grouped_by
from reconciler.report.escape import code, fenced, prose, visible
from reconciler.report.folding import folded
from reconciler.report.formats import ReadSource, RenderOptions
from reconciler.report.style import Style
from reconciler.values import dataclass

LinesOf: TypeAlias = Callable[[str], "list[str] | None"]

_CONTEXT = 2
# Rules whose place holds a secret in plain text.
_ABOUT_SECRETS = frozenset({"literal-secret", "secret-like"})
# The key before a value; it may be shown, the value may not.
_KEY = re.compile(r"[\w.\"'-]+:\s+")
# The most and the fewest columns of a line of a file.
_WIDEST, _NARROWEST = 160, 20
# Quoted parts of a message, and words: with digits in it, a word is a value of one agent.
_QUOTED_OR_WORD = re.compile(r'"[^"]*"|[^\s"]+')
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of checking the files.

    `verdicts` has a line for each valid environment; `accepted` are warnings that the files ignore; `addresses` are
    those of the valid environments, each once.
    """

    diagnostics: tuple[Problem, ...]
    verdicts: tuple[str, ...] = ()
    accepted: tuple[Problem, ...] = ()
    addresses: tuple[Address, ...] = ()

    @property
    def has_errors(self) -> bool:
        return any(each.is_error for each in self.diagnostics)

    @property
    def last_lines(self) -> list[str]:
        """The verdicts, unless there are errors, and a line for the warnings that the files ignore."""
        lines = [*(() if self.has_errors else self.verdicts), accepted_line(self.accepted)]
        return [each for each in lines if each]


def render_text(checked: Checked, options: RenderOptions = RenderOptions()) -> str:
    """Return every problem with its code frame, then a line for each valid environment."""
    text = problem_lines(checked.diagnostics, options) if checked.diagnostics else ""
    return text + "".join(f"{folded(line, options.columns)}\n" for line in checked.last_lines)


def problem_lines(diagnostics: Iterable[Problem], options: RenderOptions = RenderOptions()) -> str:
    """Return every problem with its code frame, in the order of the files, and a last line that counts them.

    A problem that one place causes for many agents is one block.
    """
    found = list(diagnostics)
    style = Style(options.colour)
    shown = [
        "\n".join([_first(each.problem, style), *each.lines])
        for each in blocks(found, options.read_source, style, options.width)
    ]
    return folded("\n\n".join([*shown, summary(found)]) + "\n", options.columns)


@dataclass(frozen=True, slots=True)
class Block:
    """A problem of one place, shown once however often it occurs, and the lines below its summary."""

    problem: Problem
    lines: list[str]


def blocks(
    diagnostics: Iterable[Problem],
    read_source: ReadSource,
    style: Style = Style(colour=False),
    width: int | None = None,
) -> list[Block]:
    """Return problems as blocks, in the order of the files; the lines of their frames are cut to the width."""
    found = sorted(diagnostics, key=Problem.sort_key)
    sources: dict[str, list[str] | None] = {}
    lines_of = _cached(sources, read_source, _hidden(found))
    merged = ((_one(each), len(each)) for each in grouped_by(found, _kind))
    return [Block(each, list(_below(each, style, lines_of, times, width))) for each, times in merged]


def _kind(found: Problem) -> Hashable:
    """Return what problems of one place have in common if they differ only in the values that they quote."""
    if found.where is None:
        return found.sort_key()
    texts = [_without_values(text or "") for text in (found.summary, found.why, found.help, found.path)]
    return (found.severity, found.rule, found.where, found.related, *texts)


def _without_values(text: str) -> str:
    def kept(match: re.Match[str]) -> str:
        word = match[0]
        return "" if word.startswith('"') or _DIGIT.search(word) else word

    return _QUOTED_OR_WORD.sub(kept, text)


def _one(group: Sequence[Problem]) -> Problem:
    """Return a group as one problem; where its texts differ they show the first values."""
    first = group[0]
    if len(group) == 1:
        return first
    from reconciler.report.fieldlines import merged_texts  # imported only for repeated problems

    def merged(text: Callable[[Problem], str | None]) -> str:
        distinct = list(dict.fromkeys(text(each) or "" for each in group))
        return distinct[0] if len(distinct) == 1 else "\n".join(merged_texts(distinct))

    return replace(
        first,
        summary=merged(lambda each: each.summary),
        why=merged(lambda each: each.why),
        help=merged(lambda each: each.help),
    )


def render_markdown(checked: Checked, options: RenderOptions) -> str:
    """Return every problem with its lines of the files; if that is too long, as many headlines as fit."""
    from reconciler.report.markdown import BUDGET  # imported only for this format

    room = options.budget or BUDGET
    found = blocks(checked.diagnostics, options.read_source)
    ends = [prose(each) for each in checked.last_lines]
    whole = _document(checked, [_markdown(each) for each in found], ends)
    if len(whole) <= room:
        return whole
    short = [f"- {_headline(each)}" for each in found]
    count = len(short)
    more = [f"- … and {len(short):,} more: `reconciler validate` shows all."]
    while count and len(_document(checked, ["\n".join([*short[:count], *more])], ends)) > room:
        count = count * 9 // 10
    more = (
        [f"- … and {len(short) - count:,} more: `reconciler validate` shows all."]
        if count < len(short)
        else []
    )
    return _document(checked, ["\n".join([*short[:count], *more])], ends)


def _document(checked: Checked, shown: list[str], ends: list[str]) -> str:
    return "\n\n".join([f"### {prose(summary(checked.diagnostics))}", *shown, *ends]) + "\n"


def _headline(block: Block) -> str:
    found = block.problem
    place = f" at {code(str(found.where))}" if found.where is not None else ""
    return f"**{found.severity}:** {prose(found.summary)} {code(found.rule)}{place}"


def _markdown(block: Block) -> str:
    return f"{_headline(block)}\n\n{fenced(block.lines, 'text')}" if block.lines else _headline(block)


def warning_lines(diagnostics: Iterable[Problem], root: str, *, colour: bool) -> list[str]:
    """Return each warning as one line with its place; `root` is the fleet's directory as the run was given it."""
    style = Style(colour)
    lines = []
    for found in sorted(diagnostics, key=Problem.sort_key):
        summary = visible(" ".join(found.summary.split()))
        where = "" if found.where is None else f"{root}/{found.where.file}:{found.where.line}"
        place = f" {style.dim(visible(where.removeprefix('./')))}" if where else ""
        lines.append(f"{style.warning('warning:')} {summary} {style.dim(f'[{visible(found.rule)}]')}{place}")
    return lines


def summary(diagnostics: Iterable[Problem]) -> str:
    """Return `3 errors, 1 warning`."""
    found = list(diagnostics)
    errors = sum(1 for each in found if each.is_error)
    warnings = len(found) - errors
    return f"{plural(errors, 'error', 'errors')}, {plural(warnings, 'warning', 'warnings')}"


def accepted_line(accepted: Iterable[Problem]) -> str:
    """Return a line that counts the warnings that the files ignore; empty if they ignore none."""
    found = Counter(each.rule for each in accepted)
    if not found:
        return ""
    rules = ", ".join(f"{rule} ({count:,})" for rule, count in sorted(found.items()))
    return f"{plural(found.total(), 'warning is', 'warnings are')} ignored by the files: {rules}."


def render_error(error: ReconcilerError, *, colour: bool) -> str:
    """Return the text of an error that ended a command, with what to do about it."""
    style = Style(colour)
    lines = [f"{style.error('error:')} {_in_lines(error.message)} {style.dim(f'[{error.rule}]')}"]
    if error.hint:
        lines.append(f"    {_in_lines(error.hint)}")
    return "\n".join(lines)


def _in_lines(text: str) -> str:
    """Return a message with its further lines indented below the first."""
    return "\n    ".join(visible(line) for line in text.split("\n"))


def _first(found: Problem, style: Style) -> str:
    word = style.error("error:") if found.is_error else style.warning("warning:")
    return f"{word} {_in_lines(found.summary)} {style.dim(f'[{visible(found.rule)}]')}"


def _below(found: Problem, style: Style, lines_of: LinesOf, times: int, width: int | None) -> Iterator[str]:
    if found.where is not None:
        yield from _place(found, found.where, style, lines_of, width)
        if times > 1:
            yield f"    {times:,} times from this place"
    elif found.path:
        yield f"  {style.dim('in')} {visible(found.path)}"
    for where, text in found.related:
        yield f"  {style.dim('also')} {visible(str(where))}: {visible(text)}"
    if found.why:
        yield from f"    {_in_lines(found.why)}".split("\n")
    if found.help:
        yield from f"    {style.dim('help:')} {_in_lines(found.help)}".split("\n")


def _place(found: Problem, where: Span, style: Style, lines_of: LinesOf, width: int | None) -> Iterator[str]:
    yield f"  {style.dim('-->')} {visible(str(where))}"
    lines = lines_of(where.file)
    if lines is None or not 1 <= where.line <= len(lines):
        return
    first, last = max(1, where.line - _CONTEXT), min(len(lines), where.line + _CONTEXT)
    gutter = len(str(last))
    room = _WIDEST if width is None else min(max(width - gutter - 5, _NARROWEST), _WIDEST)
    for number in range(first, last + 1):
        line, column = _window(lines[number - 1], where.column if number == where.line else 1, room)
        yield f"  {style.dim(f'{number:>{gutter}} |')} {visible(line)}".rstrip()
        if number == where.line:
            paint = style.error if found.is_error else style.warning
            yield f"  {' ' * gutter} {style.dim('|')} {' ' * len(visible(line[: column - 1]))}{paint('^')}"


def _window(line: str, column: int, room: int) -> tuple[str, int]:
    """Return the part of a line around a column that fits, and the column in it; tabs become spaces."""
    line = line.replace("\t", " ")
    if len(line) <= room:
        return line, min(max(column, 1), len(line) + 1)
    start = max(0, min(column - room // 2, len(line) - room))
    return line[start : start + room], min(max(column - start, 1), room + 1)


def _hidden(found: Iterable[Problem]) -> dict[tuple[str, int], int]:
    """Return the lines that hold a secret, as file and line, with the column to cut at.

    A report is read by more people than the file, and in logs that are kept.
    """
    cuts: dict[tuple[str, int], int] = {}
    for each in found:
        if each.where is not None and each.rule in _ABOUT_SECRETS:
            place = (each.where.file, each.where.line)
            cuts[place] = min(each.where.column, cuts.get(place, each.where.column))
    return cuts


def _cut(line: str, column: int) -> str:
    key = _KEY.match(line, column - 1)
    return f"{line[: key.end() if key else column - 1]}(hidden)"


def _cached(
    known: dict[str, list[str] | None], read: ReadSource, cuts: Mapping[tuple[str, int], int]
) -> LinesOf:
    """Return a function for the lines of a file, read once however many problems it has, and cut before a secret."""

    def lines_of(file: str) -> list[str] | None:
        if file not in known:
            text = read(file)
            known[file] = None if text is None else text.replace("\r\n", "\n").split("\n")
            for (place, number), column in cuts.items():
                lines = known[file]
                if place == file and lines is not None and number <= len(lines):
                    lines[number - 1] = _cut(lines[number - 1], column)
        return known[file]

    return lines_of
