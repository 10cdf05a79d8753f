"""`status`: the agents of a fleet; with `--all`, and for `import --running`, all that run under the App ID."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from reconciler import workflow
from reconciler.cli import wiring
from reconciler.cli.jobs import Flags, make_job
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output
from reconciler.cli.session import Session
from reconciler.cli.wiring import http_sender
from reconciler.driver.secrets import SecretSources
from reconciler.errors import UsageError
from reconciler.model.address import Address, Owner
from reconciler.model.fleet import FLEET_FILE, Area, DesiredFleet, Service
from reconciler.model.observed import AgentStatus
from reconciler.plan.basis import Basis
from reconciler.plan.build import Plan
from reconciler.plan.change import Change, Target, target_of
from reconciler.ports import Gather, Steps
from reconciler.providers import Purpose, RunProvider, Talker
from reconciler.report.status import Conversation, StatusReport, status_of
from reconciler.report.survey import SurveyReport, SurveyRow
from reconciler.services import SERVICES
from reconciler.state.memory import MemoryStore
from reconciler.workflow import Job, Surveyed, survey

# The real service; without a fleet there is no embedded simulator to look at.
REAL = next(each.kind for each in SERVICES if not each.is_embedded)


# Milliseconds from this value on count from 1970, smaller ones from the session's start: the service's pages disagree.
_EPOCH_MS = 1e12


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
    return plan, status_of(plan, basis, provider.capabilities, said)


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


# --- with other agents


def survey_all(area: str | None, output: Output, parallelism: int) -> tuple[str, tuple[Surveyed, ...]]:
    """Return the App ID of the environment, and every live agent under it."""
    with _without_fleet(Service(REAL, Area(area) if area else None), output) as session:
        found = session.run(survey(_reader(session), parallelism=parallelism))
        return session.connection.project, found


def report_all(fleet: FleetFlags, area: str | None, output: Output, parallelism: int) -> SurveyReport:
    """Return all live agents: with a fleet, its status and the agents that are not its own."""
    is_fleet = (Path(fleet.directory) / FLEET_FILE).exists() or fleet.environment is not None
    if not is_fleet:
        _, found = survey_all(area, output, parallelism)
        return SurveyReport(tuple(_row(each) for each in found), len(found))
    if area is not None:
        raise UsageError("--area is for those who have no fleet; this one says it under service.area")
    with wiring.open_session(fleet, output) as session:
        job = make_job(session, Flags(parallelism=parallelism))
        provider, reader = session.provider, _reader(session)

        def steps() -> Steps[tuple[Plan, Basis, tuple[Surveyed, ...]]]:
            plan, basis = yield from workflow.status(job, provider)
            found = yield from survey(reader, parallelism=parallelism, channels=basis.channels)
            return plan, basis, found

        plan, basis, found = session.run(steps())
    own = {each.agent_id for each in basis.state.records.values()}
    own |= {target.agent_id for each in plan.changes if (target := target_of(each)) is not None}
    others = [each for each in found if each.agent.agent_id not in own and not each.agent.bears(basis.owner)]
    rows = tuple(_row(each, _only_absent(plan, each.channel)) for each in others)
    return SurveyReport(rows, len(found), status_of(plan, basis, provider.capabilities))


def _without_fleet(service: Service, output: Output) -> Session:
    """Return a session that only reads, for use without a fleet; its state is in memory."""
    fleet = DesiredFleet(Owner("none"), {}, service)
    connection = wiring.connector_for(fleet).connect(os.environ, service, Purpose.OBSERVE)
    return Session(
        Path(),
        fleet,
        connection,
        http_sender,
        MemoryStore(),
        SecretSources(os.environ, Path()),
        output,
    )


def _reader(session: Session) -> workflow.SessionReader:
    provider = session.provider
    if not isinstance(provider, Talker):
        raise UsageError(f"the service {session.fleet.service.kind} cannot be surveyed")
    return provider


def _row(found: Surveyed, address: Address | None = None) -> SurveyRow:
    agent = found.agent
    return SurveyRow(
        agent_id=agent.agent_id,
        name=agent.name or "",
        status=agent.status.value,
        age=found.age,
        channel=found.channel or "",
        owner=str(agent.parsed.owner) if agent.parsed else "",
        adopt=f"adopt: {agent.agent_id}",
        address=str(address) if address is not None else "",
    )


def _only_absent(plan: Plan, channel: str | None) -> Address | None:
    """Return the address of a channel whose agent does not run yet, if there is exactly one."""
    absent = [
        each.address for each in plan.changes if each.address.channel == channel and target_of(each) is None
    ]
    return absent[0] if len(absent) == 1 else None
