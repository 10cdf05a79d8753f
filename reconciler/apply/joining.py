"""The protocol of a join, with every way in which it can fail: at most one agent of a name, and no agent is lost.

The rules: an intent is durable before its call is sent; an unknown outcome is resolved by a look for the name; the same
name is sent again, never another one, until no late copy can be executed any more.

The service refuses a name only while an agent bears it. When a join was sent several times and succeeded, a late copy
may be executed after its agent has ended: a *late-copy note* keeps the name until the grace is over, and the address is
joined under that name again. Two acts are not safe while a late copy may be executed, and are deferred: joining the
address under another name, and ending the bearer of the name in order to replace it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

from reconciler.apply.calls import checked, order_of
from reconciler.apply.context import ChangeDeferred, ChangeFailed, ChangeHeld, Context, backoff
from reconciler.apply.events import Progress
from reconciler.model.observed import ObservedAgent
from reconciler.model.record import Intent, Operation, Record
from reconciler.model.writes import PutGeneration, PutIntent, PutRecord, Write
from reconciler.plan.intents import (
    REFUSED_TWICE,
    joined_record,
    late_copy_note,
    late_copy_of_repeated,
    late_copy_text,
    looked_for_text,
    refused_again,
    uid_taken,
)
from reconciler.plan.predecessors import leave_intent_for
from reconciler.ports import Conflict, Declined, Joined, Prepared, Scope, Steps, Unknown

# The start of the count of hours that becomes the generation after a lost state (2026-01-01 00:00 UTC).
_FIRST_HOUR: Final = 1_767_225_600.0


def join(
    context: Context, intent: Intent, *, token_ttl: float, resumed: bool, earlier: Record | None = None
) -> Steps[Record | None]:
    """Start the agent of a join intent, new or left by an earlier run; return the agent's durable record.

    None where an ended agent has used up the name: the name is given up, and the address needs a new join of what the
    files declare now. `earlier` is the record whose failure count goes on. Raises `ChangeFailed`, `ChangeHeld` or
    `ChangeDeferred`; where the outcome stays unknown the intent stays open for the next run.
    """
    if intent.is_refused_late(context.settings.grace) or (yield from _name_is_used_up(context, intent)):
        return (yield from _look_then_give_up_name(context, intent))
    why = ""
    # What an earlier run left open is sent again once in every run: each run looks first, and the next one goes on.
    attempts = 1 if resumed else context.settings.attempts
    for attempt in range(attempts):
        prepared: Prepared = yield from context.provider.prepare_join(order_of(intent, token_ttl))
        before = intent
        # The intent is durable before the call: after a crash the next run finds the agent by the name in it.
        if attempt == 0 and not resumed:
            yield from context.journal.intend(intent)
        else:
            intent = yield from context.journal.repeat(intent)
        outcome = yield from context.provider.join(prepared)
        outcome = checked(context, intent, outcome)
        if not isinstance(outcome, Unknown) or outcome.answered:
            # This attempt was answered, so it cannot be executed late; an earlier one still can.
            unclear = intent.unclear + isinstance(outcome, Unknown)
            intent = replace(
                intent, answered=intent.answered + 1, unclear=unclear, unknown_since=before.unknown_since
            )
        if isinstance(outcome, Declined):
            intent = replace(intent, sent_at=before.sent_at)  # this attempt will never be listed
        match outcome:
            case Joined():
                return (yield from _joined(context, intent, outcome, prepared, earlier))
            case Conflict():
                return (yield from _resolve_conflict(context, intent, outcome))
            case Declined(scope, detail):
                if intent.attempt > 1:
                    yield from _keep_open_after_refusal(context, intent, detail)
                else:
                    noted = yield from _refusal(context, intent, scope)
                    yield from context.journal.conclude(
                        intent, *noted, change="join", result="failed", detail=detail
                    )
                raise context.declined(scope, detail)
            case Unknown(detail):
                why = detail
                if outcome.answered:
                    yield from context.journal.write(PutIntent(intent))
                else:
                    intent = yield from context.journal.mark_unknown(intent)
                yield from context.say(
                    Progress(intent.address, f"the outcome of the join is unknown ({detail}); looking")
                )
                # The call may have been executed: only a look for its name decides, before the same name is sent again.
                record = yield from find_joined(context, intent)
                if record is not None:
                    return record
                if attempt + 1 < attempts:
                    yield from backoff(context, attempt)
            case _:
                assert_never(outcome)
    raise ChangeFailed(
        f"nobody knows whether the join of {intent.name} was executed: {why}",
        unknown=True,
        hint="the next apply looks for it by that name first; it cannot be started twice",
    )


def _refusal(context: Context, intent: Intent, scope: Scope) -> Steps[list[Write]]:
    """Return the note that makes later turns retry a refused join more and more rarely; empty outside a controller."""
    if context.settings.turn is None or scope is not Scope.ADDRESS:
        return []
    earlier = context.journal.view.intents.get(f"{Operation.REFUSED}:{intent.address}")
    now = yield from context.journal.now()
    return [refused_again(intent, earlier, now)]


def _keep_open_after_refusal(context: Context, intent: Intent, detail: str) -> Steps[None]:
    """Keep the intent open after a refusal, because the refusal answers one attempt only.

    An earlier attempt may still be executed, or its agent is not listed yet. The intent is closed once neither is
    possible.
    """
    yield from context.journal.write(PutIntent(intent))
    if (yield from would_be_listed(context, intent)) and (yield from find_joined(context, intent)) is None:
        yield from context.journal.conclude(intent, change="join", result="failed", detail=detail)


def _joined(
    context: Context, intent: Intent, outcome: Joined, prepared: Prepared, earlier: Record | None
) -> Steps[Record]:
    record = joined_record(
        intent,
        outcome.agent_id,
        outcome.started_at,
        sent=True,
        token_expires_at=prepared.token_expires_at,
        secrets=context.journal.secret_digests(prepared.secrets),
        earlier=earlier,
    )
    now = yield from context.journal.now()
    # With the record in one commit: the name must not be forgotten while a late copy is possible.
    yield from context.journal.conclude(
        intent,
        PutRecord(record),
        *_leave_of_predecessor(context, record, now),
        *_late_copy(context, intent, now),
        change="join",
        result="done",
        agent_id=record.agent_id,
        now=now,
    )
    return record


def _late_copy(context: Context, intent: Intent, now: float) -> list[Write]:
    """Return the late-copy note of a join if an unanswered attempt may still be executed once the name is free."""
    is_late = intent.may_turn_up_late(now, context.settings.grace)
    return late_copy_note(intent, intent.in_doubt_since) if is_late else []


def _leave_of_predecessor(context: Context, record: Record, now: float) -> list[Write]:
    old = context.journal.record(record.address)
    return leave_intent_for(None if old is None or old.agent_id in context.gone else old, record, now)


def close_if_never_executed(context: Context, intent: Intent) -> Steps[bool]:
    """Close a join that must not be sent again, if no agent has its name or can still get it; return True if closed."""
    if (
        not (yield from would_be_listed(context, intent))
        or (yield from find_joined(context, intent)) is not None
    ):
        return False
    yield from context.journal.conclude(intent, change="join", result="dropped", detail="never executed")
    return True


def would_be_listed(context: Context, intent: Intent) -> Steps[bool]:
    """Return whether the agent of a join would be listed by now, even if the join was executed late."""
    now = yield from context.journal.now()
    return now >= intent.certain_at(context.settings.grace)


def defer_late_copy(context: Context, intent: Intent) -> Steps[None]:
    """Raise `ChangeDeferred` while a late copy of a join may be executed.

    The run does not wait for that while it holds the lock: it does everything else, and a later run goes on.
    """
    now = yield from context.journal.now()
    until = intent.late_until(context.settings.grace)
    if now < until:
        raise ChangeDeferred(late_copy_text(intent.name, until), until)


def find_joined(context: Context, intent: Intent) -> Steps[Record | None]:
    """Look for the agent of a join intent by its exact name; if it runs, record it and return the record."""
    # A name is used by one intent only, so the agent that bears it was started by this one.
    holder = yield from _holder(context, intent)
    if holder is None:
        return None
    return (yield from _take_back(context, intent, holder))


def _take_back(context: Context, intent: Intent, agent: ObservedAgent) -> Steps[Record]:
    record = joined_record(
        intent,
        agent.agent_id,
        agent.started_at,
        sent=False,
        earlier=context.journal.record(intent.address),
    )
    now = yield from context.journal.now()
    # With the record in one commit: the name must not be forgotten while a late copy is possible.
    yield from context.journal.conclude(
        intent,
        PutRecord(record),
        *_leave_of_predecessor(context, record, now),
        *late_copy_of_repeated(intent),
        change="join",
        result="done",
        agent_id=record.agent_id,
        detail="found by its name",
        now=now,
    )
    return record


def _holder(context: Context, intent: Intent) -> Steps[ObservedAgent | None]:
    """Return the live agent that bears a join's name; the oldest, where the service has let two agents have it."""
    return _bearer(intent, (yield from _agents_beside(context, intent)))


