"""`plan --offline` and `plan --base`: no socket is opened, no credential or other variable of the service is read."""

from __future__ import annotations

from pathlib import Path

from reconciler import config, workflow
from reconciler.cli import reviewing, wiring
from reconciler.cli.base_policy import with_team_policy
from reconciler.cli.jobs import Flags
from reconciler.cli.limits import load_limits
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output
from reconciler.cli.revisions import files_at
from reconciler.errors import InvalidConfig, UsageError
from reconciler.model.address import Owner
from reconciler.model.fleet import FLEET_FILE
from reconciler.model.record import State
from reconciler.plan.build import Plan
from reconciler.providers import capabilities_of
from reconciler.state.log.snapshots import latest, ref_of
from reconciler.state.opening import is_in_git, open_state
from reconciler.workflow import Job


def plan_offline(flags: FleetFlags, output: Output, chosen: Flags, *, base: str | None) -> Plan:
    """Return the plan of the files against the state, or against the files of the commit `base`."""
    fleet = wiring.load_fleet(flags, output)
    able = capabilities_of(fleet.service)
    fleet, policy = with_team_policy(fleet, chosen, flags.directory, output)
    job = Job(fleet, selection=chosen.selection(), policy=policy)
    if base is not None:
        return workflow.offline_plan(job, _state_at(flags, base), able, against=f"the files of {base}")
    if is_in_git(flags.state):
        return reviewing.plan_at(job, flags, chosen, latest(Path(flags.directory), ref_of(fleet.owner)))
    return workflow.offline_plan(job, _state_here(flags, fleet.owner), able, against="the state")


def _state_here(flags: FleetFlags, owner: Owner) -> State:
    directory = Path(flags.directory)
    store = open_state(flags.state, directory, flags.environment, owner, {})
    try:
        return store.read()
    finally:
        store.close()


def _state_at(flags: FleetFlags, base: str) -> State:
    """Return the state that a complete apply of a commit's files would leave; empty if it has no fleet there."""
    with files_at(Path(flags.directory), base) as place:
        if not (place / FLEET_FILE).exists():
            return State("", 0, b"")
        try:
            fleet = config.load(
                place, environment=flags.environment, variables=dict(flags.variables), limits=load_limits()
            )
        except InvalidConfig as problem:
            first = next((each for each in problem.diagnostics if each.is_error), None)
            said = f": {first.where}: {first.summary}" if first is not None else ""
            raise UsageError(
                f"the files of {base} do not load{said}",
                hint="compare with another commit, or with the state: plan --offline",
            ) from None
        return workflow.state_of(fleet)
