"""Hold the change of one address: for protection, failed joins, late copies, or a foreign agent in the channel.

Each function returns the change as it is, or a `Hold` that shows it with the reason. What needs the whole fleet is in
`guard`.
"""

from __future__ import annotations

from reconciler.instants import clock
from reconciler.model.record import Intent
from reconciler.model.spec import AgentSpec, Beside, body_digest
from reconciler.plan.change import (
    Act,
    Adopt,
    Because,
    Change,
    Hold,
    Join,
    Keep,
    Leave,
    Reason,
    Replace,
    Rotate,
)
from reconciler.plan.facts import Adoptee, Facts
from reconciler.plan.intents import (
    REFUSED_TWICE,
    another_name_from,
    is_name_of,
    late_copy_text,
    looked_for_text,
    refused_until,
    uid_taken,
    whose_it_is,
)


def held_if_beside(facts: Facts, want: AgentSpec, change: Change) -> Change:
    """Return the join, held while it would be the address's first one beside an agent that is not this fleet's.

    A user in that channel would hear two voices.
    """
    if not isinstance(change, Join) or want.lifecycle.beside is Beside.ALLOW:
        return change
    if not facts.strangers:
        return change
    other = facts.strangers[0]
    also = f" and {len(facts.strangers) - 1} more" if len(facts.strangers) > 1 else ""
    where = f"agent {other.agent_id} ({other.name}){also} runs in channel {facts.address.channel} and"
    # `adopt` refuses without a declared uid, because no read of the service returns it.
    first = "" if want.body.uid is not None else "declare its agent_rtc_uid, then "
    take = f"{first}`reconciler adopt {facts.address.argument} {other.agent_id}`"
    whose = whose_it_is(other, facts.owner, take)
    text = (
        f"{where} {whose}, share the channel on purpose (`lifecycle: {{beside: allow}}`), or allow it once "
        f"(`--allow beside={facts.address.quoted}`)"
    )
    return Hold(change, Reason(Because.BESIDE, text))


def held_if_backing_off(facts: Facts, want: AgentSpec, change: Change) -> Change:
    """Return the change, held while joins of its address fail one after the other and the next try must wait.

    Only failures of the body that the files declare now count.
    """
    record = facts.record
    if isinstance(change, Hold) or facts.forced or record is None or record.retry_at <= facts.now:
        return change
    if record.failed_digest and record.failed_digest != body_digest(want.body):
        return change
    assert not isinstance(change, Keep), "what is in sync joins nothing"
    end = facts.able.end_of(record.failed_cause)
    cause = (
        f" ({record.failed_cause}{f': {end.advice}' if end.advice else ''})" if record.failed_cause else ""
    )
    text = (
        f"it failed {record.failures} times in a row{cause}; the next try waits until {clock(record.retry_at)} "
        f"(`reconciler apply --replace {facts.address.quoted}` tries now)"
    )
    return Hold(change, Reason(Because.BACKING_OFF, text), record.retry_at)


def held_if_ended_repeatedly(facts: Facts, change: Change, heals: int | None) -> Change:
    """Return the join, held in a controller if it is refused again and again, or its agents are ended again and again.

    `heals` is how many ends through the API within an hour are answered with a new join: what an operator does on
    purpose is not undone for ever. It is None in an apply, which joins because a person has asked for it. An agent that
    has come to another end is joined again, independently of how earlier ones ended.
    """
    if heals is None:
        return change
    record, change = facts.record, held_if_refused_before(facts, change)
    if (
        not isinstance(change, Join)
        or facts.forced
        or record is None
        or record.stopped_agent != record.agent_id
    ):
        return change
    if len(record.stops) <= heals or body_digest(record.body) != body_digest(change.spec.body):
        return change
    times = ", ".join(clock(each) for each in record.stops)
    text = (
        f"somebody keeps ending it through the API (at {times}); "
        f"`reconciler apply --target {facts.address.quoted}` joins it again"
    )
    return Hold(change, Reason(Because.KEPT_ENDING, text))


def held_if_refused_before(facts: Facts, change: Change) -> Change:
    """Return the join, held while the service has refused it several times and the next try must wait."""
    note = facts.refused
    if note is None or not isinstance(change, Join) or facts.forced or note.body != change.spec.body:
        return change
    if facts.now >= (until := refused_until(note)):
        return change
    text = (
        f"the service has refused its join {note.attempt} times; the next try waits until {clock(until)} "
        f"(`reconciler apply --target {facts.address.quoted}` tries now, and says why it is refused)"
    )
    return Hold(change, Reason(Because.BACKING_OFF, text), until)


