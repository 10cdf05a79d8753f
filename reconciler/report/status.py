"""The running agents, as a table for people and a tree for programs. The only report with ages and remaining times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from reconciler.diagnostics import plural
from reconciler.durations import rounded
from reconciler.model.address import Address
from reconciler.model.capabilities import Capabilities
from reconciler.model.observed import ObservedAgent
from reconciler.plan.basis import Basis
from reconciler.plan.build import Plan
from reconciler.plan.change import Change, Keep, action_of, target_of
from reconciler.report.addresses import WIDEST, shortened
from reconciler.report.alike import grouped_by
from reconciler.report.escape import visible
from reconciler.report.fieldlines import row_texts
from reconciler.report.folding import LONGEST, folded
from reconciler.report.formats import RenderOptions
from reconciler.report.groups import nameless, of_many
from reconciler.report.json_plan import FORMAT_VERSION
from reconciler.report.table import Column, table
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One address. `age`, `left` (of the service's 72 h) and `token_left` are seconds, None if they do not apply.

    `status` is the service's word for the agent, or `absent`; `sync` says in a word what a plan would do (`in sync`,
    `update`, `held`, …), and `detail` why.
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
class Conversation:
    """The conversation of an agent: the number of turns, the last line with its speaker, and the seconds of silence.

    A value is None if the service does not return it: it may not have the turns of a session that still runs.
    """

    turns: int | None = None
    last_role: str | None = None
    last_said: str | None = None
    silence: float | None = None


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The agents of a fleet at one moment.

    `running` counts every live agent of the App ID, `elsewhere` the foreign ones that are not in our channels.
    `conversations` are by agent id, None if they were not asked for.
    """

    fleet: str
    environment: str | None
    rows: tuple[StatusRow, ...]
    unmanaged: tuple[UnmanagedRow, ...] = ()
    elsewhere: int = 0
    running: int = 0
    quota: int | None = None
    usd_per_day: float = 0.0
    conversations: Mapping[str, Conversation] | None = None


# The column with the highest rank is dropped first in a narrow terminal; at 40 columns address and status are left.
_COLUMNS = (
    Column("ADDRESS"),
    Column("STATUS"),
    Column("AGE", rank=4),
    Column("LEFT", rank=3),
    Column("TOKEN", rank=5),
    Column("SYNC", rank=1),
    Column("AGENT", rank=6),
)
_REASONS = (Column(), Column(), Column(wraps=True))
# Channel, name, status, age, id: the id is what `adopt` takes.
_UNMANAGED = (Column(), Column(rank=2), Column(rank=1), Column(rank=3), Column())

# How many characters of the last line said are shown.
_LONGEST_SAID = 80


def render_text(status: StatusReport, options: RenderOptions = RenderOptions()) -> str:
    """Return a table, the reasons of differences, unmanaged agents and counts; `quiet` leaves reasons and counts."""
    width, quiet = options.width, options.quiet
    rows = sorted(status.rows, key=lambda row: (row.address, row.agent_id))
    blocks = []
    if rows and not quiet:
        asked = status.conversations
        columns = _COLUMNS if asked is None else (*_COLUMNS, Column("CONVERSATION", wraps=True))
        more = [() if asked is None else (_conversation(asked.get(row.agent_id)),) for row in rows]
        cells = [(*_cells(row), *each) for row, each in zip(rows, more, strict=True)]
        blocks.append(table(columns, cells, width))
    if reasons := [row for row in rows if row.detail]:
        blocks.append("\n".join(["Not in sync:", *_reasons(reasons, width)]))
    if status.unmanaged and not quiet:
        listed = sorted(status.unmanaged, key=lambda row: (row.channel, row.name, row.agent_id))
        foreign = [
            (row.channel, row.name or "(no name)", row.status, _span(row.age), row.agent_id) for row in listed
        ]
        blocks.append(
            "Unmanaged agents (seen, never touched):\n" + table(_UNMANAGED, foreign, width, indent="    ")
        )
    return "\n\n".join([*blocks, folded(_summary(status), options.columns)]) + "\n"


def _reasons(rows: Sequence[StatusRow], width: int | None) -> Iterator[str]:
    """Yield a line for each row that is alone with its reason, then one for each group of rows with its addresses."""
    groups = grouped_by(
        rows, lambda row: (row.sync, nameless(row.detail, row.address, *row.address.split("/"), row.agent_id))
    )
    if alone := [(row.address, row.sync, row.detail) for row, *more in groups if not more]:
        yield table(_REASONS, alone, width, indent="    ")
    for group in (each for each in groups if len(each) > 1):
        count = len(group)
        texts = row_texts(
            tuple(dict.fromkeys(of_many(row.detail, count) for row in group)),
            "`reconciler plan --full` spells each",
        )
        told = [(f"{count:,} agents", group[0].sync, text) for text in texts]
        yield table(_REASONS, told, width or LONGEST, indent="    ")
        room = WIDEST if width is None else min(width - 9, WIDEST)
        addresses = [Address.parse(row.address) for row in group]
        yield from (f"        {line}" for line in shortened(addresses, room))


