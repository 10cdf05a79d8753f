"""A change of one address, or its hold: protection, failed joins in a row, and a foreign agent in the channel.

Each function returns the change as it is, or a `Hold` that keeps it visible with the reason. What needs the whole fleet
is in `guard`.
"""

from __future__ import annotations

from reconciler.model.spec import AgentSpec, Beside
from reconciler.plan.change import Act, Because, Change, Hold, Join, Keep, Reason
from reconciler.plan.facts import Facts


def unless_beside(facts: Facts, want: AgentSpec, change: Change) -> Change:
    """The join, or its hold while it would be the address's first one beside an agent that is not this fleet's.

    Whoever talks to that agent would hear two voices.
    """
    if not isinstance(change, Join) or want.lifecycle.beside is Beside.ALLOW:
        return change
    if not facts.strangers:
        return change
    other = facts.strangers[0]
    also = f" and {len(facts.strangers) - 1} more" if len(facts.strangers) > 1 else ""
    text = (
        f"agent {other.agent_id} ({other.name}){also} runs in channel {facts.address.channel} and is not this fleet's; "
        f"take it over (`reconciler adopt {facts.address.argument} {other.agent_id}`), share the channel on purpose "
        f"(`lifecycle: {{beside: allow}}`), or allow it once (`--allow beside={facts.address.quoted}`)"
    )
    return Hold(change, Reason(Because.BESIDE, text))


def unless_backing_off(facts: Facts, change: Change) -> Change:
    """The change, or its hold while joins of its address fail one after the other, and the next one has to wait."""
    record = facts.record
    if isinstance(change, Hold) or facts.forced or record is None or record.retry_at <= facts.now:
        return change
    assert not isinstance(change, Keep), "what is in sync joins nothing"
    text = f"it failed {record.failures} times in a row; the next try waits (`apply --replace {facts.address.quoted}` tries now)"
    return Hold(change, Reason(Because.BACKING_OFF, text))


def unless_protected(change: Act, protect: bool | None) -> Change:
    """The change, or its hold where the address is protected: the reason for it stays visible."""
    if not protect:
        return change
    return Hold(change, Reason(Because.PROTECTED, "it is protected (lifecycle.protect)"))
