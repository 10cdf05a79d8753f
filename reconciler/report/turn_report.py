"""A turn of the controller as a JSON document, and in words."""

from __future__ import annotations

from typing import Any

from reconciler.controller.turn import Turned, TurnResult
from reconciler.instants import timestamp
from reconciler.report.documents import as_json_line
from reconciler.report.escape import visible
from reconciler.report.progress import FORMAT_VERSION, finished_tree, line

_WORDS = {
    TurnResult.UNCHANGED: "nothing to do",
    TurnResult.DONE: "done",
    TurnResult.INCOMPLETE: "incomplete: the next turn goes on",
    TurnResult.LOCKED: "nothing was done: the state is held by somebody else",
    TurnResult.REFUSED: "refused",
    TurnResult.FAILED: "failed",
}


def turn_tree(turned: Turned) -> dict[str, Any]:
    """Return a turn as a plain tree: its result, each change with its result, and when the fleet is due again."""
    problem = turned.problem
    return {
        "format_version": FORMAT_VERSION,
        "result": turned.result.value,
        "changes": [finished_tree(each) for each in turned.changes],
        "due_at": None if turned.due is None else timestamp(turned.due.at),
        "due": None
        if turned.due is None
        else {"address": str(turned.due.address), "why": turned.due.why.value},
        "refused": list(turned.refused),
        "error": None if problem is None else {"rule": problem.rule, "message": problem.message},
    }


def turn_json(turned: Turned) -> str:
    """Return a turn as one JSON object on one line."""
    return as_json_line(turn_tree(turned))


def turn_text(turned: Turned) -> str:
    """Return a turn in words, a line for each change."""
    lines = [text for each in turned.changes if (text := line(each)) is not None]
    lines += [f"refused: {visible(each)}" for each in turned.refused]
    due = f"; due again at {timestamp(turned.due.at)}" if turned.due is not None else ""
    return "\n".join([*lines, f"Turn: {_WORDS[turned.result]}{due}"])