def tree(status: StatusReport) -> dict[str, Any]:
    """Return the same as a plain tree; durations in seconds."""
    rows = sorted(status.rows, key=lambda row: (row.address, row.agent_id))
    return {
        "format_version": FORMAT_VERSION,
        "fleet": status.fleet,
        "environment": status.environment,
        "agents": [asdict(row) | _conversation_tree(status, row) for row in rows],
        "unmanaged": [
            asdict(row) for row in sorted(status.unmanaged, key=lambda row: (row.channel, row.agent_id))
        ],
        "unmanaged_elsewhere": status.elsewhere,
        "running": status.running,
        "quota": status.quota,
        "usd_per_day": round(status.usd_per_day, 2),
    }


def _conversation_tree(status: StatusReport, row: StatusRow) -> dict[str, Any]:
    """Return the conversation of a row; an empty tree if conversations were not asked for."""
    if status.conversations is None:
        return {}
    found = status.conversations.get(row.agent_id)
    return {"conversation": None if found is None else asdict(found)}


def _conversation(found: Conversation | None) -> str:
    """Return `12 turns, silent for 3m2s, user: "Is there a pool?"`."""
    if found is None:
        return "-"
    said = " ".join((found.last_said or "").split())
    said = said if len(said) <= _LONGEST_SAID else f"{said[: _LONGEST_SAID - 1]}…"
    parts = (
        "" if found.turns is None else plural(found.turns, "turn", "turns"),
        "" if found.silence is None else f"silent for {rounded(found.silence)}",
        f'{found.last_role}: "{said}"' if said else "",
    )
    return ", ".join(filter(None, parts)) or "nothing said"


def _cells(row: StatusRow) -> tuple[str, ...]:
    times = (_span(row.age), _span(row.left), _span(row.token_left))
    return (row.address, row.status, *times, row.sync, row.agent_id or "-")


def _span(seconds: float | None) -> str:
    return "-" if seconds is None else rounded(seconds)


def counts(status: StatusReport) -> str:
    """Return `2 in sync, 1 join`."""
    kinds = Counter(row.sync for row in status.rows)
    return ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items())) or "no agents"


def _summary(status: StatusReport) -> str:
    owner = status.fleet + (f" ({status.environment})" if status.environment else "")
    counted = visible(counts(status))
    quota = f" of {status.quota:,}" if status.quota is not None else ""
    other = f" {plural(status.elsewhere, 'agent', 'agents')} in other channels." if status.elsewhere else ""
    money = f"About {status.usd_per_day:,.2f} USD a day."
    return f"{visible(owner)}: {counted}. Running: {status.running:,}{quota}.{other} {money}"


def status_of(
    plan: Plan, basis: Basis, able: Capabilities, conversations: Mapping[str, Conversation] | None = None
) -> StatusReport:
    """Return the agents of a fleet with their difference from the files, and conversations if they were read."""
    return StatusReport(
        fleet=plan.owner.fleet,
        environment=plan.owner.environment,
        rows=tuple(_row(change, basis, able) for change in plan.changes),
        unmanaged=tuple(
            UnmanagedRow(
                each.channel or "",
                each.agent.agent_id,
                each.agent.name or "",
                each.agent.status,
                _age(each.agent, basis),
            )
            for each in plan.unmanaged
        ),
        elsewhere=plan.elsewhere,
        running=plan.cost.before,
        quota=plan.cost.quota,
        usd_per_day=plan.cost.before * plan.cost.usd_per_minute * 1440,
        conversations=conversations,
    )


def _row(change: Change, basis: Basis, able: Capabilities) -> StatusRow:
    target = target_of(change)
    in_sync = isinstance(change, Keep)
    sync = "in sync" if in_sync else action_of(change).value
    detail = "" if in_sync else change.reason.text
    if target is None:
        return StatusRow(str(change.address), "", "", "absent", None, None, None, sync, detail)
    age = _age(target.agent, basis)
    life = able.lifetime(target.record.body.properties) if target.record else able.max_lifetime
    expires = target.record.token_expires_at if target.record else None
    return StatusRow(
        address=str(change.address),
        agent_id=target.agent_id,
        name=target.name,
        status=target.agent.status.value,
        age=age,
        left=max(0.0, life - age),
        token_left=None if expires is None else max(0.0, expires - basis.now),
        sync=sync,
        detail=detail,
    )


def _age(agent: ObservedAgent, basis: Basis) -> float:
    return max(0.0, basis.now - agent.started_at)
