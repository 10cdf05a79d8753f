"""The results of `doctor`, as lines for people and a tree for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from reconciler.diagnostics import Problem, plural
from reconciler.ports import Passed
from reconciler.report.escape import visible
from reconciler.report.formats import RenderOptions
from reconciler.report.json_plan import diagnostic_tree
from reconciler.report.problems import problem_lines
from reconciler.report.style import Style
from reconciler.values import dataclass
from reconciler.workflow import Checkup

FORMAT_VERSION = "1.0"
_WIDEST = 200
# With fewer columns a row's text stands below its words.
_NARROW = 60
_CHECK = 13  # the longest name of a check, and two spaces


@dataclass(frozen=True, slots=True)
class Examined:
    """The checkup of one fleet and environment; `files` are the problems of files that do not load."""

    fleet: str
    environment: str | None
    checkup: Checkup
    files: tuple[Problem, ...] = ()

    @property
    def findings(self) -> tuple[Problem, ...]:
        return (*(each for each in self.files if each.is_error), *self.checkup.findings)


def render_text(examined: Examined, options: RenderOptions) -> str:
    """Return the problems of the files, a row for each check with its remedy below, and a last line with the count."""
    style = Style(options.colour)
    width = options.width if options.wraps else None
    room = min(width or _WIDEST, _WIDEST)
    blocks = [problem_lines(examined.files, replace(options, width=width))] if examined.files else []
    blocks += [
        "\n".join(line for row in examined.checkup.rows for line in _row(row, style, room)),
        "\n".join(_wrapped(_summary(examined), "", room)),
    ]
    return "\n\n".join(each.strip("\n") for each in blocks if each) + "\n"


def tree(examined: Examined) -> dict[str, Any]:
    """Return the same as a plain tree."""
    return {
        "format_version": FORMAT_VERSION,
        "fleet": examined.fleet,
        "environment": examined.environment,
        "ready": not examined.findings,
        "findings": [diagnostic_tree(each) for each in examined.findings],
        "passed": [
            {"check": each.check, "text": each.text}
            for each in examined.checkup.rows
            if isinstance(each, Passed)
        ],
    }


def _row(row: Problem | Passed, style: Style, width: int) -> Iterator[str]:
    if isinstance(row, Passed):
        word, check, text, remedy = style.good("ok".ljust(9)), row.check, row.text, None
    else:
        word = style.error("problem".ljust(9)) if row.is_error else style.warning("warning".ljust(9))
        check, text, remedy = row.rule, row.summary, row.help
    indent = " " * (4 if width < _NARROW else 9 + _CHECK)
    first, *rest = _wrapped(text, indent, width)
    if width < _NARROW:
        yield f"{word}{check}"
        yield first
    else:
        yield f"{word}{check.ljust(_CHECK)}{first.removeprefix(indent)}"
    yield from rest
    if remedy:
        yield from _wrapped(remedy, indent, width)


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    """Return a text as lines that fit, at least one; a word that can be copied is not broken."""
    return textwrap.wrap(
        " ".join(visible(line) for line in text.split("\n")),
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=width >= _WIDEST,
        break_on_hyphens=False,
    ) or [indent]


def _summary(examined: Examined) -> str:
    owner = " ".join(filter(None, (examined.fleet, examined.environment and f"({examined.environment})")))
    count = len(examined.findings)
    told = plural(count, "finding", "findings") if count else "an apply has all that it needs"
    return f"{visible(owner)}: {told}." if owner else f"{told}."
