"""Carry out a plan: its waves, step by step, with an event for everything that happens.

Concurrency belongs to the driver (`ports.Gather`). Here are the order, the halting, and what a failed step means for
the rest of its change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from reconciler.apply import calls, join_first, joining, starting
from reconciler.apply.adopting import adopt, record_found_by_name
from reconciler.apply.context import ChangeDeferred, ChangeFailed, ChangeHeld, ChangeSkipped, Context
from reconciler.apply.events import Finished, Progress, Result, Started
from reconciler.errors import AuthenticationFailed, ReadAbandoned, ReconcilerError, StateError, StateLocked
from reconciler.model.address import Address
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Record
from reconciler.model.spec import AgentSpec
from reconciler.model.tree import Path, Tree
from reconciler.model.writes import DropRecord, PutGeneration, PutIntent, PutRecord, Write
from reconciler.plan.build import Plan
from reconciler.plan.change import (
    Action,
    Because,
    Change,
    Hold,
    Join,
    Leave,
    Renew,
    Replace,
    Rotate,
    action_of,
    spec_of,
    target_of,
)
from reconciler.plan.decide import decide
from reconciler.plan.facts import Facts
from reconciler.plan.steps import (
    AwaitGone,
    AwaitRunning,
    CallJoin,
    CallLeave,
    CallUpdate,
    DropMemory,
    Program,
    Remember,
    Step,
    Task,
    steps_of,
    waves,
)
from reconciler.ports import Gather, Steps


def execute(context: Context, plan: Plan) -> Steps[None]:
    """Carry out a plan. Every outcome is reported as an event; only errors of the state and bugs raise."""
    failed: set[int] = set()
    for wave in waves(plan):
        tasks = [_runner(context, program, failed) for program in wave]
        results: list[object] = yield Gather(tasks, context.settings.parallelism)
        for result in results:
            if isinstance(result, BaseException):
                raise result
    for change in plan.changes:
        if isinstance(change, Hold):
            result = Result.DEFERRED if change.reason.because is Because.DEFERRED else Result.HELD
            held = _finished(context, change, result, change.reason.text)
            yield from context.say(replace(held, until=change.until))


def _runner(context: Context, program: Program, failed: set[int]) -> Callable[[], Steps[None]]:
    return lambda: _run_program(context, program, failed)


def _run_program(context: Context, program: Program, failed: set[int]) -> Steps[None]:
    """Run one channel's tasks in order. A change that failed in an earlier task is not continued; other changes are."""
    begun: set[int] = set()
    left: dict[int, int] = {}
    for task in program:
        left[id(task.change)] = left.get(id(task.change), 0) + 1
    for task in program:
        key = id(task.change)
        left[key] -= 1
        # A replacement whose leave failed must not join: its agent still runs.
        if key in failed:
            continue
        if key not in begun:
            begun.add(key)
            yield from context.say(Started(task.change.address, action_of(task.change)))
        ended = yield from _run_task(context, task, last=left[key] == 0)
        if ended is not None:
            if ended.result is not Result.DONE:
                failed.add(key)
            yield from context.say(ended)


def _run_task(context: Context, task: Task, *, last: bool) -> Steps[Finished | None]:
    """Run a task; return the outcome of its change, or None when the change goes on in a later task."""
    change = task.change
    try:
        for position, step in enumerate(task.steps):
            if position == 0:
                yield from context.check_open()
            yield from _perform(context, change, step)
    except ChangeSkipped as skipped:
        return _finished(context, change, Result.SKIPPED, skipped.message)
    except ChangeHeld as held:
        return _finished(context, change, Result.HELD, _with_hint(held))
    except ChangeDeferred as deferred:
        return replace(_finished(context, change, Result.DEFERRED, deferred.message), until=deferred.until)
    except ChangeFailed as problem:
        return _finished(
            context, change, Result.UNKNOWN if problem.unknown else Result.FAILED, _with_hint(problem)
        )
    except (StateError, StateLocked) as problem:
        # Without the state no intent can be made durable, so nothing else may be sent in this run.
        context.halted = context.halted or problem.message
        yield from context.say(_finished(context, change, Result.UNKNOWN, problem.message))
        raise
    except AuthenticationFailed as problem:
        context.halted = context.halted or problem.message
        return _finished(context, change, Result.FAILED, _with_hint(problem))
    except ReadAbandoned as problem:
        return _finished(context, change, Result.UNKNOWN, problem.message)
    except ReconcilerError as problem:
        return _finished(context, change, Result.FAILED, _with_hint(problem))
    return _finished(context, change, Result.DONE) if last else None


