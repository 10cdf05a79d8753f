"""GitHub and GitLab, where changes are reviewed, behind one small port; sans-I/O, as `providers` is.

One comment or one issue is written for a fleet and environment, and found again by a marker and its author (`sticky`).
What is read from there is untrusted data: numbers and texts, never instructions.
"""

from __future__ import annotations

from typing import Protocol

from reconciler.ports import Steps
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class UnknownOutcome:
    """A call that creates something got no answer, so its outcome is unknown; `why` is the cause."""

    why: str


@dataclass(frozen=True, slots=True)
class Posted:
    """A comment or an issue: `key` is its id for changes, `author` the login of its author."""

    key: int
    author: str
    body: str
    is_open: bool = True

    def bears(self, marker: str) -> bool:
        """Return whether its first line is a marker."""
        return self.body.lstrip("\ufeff \t\r\n").partition("\n")[0].rstrip() == marker


class PostedTexts(Protocol):
    """A place for texts: the comments of one pull request, or the issues of a repository."""

    def posted(self, author: str) -> Steps[tuple[Posted, ...]]:
        """Return all texts of an author, and possibly others."""
        ...

    def post(self, body: str) -> Steps[UnknownOutcome | None]:
        """Post a text, once; return `UnknownOutcome` if the outcome is unknown."""
        ...

    def rewrite(self, old: Posted, body: str, *, is_open: bool) -> Steps[None]:
        """Replace a text; safe to repeat."""
        ...

    def discard(self, extra: Posted) -> Steps[None]:
        """Remove a second text with the same marker: a comment is deleted, an issue closed."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """The commit that a workflow ran for, with its repository and branch."""

    repository: str
    branch: str
    commit: str


class CodeHost(Protocol):
    """One repository on one code host, as one token sees it. Merge requests are called pull requests here."""

    @property
    def longest(self) -> int:
        """The greatest number of characters that a text may have."""
        ...

    def login(self) -> Steps[str]:
        """Return the login of the token's user, who is the author of what it posts."""
        ...

    def comments(self, number: int) -> PostedTexts: ...

    def issues(self, title: str) -> PostedTexts:
        """Return the issues, closed ones too; a new one gets the title."""
        ...

    def open_pull_requests(self, head: Head) -> Steps[tuple[int, ...]]:
        """Return the open pull requests whose head this is."""
        ...

    def merged_pull_requests(self, commit: str) -> Steps[tuple[int, ...]]:
        """Return the pull requests that a commit of the default branch has merged."""
        ...
