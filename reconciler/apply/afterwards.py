"""The steps of an apply after its last change: wait for started agents, look for duplicates, close interrupted calls.

One complete list serves all waiting agents and the search for duplicates, so waiting costs a few calls, not one an
agent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from reconciler.apply import calls, joining
from reconciler.apply.context import Context
from reconciler.apply.events import Finished, Notice, Result
from reconciler.diagnostics import plural
from reconciler.durations import spelled
from reconciler.errors import ReconcilerError
from reconciler.model.address import Address
from reconciler.model.observed import AgentStatus, ListedAgent, ObservedAgent
from reconciler.model.record import Entry, Intent, Operation, Record
from reconciler.model.writes import Append, DropIntent, PutRecord
from reconciler.plan.change import Action
from reconciler.plan.intents import failed_again, late_copy_note, late_copy_text
from reconciler.ports import Elapsed, Sleep, Steps, Stopping


def await_started(context: Context) -> Steps[tuple[ListedAgent, ...]]:
    """Wait until each agent that was just joined has run for `proven_after` seconds; report each; return the last list.

    All agents together are waited for at most the settings' `wait`; one complete list serves all of them. A run that is
    told to stop does not wait: the agents are recorded already, so the next run sees what became of them.
    """
    waiting = dict(context.joined)
    started: float = yield Elapsed()
    pause = 0.25
    while True:
        yield from _sleep_until_proven(context, waiting, started)
        # One list serves all waiting agents; only an agent that it does not show costs a query (`_has_arrived`).
        rows = yield from context.provider.live_agents(parallelism=context.settings.parallelism)
        listed = {each.agent_id: each for each in rows}
        now = yield from context.journal.now()
        for agent_id in sorted(waiting):
            if (yield from _has_arrived(context, waiting[agent_id], agent_id, listed.get(agent_id), now)):
                del waiting[agent_id]
        elapsed: float = yield Elapsed()
        stopping: bool = yield Stopping()
        if not waiting or stopping or elapsed - started >= context.settings.wait:
            break
        yield Sleep(pause)
        pause = min(3.0, pause * 1.5)
    if stopping and waiting:
        who = plural(len(waiting), "agent was", "agents were")
        yield from context.say(Notice(f"{who} joined and not yet seen running for {_long(context)}"))
    else:
        for agent_id, (address, action) in sorted(waiting.items()):
            text = f"joined, but not seen running for {_long(context)} after {spelled(context.settings.wait)}"
            yield from context.say(Finished(address, action, Result.UNKNOWN, text, agent_id))
    return rows


def _long(context: Context) -> str:
    return spelled(context.settings.proven_after)


def _sleep_until_proven(
    context: Context, waiting: Mapping[str, tuple[Address, Action]], started: float
) -> Steps[None]:
    """Sleep until the youngest waiting agent is `proven_after` seconds old, so that one list proves all of them.

    It never sleeps beyond the settings' `wait` since `started`.
    """
    records = (context.journal.record(address) for address, _ in waiting.values())
    youngest = max((each.started_at for each in records if each is not None), default=0.0)
    now = yield from context.journal.now()
    elapsed: float = yield Elapsed()
    proven = context.settings.proven_after
    # A clock that has stepped back makes an agent look as if it started in the future.
    left = min(proven, youngest + proven - now, started + context.settings.wait - elapsed)
    if left > 0:
        yield Sleep(left)


def _has_arrived(
    context: Context, change: tuple[Address, Action], agent_id: str, row: ListedAgent | None, now: float
) -> Steps[bool]:
    agent: ListedAgent | ObservedAgent | None = row
    if row is None:
        found = yield from context.provider.query(agent_id)
        if found is None or found.status.is_terminal:
            yield from _note_failure(context, change, agent_id, found)
            return True
        agent = found
    assert agent is not None, "listed, or found"
    old_enough = now - agent.started_at >= min(context.settings.proven_after, context.settings.wait)
    return agent.status.is_settled and old_enough


def _note_failure(
    context: Context, change: tuple[Address, Action], agent_id: str, agent: ObservedAgent | None
) -> Steps[None]:
    """Record that a joined agent ended at once; each failure makes the pause before the next try longer."""
    message = (agent.message or agent.status.value) if agent else "the service does not know it any more"
    address, action = change
    record = context.journal.record(address)
    if record is not None and record.agent_id == agent_id:
        now = yield from context.journal.now()
        failed = failed_again(record, now, agent.message if agent else "")
        entry = Entry(now, address, "join", "failed", agent_id, message)
        yield from context.journal.write(PutRecord(failed), Append(entry))
    advice = context.provider.capabilities.end_of(agent.message if agent else "").advice
    text = f"its agent ended at once: {message}" + (f" ({advice})" if advice else "")
    yield from context.say(Finished(address, action, Result.FAILED, text, agent_id))


def sweep(context: Context, known: frozenset[str], rows: tuple[ListedAgent, ...]) -> Steps[None]:
    """Report two agents at one address (two writers, or a service that allows it); the next plan leaves one of them.

    `known` are the ids that need no query: foreign agents, and those seen before the apply. `rows` is a complete list
    made after the last join.
    """
    recorded = {each.agent_id: each for each in context.journal.view.records.values()}
    by_digest = {each.address.digest: each for each in recorded.values()}
    doubles: dict[Address, list[str]] = defaultdict(list)
    for row in rows:
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
    """Close the joins and leaves of earlier runs that the plan does not ask for: look, and leave an agent that runs.

    Where a late copy may still start an agent, the act is deferred: the name stays in the state for a later run.
    """
    for intent in sorted(context.journal.view.intents.values(), key=lambda each: each.key):
        if intent.is_of_a_join and intent.address not in wanted:
            if intent.operation is Operation.LATE_COPY and context.journal.record(intent.address) is not None:
                continue  # the plan holds the address: its agent stays, and the note keeps its name
            # A failure at one address is reported and does not keep the other intents from being closed.
            try:
                yield from _close(context, intent)
            except ReconcilerError as problem:
                yield from context.say(
                    Finished(intent.address, Action.LEAVE, Result.UNKNOWN, problem.message)
                )
        elif intent.operation is Operation.LEAVE:
            yield from _close_leave(context, intent, wanted)


def _close(context: Context, intent: Intent) -> Steps[None]:
    yield from context.check_open()
    record: Record | None = yield from joining.find_joined(context, intent)
    if record is None:
        yield from _drop_or_defer(context, intent)
        return
    if record.protect:
        yield from context.say(Notice(f"{record.name} was found, and stays: {record.address} is protected"))
        return
    # The agent was not in the plan, so its leave may lack a review, or be held.
    now = yield from context.journal.now()
    kept = context.why_kept(record.address, Action.LEAVE, now)
    if kept is not None:
        text = f"an interrupted join has started it, and {kept}"
        yield from context.say(Finished(record.address, Action.LEAVE, Result.HELD, text, record.agent_id))
        return
    yield from calls.leave(context, record.agent_id, record.address, record.name)
    yield from calls.await_gone(context, record.agent_id, record.address)
    yield from context.say(Notice(f"left {record.name}: an interrupted join that is not wanted any more"))


def _drop_or_defer(context: Context, intent: Intent) -> Steps[None]:
    """Drop an unwanted join whose agent is not found, or keep a late-copy note while a late copy is possible."""
    if (yield from joining.would_be_listed(context, intent)):
        yield from context.journal.conclude(intent, change="join", result="dropped", detail="never executed")
        return
    if intent.operation is Operation.JOIN:
        since = intent.in_doubt_since
        yield from context.journal.write(*late_copy_note(intent, since), DropIntent(intent.key))
    until = intent.certain_at(context.settings.grace)
    text = late_copy_text(intent.name, until)
    yield from context.say(Finished(intent.address, Action.LEAVE, Result.DEFERRED, text, until=until))


def _close_leave(context: Context, intent: Intent, wanted: frozenset[Address]) -> Steps[None]:
    """Conclude the leave of an earlier run: done if its agent has ended, dropped once the grace for its call is over.

    Where only the intent holds the agent's id (no record does), it stays until the agent has ended.
    """
    agent = yield from context.provider.query(intent.agent_id)
    gone = agent is None or agent.status.is_terminal
    now = yield from context.journal.now()
    record = context.journal.record(intent.address)
    known = record is not None and record.agent_id == intent.agent_id
    if gone and known and intent.address in wanted:
        # The plan was made while the agent ran. The intent stays: it shows the next run that this end was asked for.
        text = "its agent has ended, as it was asked to; the next apply joins another"
        yield from context.say(Finished(intent.address, Action.JOIN, Result.UNKNOWN, text, intent.agent_id))
        return
    if gone:
        # The record goes with the intent: a list that lags behind would show a running agent that no later plan leaves.
        yield from calls.conclude_gone(context, intent, agent)
    elif known and now - intent.created_at >= context.settings.grace:
        yield from context.journal.conclude(
            intent, change="leave", result="dropped", agent_id=intent.agent_id
        )