def _with_hint(problem: ReconcilerError) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message


def _finished(context: Context, change: Change, result: Result, detail: str = "") -> Finished:
    target = target_of(change)
    before = target.agent_id if target else ""
    record = context.journal.record(change.address) if result is Result.DONE else None
    if record is None or record.agent_id == before:
        return Finished(change.address, action_of(change), result, detail, before)
    return Finished(change.address, action_of(change), result, detail, record.agent_id, before)


# --- steps ----------------------------------------------------------------------------------------------------


def _perform(context: Context, change: Change, step: Step) -> Steps[None]:
    match step:
        case CallLeave(target):
            leaves_first = isinstance(change, (Replace, Rotate)) and not _has_joined(context, change)
            late_copy = context.journal.late_copy(_recorded_at(change))
            if late_copy is not None and late_copy.name == target.name and not isinstance(change, Leave):
                # While this agent runs, the service refuses a late copy of its join: the name is taken. Its end would
                # free the name.
                yield from joining.defer_late_copy(context, late_copy)
            # The next join is prepared before the leave: what fails now ends no conversation.
            if leaves_first:
                yield from starting.prepare_next_join(context, change, _spec(change))
            yield from context.say(Progress(change.address, f"asking agent {target.agent_id} to leave"))
            yield from calls.leave(
                context,
                target.agent_id,
                _recorded_at(change),
                target.name,
                adopted_as=target.record.adopted_as if target.record else "",
                replacing=leaves_first and _recorded_at(change) == change.address,
            )
        case AwaitGone(agent_id):
            if isinstance(change, Join):
                # The next turn sees how it has ended, and counts that.
                yield from context.not_yet(f"agent {agent_id} is stopping")
            yield from calls.await_gone(context, agent_id, _recorded_at(change))
        case CallJoin(other_uid):
            yield from _join(context, change, other_uid=other_uid)
        case AwaitRunning():
            yield from join_first.await_running(context, change)
        case CallUpdate(values, token):
            yield from _update(context, change, dict(values), token=token)
        case Remember():
            yield from _record_running_agent(context, change)
            yield from _renew_if_due(context, change)
        case DropMemory():
            yield from _drop(context, change.address)
        case _:
            assert_never(step)


def _has_joined(context: Context, change: Change) -> bool:
    """Return whether the successor of a change has been started in this run (join-first)."""
    record = context.journal.record(change.address)
    return record is not None and record.agent_id in context.joined


def _recorded_at(change: Change) -> Address:
    """Return the address at which the state records the agent of a change: the earlier one if it was renamed."""
    target = target_of(change)
    return target.record.address if target and target.record else change.address


def _spec(change: Change) -> AgentSpec:
    spec = spec_of(change)
    assert spec is not None, "only changes with a spec lower to steps that need one"
    return spec


def _join(context: Context, change: Change, *, other_uid: bool) -> Steps[None]:
    # Ending the predecessor has made room in the quota for its successor.
    if context.joins_halted and (other_uid or not isinstance(change, (Replace, Rotate))):
        raise ChangeSkipped(context.joins_halted)
    spec = _spec(change)
    record, resumed = yield from _join_under_next_free_name(context, change, spec, other_uid=other_uid)
    context.joined[record.agent_id] = (spec.address, action_of(change))
    if isinstance(change, Join) and change.formerly is not None:
        yield from _drop(context, change.formerly)
    if resumed or record.unsent:
        yield from _bring_up_to_date(context, spec, record)


def _join_under_next_free_name(
    context: Context, change: Change, spec: AgentSpec, *, other_uid: bool
) -> Steps[tuple[Record, bool]]:
    """Join, and return the record of the agent and whether an earlier attempt may have started that agent.

    If an ended agent has used up the name, the name is given up and the join goes on under the next one.
    """
    for _ in range(context.settings.attempts):
        intent, resumed = yield from starting.join_of(context, change, spec, other_uid=other_uid)
        yield from context.say(Progress(spec.address, f"joining as {intent.name}"))
        record = yield from joining.join(
            context,
            intent,
            token_ttl=spec.lifecycle.token_ttl,
            resumed=resumed,
            earlier=_earlier(context, change),
        )
        if record is not None:
            return record, resumed
    raise ChangeFailed(
        "ended agents have used up its next names", hint="run apply again: it goes on from there"
    )


