"""The error that ends an import: each problem of the sources with its place, and no text of the sources."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import ReconcilerError
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True, order=True)
class SourceLine:
    """A line of a source, counted from 1; the file `-` is standard input."""

    file: str
    number: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"

    def below(self, lines: int) -> SourceLine:
        """Return the line that is so many lines further down."""
        return SourceLine(self.file, self.number + lines)


class Unimportable(ReconcilerError):
    """The sources cannot be made into a fleet; nothing was written. The text of a source is never quoted."""

    rule = "import"

    @classmethod
    def at(cls, where: SourceLine, what: str, hint: str | None = None) -> Unimportable:
        """Return the error for one problem at its place."""
        return cls(f"{where}: {what}", hint=hint)


def not_set(where: SourceLine, uses: Sequence[tuple[str, str]]) -> Unimportable:
    """Return the error for variables that the source does not set; `uses` has each with the place that needs it."""
    listed = ", ".join(f"{name} ({place})" for name, place in dict.fromkeys(uses))
    first = uses[0][0][1:]
    line = f"write `{first}=…` on a line before the command, or " if first.isidentifier() else "write "
    return Unimportable.at(
        where,
        f"not set in this source: {listed}",
        f"{line}the value in its place; nothing is read from this machine's environment",
    )


def raise_all(found: Sequence[Unimportable]) -> None:
    """Raise all problems as one error; do nothing if there is none."""
    if len(found) == 1:
        raise found[0]
    if found:
        head = f"{len(found):,} problems; nothing was written"
        raise Unimportable("\n".join([head, *(each.with_hint for each in found)]))
