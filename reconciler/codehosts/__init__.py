"""Where changes are reviewed: GitHub and GitLab behind one small port; sans-I/O, as `providers` is.

What is written there is one comment or one issue for a fleet and environment, found again by a marker and by its author
(`sticky`). What is read from there is data of strangers: numbers and texts, never an instruction.
"""

from __future__ import annotations

from typing import Protocol

from reconciler.ports import Steps
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A call that makes something, of which nobody knows whether it was executed, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Posted:
    """A comment or an issue: `key` is what changes it, `author` the login of who wrote it."""

    key: int
    author: str
    body: str
    is_open: bool = True

    def bears(self, marker: str) -> bool:
        """Whether its first line is a marker."""
        return self.body.lstrip("\ufeff \t\r\n").split("\n", 1)[0].rstrip() == marker


class Shelf(Protocol):
    """Where texts stand: the comments of one pull request, or the issues of a repository."""

    def posted(self, author: str) -> Steps[tuple[Posted, ...]]:
        """All texts of an author, and maybe others."""
        ...

    def post(self, body: str) -> Steps[Unanswered | None]:
        """Post a text, once."""
        ...

    def rewrite(self, old: Posted, body: str, *, is_open: bool) -> Steps[None]:
        """Write a text anew; safe to repeat."""
        ...

    def discard(self, extra: Posted) -> Steps[None]:
        """Take away a second text with the same marker: a comment is deleted, an issue closed."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """The commit that a workflow ran for: in which repository, on which branch."""

    repository: str
    branch: str
    commit: str


class CodeHost(Protocol):
    """One repository on one code host, as one token sees it. Merge requests are pull requests here."""

    @property
    def longest(self) -> int:
        """The most characters that a text may have."""
        ...

    def login(self) -> Steps[str]:
        """Whose token it is: the author of what it posts."""
        ...

    def comments(self, number: int) -> Shelf: ...

    def issues(self, title: str) -> Shelf:
        """The issues, also those that are closed; a new one has the title."""
        ...

    def open_pull_requests(self, head: Head) -> Steps[tuple[int, ...]]:
        """The open ones of which this is the head."""
        ...

    def merged_pull_requests(self, commit: str) -> Steps[tuple[int, ...]]:
        """Those that a commit of the default branch has merged."""
        ...
