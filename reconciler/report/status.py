"""What runs, as a table for people and a tree for programs. The one report that speaks of ages and clocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from reconciler.durations import rounded
from reconciler.report.escape import visible
from reconciler.report.json_plan import FORMAT_VERSION
from reconciler.report.sentences import plural


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One address. `age`, `left` (of the service's 72 h), `token_left` in seconds, None where there is none.

    `status` is the service's word for the agent, or `absent`; `sync` says in a word what a plan would do
    (`in sync`, `update`, `held`, …), and `detail` why.
    """

    address: str
    agent_id: str
    name: str
    status: str
    age: float | None
    left: float | None
    token_left: float | None
    sync: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class UnmanagedRow:
    """A foreign agent in one of our channels."""

    channel: str
    agent_id: str
    name: str
    status: str
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """A fleet at one moment. `running` counts every live agent of the App ID, `elsewhere` the foreign ones
    that are not in our channels."""

    fleet: str
    environment: str | None
    rows: tuple[StatusRow, ...]
    unmanaged: tuple[UnmanagedRow, ...] = ()
    elsewhere: int = 0
    running: int = 0
    quota: int | None = None
    usd_per_day: float = 0.0


_HEADINGS = ("ADDRESS", "STATUS", "AGE", "LEFT", "TOKEN", "SYNC", "AGENT")


def render_text(status: Status) -> str:
    """An aligned table, why agents are not in sync, the unmanaged agents, and a line that sums up."""
    rows = sorted(status.rows, key=lambda row: (row.address, row.agent_id))
    blocks = []
    if rows:
        blocks.append(_table([_HEADINGS, *map(_cells, rows)]))
    reasons = [(row.address, row.sync, row.detail) for row in rows if row.detail]
    if reasons:
        blocks.append("Not in sync:\n" + _table(reasons, indent="    "))
    if status.unmanaged:
        listed = sorted(status.unmanaged, key=lambda row: (row.channel, row.name, row.agent_id))
        foreign = [
            (row.channel, row.name or "(no name)", row.status, _span(row.age), row.agent_id) for row in listed
        ]
        blocks.append("Unmanaged agents (seen, never touched):\n" + _table(foreign, indent="    "))
    return "\n\n".join([*blocks, _summary(status)]) + "\n"


def tree(status: Status) -> dict[str, Any]:
    """The same as a plain tree; durations in seconds."""
    rows = sorted(status.rows, key=lambda row: (row.address, row.agent_id))
    return {
        "format_version": FORMAT_VERSION,
        "fleet": status.fleet,
        "environment": status.environment,
        "agents": [asdict(row) for row in rows],
        "unmanaged": [
            asdict(row) for row in sorted(status.unmanaged, key=lambda row: (row.channel, row.agent_id))
        ],
        "unmanaged_elsewhere": status.elsewhere,
        "running": status.running,
        "quota": status.quota,
        "usd_per_day": round(status.usd_per_day, 2),
    }


def _cells(row: StatusRow) -> tuple[str, ...]:
    times = (_span(row.age), _span(row.left), _span(row.token_left))
    return (row.address, row.status, *times, row.sync, row.agent_id or "-")


def _span(seconds: float | None) -> str:
    return "-" if seconds is None else rounded(seconds)


def _table(rows: Sequence[tuple[str, ...]], indent: str = "") -> str:
    """Columns as wide as their widest cell, the last one ragged."""
    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    return "\n".join(
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    )


def _summary(status: Status) -> str:
    owner = status.fleet + (f" ({status.environment})" if status.environment else "")
    kinds = Counter(row.sync for row in status.rows)
    counted = ", ".join(f"{count} {visible(kind)}" for kind, count in sorted(kinds.items())) or "no agents"
    quota = f" of {status.quota}" if status.quota is not None else ""
    other = f" {plural(status.elsewhere, 'agent', 'agents')} in other channels." if status.elsewhere else ""
    money = f"About {status.usd_per_day:,.2f} USD a day."
    return f"{visible(owner)}: {counted}. Running: {status.running}{quota}.{other} {money}"
