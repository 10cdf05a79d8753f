"""The report of `show`: what files, state and service hold of one address, as a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reconciler.instants import moment
from reconciler.model.record import Entry
from reconciler.plan.change import action_of, target_of
from reconciler.report.records import history_lines
from reconciler.report.view import body_tree
from reconciler.workflow import AddressReport


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
    record = found.record
    if record is not None:
        tree["state"] = {
            "agent_id": record.agent_id,
            "name": record.name,
            "generation": record.generation,
            "rtc_uid": record.uid,
            "started": moment(record.started_at),
            "token_expires": moment(record.token_expires_at) if record.token_expires_at else None,
            "protect": record.protect,
            "adopted": record.declared,
            "in_place_fields": "to be sent" if record.unsent else "as recorded",
        }
    if found.spec is not None:
        tree["files"] = body_tree(found.spec)
    if history:
        tree["history"] = history_lines(history)
    return tree
