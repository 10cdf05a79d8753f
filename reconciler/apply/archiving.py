"""Archive transcripts, in fleets that ask for it: a transcript is made durable before its agent is told to leave.

The service returns the history of running agents only (v2 API reference: "history"), and the turns of an agent until
seven days after its end.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from reconciler.apply.context import ChangeHeld, Context
from reconciler.apply.events import Notice
from reconciler.errors import ArchiveFailed, ReadAbandoned, ReconcilerError, ServiceError
from reconciler.model.address import Address
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.transcript import ArchivedSession, EndOfSession, Transcript
from reconciler.plan.basis import Basis
from reconciler.ports import Gather, Historian, Preserve, Steps


def archive_before_leave(context: Context, agent: ObservedAgent, address: Address) -> Steps[None]:
    """Archive the transcript of an agent that is about to be told to leave.

    Raises `ChangeHeld` where that fails and the fleet requires it; where it does not, a notice says that it is lost.
    """
    if context.archive is None:
        return
    try:
        yield from _keep(context, agent, address)
    except ReadAbandoned:
        raise
    except (ArchiveFailed, ServiceError) as problem:
        if context.archive.required:
            raise ChangeHeld(
                f"its transcript cannot be archived ({problem.message}); agent {agent.agent_id} was not told to leave",
                hint=problem.hint or "`archive: {required: false}` lets it go without",
            ) from None
        yield from context.say(Notice(f"the transcript of {address} is lost: {problem.message}"))


def archive_end(
    context: Context, agent_id: str, address: Address, ended: ObservedAgent | None, cause: str
) -> Steps[None]:
    """Close the archive of an agent that has ended. A failure becomes a notice and stops nothing.

    `ended` is the agent as the service last returned it, if it did; `cause` is written where the service names no
    cause.
    """
    if context.archive is None:
        return
    try:
        now = yield from context.journal.now()
        turns = yield from _historian(context).turns(agent_id)
        at, said = (ended.stopped_at, ended.message) if ended is not None else (None, "")
        yield Preserve(
            Transcript(
                _session(context, agent_id, address, ended, now),
                now,
                turns=turns.turns if turns is not None else (),
                end=EndOfSession(at or now, said or cause),
            )
        )
    except ReadAbandoned:
        raise
    except (ArchiveFailed, ServiceError) as problem:
        yield from context.say(Notice(f"the archive of {address} was not closed: {problem.message}"))


def archive_ended(context: Context, basis: Basis, addresses: Container[Address] | None = None) -> Steps[None]:
    """Close the archives of the recorded agents that the basis shows as ended: of all addresses, or of `addresses`."""
    if context.archive is None:
        return
    found = [
        (ended, record.address)
        for record in basis.state.records.values()
        if (addresses is None or record.address in addresses)
        and (ended := basis.ended.get(record.agent_id)) is not None
    ]

    def close(agent: ObservedAgent, address: Address) -> Callable[[], Steps[None]]:
        return lambda: archive_end(context, agent.agent_id, address, agent, str(agent.status))

    yield from _all(context, [close(*each) for each in found])


def archive_running(context: Context, basis: Basis, addresses: Container[Address]) -> Steps[None]:
    """Update the archives of the recorded agents at some addresses while they run."""
    running = {each.agent_id: each for each in basis.live if each.status is AgentStatus.RUNNING}
    records = [
        each
        for each in basis.state.records.values()
        if each.agent_id in running and each.address in addresses
    ]

    def keep(agent_id: str, address: Address) -> Callable[[], Steps[None]]:
        return lambda: _keep(context, running[agent_id], address)

    problems = yield from _all(context, [keep(each.agent_id, each.address) for each in records])
    for record, problem in zip(records, problems, strict=True):
        if problem is not None and not isinstance(problem, ReadAbandoned):
            text = f"the transcript of {record.address} is not up to date: {problem.message}"
            yield from context.say(Notice(text))


def _all(context: Context, tasks: Sequence[Callable[[], Steps[None]]]) -> Steps[list[ReconcilerError | None]]:
    """Run the tasks concurrently; return the error of each, or None. Raises every other exception: that is a bug."""
    results: list[BaseException | None] = yield Gather(tasks, context.settings.parallelism)
    problems: list[ReconcilerError | None] = []
    for each in results:
        if each is not None and not isinstance(each, ReconcilerError):
            raise each
        problems.append(each)
    return problems


def _keep(context: Context, agent: ObservedAgent, address: Address) -> Steps[None]:
    """Archive the history and turns of a running agent. Raises `ArchiveFailed`, and the errors of reads."""
    historian = _historian(context)
    now = yield from context.journal.now()
    record = context.journal.record(address)
    if record is not None and record.agent_id == agent.agent_id:
        historian.seat(agent.agent_id, address.channel, record.uid)
    said = yield from historian.history(agent.agent_id)
    turns = yield from historian.turns(agent.agent_id)
    yield Preserve(
        Transcript(
            _session(context, agent.agent_id, address, agent, now),
            now,
            said.contents if said is not None else (),
            turns.turns if turns is not None else (),
        )
    )


def _historian(context: Context) -> Historian:
    if not isinstance(context.provider, Historian):
        raise ArchiveFailed("this service tells no history")
    return context.provider


def _session(
    context: Context, agent_id: str, address: Address, agent: ObservedAgent | None, now: float
) -> ArchivedSession:
    """Return which agent's transcript it is, from the service's answer where there is one, else from the record."""
    record = context.journal.record(address)
    known = record if record is not None and record.agent_id == agent_id else None
    name = (agent.name if agent is not None else None) or (known.name if known is not None else "")
    started = next((each.started_at for each in (agent, known) if each is not None), now)
    return ArchivedSession(context.owner, address, agent_id, name, started)
