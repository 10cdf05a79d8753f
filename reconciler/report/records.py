"""The content of a state, as a table for people and a tree for programs; and the tree of one address for `show`.

Without ages: one state gives one text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from reconciler.diagnostics import plural
from reconciler.instants import moment, timestamp
from reconciler.model.address import Address
from reconciler.model.record import Entry, Record, State
from reconciler.plan.change import action_of, target_of
from reconciler.report.folding import folded
from reconciler.report.formats import RenderOptions
from reconciler.report.json_plan import FORMAT_VERSION
from reconciler.report.table import Column, table
from reconciler.report.view import body_tree
from reconciler.values import dataclass
from reconciler.workflow import AddressReport


@dataclass(frozen=True, slots=True)
class StateReport:
    """A whole state, and the name of its backend in messages."""

    place: str
    state: State

    @property
    def addresses(self) -> list[Address]:
        """The addresses of all records and open calls, sorted as texts."""
        return sorted({*self.state.records, *(each.address for each in self.state.intents)}, key=str)

    def open_calls(self, address: Address) -> list[str]:
        """Return the operations of an address whose outcome is not known yet."""
        return sorted(each.operation.value for each in self.state.intents if each.address == address)


_COLUMNS = (
    Column("ADDRESS"),
    Column("AGENT"),
    Column("GEN", rank=1),
    Column("UID", rank=3),
    Column("STARTED", rank=2),
    Column("NOTES", wraps=True),
)


def render_text(report: StateReport, options: RenderOptions) -> str:
    """Return a row for each address, and a line with the counts; `quiet` gives that line alone."""
    rows = [_cells(report, each) for each in report.addresses]
    blocks = [table(_COLUMNS, rows, options.width)] if rows and not options.quiet else []
    return "\n\n".join([*blocks, folded(_summary(report), options.columns)]) + "\n"


def _cells(report: StateReport, address: Address) -> tuple[str, ...]:
    record = report.state.records.get(address)
    notes = ", ".join(_notes(report, address, record)) or "-"
    if record is None:
        return (str(address), "-", "-", "-", "-", notes)
    started = moment(record.started_at)
    return (str(address), record.agent_id, str(record.generation), record.uid, started, notes)


def _notes(report: StateReport, address: Address, record: Record | None) -> list[str]:
    told = [f"{each} open" for each in report.open_calls(address)]
    if record is None:
        return told
    flags = {
        "protected": record.protect,
        "adopted": record.declared,
        "to be sent": record.unsent,
        "being replaced": record.replacing,
        f"failed {record.failures} times": record.failures > 1,
        "failed once": record.failures == 1,
    }
    return [*(note for note, holds in flags.items() if holds), *told]


def _summary(report: StateReport) -> str:
    state = report.state
    if state.is_empty:
        return f"No state: nothing was ever written to {report.place}."
    said = f"{plural(len(state.records), 'agent', 'agents')} recorded in {report.place}, serial {state.version}, lineage {state.lineage}."
    calls = (
        f" {plural(len(state.intents), 'open call', 'open calls')}: the next apply finds out what became of them."
        if state.intents
        else ""
    )
    return said + calls + (f" This state has moved to {state.moved_to}." if state.moved_to else "")


def tree(report: StateReport) -> dict[str, Any]:
    """Return the same for programs; times as RFC 3339."""
    state = report.state
    return {
        "format_version": FORMAT_VERSION,
        "state": report.place,
        "lineage": state.lineage,
        "serial": state.version,
        "moved_to": state.moved_to,
        "addresses": [
            {"address": str(each), **_facts(state.records.get(each)), "open_calls": report.open_calls(each)}
            for each in report.addresses
        ],
    }


def _facts(record: Record | None) -> dict[str, Any]:
    if record is None:
        return {"agent_id": None}
    return {**_applied(record, timestamp), "failures": record.failures}


def _applied(record: Record, spelled: Callable[[float], str]) -> dict[str, Any]:
    """Return what a record says of its agent; `spelled` writes its times."""
    expires = record.token_expires_at
    return {
        "agent_id": record.agent_id,
        "name": record.name,
        "generation": record.generation,
        "rtc_uid": record.uid,
        "started": spelled(record.started_at),
        "token_expires": spelled(expires) if expires is not None else None,
        "protect": record.protect,
        "adopted": record.declared,
        "in_place_fields": "to be sent" if record.unsent else "as recorded",
    }


def record_tree(report: StateReport, address: Address, history: Sequence[Entry]) -> dict[str, Any]:
    """Return all that a state holds of one address, with literal credentials masked, and its last changes."""
    record = report.state.records.get(address)
    found: dict[str, Any] = {
        "address": str(address),
        **_facts(record),
        "open_calls": report.open_calls(address),
    }
    if record is not None:
        if record.failed_cause:
            found["failed"] = {"cause": record.failed_cause, "agent_id": record.failed_agent}
        found["applied"] = body_tree(record.body)
        found["secrets"] = sorted(record.secrets)
    if history:
        found["history"] = history_lines(history)
    return found


def history_lines(history: Sequence[Entry]) -> list[str]:
    """Return entries as lines, in their own order."""
    return [
        f"{moment(each.at)} {each.change} {each.result}{f': {each.detail}' if each.detail else ''}"
        for each in history
    ]


def address_tree(found: AddressReport, history: Sequence[Entry]) -> dict[str, Any]:
    """Return the tree that `show` prints; times in UTC."""
    tree: dict[str, Any] = {"address": str(found.address)}
    if found.change is not None:
        reason = found.change.reason
        tree["plan"] = {"action": action_of(found.change).value, "because": reason.text}
        target = target_of(found.change)
        if target is not None:
            tree["service"] = {
                "agent_id": target.agent.agent_id,
                "status": target.agent.status.value,
                "name": target.name,
                "started": moment(target.agent.started_at),
            }
    if found.record is not None:
        tree["state"] = _applied(found.record, moment)
    if found.spec is not None:
        tree["files"] = body_tree(found.spec.body)
    if history:
        tree["history"] = history_lines(history)
    return tree
