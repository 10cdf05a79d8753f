"""Runs a command on one running agent: finds the agent, makes one call, prints the reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from reconciler import workflow
from reconciler.cli import wiring
from reconciler.cli.jobs import Flags, make_job, parse_address
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output
from reconciler.errors import UsageError
from reconciler.instants import moment
from reconciler.model.observed import AgentStatus
from reconciler.plan.build import Plan
from reconciler.plan.change import Change, Target, target_of
from reconciler.ports import Gather, Steps
from reconciler.providers import RunProvider, Talker
from reconciler.report import overview
from reconciler.report.formats import Format, ReportKind
from reconciler.report.status import Conversation, StatusReport
from reconciler.workflow import Job

# Reply keys that hold instants, each with the key shown instead and its units per second.
_INSTANTS = {
    "at": ("started", 1.0),  # the service returns the start of the agent, not of the call
    "started_at": ("started", 1.0),
    "began_at_ms": ("began_at", 1000.0),
    "ended_at_ms": ("ended_at", 1000.0),
}

# Milliseconds from this value on count from 1970, smaller ones from the session's start: the service's pages disagree.
_EPOCH_MS = 1e12

Call = Callable[[Talker, str], Steps[Any]]


def talk(address: str, call: Call, fleet: FleetFlags, form: Format, output: Output) -> int:
    """Make one call on the agent of an address, print the reply, and return the exit code."""
    where = parse_address(address)
    with wiring.open_session(fleet, output) as session:
        job = make_job(session, Flags())
        provider = session.provider
        if not isinstance(provider, Talker):
            raise UsageError(f"the service {session.fleet.service.kind} has no calls on one agent")

        def steps() -> Steps[Any]:
            agent, record = yield from workflow.agent_of(job, session.provider, where)
            if record is not None:
                provider.seat(agent.agent_id, where.channel, record.uid)
            return (yield from call(provider, agent.agent_id))

        reply = session.run(steps())
    output.report(form, ReportKind.TREE, _readable(asdict(reply)) if reply is not None else {})
    return 0


def status_steps(
    job: Job, provider: RunProvider, *, conversation: bool = False
) -> Steps[tuple[Plan, StatusReport]]:
    """Return the plan and the status of all agents; `conversation` adds each conversation, at two reads an agent."""
    plan, basis = yield from workflow.status(job, provider)
    said = None
    if conversation:
        if not isinstance(provider, Talker):
            raise UsageError(f"the service {job.fleet.service.kind} has no calls on one agent")
        said = yield from _conversations(provider, plan.changes, basis.now, job.settings.parallelism)
    return plan, overview.status_of(plan, basis, provider.capabilities, said)


def _conversations(
    talker: Talker, changes: Sequence[Change], now: float, parallelism: int
) -> Steps[dict[str, Conversation]]:
    """Return the conversations of running agents, by agent id. One that cannot be read is left out."""

    def ask(change: Change, target: Target) -> Callable[[], Steps[Conversation]]:
        if target.record is not None:
            talker.seat(target.agent_id, change.address.channel, target.record.uid)
        return lambda: _conversation(talker, target.agent_id, now)

    targets = [(change, target) for change in changes if (target := target_of(change)) is not None]
    running = [each for each in targets if each[1].agent.status is AgentStatus.RUNNING]
    found: list[Conversation | BaseException] = yield Gather([ask(*each) for each in running], parallelism)
    answers = zip(running, found, strict=True)
    return {target.agent_id: each for (_, target), each in answers if isinstance(each, Conversation)}


def _conversation(talker: Talker, agent_id: str, now: float) -> Steps[Conversation]:
    said = yield from talker.history(agent_id)
    turns = yield from talker.turns(agent_id)
    last = said.contents[-1] if said is not None and said.contents else None
    ends = [] if turns is None else [each.ended_at_ms or each.began_at_ms for each in turns.turns]
    if last is not None and last.speech_end_ms is not None:
        is_offset = last.speech_end_ms < _EPOCH_MS
        ends.append(last.speech_end_ms + (said.started_at * 1000.0 if is_offset else 0.0))
    known = [each / 1000.0 for each in ends if each]
    return Conversation(
        turns=None if turns is None else max(turns.total, len(turns.turns)),
        last_role=None if last is None else last.role,
        last_said=None if last is None else last.content,
        silence=max(0.0, now - max(known)) if known else None,
    )


def _readable(tree: Any) -> Any:
    """Return a reply without empty values and with instants in UTC."""
    if isinstance(tree, (list, tuple)):
        return [_readable(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    shown: dict[str, Any] = {}
    for key, value in tree.items():
        if value is None or value == "":
            continue
        if key not in _INSTANTS:
            shown[key] = _readable(value)
        elif value:
            name, unit = _INSTANTS[key]
            shown[name] = moment(value / unit)
    return shown
