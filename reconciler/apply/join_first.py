"""Join-first: wait for the new agent while its predecessor runs, and record the predecessor again if it fails."""

from __future__ import annotations

from dataclasses import replace

from reconciler.apply.context import ChangeFailed, Context
from reconciler.durations import spelled
from reconciler.model.record import Entry, Intent, Operation, Record
from reconciler.model.writes import Append, DropIntent, DropRecord, PutGeneration, PutRecord, Write
from reconciler.plan.change import Change, target_of
from reconciler.plan.intents import failed_again
from reconciler.ports import Elapsed, Sleep, Steps


def await_running(context: Context, change: Change) -> Steps[None]:
    """Wait until the agent that was joined while its predecessor runs has started; if it ends, keep the predecessor."""
    record = context.journal.record(change.address)
    assert record is not None, "a join leaves a record"
    started: float = yield Elapsed()
    settings = context.settings
    # A turn waits for nothing: a later one ends the predecessor once the new agent has run for long enough.
    proven = settings.proven_after if settings.turn is not None else min(settings.proven_after, settings.wait)
    while True:
        agent = yield from context.provider.query(record.agent_id)
        if agent is None or agent.status.is_terminal:
            message = agent.message if agent else "the service does not know it"
            yield from _put_back(context, change, record, message)
            raise ChangeFailed(f"the new agent did not start ({message}); the old one was kept")
        elapsed: float = yield Elapsed()
        if agent.status.is_settled and elapsed - started >= proven:
            return
        still = (
            f"has not run for {spelled(proven)} yet"
            if agent.status.is_settled
            else f"is still {agent.status}"
        )
        yield from context.not_yet(f"the new agent {still}; both run now")
        if elapsed - started > settings.wait:
            raise ChangeFailed(
                f"the new agent is still {agent.status} after {spelled(round(elapsed - started))}; both run now"
            )
        yield Sleep(0.5)


def _put_back(context: Context, change: Change, failed: Record, cause: str) -> Steps[None]:
    """Make the predecessor the recorded agent again, so that the next run does not leave it."""
    target = target_of(change)
    if target is None or target.record is None:
        return
    now = yield from context.journal.now()
    # The failures of the new body are counted in the record of the predecessor, which is the one that stays.
    judged = failed_again(failed, now, cause)
    kept = replace(
        target.record,
        failures=judged.failures,
        retry_at=judged.retry_at,
        failed_digest=judged.failed_digest,
        failed_cause=judged.failed_cause,
        failed_agent=judged.failed_agent,
    )
    context.joined.pop(failed.agent_id, None)
    # A renamed predecessor stays recorded at its earlier address only; the address must not have a second record.
    moved: tuple[Write, ...] = () if kept.address == change.address else (DropRecord(change.address),)
    yield from context.journal.write(
        PutRecord(kept),
        *moved,
        PutGeneration(change.address, failed.generation),
        DropIntent(Intent(Operation.LEAVE, kept.address, kept.name, now, agent_id=kept.agent_id).key),
        Append(Entry(now, change.address, "join", "failed", failed.agent_id, "the old agent was kept")),
    )
