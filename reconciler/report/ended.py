"""Sentences about the conversations that a plan ends, and a plan in one line."""

from __future__ import annotations

from collections import Counter

from reconciler.diagnostics import plural
from reconciler.model.observed import AgentStatus
from reconciler.plan.build import Plan
from reconciler.plan.change import action_of, target_of
from reconciler.report.sentences import no_changes, short_counts


def conversations(plan: Plan) -> str:
    """Return how many running conversations the plan ends, and by which changes; empty if it ends none."""
    kinds = Counter(action_of(each) for each in plan.ended)
    if not kinds:
        return ""
    parts = ", ".join(f"{kinds[action]:,} to {action}" for action in sorted(kinds))
    ends = plural(kinds.total(), "running conversation ends", "running conversations end")
    return f"{ends}: {parts}.{_archived(plan)}"


def in_short(plan: Plan) -> str:
    """Return a plan in one line: its counts, and how many conversations end."""
    what = f"Plan: {short_counts(plan)}." if plan.pending else no_changes(plan)
    return " ".join(filter(None, (what, conversations(plan))))


def _archived(plan: Plan) -> str:
    """Return how many transcripts of the ended conversations are archived or lost, if the fleet keeps transcripts."""
    kept = plan.fleet.archive if plan.fleet is not None else None
    if kept is None:
        return ""
    running = sum(
        target.agent.status is AgentStatus.RUNNING
        for each in plan.ended
        if (target := target_of(each)) is not None
    )
    archived = f" {plural(running, 'transcript is', 'transcripts are')} archived first."
    lost = len(plan.ended) - running
    return archived + (
        f" {plural(lost, 'is', 'are')} lost: the service tells none of an agent that is not RUNNING."
        if lost
        else ""
    )
