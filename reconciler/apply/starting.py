"""Choose the join of an address: one that an earlier run left open, or a new one at a free seat.

A seat is a pair of channel and uid. No function here sends a call that changes anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.apply import joining
from reconciler.apply.calls import order_of
from reconciler.apply.context import ChangeDeferred, ChangeFailed, ChangeSkipped, Context
from reconciler.instants import clock
from reconciler.model.address import AgentName
from reconciler.model.record import Intent, Operation, Record
from reconciler.model.spec import AgentSpec
from reconciler.plan.change import Change, Replace, Rotate, target_of
from reconciler.plan.intents import another_name_from, is_name_of, late_copy_text
from reconciler.ports import Steps


def join_of(
    context: Context, change: Change, spec: AgentSpec, *, other_uid: bool
) -> Steps[tuple[Intent, bool]]:
    """Return the join to send, and whether a join of that name may have been sent before.

    Raises `ChangeFailed` where the seat is taken, `ChangeDeferred` where an earlier join may still start an agent.
    """
    intent = context.journal.join_intent(spec.address)
    if intent is not None and (holder := (yield from _seat_holder(context, intent))) is not None:
        # The files have given its (channel, uid) to another address since, so it cannot be sent again.
        if not (yield from joining.close_if_never_executed(context, intent)):
            raise _seat_taken(context, intent, holder)
        intent = None
    if (
        intent is not None
        and intent.body != spec.body
        and intent.unanswered == 0
        and (yield from joining.close_if_never_executed(context, intent))
    ):
        intent = None  # the files ask for another body now, and no late copy of this join is possible
    for earlier in spec.previously:
        if earlier in context.declared:
            continue  # not renamed: that address is in the files too, and its open join belongs to it
        # Renamed while a join was under way: the agent may yet turn up at the earlier address.
        open_join = context.journal.join_intent(earlier)
        if open_join is not None and not (yield from joining.close_if_never_executed(context, open_join)):
            until = open_join.certain_at(context.settings.grace)
            raise ChangeDeferred(late_copy_text(open_join.name, until), until)
    # A new name is chosen only if no late copy of an older name is possible.
    if intent is None:
        intent = yield from _late_copy_to_repeat(context, change, spec)
    if intent is not None:
        return intent, True
    return (yield from _new_join(context, change, spec, other_uid=other_uid)), False


def prepare_next_join(context: Context, change: Change, spec: AgentSpec) -> Steps[None]:
    """Prepare the join that will follow a leave, and send nothing, so that an error here ends no conversation.

    It finds a secret without a value, a token that cannot be minted, and a quota that is known to be used up.
    """
    if context.joins_halted:
        raise ChangeSkipped(context.joins_halted)
    yield from _late_copy_to_repeat(context, change, spec)
    intent = yield from _intent(context, change, spec, shifted=False)
    yield from context.provider.prepare_join(order_of(intent, spec.lifecycle.token_ttl))


def _late_copy_to_repeat(context: Context, change: Change, spec: AgentSpec) -> Steps[Intent | None]:
    """Return the join to send again because a late copy of it may be executed; None if none is possible.

    The same name can always be sent again, since the service lets only one agent bear it. Another name cannot: where
    the agent was renamed, or an agent of another name is replaced, `ChangeDeferred` is raised until no late copy is
    possible.
    """
    target = target_of(change)
    held_at = target.record.address if target and target.record else spec.address
    note = context.journal.late_copy(spec.address) or context.journal.late_copy(held_at)
    if note is None or context.journal.is_superseded(note):
        return None
    replaces = isinstance(change, (Replace, Rotate))
    if replaces and target is not None and target.name == note.name:
        return None  # the bearer of the name runs; that its leave must wait is checked before the leave
    until = another_name_from(note, context.settings.grace)
    if (yield from context.journal.now()) >= until:
        return None
    if not replaces and is_name_of(note, spec.address) and (yield from _seat_holder(context, note)) is None:
        return note.as_join()
    raise ChangeDeferred(late_copy_text(note.name, until), until)


def _new_join(context: Context, change: Change, spec: AgentSpec, *, other_uid: bool) -> Steps[Intent]:
    """Return a join of the next generation at a free seat: the first one or, where the files give no uid, the second.

    The second seat is used while the predecessor runs (join-first), or where a renamed agent still has the first.
    """
    taken: ChangeFailed | ChangeDeferred | None = None
    target = target_of(change)
    for shifted in _seats(
        spec, second_only=other_uid and target is not None and target.uid == spec.uid(context.owner)
    ):
        intent = yield from _intent(context, change, spec, shifted=shifted)
        holder = yield from _seat_holder(context, intent)
        if holder is None:
            return intent
        taken = taken or _seat_taken(context, intent, holder)
    assert taken is not None, "there is at least one seat"
    raise taken


def _seats(spec: AgentSpec, *, second_only: bool) -> Iterator[bool]:
    """Yield the seats to try, in order, each as whether its uid is the shifted one."""
    if not second_only:
        yield False
    if second_only or spec.body.uid is None:
        yield True


def _intent(context: Context, change: Change, spec: AgentSpec, *, shifted: bool) -> Steps[Intent]:
    target = target_of(change)
    parsed = AgentName.parse(target.name) if target else None
    generation = context.journal.next_generation(spec.address, parsed.generation if parsed else 0)
    revision = spec.revision(context.provider.capabilities, shifted=shifted)
    now = yield from context.journal.now()
    return Intent(
        Operation.JOIN,
        spec.address,
        str(AgentName.make(context.owner, spec.address, revision, generation)),
        created_at=now,
        generation=generation,
        uid=spec.uid(context.owner, shifted=shifted),
        body=spec.body,
        protect=bool(spec.lifecycle.protect),
    )


def _seat_holder(context: Context, intent: Intent) -> Steps[Record | Intent | None]:
    """Return what holds the intent's (channel, uid): a running agent's record, another open intent, or None.

    An agent that was told to leave holds its seat until it has ended.
    """
    for record in context.journal.neighbours(intent.address):
        if record.uid == intent.uid:
            # The record may be old: a query shows whether its agent still has the uid.
            agent = yield from context.provider.query(record.agent_id)
            if agent is not None and not agent.status.is_terminal:
                return record
    for other in context.journal.open_in(intent.address.channel):
        if other.uid != intent.uid or context.journal.is_superseded(other):
            continue
        if other.operation is Operation.LEAVE:
            agent = yield from context.provider.query(other.agent_id)
            if agent is not None and not agent.status.is_terminal:
                return other
        elif other.address != intent.address and not (
            yield from joining.close_if_never_executed(context, other)
        ):
            return other
    return None


def _seat_taken(context: Context, intent: Intent, holder: Record | Intent) -> ChangeFailed | ChangeDeferred:
    if isinstance(holder, Intent) and holder.is_of_a_join:
        until = holder.certain_at(context.settings.grace)
        return ChangeDeferred(
            f"deferred until {clock(until)}: an interrupted join of {holder.address} may still take uid {intent.uid}",
            until,
        )
    return ChangeFailed(
        f"uid {intent.uid} is still held by the agent of {holder.address} in this channel",
        hint="the next apply joins it once that agent has left",
    )
