"""Plan -> effects: the waves of a plan, step by step, with an event for everything that happens.

Concurrency belongs to the driver (`ports.Gather`); here is the order, the halting, and what a failed step means
for the rest of its change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from reconciler.apply import calls, join_first, joining, starting
from reconciler.apply.adopting import adopt, taken_back
from reconciler.apply.context import ChangeDeferred, ChangeFailed, ChangeHeld, ChangeSkipped, Context
from reconciler.apply.events import Finished, Progress, Result, Started
from reconciler.errors import AuthenticationFailed, CutShort, ReconcilerError, StateError, StateLocked
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
from reconciler.plan.decide import decide, token_is_due
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
    """Run a plan. Everything that comes of it is said in events; only a lost state raises."""
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
    """One channel's tasks in order. A change whose earlier part failed is not continued; its neighbours are."""
    begun: set[int] = set()
    left: dict[int, int] = {}
    for task in program:
        left[id(task.change)] = left.get(id(task.change), 0) + 1
    for task in program:
        key = id(task.change)
        left[key] -= 1
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
    """The outcome of a task, or None when its change goes on in a later task."""
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
        context.halted = context.halted or problem.message
        yield from context.say(_finished(context, change, Result.UNKNOWN, problem.message))
        raise
    except AuthenticationFailed as problem:
        context.halted = context.halted or problem.message
        return _finished(context, change, Result.FAILED, _with_hint(problem))
    except CutShort as problem:
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
                # As long as this agent lives, the service refuses the late copy, because the name is taken.
                yield from joining.defer_late_copy(context, late_copy)
            if leaves_first:
                yield from starting.rehearse(context, change, _spec(change))
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
            yield from _remember(context, change)
            yield from _renew_if_due(context, change)
        case DropMemory():
            yield from _drop(context, change.address)
        case _:
            assert_never(step)


def _has_joined(context: Context, change: Change) -> bool:
    """Whether the successor that a change starts is there already (join-first)."""
    record = context.journal.record(change.address)
    return record is not None and record.agent_id in context.joined


def _recorded_at(change: Change) -> Address:
    """The address under which the state knows the agent that a change touches."""
    target = target_of(change)
    return target.record.address if target and target.record else change.address


def _spec(change: Change) -> AgentSpec:
    spec = spec_of(change)
    assert spec is not None, "only changes with a spec lower to steps that need one"
    return spec


def _join(context: Context, change: Change, *, other_uid: bool) -> Steps[None]:
    # A replacement whose predecessor has left frees its own place.
    if context.joins_halted and (other_uid or not isinstance(change, (Replace, Rotate))):
        raise ChangeSkipped(context.joins_halted)
    spec = _spec(change)
    record, resumed = yield from _started(context, change, spec, other_uid=other_uid)
    context.joined[record.agent_id] = (spec.address, action_of(change))
    if isinstance(change, Join) and change.formerly is not None:
        yield from _drop(context, change.formerly)
    if resumed or record.unsent:
        yield from _bring_up_to_date(context, spec, record)


def _started(
    context: Context, change: Change, spec: AgentSpec, *, other_uid: bool
) -> Steps[tuple[Record, bool]]:
    """The record of the agent that a change joins, and whether an earlier run may have started that agent.

    A name that an ended agent has used up is given up, and the join goes on under the next one.
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
    """The record whose failures a join goes on with: that of its address, also of an earlier one."""
    formerly = change.formerly if isinstance(change, Join) else None
    return context.journal.record(formerly or change.address)


def _bring_up_to_date(context: Context, spec: AgentSpec, record: Record) -> Steps[None]:
    """After an agent of an earlier attempt was taken back: it has that attempt's spec, so decide anew."""
    now = yield from context.journal.now()
    agent = ObservedAgent(record.agent_id, AgentStatus.RUNNING, record.started_at, record.name)
    facts = Facts(
        context.owner, spec.address, context.provider.capabilities, now, spec, record, running=(agent,)
    )
    change = decide(facts)
    if change is None or isinstance(change, (Hold, Rotate)):
        return
    if isinstance(change, Replace) and not context.may_end(spec.address, Action.REPLACE):
        raise ChangeHeld(
            "an earlier run started its agent with other fields, and nobody has reviewed its end"
        )
    for step in steps_of(change):
        yield from _perform(context, change, step)


def _update(context: Context, change: Change, values: dict[Path, Tree], *, token: bool) -> Steps[None]:
    """Send in-place values. An agent that is gone meanwhile is started again: that ends no conversation."""
    spec = _spec(change)
    record = yield from _settled_record(context, change)
    now = yield from context.journal.now()
    with_token = token or record.unsent or token_is_due(record, spec.lifecycle, now)
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
        spent = PutGeneration(spec.address, record.generation)
        yield from context.journal.write(spent, DropRecord(record.address))
        if isinstance(change, Renew) and not change.rejoins:
            return  # the files do not want it
        yield from context.say(Progress(spec.address, "its agent is gone; starting another"))
        yield from _join(context, change, other_uid=False)


def _settled_record(context: Context, change: Change) -> Steps[Record]:
    """The record of a change's agent under its present address, moved there if it was renamed."""
    record = context.journal.record(change.address)
    target = target_of(change)
    if record is not None and target is not None and record.agent_id == target.agent_id:
        return record
    yield from _remember(context, change)
    record = context.journal.record(change.address)
    assert record is not None, "remembering puts the record there"
    return record


def _remember(context: Context, change: Change) -> Steps[None]:
    """Put the running agent into the state as it is: taken back by its name, renamed, or protected anew."""
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
        yield from context.journal.write(PutRecord(taken_back(spec, agent, target.uid)))
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
    """Renew the token of an agent whose change sends nothing: the next run may come when it has run out."""
    spec, target = _spec(change), target_of(change)
    record = context.journal.record(spec.address)
    if target is None or target.record is None or record is None:
        return  # what was just taken over gets a token in any case
    now = yield from context.journal.now()
    if token_is_due(record, spec.lifecycle, now):
        yield from _update(context, change, {}, token=True)


def _drop(context: Context, address: Address) -> Steps[None]:
    record = context.journal.record(address)
    if record is not None:
        yield from context.journal.write(PutGeneration(address, record.generation), DropRecord(address))
