"""After the last change: wait until what was started runs, look for duplicates, close what was interrupted.

One complete list serves all waiting agents, so that waiting costs a few calls and not one per agent.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from reconciler.apply import calls, joining
from reconciler.apply.context import Context
from reconciler.apply.events import Finished, Notice, Result
from reconciler.errors import ReconcilerError
from reconciler.model.address import Address
from reconciler.model.observed import AgentStatus, ListedAgent, ObservedAgent
from reconciler.model.record import Entry, Intent, Operation, Record
from reconciler.model.writes import Append, PutRecord
from reconciler.plan.change import Action
from reconciler.ports import Elapsed, Now, Sleep, Steps, Stopping

# A failed join is tried again at once twice, then after growing pauses: a broken vendor key must not cost a
# join per run for ever.
_FREE_FAILURES = 2
_FIRST_PAUSE = 120.0
_LONGEST_PAUSE = 3600.0


def await_started(context: Context) -> Steps[None]:
    """Wait until the agents just joined run, for the settings' `wait` in all; say what became of each.

    A run that is told to stop does not wait: its agents are in the state, whatever they go on to do.
    """
    waiting = dict(context.joined)
    started: float = yield Elapsed()
    pause = 0.25
    stopping = False
    while waiting:
        listed = {each.agent_id: each for each in (yield from context.provider.live_agents())}
        for agent_id in sorted(waiting):
            if (yield from _has_arrived(context, waiting[agent_id], agent_id, listed.get(agent_id))):
                del waiting[agent_id]
        elapsed: float = yield Elapsed()
        stopping = yield Stopping()
        if not waiting or stopping or elapsed - started >= context.settings.wait:
            break
        yield Sleep(pause)
        pause = min(3.0, pause * 1.5)
    if stopping and waiting:
        yield from context.say(Notice(f"{len(waiting)} agents were joined and not yet seen running"))
        return
    for agent_id, (address, action) in sorted(waiting.items()):
        text = f"joined, but not running after {context.settings.wait:.0f} s"
        yield from context.say(Finished(address, action, Result.UNKNOWN, text, agent_id))


def _has_arrived(
    context: Context, change: tuple[Address, Action], agent_id: str, row: ListedAgent | None
) -> Steps[bool]:
    if row is not None:
        if row.status.is_settled:
            yield from _note_success(context, change[0], agent_id)
        return row.status.is_settled
    agent = yield from context.provider.query(agent_id)
    if agent is not None and not agent.status.is_terminal:
        return agent.status.is_settled
    yield from _note_failure(context, change, agent_id, agent)
    return True


def _note_success(context: Context, address: Address, agent_id: str) -> Steps[None]:
    """An agent that runs ends the count of failures."""
    record = context.journal.record(address)
    if record is not None and record.agent_id == agent_id and record.failures:
        yield from context.journal.write(PutRecord(replace(record, failures=0, retry_at=0.0)))


def _note_failure(
    context: Context, change: tuple[Address, Action], agent_id: str, agent: ObservedAgent | None
) -> Steps[None]:
    """A joined agent that ended at once: count it, so that the next tries come slower and slower."""
    message = (agent.message or agent.status.value) if agent else "the service does not know it any more"
    address, action = change
    record = context.journal.record(address)
    if record is not None and record.agent_id == agent_id:
        now: float = yield Now()
        failed = failed_again(record, now)
        entry = Entry(now, address, "join", "failed", agent_id, message)
        yield from context.journal.write(PutRecord(failed), Append(entry))
    text = f"its agent ended at once: {message}"
    yield from context.say(Finished(address, action, Result.FAILED, text, agent_id))


def failed_again(record: Record, now: float) -> Record:
    """A record after one more join that failed at once, with the instant before which none is tried."""
    failures = record.failures + 1
    over = failures - _FREE_FAILURES
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (over - 1)) if over > 0 else 0.0
    return replace(record, failures=failures, retry_at=now + pause if pause else 0.0)


def sweep(context: Context, known: frozenset[str]) -> Steps[None]:
    """Look for two agents at one address (a weak server, another writer); they are reported, and planned next.

    `known` are the ids that need no second look: foreign ones, and those seen before the apply.
    """
    recorded = {each.agent_id: each for each in context.journal.view.records.values()}
    by_digest = {each.address.digest: each for each in recorded.values()}
    doubles: dict[Address, list[str]] = defaultdict(list)
    for row in (yield from context.provider.live_agents()):
        if row.agent_id in recorded or row.agent_id in known or row.status is AgentStatus.STOPPING:
            continue
        agent = yield from context.provider.query(row.agent_id)
        parsed = agent.parsed if agent is not None and agent.bears(context.owner) else None
        twin = by_digest.get(parsed.address_digest) if parsed else None
        if agent is not None and agent.status.is_live and twin is not None:
            doubles[twin.address].append(agent.agent_id)
    for address, ids in sorted(doubles.items()):
        text = f"another agent of ours runs beside it: {', '.join(sorted(ids))}; the next plan leaves it"
        yield from context.say(Finished(address, Action.LEAVE, Result.UNKNOWN, text, ids[0]))


def close_unwanted(context: Context, wanted: frozenset[Address]) -> Steps[None]:
    """Open joins of an earlier run that nobody wants any more: outwait the grace, look, leave, drop."""
    for intent in sorted(context.journal.view.intents.values(), key=lambda each: each.key):
        if intent.is_of_a_join and intent.address not in wanted:
            if intent.operation is Operation.LATE_COPY and context.journal.record(intent.address) is not None:
                continue  # its agent is held, and keeps the name
            try:
                yield from _close(context, intent)
            except ReconcilerError as problem:
                yield from context.say(
                    Finished(intent.address, Action.LEAVE, Result.UNKNOWN, problem.message)
                )
        elif intent.operation is Operation.LEAVE:
            yield from _close_leave(context, intent)


def _close(context: Context, intent: Intent) -> Steps[None]:
    yield from joining.outwait(context, intent)
    yield from context.check_open()
    record: Record | None = yield from joining.find_joined(context, intent)
    if record is None and not (yield from joining.is_over(context, intent)):
        text = f"nothing is seen of {intent.name}, which an interrupted join may have started; the next apply looks again"
        yield from context.say(Notice(text))
        return
    if record is None:
        yield from context.journal.conclude(intent, change="join", result="dropped", detail="never executed")
        return
    if record.protect:
        yield from context.say(Notice(f"{record.name} was found, and stays: {record.address} is protected"))
        return
    yield from calls.leave(context, record.agent_id, record.address, record.name)
    yield from calls.await_gone(context, record.agent_id, record.address)
    yield from context.say(Notice(f"left {record.name}: an interrupted join that is not wanted any more"))


def _close_leave(context: Context, intent: Intent) -> Steps[None]:
    """A leave that nobody asks for any more: proven done, or dropped once it can no longer be executed late.

    Where the intent is all that we know the agent by, it stays until the agent is gone.
    """
    agent = yield from context.provider.query(intent.agent_id)
    gone = agent is None or agent.status.is_terminal
    now = yield from context.journal.now()
    record = context.journal.record(intent.address)
    known = record is not None and record.agent_id == intent.agent_id
    if gone or (known and now - intent.created_at >= context.settings.grace):
        result = "done" if gone else "dropped"
        yield from context.journal.conclude(intent, change="leave", result=result, agent_id=intent.agent_id)