def held_if_deferred(facts: Facts, change: Change) -> Change:
    """Return the change, held while a late copy of an interrupted join may be executed and makes the change unsafe.

    Unsafe are two acts: ending the bearer of that name in order to replace it, and joining under another name.
    """
    if (
        isinstance(change, Join)
        and facts.open_join is not None
        and facts.open_join.is_refused_late(facts.grace)
    ):
        until = facts.open_join.certain_at(facts.grace)
        if facts.now < until:
            text = looked_for_text(REFUSED_TWICE, facts.open_join.name, until)
            return Hold(change, Reason(Because.DEFERRED, text), until)
    note = facts.late_copy
    if note is None:
        return change
    if isinstance(change, (Replace, Rotate)) and change.target.name == note.name:
        until = note.late_until(facts.grace)
    elif not facts.superseded and _takes_another_name(facts, change, note):
        until = another_name_from(note, facts.grace)
    else:
        return change
    if facts.now >= until:
        return change
    assert not isinstance(change, (Hold, Keep)), "what is held already is no replacement"
    return Hold(change, Reason(Because.DEFERRED, late_copy_text(note.name, until)), until)


def _takes_another_name(facts: Facts, change: Change, note: Intent) -> bool:
    """Return whether a change joins the address under another name than that of a late-copy note."""
    if isinstance(change, Join):
        return not is_name_of(note, facts.address)
    return isinstance(change, (Replace, Rotate))


def held_if_uid_taken(facts: Facts, change: Change) -> Change:
    """Return the join or replacement, held while its join is refused and a foreign agent runs in the channel.

    The foreign agent may have the uid. A replacement is held too: it would hang up, and its successor could not join.
    """
    intent = facts.open_join
    if (
        not isinstance(change, (Join, Replace))
        or intent is None
        or intent.refused_since is None
        or not facts.foreign
    ):
        return change
    if change.spec.uid(facts.owner) != intent.uid:
        return change  # the files name another uid now
    return Hold(change, Reason(Because.SEAT_TAKEN, uid_taken(intent, facts.foreign[0])))


# A join has succeeded when its agent has run for so long (seconds): all early ends that were seen came 1 to 3 s after the
# start (v2 API reference: "Lifecycle").
PROVEN = 5.0


def held_if_unproven(facts: Facts, change: Change) -> Change:
    """Return the leave of a predecessor, held until the agent that replaces it (join-first) has run for long enough."""
    successor, record = facts.running[0], facts.record
    until = successor.started_at + PROVEN
    is_proven = facts.now >= until and successor.status.is_settled
    if not isinstance(change, Leave) or is_proven or record is None or record.agent_id != successor.agent_id:
        return change
    text = "the agent that replaces it has only just been started; this one leaves once that one runs"
    return Hold(change, Reason(Because.DEFERRED, text), until if facts.now < until else None)


def held_if_protected(change: Act, protect: bool | None) -> Change:
    """Return the change, held where the address is protected."""
    if not protect:
        return change
    return Hold(change, Reason(Because.PROTECTED, "it is protected (lifecycle.protect)"))


def held_if_adoption_refused(facts: Facts, adoptee: Adoptee, adopt: Adopt) -> Change:
    """Return the adoption that the files ask for, held while this address may not adopt that agent."""
    refused = _adoption_refused(facts, adoptee)
    return adopt if refused is None else Hold(adopt, Reason(Because.ADOPT_REFUSED, refused))


def _adoption_refused(facts: Facts, adoptee: Adoptee) -> str | None:
    agent_id = adoptee.agent.agent_id
    if adoptee.recorded_at is not None:
        return f"agent {agent_id} is recorded as {adoptee.recorded_at} already; correct or remove `adopt`"
    if adoptee.rival is not None:
        return f"{adoptee.rival} is to adopt agent {agent_id} too; correct or remove one `adopt`"
    if adoptee.is_ours:
        return f"agent {agent_id} was started for another address of this fleet; correct or remove `adopt`"
    if adoptee.channel is None:
        return (
            f"agent {agent_id} runs, but in none of the channels that were looked at, {facts.address.channel} included; "
            "correct or remove `adopt`"
        )
    if adoptee.channel != facts.address.channel:
        return (
            f"agent {agent_id} runs in {adoptee.channel}, not in {facts.address.channel}; "
            "correct or remove `adopt`"
        )
    if facts.running:
        return (
            f"the address has a running agent already ({facts.running[0].agent_id}); "
            f"`reconciler forget {facts.address.argument}` releases it first"
        )
    return None
