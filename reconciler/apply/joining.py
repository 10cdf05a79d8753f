"""The protocol of a join, through every way it can go wrong: at most one agent of a name, and none that is lost.

The rules: an intent is durable before the call leaves; an unknown outcome is resolved by name, never by guessing;
the same name is sent again, never another one, until no late copy can be executed any more.

A name protects only while an agent bears it. A join that was sent several times and then succeeded may be executed
once more when its agent has ended: a *late-copy note* remembers the name until the grace is over. An address with
such a note joins under that name again, and its agent is not asked to leave before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

from reconciler.apply.context import ChangeFailed, Context, backoff
from reconciler.apply.events import Progress
from reconciler.model.observed import ObservedAgent
from reconciler.model.record import Intent, Record
from reconciler.model.writes import PutGeneration, PutIntent, PutRecord, Write
from reconciler.plan.intents import joined_record, late_copy_note, late_copy_of_repeated, leave_intent_for
from reconciler.ports import Conflict, Declined, Joined, JoinOrder, Prepared, Sleep, Steps, Unknown

# The hour from which generations are counted that no state remembers (2026-01-01 00:00 UTC).
_FIRST_HOUR: Final = 1_767_225_600.0


def join(
    context: Context, intent: Intent, *, token_ttl: float, resumed: bool, failures: int = 0
) -> Steps[Record | None]:
    """Start the agent of a join intent, whatever happened to it before; returns its durable record.

    None where an ended agent has used up its name: the name is given up, and the address needs another join, of what
    the files want now. Raises `ChangeFailed`; where the outcome stays unknown the intent stays open for the next run.
    """
    if intent.refused_since is not None:
        return (yield from _second_look(context, intent))
    doubt = intent.in_doubt_since if resumed else None  # since when a late copy is possible
    why = ""
    for attempt in range(context.settings.attempts):
        prepared: Prepared = yield from context.provider.prepare_join(order_of(intent, token_ttl))
        before = intent
        if attempt == 0 and not resumed:
            yield from context.journal.intend(intent)
        else:
            intent = yield from context.journal.repeat(intent)
        outcome = yield from context.provider.join(prepared)
        if isinstance(outcome, (Conflict, Declined)):
            # This attempt was answered: only an older one can still be executed late.
            intent = replace(intent, unknown_since=before.unknown_since)
        match outcome:
            case Joined():
                return (yield from _joined(context, intent, outcome, prepared, failures, doubt))
            case Conflict():
                return (yield from _resolve_conflict(context, intent, outcome))
            case Declined(scope, detail):
                if resumed or intent.unknown_since is not None:
                    yield from _keep_in_doubt(context, intent, detail)
                else:
                    yield from context.journal.conclude(intent, change="join", result="failed", detail=detail)
                raise context.declined(scope, detail)
            case Unknown(detail):
                why = detail
                intent = yield from context.journal.mark_unknown(intent)
                yield from context.say(
                    Progress(intent.address, f"the outcome of the join is unknown ({detail}); looking")
                )
                doubt = intent.unknown_since
                record = yield from find_joined(context, intent)
                if record is not None:
                    return record
                yield from backoff(attempt)
            case _:
                assert_never(outcome)
    raise ChangeFailed(
        f"nobody knows whether the join of {intent.name} was executed: {why}",
        unknown=True,
        hint="the next apply looks for it by that name first; it cannot be started twice",
    )


def _keep_in_doubt(context: Context, intent: Intent, detail: str) -> Steps[None]:
    """Keep the intent open after a refusal: it answers one attempt only, and an earlier one may still be executed."""
    now = yield from context.journal.now()
    intent = replace(intent, unknown_since=now if intent.unknown_since is None else intent.unknown_since)
    yield from context.journal.write(PutIntent(intent))
    if intent.unknown_since is None or now - intent.unknown_since < context.settings.certain_after:
        return
    if (yield from find_joined(context, intent)) is None:
        yield from context.journal.conclude(intent, change="join", result="failed", detail=detail)


def order_of(intent: Intent, token_ttl: float) -> JoinOrder:
    """What a provider needs to know of a join."""
    assert intent.body is not None, "a join intent holds its body"
    return JoinOrder(intent.name, intent.address.channel, intent.uid, intent.body, token_ttl)


def _joined(
    context: Context,
    intent: Intent,
    outcome: Joined,
    prepared: Prepared,
    failures: int,
    doubt: float | None,
) -> Steps[Record]:
    record = joined_record(
        intent,
        outcome.agent_id,
        outcome.started_at,
        sent=True,
        token_expires_at=prepared.token_expires_at,
        secrets=context.journal.secret_digests(prepared.secrets),
        failures=failures,
    )
    predecessor = yield from _leave_of_predecessor(context, record)
    late_copy = late_copy_note(intent, doubt) if doubt is not None else []
    yield from context.journal.conclude(
        intent,
        PutRecord(record),
        *predecessor,
        *late_copy,
        change="join",
        result="done",
        agent_id=record.agent_id,
    )
    return record


def _leave_of_predecessor(context: Context, record: Record) -> Steps[list[Write]]:
    now = yield from context.journal.now()
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
    return now - intent.in_doubt_since >= context.settings.certain_after


def outwait(context: Context, intent: Intent) -> Steps[bool]:
    """Wait until no late copy of a join can be executed any more; returns whether there was anything to wait for."""
    now = yield from context.journal.now()
    remaining = intent.in_doubt_since + context.settings.grace - now
    if remaining <= 0:
        return False
    text = f"waiting {remaining:.0f} s: an interrupted join of {intent.name} may still be executed"
    yield from context.say(Progress(intent.address, text))
    yield Sleep(remaining)
    yield from context.check_open()
    return True


def find_joined(context: Context, intent: Intent) -> Steps[Record | None]:
    """Look for the agent of a join intent by its exact name, and put it into the state if it runs."""
    holder = yield from _holder(context, intent)
    if holder is None:
        return None
    return (yield from _take_back(context, intent, holder))


def _take_back(context: Context, intent: Intent, agent: ObservedAgent) -> Steps[Record]:
    record = joined_record(intent, agent.agent_id, agent.started_at, sent=False)
    predecessor = yield from _leave_of_predecessor(context, record)
    yield from context.journal.conclude(
        intent,
        PutRecord(record),
        *predecessor,
        *late_copy_of_repeated(intent),
        change="join",
        result="done",
        agent_id=record.agent_id,
        detail="found by its name",
    )
    return record


def _holder(context: Context, intent: Intent) -> Steps[ObservedAgent | None]:
    """The live agent that bears a join's name; the oldest where a weak server let two have it."""
    listed = yield from context.provider.live_agents(channel=intent.address.channel)
    found: list[ObservedAgent] = []
    others = _ids_not_to_claim(context, intent)
    for row in listed:
        if row.agent_id in others:
            continue
        agent = yield from context.provider.query(row.agent_id)
        if agent is not None and agent.name == intent.name and not agent.status.is_terminal:
            found.append(agent)
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

    The name may be taken by a late copy of this very call, whose agent no list shows yet. So where nobody is seen to
    bear it, it is not sent again at once, and is given up only after a second look, at least the grace after this one.
    """
    if conflict.agent_id is not None:
        agent = yield from context.provider.query(conflict.agent_id)
        if agent is None and intent.unknown_since is None:
            # Its holder has ended, and nothing else is under way.
            return (yield from _give_up_when_certain(context, intent))
        if (
            agent is not None
            and agent.name == intent.name
            and agent.agent_id not in _ids_not_to_claim(context, intent)
        ):
            if not agent.status.is_terminal:
                return (yield from _take_back(context, intent, agent))
            return (yield from _give_up_when_certain(context, intent))
    holder = yield from _holder(context, intent)
    if holder is not None:
        return (yield from _take_back(context, intent, holder))
    if (yield from context.provider.has_ended(intent.name, channel=intent.address.channel)):
        return (yield from _give_up_when_certain(context, intent))
    now = yield from context.journal.now()
    yield from context.journal.write(PutIntent(replace(intent, unknown_since=now, refused_since=now)))
    raise _nobody_bears(intent, conflict.detail)


def _second_look(context: Context, intent: Intent) -> Steps[Record | None]:
    """Look again for a name that was refused as taken while nobody was seen to bear it."""
    found = yield from find_joined(context, intent)
    if found is not None:
        return found
    now = yield from context.journal.now()
    if now - intent.in_doubt_since < context.settings.grace:
        raise _nobody_bears(intent, "the name is looked for once more, a while after it was refused")
    yield from _give_up_name(context, intent, intent.in_doubt_since)
    return None


def _nobody_bears(intent: Intent, detail: str) -> ChangeFailed:
    return ChangeFailed(
        f"the service reports a conflict, but no agent bears the name {intent.name}: {detail}",
        hint=f"another agent may hold the same uid in channel {intent.address.channel}: `reconciler status` lists "
        "unmanaged agents, `reconciler adopt` takes one over, `apply --prune-unrecorded` leaves one of ours that the "
        "state has forgotten",
    )


def _give_up_when_certain(context: Context, intent: Intent) -> Steps[Record | None]:
    """Give up a name that an ended agent has used up, once no late copy of its join can be executed any more."""
    if intent.unknown_since is not None and (yield from outwait(context, intent)):
        found = yield from find_joined(context, intent)
        if found is not None:
            return found
    yield from _give_up_name(context, intent, (yield from context.journal.now()))
    return None


def _give_up_name(context: Context, intent: Intent, sent_at: float) -> Steps[None]:
    """Give up a name for good: no later join of this address is of its generation, or of one before.

    A late-copy note remembers that it was last sent at `sent_at`. A name that was used without our knowledge means that
    the state has forgotten some (it was lost). A generation counted in hours is beyond all of them, so that they need
    not be tried one by one.
    """
    now = yield from context.journal.now()
    beyond = max(
        context.journal.next_generation(intent.address, intent.generation), int((now - _FIRST_HOUR) // 3600)
    )
    yield from context.journal.conclude(
        intent,
        PutGeneration(intent.address, beyond),
        *late_copy_note(intent, sent_at),
        change="join",
        result="dropped",
        detail=f"the name {intent.name} is used up",
    )