def _agents_beside(context: Context, intent: Intent) -> Steps[list[ObservedAgent]]:
    """Query and return the agents in a join's channel that have not ended, without those that it must not claim."""
    listed = yield from context.provider.live_agents(channel=intent.address.channel)
    found: list[ObservedAgent] = []
    others = _ids_not_to_claim(context, intent)
    for row in listed:
        if row.agent_id in others:
            continue
        agent = yield from context.provider.query(row.agent_id)
        if agent is not None and not agent.status.is_terminal:
            found.append(agent)
    return found


def _bearer(intent: Intent, agents: list[ObservedAgent]) -> ObservedAgent | None:
    found = (each for each in agents if each.name == intent.name)
    return min(found, key=lambda each: (each.started_at, each.agent_id), default=None)


def _ids_not_to_claim(context: Context, intent: Intent) -> set[str]:
    """Agent ids this join must not claim: those recorded at other addresses, and those released by `forget`."""
    view = context.journal.view
    recorded = (
        each for each in view.records.values() if each.address != intent.address or each.name != intent.name
    )
    return {each.agent_id for each in recorded} | view.released


def _resolve_conflict(context: Context, intent: Intent, conflict: Conflict) -> Steps[Record | None]:
    """Find out what a 409 means: our agent runs (returns its record), its name is used up (None), or neither (raises).

    A foreign agent in the channel may have the uid: then the address is held, and joined in the first run after that
    agent has gone. Where no agent is seen, the name may be taken by an agent of this very call that no list shows yet.
    After a second refusal, later than the first by at least the list lag, nothing is sent until such an agent would be
    listed; then the name is given up (`_look_then_give_up_name`).
    """
    ended = False
    if conflict.agent_id is not None:
        agent = yield from context.provider.query(conflict.agent_id)
        if agent is None:
            ended = intent.unanswered == 0  # the name's bearer has ended, and no late copy is possible
        elif agent.name == intent.name and agent.agent_id not in _ids_not_to_claim(context, intent):
            if not agent.status.is_terminal:
                return (yield from _take_back(context, intent, agent))
            ended = True
    beside = yield from _agents_beside(context, intent)
    holder = _bearer(intent, beside)
    if holder is not None:
        return (yield from _take_back(context, intent, holder))
    # The first refusal is durable: only a second one, later than the list lag, shows that the name is used up.
    now = yield from context.journal.now()
    intent = replace(intent, refused_since=now if intent.refused_since is None else intent.refused_since)
    yield from context.journal.write(PutIntent(intent))
    if ended:
        # With its bearer gone, a late copy could take this name: no other name may be joined until the grace is over.
        yield from defer_late_copy(context, intent)
        yield from _give_up_name(context, intent)
        return None
    foreign = [each for each in beside if not each.bears(context.owner)]
    if foreign:
        raise ChangeHeld(uid_taken(intent, foreign[0]))
    raise _refused(context, intent, f"the service reports a conflict ({conflict.detail})", now)


