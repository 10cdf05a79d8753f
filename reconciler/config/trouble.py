"""A problem of one agent at a path of its body; where that is in the files is sought when it is reported."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.diagnostics import Diagnostic, Severity, Span
from reconciler.model.spec import describe
from reconciler.model.tree import Path


class Trouble(NamedTuple):
    """`path` is one of the agent's body: `("properties", "llm", …)`, `("lifecycle", …)`, `("name",)`, or `()`."""

    rule: str
    summary: str
    path: Path
    help: str | None = None
    why: str | None = None
    severity: Severity = Severity.ERROR
    # Whether the value is wrong rather than that it stands here: then its own place is shown, not the key's.
    at_value: bool = False

    def diagnostic(self, where: Span | None) -> Diagnostic:
        """The problem with its place."""
        shown = describe(self.path) or None
        return Diagnostic(self.severity, self.rule, self.summary, where, self.why, self.help, shown)


def warning(rule: str, summary: str, path: Path, help: str | None = None, why: str | None = None) -> Trouble:
    """A problem that does not stop the command."""
    return Trouble(rule, summary, path, help, why, Severity.WARNING)
