"""Problems in the user's files: one type for every problem, and a collector.

A problem is data. Printing it (text, JSON, annotations, SARIF) belongs to `report`; raising all of them at once belongs
to `errors.InvalidConfig`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import field
from enum import StrEnum

from reconciler.values import dataclass


class Severity(StrEnum):
    """The severity of a problem: an error stops the command, a warning does not."""

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
class Problem:
    """One problem: `rule` is a stable kebab-case id, `summary` what is wrong, `help` what to do.

    `at` is a place in a file, or, until loading ends, a path of an agent's body: `("properties", "llm", …)`,
    `("name",)`, or `()` for the agent itself. `path` is such a path as users write it.
    """

    rule: str
    summary: str
    at: Span | tuple[str | int, ...] | None = None
    help: str | None = None
    why: str | None = None
    severity: Severity = Severity.ERROR
    path: str | None = None
    related: tuple[tuple[Span, str], ...] = ()
    # Of a problem at a path: whether quotes are the cure, as for a number where a text is wanted. Not for a template's.
    wants_quotes: bool = False
    # Of a problem at a path: whether to show the place of the value instead of that of its key.
    at_value: bool = False
    # Of a problem at a path: the missing value, so that the place of a null that removed it can be shown.
    missing: tuple[str | int, ...] | None = None

    @property
    def where(self) -> Span | None:
        """The place in a file, if it is known."""
        return self.at if isinstance(self.at, Span) else None

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR

    def sort_key(self) -> tuple[str, int, int, str, str]:
        where = self.where or Span("", 0, 0)
        return (where.file, where.line, where.column, self.rule, self.summary)


def warning(
    rule: str, summary: str, at: tuple[str | int, ...], help: str | None = None, why: str | None = None
) -> Problem:
    """Return a problem that does not stop the command."""
    return Problem(rule, summary, at, help, why, Severity.WARNING)


class ProblemError(Exception):
    """Ends the reading of one file, value or template with one problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.summary)
        self.problem = problem


@dataclass(slots=True)
class Problems:
    """Collects problems whose place is known, each once."""

    found: dict[tuple[object, ...], Problem] = field(default_factory=dict)

    def add(self, problem: Problem) -> None:
        self.found.setdefault((problem.severity, *problem.sort_key()), problem)

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
        self.add(Problem(rule, summary, where, help, why, Severity.ERROR, path, related))

    @property
    def has_errors(self) -> bool:
        return any(each.is_error for each in self.found.values())

    def sorted(self) -> tuple[Problem, ...]:
        return tuple(sorted(self.found.values(), key=Problem.sort_key))


def nearby(word: str, known: Iterable[str], n: int = 5) -> list[str]:
    """Return the known words nearest to a word, nearest first; if none is near, the first ones."""
    import difflib  # imported only after a mistake

    words = sorted(known)
    short = [each for each in words if len(each) <= _LONGEST_WORD]
    near = difflib.get_close_matches(word, short, n=n, cutoff=0.6) if len(word) <= _LONGEST_WORD else []
    return near or words[:n]


def plural(count: int, one: str, many: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else many}"


def first_of(texts: Sequence[str], most: int) -> str:
    """Return the first texts, and how many more there are."""
    rest = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the sentence that offers the nearest known word; None if no word is near."""
    near = nearest(word, known)
    return f'did you mean "{near}"?' if near is not None else None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that may be meant, if one is near; None for a very long word."""
    import difflib  # imported only after a mistake

    if len(word) > _LONGEST_WORD:  # the comparison takes time quadratic in the length
        return None
    choice = [each for each in known if len(each) <= _LONGEST_WORD]
    near = [each for each in difflib.get_close_matches(word, choice, n=3, cutoff=0.7) if _is_slip(word, each)]
    # In a short word two exchanged letters are a large difference, so exact anagrams count as near.
    near = near or [each for each in choice if sorted(each) == sorted(word)]
    return near[0] if near else None


_LONGEST_WORD = 200
_PARTS = re.compile(r"[_./-]|(?<=[a-z0-9])(?=[A-Z])")


def _is_slip(word: str, other: str) -> bool:
    """Return whether two words differ by a typing error in their differing part.

    Common parts at the beginning and end do not count: `enable_dump` and `enable_sal` share a word and name two things.
    """
    import difflib

    ours, theirs = _PARTS.split(word), _PARTS.split(other)
    while ours and theirs and ours[0] == theirs[0]:
        ours, theirs = ours[1:], theirs[1:]
    while ours and theirs and ours[-1] == theirs[-1]:
        ours, theirs = ours[:-1], theirs[:-1]
    if not ours or not theirs:
        return True
    return difflib.SequenceMatcher(None, "_".join(ours), "_".join(theirs)).ratio() >= _SLIP


_SLIP = 0.6
