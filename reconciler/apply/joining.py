"""The protocol of a join, through every way it can go wrong: at most one agent of a name, and none that is lost.

The rules: an intent is durable before the call leaves; an unknown outcome is resolved by name, never by guessing;
the same name is sent again, never another one, until no late copy can be executed any more.

A name protects only while an agent bears it. A join that was sent several times and then succeeded may be executed
once more when its agent has ended: a *late-copy note* remembers the name until the grace is over. An address with
such a note joins under that name again. Two acts are not safe while a late copy may be executed, and are deferred:
joining the address under another name, and ending the bearer of the name in order to replace it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

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
    leave_intent_for,
    looked_for_text,
    refused_again,
    uid_taken,
)
from reconciler.ports import Conflict, Declined, Joined, JoinOrder, Prepared, Scope, Steps, Unknown

# The hour from which generations are counted that no state remembers (2026-01-01 00:00 UTC).
_FIRST_HOUR: Final = 1_767_225_600.0


def join(
    context: Context, intent: Intent, *, token_ttl: float, resumed: bool, earlier: Record | None = None
) -> Steps[Record | None]:
    """Start the agent of a join intent, whatever happened to it before; returns its durable record.

    None where an ended agent has used up its name: the name is given up, and the address needs another join, of what
    the files want now. `earlier` is the record whose failures go on. Raises `ChangeFailed`, `ChangeHeld` or
    `ChangeDeferred`; where the outcome stays unknown the intent stays open for the next run.
    """
    if intent.is_refused_late(context.settings.grace) or (yield from _is_spent(context, intent)):
        return (yield from _look_once_more(context, intent))
    why = ""
    for attempt in range(context.settings.attempts):
        prepared: Prepared = yield from context.provider.prepare_join(order_of(intent, token_ttl))
        before = intent
        if attempt == 0 and not resumed:
            yield from context.journal.intend(intent)
        else:
            intent = yield from context.journal.repeat(intent)
        outcome = yield from context.provider.join(prepared)
        if not isinstance(outcome, Unknown) or outcome.answered:
            # The service has done with this attempt: only an older one can still be executed late.
            intent = replace(intent, answered=intent.answered + 1, unknown_since=before.unknown_since)
        if isinstance(outcome, Declined):
            intent = replace(intent, sent_at=before.sent_at)  # it was not executed, and will never be listed
        match outcome:
            case Joined():
                return (yield from _joined(context, intent, outcome, prepared, earlier))
            case Conflict():
                return (yield from _resolve_conflict(context, intent, outcome))
            case Declined(scope, detail):
                if intent.attempt > 1:
                    yield from _keep_in_doubt(context, intent, detail)
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
                record = yield from find_joined(context, intent)
                if record is not None:
                    return record
                yield from backoff(context, attempt)
            case _:
                assert_never(outcome)
    raise ChangeFailed(
        f"nobody knows whether the join of {intent.name} was executed: {why}",
        unknown=True,
        hint="the next apply looks for it by that name first; it cannot be started twice",
    )


def _refusal(context: Context, intent: Intent, scope: Scope) -> Steps[list[Write]]:
    """The note by which the next turns try a refused join more and more rarely; a person tries as often as they like."""
    if context.settings.turn is None or scope is not Scope.ADDRESS:
        return []
    earlier = context.journal.view.intents.get(f"{Operation.REFUSED}:{intent.address}")
    now = yield from context.journal.now()
    return [refused_again(intent, earlier, now)]


def _keep_in_doubt(context: Context, intent: Intent, detail: str) -> Steps[None]:
    """Keep the intent open after a refusal: it answers one attempt only.

    An earlier one may still be executed, or was executed and is not listed yet.
    """
    yield from context.journal.write(PutIntent(intent))
    if (yield from is_over(context, intent)) and (yield from find_joined(context, intent)) is None:
        yield from context.journal.conclude(intent, change="join", result="failed", detail=detail)


def order_of(intent: Intent, token_ttl: float) -> JoinOrder:
    """What a provider needs to know of a join."""
    assert intent.body is not None, "a join intent holds its body"
    return JoinOrder(intent.name, intent.address.channel, intent.uid, intent.body, token_ttl)


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
    """The note of a late copy, where one is possible: what nobody answered may be executed once the name is free."""
    is_late = intent.may_turn_up_late(now, context.settings.grace)
    return late_copy_note(intent, intent.in_doubt_since) if is_late else []


def _leave_of_predecessor(context: Context, record: Record, now: float) -> list[Write]:
    old = context.journal.record(record.address)
    return leave_intent_for(None if old is None or old.agent_id in context.gone else old, record, now)


def is_given_up(context: Context, intent: Intent) -> Steps[bool]:
    """Give up a join that cannot be sent again, once no late copy is possible and no agent bears its name.

    Returns whether it was given up.
    """
    if not (yield from is_over(context, intent)) or (yield from find_joined(context, intent)) is not None:
        return False
    yield from context.journal.conclude(intent, change="join", result="dropped", detail="never executed")
    return True


def is_over(context: Context, intent: Intent) -> Steps[bool]:
    """Whether a join that was executed, however late, would be listed by now."""
    now = yield from context.journal.now()
    return now >= intent.certain_at(context.settings.grace)


def defer_late_copy(context: Context, intent: Intent) -> Steps[None]:
    """Raise `ChangeDeferred` as long as a late copy of a join can be executed.

    Nobody waits for that while holding the lock: everything else is done, and a later run goes on.
    """
    now = yield from context.journal.now()
    until = intent.late_until(context.settings.grace)
    if now < until:
        raise ChangeDeferred(late_copy_text(intent.name, until), until)


def find_joined(context: Context, intent: Intent) -> Steps[Record | None]:
    """Look for the agent of a join intent by its exact name, and put it into the state if it runs."""
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
    """The live agent that bears a join's name; the oldest where a weak server let two have it."""
    return _bearer(intent, (yield from _agents_beside(context, intent)))


