"""The origin of each value, as text and as a tree: `render --trace`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol

from reconciler.diagnostics import Span
from reconciler.model.address import Address
from reconciler.model.spec import describe
from reconciler.model.tree import Path, Tree
from reconciler.report.escape import visible
from reconciler.report.formats import RenderOptions

_LONGEST = 60


class TracedValue(Protocol):
    """One value of one agent with its origin; `variable` if the value only repeats a variable."""

    @property
    def address(self) -> Address: ...
    @property
    def path(self) -> Path: ...
    @property
    def value(self) -> Tree: ...
    @property
    def where(self) -> Span: ...
    @property
    def layer(self) -> str: ...
    @property
    def variable(self) -> str | None: ...
    @property
    def variable_where(self) -> Span | None: ...


def render_yaml(found: Iterable[TracedValue], options: RenderOptions) -> str:
    """Return for each agent one line a value: path, value, place, layer."""
    blocks = (
        "\n".join(_block(address, tuple(rows))) for address, rows in groupby(found, lambda row: row.address)
    )
    return "\n\n".join(blocks)


def tree(found: Iterable[TracedValue]) -> list[dict[str, Any]]:
    """Return one row a value, in the order of the text; nothing is cut."""
    return [
        {
            "address": str(row.address),
            "path": describe(row.path),
            "value": row.value,
            "where": _place(row.where),
            "layer": row.layer,
            "variable": row.variable,
            "variable_where": _place(row.variable_where),
        }
        for row in found
    ]


def _place(span: Span | None) -> dict[str, Any] | None:
    return None if span is None else {"file": span.file, "line": span.line, "column": span.column}


def _block(address: Address, rows: Sequence[TracedValue]) -> Iterator[str]:
    yield visible(str(address))
    for row in rows:
        text = visible(repr(row.value)) if isinstance(row.value, str) else str(row.value)
        short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        origin = f"; variable {row.variable}" if row.variable else ""
        place = f" at {row.variable_where}" if row.variable_where else ""
        yield f"  {describe(row.path)} = {short}    {row.where} ({row.layer}{origin}{place})"
