"""The reason why an address has no running agent, from the service's message and its known meaning."""

from __future__ import annotations

from reconciler.model.capabilities import Capabilities, EndKind
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.plan.change import Because, Reason
from reconciler.plan.facts import Facts


def why_absent(facts: Facts) -> Reason:
    """Return the reason for a join: the address is new, or how its agent ended."""
    if facts.record is None:
        return _NEW
    ended = facts.ended
    if facts.record.replacing:
        text = "its replacement was not finished: its agent has left, and none has come in its place"
        return Reason(Because.UNFINISHED, text)
    if any(each.agent_id == facts.record.agent_id for each in facts.stopping):
        return Reason(Because.STOPPED_OUTSIDE, "its agent is stopping, and not because of this tool")
    if ended is None:
        return Reason(Because.VANISHED, "the service does not know its agent any more")
    return _why_ended(facts.able, ended)


_NEW = Reason(Because.NEW, "it is new")


def _why_ended(able: Capabilities, ended: ObservedAgent) -> Reason:
    """Return why an agent has ended: a known kind of end, or the service's message with advice."""
    end = able.end_of(ended.message)
    if end.kind in _ENDS:
        return Reason(*_ENDS[end.kind])
    advice = f" ({end.advice})" if end.advice else ""
    if ended.status is AgentStatus.FAILED:
        return Reason(Because.FAILED, f"its agent failed: {ended.message or 'no reason given'}{advice}")
    if not ended.message:
        return Reason(Because.STOPPED_OUTSIDE, "its agent has stopped, and the service gives no reason")
    return Reason(Because.ENDED, f"its agent ended: {ended.message}{advice}")


_ENDS = {
    EndKind.LIFETIME: (Because.EXPIRED, "its agent reached the service's 72 h limit"),
    EndKind.IDLE: (Because.IDLE, "its agent ended because nobody was in the channel"),
    EndKind.ASKED: (Because.STOPPED_OUTSIDE, "its agent was stopped outside this tool"),
}
