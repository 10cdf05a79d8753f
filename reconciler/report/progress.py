"""Events of an apply, and turns of the controller, as lines of a log and as JSON lines for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, assert_never

from reconciler.apply.events import Event, Finished, Notice, Progress, Result, Started
from reconciler.controller.turn import Turned, TurnResult
from reconciler.instants import timestamp
from reconciler.plan.change import Action
from reconciler.report.actions import WORDS
from reconciler.report.documents import as_json_line
from reconciler.report.escape import visible
from reconciler.report.formats import RenderOptions
from reconciler.workflow import Planned

FORMAT_VERSION = "1.0"


def line(event: Event) -> str | None:
    """Return an event as one line of a log."""
    match event:
        case Started(address, action):
            return f"{visible(str(address))}: {WORDS[action].doing} …"
        case Progress(address, text):
            return f"{visible(str(address))}: {visible(text)}"
        case Finished():
            return f"{visible(str(event.address))}: {outcome(event)}"
        case Notice(text):
            return f"notice: {visible(text)}"
        case _:
            assert_never(event)


def outcome(event: Finished) -> str:
    """Return the result of a change, with the reason if it was not made."""
    agent = f" (agent {visible(event.agent_id)})" if event.agent_id else ""
    detail = f": {visible(event.detail)}" if event.detail else ""
    match event.result:
        case Result.DONE:
            return f"{WORDS[event.action].done}{agent}{detail}"
        case Result.FAILED:
            return f"{event.action} failed{agent}{detail}"
        case Result.SKIPPED:
            return f"{event.action} skipped{agent}{detail}"
        case Result.HELD:
            return f"{event.action if event.action is not Action.HOLD else 'change'} held{agent}{detail}"
        case Result.DEFERRED:
            return f"{event.action if event.action is not Action.HOLD else 'change'}{agent} {visible(event.detail)}"
        case Result.UNKNOWN:
            return f"{event.action} has an unknown outcome{agent}{detail}"
        case _:
            assert_never(event.result)


def render_json(event: Event | Planned, options: RenderOptions = RenderOptions()) -> str | Iterator[str]:
    """Return an event of an apply as one JSON object on one line; the first event is its plan."""
    if isinstance(event, Planned):
        from reconciler.report import json_plan  # heavy, and only for this format

        return json_plan.plan_line({"format_version": FORMAT_VERSION, "type": "planned"}, event.plan)
    return as_json_line(event_tree(event))


def event_tree(event: Event) -> dict[str, Any]:
    """Return an event as a plain tree; `type` names the event, and readers ignore types that they do not know."""
    head = {"format_version": FORMAT_VERSION}
    match event:
        case Started(address, action):
            return {**head, "type": "change_started", "address": str(address), "action": action.value}
        case Progress(address, text):
            return {**head, "type": "change_progress", "address": str(address), "text": text}
        case Finished():
            return {**head, "type": "change_finished", **finished_tree(event)}
        case Notice(text):
            return {**head, "type": "notice", "text": text}
        case _:
            assert_never(event)


def finished_tree(event: Finished) -> dict[str, Any]:
    """Return the result of a change as a plain tree."""
    return {
        "address": str(event.address),
        "action": event.action.value,
        "result": event.result.value,
        "detail": event.detail,
        "agent_id": event.agent_id or None,
        "previous_agent_id": event.previous_agent_id or None,
        "retry_after": None if event.until is None else timestamp(event.until),
    }


_TURNS = {
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
    return "\n".join([*lines, f"Turn: {_TURNS[turned.result]}{due}"])