def _earlier(context: Context, change: Change) -> Record | None:
    """Return the record whose failure count the join carries on: the address's, also from before a rename."""
    formerly = change.formerly if isinstance(change, Join) else None
    return context.journal.record(formerly or change.address)


def _bring_up_to_date(context: Context, spec: AgentSpec, record: Record) -> Steps[None]:
    """Decide again for an agent that was taken back: it was started with the spec of an earlier attempt."""
    now = yield from context.journal.now()
    agent = ObservedAgent(record.agent_id, AgentStatus.RUNNING, record.started_at, record.name)
    facts = Facts(
        context.owner, spec.address, context.provider.capabilities, now, spec, record, running=(agent,)
    )
    change = decide(facts)
    if change is None or isinstance(change, (Hold, Rotate)):
        return
    kept = context.why_kept(spec.address, Action.REPLACE, now) if isinstance(change, Replace) else None
    if kept is not None:
        raise ChangeHeld(f"an earlier run started its agent with other fields, and {kept}")
    for step in steps_of(change):
        yield from _perform(context, change, step)


def _update(context: Context, change: Change, values: dict[Path, Tree], *, token: bool) -> Steps[None]:
    """Send values that change in place. If the agent is gone, start another one: that ends no conversation."""
    spec = _spec(change)
    record = yield from _settled_record(context, change)
    now = yield from context.journal.now()
    with_token = token or record.unsent or context.renews(record, spec.lifecycle, now)
    renewing = isinstance(change, Renew)  # only the token is sent: the other differences may be held
    done = yield from calls.update(
        context,
        record,
        record.body if renewing else spec.body,
        values,
        ignored=spec.lifecycle.ignore_changes,
        token_ttl=spec.lifecycle.token_ttl if with_token else None,
        protect=record.protect if renewing else bool(spec.lifecycle.protect),
        unsent=record.unsent and renewing,
        change=action_of(change).value,
    )
    if done is None:
        # The generation is kept without the record, so that its name is never used for another agent.
        spent = PutGeneration(spec.address, record.generation)
        yield from context.journal.write(spent, DropRecord(record.address))
        if isinstance(change, Renew) and not change.rejoins:
            return  # the files do not declare the address any more
        yield from context.say(Progress(spec.address, "its agent is gone; starting another"))
        yield from _join(context, change, other_uid=False)


def _settled_record(context: Context, change: Change) -> Steps[Record]:
    """Return the record of a change's agent at the change's address, after moving it there if the agent was renamed."""
    record = context.journal.record(change.address)
    target = target_of(change)
    if record is not None and target is not None and record.agent_id == target.agent_id:
        return record
    yield from _record_running_agent(context, change)
    record = context.journal.record(change.address)
    assert record is not None, "remembering puts the record there"
    return record


def _record_running_agent(context: Context, change: Change) -> Steps[None]:
    """Record the running agent of a change: adopted, found by its name, renamed, or with a new protection."""
    spec, target = _spec(change), target_of(change)
    assert target is not None, "only running agents are remembered"
    known = target.record
    if change.reason.because is Because.ADOPT_DECLARED:
        yield from adopt(context, spec, target)
        return
    if known is None:
        agent = yield from calls.prove_ours(context, target.agent_id, spec.address)
        if agent is None:
            raise ChangeFailed("its agent ended meanwhile", hint="the next apply joins it anew")
        yield from context.journal.write(PutRecord(record_found_by_name(spec, agent, target.uid)))
        return
    writes: list[Write] = [
        PutRecord(replace(known, address=spec.address, protect=bool(spec.lifecycle.protect)))
    ]
    if known.address != spec.address:
        writes += [DropRecord(known.address), PutGeneration(spec.address, known.generation)]
        note = context.journal.late_copy(known.address)
        writes += [PutIntent(replace(note, address=spec.address))] if note is not None else []
    yield from context.journal.write(*writes)


def _renew_if_due(context: Context, change: Change) -> Steps[None]:
    """Renew a token that is due where the change itself sends nothing: it might run out before the next run."""
    spec, target = _spec(change), target_of(change)
    assert target is not None, "only running agents are remembered"
    if target.record is None:
        return  # an agent that was just recorded gets a token in any case
    record = context.journal.record(spec.address)
    assert record is not None, "remembering puts the record there"
    now = yield from context.journal.now()
    if context.renews(record, spec.lifecycle, now):
        yield from _update(context, change, {}, token=True)


def _drop(context: Context, address: Address) -> Steps[None]:
    record = context.journal.record(address)
    if record is not None:
        yield from context.journal.write(PutGeneration(address, record.generation), DropRecord(address))
