"""Transcripts outlive their agents where the fleet says so: what was said is archived before a leave is sent.

The service tells the history of a running agent only, and nothing of it once the agent has ended (v2 API reference:
"history"); turns are told for seven days afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace

from reconciler.apply.context import ChangeHeld, Context
from reconciler.apply.events import Notice
from reconciler.errors import ArchiveFailed, CutShort, ServiceError
from reconciler.model.address import Address
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.transcript import ArchivedSession, EndOfSession, Transcript
from reconciler.plan.basis import Basis
from reconciler.ports import Gather, Historian, Now, Preserve, Steps


def archive_before_leave(context: Context, agent: ObservedAgent, address: Address) -> Steps[None]:
    """Make what was said durable before an agent is told to leave.

    Raises `ChangeHeld` where that fails and the fleet requires it; else it is said that the transcript is lost.
    """
    if context.archive is None:
        return
    try:
        yield from _keep(context, agent, address)
    except CutShort:
        raise
    except (ArchiveFailed, ServiceError) as problem:
        if context.archive.required:
            raise ChangeHeld(
                f"its transcript cannot be archived ({problem.message}); agent {agent.agent_id} was not told to leave",
                hint=problem.hint or "`archive: {required: false}` lets it go without",
            ) from None
        yield from context.say(Notice(f"the transcript of {address} is lost: {problem.message}"))


def archive_end(context: Context, agent: ObservedAgent, address: Address, cause: str) -> Steps[None]:
    """Close the archive of an agent that has ended. What fails is said, and nothing else depends on it."""
    if context.archive is None:
        return
    try:
        now: float = yield Now()
        turns = yield from _historian(context).turns(agent.agent_id)
        end = EndOfSession(agent.stopped_at or now, cause)
        known = Transcript(
            _session(context, agent, address), now, turns=turns.turns if turns else (), end=end
        )
        yield Preserve(known)
    except CutShort:
        raise
    except (ArchiveFailed, ServiceError) as problem:
        yield from context.say(Notice(f"the archive of {address} was not closed: {problem.message}"))


def archive_ended(context: Context, basis: Basis, addresses: Container[Address] | None = None) -> Steps[None]:
    """Close the archives of recorded agents that have ended by themselves, or were ended by somebody else.

    Those of all addresses, or of some.
    """
    if context.archive is None:
        return
    found = [
        (ended, record.address)
        for record in basis.state.records.values()
        if (addresses is None or record.address in addresses)
        and (ended := basis.ended.get(record.agent_id)) is not None
    ]

    def close(agent: ObservedAgent, address: Address) -> Callable[[], Steps[None]]:
        said = agent.message or str(agent.status)
        return lambda: archive_end(context, agent, address, said)

    yield Gather([close(*each) for each in found], context.settings.parallelism)


def archive_running(context: Context, basis: Basis, addresses: Container[Address]) -> Steps[None]:
    """Bring the archives of the recorded agents of some addresses up to date while they run."""
    running = {each.agent_id: each for each in basis.live if each.status is AgentStatus.RUNNING}
    records = [
        each
        for each in basis.state.records.values()
        if each.agent_id in running and each.address in addresses
    ]

    def keep(agent_id: str, address: Address) -> Callable[[], Steps[None]]:
        return lambda: _keep(context, running[agent_id], address)

    problems: list[object] = yield Gather(
        [keep(each.agent_id, each.address) for each in records], context.settings.parallelism
    )
    for record, problem in zip(records, problems, strict=True):
        if isinstance(problem, BaseException) and not isinstance(problem, CutShort):
            yield from context.say(Notice(f"the transcript of {record.address} is not up to date: {problem}"))


def _keep(context: Context, agent: ObservedAgent, address: Address) -> Steps[None]:
    """Archive what the service tells of a running agent now. Raises `ArchiveFailed` and what reads raise."""
    historian = _historian(context)
    now: float = yield Now()
    record = context.journal.record(address)
    if record is not None and record.agent_id == agent.agent_id:
        historian.seat(agent.agent_id, address.channel, record.uid)
    said = yield from historian.history(agent.agent_id)
    turns = yield from historian.turns(agent.agent_id)
    known = Transcript(_session(context, agent, address), now)
    if said is not None:
        known = replace(known, said=said.contents)
    yield Preserve(replace(known, turns=turns.turns if turns is not None else ()))


def _historian(context: Context) -> Historian:
    if not isinstance(context.provider, Historian):
        raise ArchiveFailed("this service tells no history")
    return context.provider


def _session(context: Context, agent: ObservedAgent, address: Address) -> ArchivedSession:
    record = context.journal.record(address)
    name = agent.name or (record.name if record is not None and record.agent_id == agent.agent_id else "")
    return ArchivedSession(context.owner, address, agent.agent_id, name, agent.started_at)
