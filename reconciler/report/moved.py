"""The difference between a plan that was reviewed and the plan of today, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.diagnostics import plural
from reconciler.model.address import Owner
from reconciler.report import markers
from reconciler.report.escape import fenced, visible
from reconciler.report.folding import folded
from reconciler.report.formats import RenderOptions
from reconciler.report.json_plan import FORMAT_VERSION
from reconciler.report.style import Style
from reconciler.values import dataclass

Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ReviewDifference:
    """Rows as (action, address): added since the review, not needed any more, and changed in other fields.

    `files` says in words how the files differ from the reviewed ones; `same` counts the rows that are as reviewed.
    """

    owner: Owner
    added: tuple[Row, ...] = ()
    gone: tuple[Row, ...] = ()
    changed: tuple[Row, ...] = ()
    files: str = ""
    same: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.gone or self.changed or self.files)


def render_text(moved: ReviewDifference, options: RenderOptions) -> str:
    """Return a line for each row that differs, and a verdict."""
    verdict = Style(options.colour).bold(_verdict(moved))
    return folded("\n".join([*_lines(moved), verdict]) + "\n", options.columns)


def render_markdown(moved: ReviewDifference, options: RenderOptions) -> str:
    """Return the same for a comment; a bot can find it by its hidden first line."""
    lines = list(_lines(moved))
    shown = [markers.marker(markers.CHECK, moved.owner), f"### {_verdict(moved)}"]
    return "\n\n".join([*shown, *([fenced(lines, "diff")] if lines else [])]) + "\n"


def tree(moved: ReviewDifference) -> dict[str, Any]:
    """Return the same as a plain tree."""
    kinds = (("added", moved.added), ("gone", moved.gone), ("changed", moved.changed))
    rows = {
        kind: [{"action": action, "address": address} for action, address in rows] for kind, rows in kinds
    }
    return {
        "format_version": FORMAT_VERSION,
        "fleet": moved.owner.fleet,
        "environment": moved.owner.environment,
        "same": not moved,
        "files": moved.files or None,
        **rows,
    }


def _lines(moved: ReviewDifference) -> Iterator[str]:
    if moved.files:
        yield f"! {visible(moved.files)}"
    for sign, rows, note in (
        ("+", moved.added, "was not reviewed"),
        ("-", moved.gone, "is not to be done any more"),
        ("!", moved.changed, "changes other fields"),
    ):
        for action, address in rows:
            yield visible(f"{sign} {action} {address}: {note}")


def _verdict(moved: ReviewDifference) -> str:
    if not moved:
        return f"As reviewed: {plural(moved.same, 'change', 'changes')}."
    count = len(moved.added) + len(moved.gone) + len(moved.changed)
    rows = f"{plural(count, 'change has', 'changes have')} moved" if count else "the files have moved"
    return f"Not as reviewed: {rows}; plan again, and have that reviewed."
