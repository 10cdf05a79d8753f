"""`status --all` and `import --running`: all agents that run under the App ID, with a fleet or without one."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler import workflow
from reconciler.cli import wiring
from reconciler.cli.jobs import Flags, make_job
from reconciler.cli.masking_adapters import http_sender
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import MASKER, Output
from reconciler.cli.session import Session
from reconciler.driver.secrets import SecretSources
from reconciler.errors import UsageError
from reconciler.model.address import Address, Owner
from reconciler.model.fleet import FLEET_FILE, Area, DesiredFleet, Service
from reconciler.plan.basis import Basis
from reconciler.plan.build import Plan
from reconciler.plan.change import target_of
from reconciler.ports import Steps
from reconciler.providers import Purpose, Talker, connector_of
from reconciler.report import overview
from reconciler.report.survey import SurveyReport, SurveyRow
from reconciler.secrets import Secret
from reconciler.services import SERVICES, entry_of
from reconciler.state.memory import MemoryStore
from reconciler.workflow.survey import Surveyed, survey

# The real service; without a fleet there is no embedded simulator to look at.
REAL = next(each.kind for each in SERVICES if not each.is_embedded)


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
    return SurveyReport(rows, len(found), overview.status_of(plan, basis, provider.capabilities))


def _without_fleet(service: Service, output: Output) -> Session:
    """Return a session that only reads, for use without a fleet; its state is in memory."""
    wiring.leave_no_core()
    connector = connector_of(entry_of(service.kind))
    MASKER.learn_all(Secret(os.environ[name]) for name in connector.credentials if name in os.environ)
    connection = connector.connect(os.environ, service, Purpose.OBSERVE)
    return Session(
        Path(),
        DesiredFleet(Owner("none"), {}, service),
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
