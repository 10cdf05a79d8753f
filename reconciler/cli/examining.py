"""The checks of `doctor`: every check that can be made, even if others fail."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations

from reconciler import workflow
from reconciler.cli import wiring
from reconciler.cli.jobs import Flags, make_job
from reconciler.cli.loading import counted, load_fleet, outline
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output
from reconciler.cli.pull_requests import DOCTOR, refuse_unmerged
from reconciler.diagnostics import Problem
from reconciler.driver.loop import Driver, NoService
from reconciler.errors import InvalidConfig, ReconcilerError, StateError, UsageError
from reconciler.model.fleet import DesiredFleet
from reconciler.model.record import State
from reconciler.model.spec import Body
from reconciler.ports import Passed, Version
from reconciler.providers import Connection, Connector, Purpose
from reconciler.report.checkup import Examined
from reconciler.state.blocking import BlockingStore, behind_ports
from reconciler.state.condition import troubles
from reconciler.state.memory import MemoryStore
from reconciler.workflow import Checkup, Job


def examine(flags: FleetFlags, output: Output) -> Examined:
    """Check a fleet. Errors of its files are findings, and checks that do not need the files are still made."""
    try:
        fleet = load_fleet(flags, output)
    except InvalidConfig as problem:
        known = outline(flags)
        checkup = _checked(known, flags, output, whole=False) if known is not None else Checkup(())
        name = known.owner.fleet if known is not None else ""
        return Examined(name, flags.environment, checkup, problem.diagnostics)
    return Examined(fleet.owner.fleet, flags.environment, _checked(fleet, flags, output, whole=True))


def _checked(fleet: DesiredFleet, flags: FleetFlags, output: Output, *, whole: bool) -> Checkup:
    connector = wiring.connector_for(fleet)
    if not connector.is_of_this_machine(os.environ):
        refuse_unmerged(os.environ, DOCTOR)
    files = [Passed("files", counted(fleet))] if whole else []
    connection, refused = _connected(connector, fleet)
    store = _opened(flags, fleet, output)
    try:
        disk = workflow.refused_rows(troubles(store))
        if connection is None:
            driver = Driver(NoService(), store=behind_ports(store), secrets=wiring.secret_sources(flags))
            found = asyncio.run(driver.run(workflow.doctor(Job(fleet), None, whole=whole)))
        else:
            with wiring.session_with(fleet, connection, store, flags, output) as session:
                session.warns = False
                steps = workflow.doctor(make_job(session, Flags()), session.provider, whole=whole)
                found = session.run(steps)
    finally:
        store.close()
    lock = disk or [Passed("lock", "the state can be written, and nobody holds it")]
    rows = (*files, *refused, *found, *(each for each in lock if each not in found))
    return Checkup(tuple(sorted(rows, key=_place)))


class _Unopened(MemoryStore):
    """Stands for a state that cannot be opened: whatever is read of it is the error."""

    def __init__(self, problem: ReconcilerError) -> None:
        super().__init__()
        self._problem = StateError(problem.message, hint=problem.hint)

    def read(self, likely: Mapping[str, Body] | None = None) -> State:
        raise self._problem

    def version(self) -> Version:
        raise self._problem


def _opened(flags: FleetFlags, fleet: DesiredFleet, output: Output) -> BlockingStore:
    """Return the state of a fleet, or what stands for it if it cannot be opened."""
    try:
        return wiring.open_store(flags, fleet.owner, output)
    except ReconcilerError as problem:
        return _Unopened(problem)


# The order of the rows, findings and passed checks alike: each check after those that it depends on.
_ORDER = (
    "files",
    "credentials",
    "service",
    "clock",
    "app-id",
    "state",
    "lock",
    "secrets",
    "hosts",
    "plan",
    "quota",
)


def _place(row: Problem | Passed) -> int:
    return _ORDER.index(row.rule if isinstance(row, Problem) else row.check)


def _connected(connector: Connector, fleet: DesiredFleet) -> tuple[Connection | None, list[Problem]]:
    """Return the connection with the most credentials that can be used, and the errors of the whole environment.

    It is that of an apply, else that of a plan, else None. Credentials that can be used are tried on the service also if
    others are missing or malformed, so that one run finds all that is wrong.
    """
    refused: dict[str, Problem] = {}
    given = [name for name in connector.credentials if os.environ.get(name)]
    for count in range(len(given) + 1):
        for left_out in combinations(given, count):
            environment = {name: value for name, value in os.environ.items() if name not in left_out}
            for purpose in (Purpose.CHANGE, Purpose.OBSERVE):
                try:
                    connection = connector.connect(environment, replace(fleet.service, app_id=None), purpose)
                except UsageError as problem:
                    if not left_out:
                        refused.setdefault(problem.message, workflow.finding("credentials", problem))
                    continue
                return connection, [*refused.values(), *_of_another_project(connection, fleet)]
    return None, list(refused.values())


def _of_another_project(connection: Connection, fleet: DesiredFleet) -> Iterator[Problem]:
    """Yield a finding if the files name another App ID than the environment, whose App ID is checked in any case."""
    expected, variable = fleet.service.app_id, fleet.service.entry.project_variable
    if expected is not None and expected != connection.project and not fleet.service.entry.is_embedded:
        summary = f"these files are for App ID {expected}, but {variable} is {connection.project}"
        help = f"set {variable} to that of these files, or change service.app_id in them"
        yield Problem("app-id", summary, help=help)