def _name_is_used_up(context: Context, intent: Intent) -> Steps[bool]:
    """Return whether an ended agent used up a refused name, and a late copy of its join would be listed by now.

    Before that the answer is no: the network may deliver one call twice; then the refusal answers the second copy,
    while no list shows the agent of the first yet.
    """
    if intent.refused_since is None or not (yield from would_be_listed(context, intent)):
        return False
    return (yield from context.provider.has_ended(intent.name, channel=intent.address.channel))


def _look_then_give_up_name(context: Context, intent: Intent) -> Steps[Record | None]:
    """Return the record of a twice refused name's agent; without one, give the name up once it would be listed."""
    record = yield from find_joined(context, intent)
    if record is not None:
        return record
    now = yield from context.journal.now()
    if now < intent.certain_at(context.settings.grace):
        raise _refused(context, intent, REFUSED_TWICE, now)
    yield from _give_up_name(context, intent)
    return None


def _refused(context: Context, intent: Intent, why: str, now: float) -> ChangeDeferred:
    grace = context.settings.grace
    assert intent.refused_since is not None, "refused"
    until = max(intent.refused_since + grace, intent.late_until(grace))
    if now >= until or intent.is_refused_late(grace):
        until = intent.certain_at(grace)
    return ChangeDeferred(looked_for_text(why, intent.name, until), until)


def _give_up_name(context: Context, intent: Intent) -> Steps[None]:
    """Give up a name for good: all later joins of this address get a higher generation.

    A name that was used although the state does not know it means that the state was lost, and other names may be used
    too. A generation counted in hours since 2026 is higher than all of them, so that they need not be tried one by one.
    """
    now = yield from context.journal.now()
    beyond = max(
        context.journal.next_generation(intent.address, intent.generation), int((now - _FIRST_HOUR) // 3600)
    )
    yield from context.journal.conclude(
        intent,
        PutGeneration(intent.address, beyond),
        *_late_copy(context, intent, now),
        change="join",
        result="dropped",
        detail=f"the name {intent.name} is used up",
        now=now,
    )
