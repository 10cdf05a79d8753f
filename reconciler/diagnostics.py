"""What is wrong with the user's files, and where: problems as values with a place.

A diagnostic is data. Printing it (text, JSON, annotations, SARIF) belongs to `report`; raising belongs to
`errors.InvalidConfig`, which carries all of them at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is: an error stops the command, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A place in a file of the fleet: path relative to the fleet's directory, 1-based line and column."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem: `rule` is a stable kebab-case id, `summary` what is wrong, `help` what to do."""

    severity: Severity
    rule: str
    summary: str
    where: Span | None = None
    why: str | None = None
    help: str | None = None
    path: str | None = None
    related: tuple[tuple[Span, str], ...] = ()

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR

    def sort_key(self) -> tuple[str, int, int, str, str]:
        where = self.where or Span("", 0, 0)
        return (where.file, where.line, where.column, self.rule, self.summary)


@dataclass(slots=True)
class Diagnostics:
    """A collector: every problem once, in the order of the files."""

    found: dict[tuple[object, ...], Diagnostic] = field(default_factory=dict)

    def add(self, diagnostic: Diagnostic) -> None:
        self.found.setdefault((diagnostic.severity, *diagnostic.sort_key()), diagnostic)

    def error(
        self,
        rule: str,
        summary: str,
        where: Span | None,
        *,
        why: str | None = None,
        help: str | None = None,
        path: str | None = None,
        related: tuple[tuple[Span, str], ...] = (),
    ) -> None:
        self.add(Diagnostic(Severity.ERROR, rule, summary, where, why, help, path, related))

    def warning(
        self,
        rule: str,
        summary: str,
        where: Span | None,
        *,
        why: str | None = None,
        help: str | None = None,
        path: str | None = None,
    ) -> None:
        self.add(Diagnostic(Severity.WARNING, rule, summary, where, why, help, path))

    @property
    def has_errors(self) -> bool:
        return any(each.is_error for each in self.found.values())

    def sorted(self) -> tuple[Diagnostic, ...]:
        return tuple(sorted(self.found.values(), key=Diagnostic.sort_key))


def nearby(word: str, known: Iterable[str], n: int = 5) -> list[str]:
    """The known words that come nearest, the nearest first; where none is near, the first ones."""
    import difflib  # only for those who made a mistake

    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=n, cutoff=0.6)
    return near or words[:n]


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The sentence that offers the nearest known word, or None when nothing is near."""
    near = nearest(word, known)
    return f'did you mean "{near}"?' if near is not None else None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that may be meant, if one is near."""
    import difflib  # only for those who made a mistake

    choice = list(known)
    near = difflib.get_close_matches(word, choice, n=1, cutoff=0.7)
    # Two letters that changed places are most of a short word.
    near = near or [each for each in choice if sorted(each) == sorted(word)]
    return near[0] if near else None