def _agents_beside(context: Context, intent: Intent) -> Steps[list[ObservedAgent]]:
    """The agents of a join's channel that are not terminal, without those that it must not claim."""
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
    """Find out what a 409 means: our agent runs (taken back), the name is used up (None), or neither (raises).

    A foreign agent in the channel may have the uid: the address is held, and joined again in the first run after that
    agent has gone. Where nobody is seen, the name may be taken by a copy of this very call, whose agent no list shows
    yet: after a second refusal, at least as long after the first as a list may lag behind, nothing is sent any more until
    such an agent would be listed, and then the name is given up (`_look_once_more`).
    """
    ended = False
    if conflict.agent_id is not None:
        agent = yield from context.provider.query(conflict.agent_id)
        if agent is None:
            ended = intent.unanswered == 0  # its holder has ended, and nothing else is under way
        elif agent.name == intent.name and agent.agent_id not in _ids_not_to_claim(context, intent):
            if not agent.status.is_terminal:
                return (yield from _take_back(context, intent, agent))
            ended = True
    beside = yield from _agents_beside(context, intent)
    holder = _bearer(intent, beside)
    if holder is not None:
        return (yield from _take_back(context, intent, holder))
    now = yield from context.journal.now()
    intent = replace(intent, refused_since=now if intent.refused_since is None else intent.refused_since)
    yield from context.journal.write(PutIntent(intent))
    if ended:
        # The bearer's end frees the name for a late copy, so that another name has to wait.
        yield from defer_late_copy(context, intent)
        yield from _give_up_name(context, intent)
        return None
    foreign = [each for each in beside if not each.bears(context.owner)]
    if foreign:
        raise ChangeHeld(uid_taken(intent, foreign[0]))
    raise _refused(context, intent, f"the service reports a conflict ({conflict.detail})", now)


def _is_spent(context: Context, intent: Intent) -> Steps[bool]:
    """Whether a refused name was used up by an agent that has ended, and a copy of its join would be listed by now.

    Not before: the network may deliver one call twice, and the refusal is then that of the second copy, beside an agent of
    the first that no list shows yet.
    """
    if intent.refused_since is None or not (yield from is_over(context, intent)):
        return False
    return (yield from context.provider.has_ended(intent.name, channel=intent.address.channel))


def _look_once_more(context: Context, intent: Intent) -> Steps[Record | None]:
    """The agent of a name that was refused twice; without one the name is given up, once every copy would be listed."""
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
    """Give up a name for good: no later join of this address is of its generation, or of one before.

    A name that was used without our knowledge means that the state has forgotten some (it was lost). A generation
    counted in hours is beyond all of them, so that they need not be tried one by one.
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
