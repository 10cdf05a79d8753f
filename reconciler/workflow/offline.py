"""Plans without the service: the files against the state, or against another revision of the files.

Pure functions that open no socket and read no credential, so that a fork's pull request gets a plan too. What only the
clock or the service decides (renewals, rotations, agents that have ended) is not in these plans.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.capabilities import Capabilities
from reconciler.model.fleet import DesiredFleet
from reconciler.model.observed import AgentStatus, ObservedAgent
from reconciler.model.record import Record, State
from reconciler.plan.basis import Basis
from reconciler.plan.build import Plan, build_plan
from reconciler.plan.change import Renew, Rotate
from reconciler.plan.freeze import unknown_offline
from reconciler.workflow.job import Job, check_pins


def offline_plan(job: Job, state: State, able: Capabilities, *, against: str) -> Plan:
    """Return the plan against the state, with every recorded agent assumed to be running.

    `against` names in words what the fleet is compared with. Raises `StateError` for the state of another fleet, and
    what `build_plan` raises. The App ID is not compared, because it is a variable of the environment.
    """
    project = state.pins.app_id if state.pins is not None else None
    check_pins(state, replace(job.pins, app_id=project))
    fleet = replace(job.fleet, freezes=())
    plan = build_plan(fleet, _assumed(job, state), able, selection=job.selection, policy=job.policy)
    changes = tuple(each for each in plan.changes if not isinstance(each, (Renew, Rotate)))
    warnings = (*plan.warnings, *unknown_offline(job.fleet))
    return replace(plan, changes=changes, against=against, warnings=warnings, fleet=job.fleet)


def state_of(fleet: DesiredFleet) -> State:
    """Return the state that a complete apply of a fleet would leave, to compare another revision with it."""
    records = {
        address: Record(
            address=address,
            agent_id=f"assumed-{spec.address.digest}",
            name="",
            generation=1,
            uid=spec.uid(fleet.owner),
            body=spec.body,
            started_at=_LONG_AGO,
            token_expires_at=_LONG_AGO + spec.lifecycle.token_ttl,
            protect=bool(spec.lifecycle.protect),
            declared=True,
        )
        for address, spec in fleet.agents.items()
        if not spec.lifecycle.paused
    }
    return State("", 0, b"", records=records)


# Any instant will do: nothing here depends on the clock.
_LONG_AGO = 1_767_225_600.0


def _assumed(job: Job, state: State) -> Basis:
    """Return the basis in which every recorded agent runs, except those that were ended for a successor."""
    running = tuple(
        ObservedAgent(each.agent_id, AgentStatus.RUNNING, each.started_at, each.name)
        for each in state.records.values()
        if not each.replacing
    )
    ended = {each.agent_id: None for each in state.records.values() if each.replacing}
    now = max((each.started_at for each in state.records.values()), default=0.0)
    return Basis(job.fleet.owner, state, running, now, ended, grace=job.settings.grace)
