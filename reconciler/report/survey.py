"""Every agent that runs under an App ID, with the line that adopts it; with a fleet or without one."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from reconciler.diagnostics import plural
from reconciler.durations import rounded
from reconciler.report import status
from reconciler.report.escape import visible
from reconciler.report.formats import RenderOptions
from reconciler.report.json_plan import FORMAT_VERSION
from reconciler.report.status import StatusReport
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class SurveyRow:
    """One agent. `age` in seconds, `owner` the fleet whose mark it bears, `adopt` the line for the files.

    `address` is the declared agent of its channel that does not run, if there is exactly one.
    """

    agent_id: str
    name: str
    status: str
    age: float
    channel: str
    owner: str
    adopt: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class SurveyReport:
    """Every agent, or those outside the fleet whose `status` is given; `running` counts all."""

    rows: tuple[SurveyRow, ...]
    running: int
    status: StatusReport | None = None


def render_text(report: SurveyReport, options: RenderOptions = RenderOptions()) -> str:
    """Return the status of the fleet, if there is one; then two lines for each agent; then a line with counts."""
    width = options.width
    bare = RenderOptions(width=width)
    blocks = [status.render_text(report.status, bare).rstrip("\n")] if report.status is not None else []
    rows = sorted(report.rows, key=lambda row: (row.owner, row.channel, row.name, row.agent_id))
    lines = [line for row in rows for line in _lines(row, width)]
    if lines:
        title = "All else that runs under this App ID" if blocks else "Running under this App ID"
        blocks.append("\n".join([f"{title}:", *lines]))
    return "\n\n".join([*blocks, _summary(report, width)]) + "\n"


def tree(report: SurveyReport) -> dict[str, Any]:
    """Return the same as a plain tree: that of the status, with `others` added; ages in seconds."""
    known = status.tree(report.status) if report.status is not None else {"format_version": FORMAT_VERSION}
    return {**known, "others": [asdict(row) for row in report.rows], "running": report.running}


def _lines(row: SurveyRow, width: int | None) -> Iterator[str]:
    """Yield what an agent is, then the line that adopts it; neither a name nor that line is broken."""
    where = f"channel {row.channel}" if row.channel else "channel not told"
    pieces = [row.name or "(no name)", f"{row.status}  {rounded(row.age)}", where]
    name, *rest = map(visible, [*pieces, *([f"of fleet {row.owner}"] if row.owner else [])])
    lines = [f"  {name}"]
    for piece in rest:
        if width is None or len(lines[-1]) + 2 + len(piece) <= width:
            lines[-1] += f"  {piece}"
        else:
            lines.append(f"    {piece}")
    yield from lines
    adopt, at = visible(row.adopt), visible(f"# under {row.address}") if row.address else ""
    indent = 6 if width is None else max(min(6, width - len(adopt)), 0)
    if at and width is not None and indent + len(adopt) + 4 + len(at) > width:
        yield f"    {at}"
        at = ""
    yield f"{'':{indent}}{adopt}{f'    {at}' if at else ''}"


def _summary(report: SurveyReport, width: int | None) -> str:
    marked = sum(bool(row.owner) for row in report.rows)
    others = len(report.rows) - marked
    counted = f"{plural(report.running, 'agent runs', 'agents run')} under this App ID"
    if report.status is not None:
        counted += f", {report.running - len(report.rows):,} of this fleet"
    parts = [f"{others:,} of no fleet" if others else "", f"{marked:,} of other fleets" if marked else ""]
    listed = ", ".join(each for each in parts if each)
    hint = (
        "Write `adopt: ID` on an agent in the files; the next apply takes it over, and nobody is hung up on."
        if report.status is not None
        else "`reconciler import --running DIR` writes a fleet of those of no fleet, with a line `adopt: ID` each."
    )
    lines = [f"{counted}{f': {listed}' if listed else ''}.", *([hint] if others else [])]
    return "\n".join(lines if width is None else (textwrap.fill(line, width) for line in lines))
