"""The job of a verb, and what all verbs begin with: the look at state and service, and the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace
from typing import TypeVar

from reconciler.apply.context import Settings
from reconciler.durations import spelled
from reconciler.errors import ReconcilerError, StateError, restore_hint
from reconciler.model.address import AgentName, Owner
from reconciler.model.fleet import DesiredFleet
from reconciler.model.record import Pins, State
from reconciler.model.writes import Write
from reconciler.observe import ForeignMemory, observe
from reconciler.plan.basis import Basis
from reconciler.plan.build import Plan, build_plan
from reconciler.plan.guard import Policy
from reconciler.plan.intents import settle
from reconciler.plan.selection import Selection
from reconciler.ports import Effect, Lock, Observer, ReadState, Steps, Unlock
from reconciler.services import entry_of
from reconciler.values import dataclass

T = TypeVar("T")

# The greatest time that an intent may lie in the future, seconds: with a clock that wrong no tokens are minted.
_MOST_AHEAD = 3600.0


@dataclass(frozen=True, slots=True)
class Job:
    """The input of a verb. `app_id` is the project that the provider talks to; `lock_timeout` is in seconds.

    `memory` is what earlier looks saw of foreign agents; this look emits what it saw as an event of that type.
    """

    fleet: DesiredFleet
    app_id: str | None = None
    selection: Selection = Selection()
    policy: Policy = Policy()
    settings: Settings = field(default_factory=Settings)
    lock_timeout: float = 60.0
    destroying: bool = False
    memory: ForeignMemory = ForeignMemory()

    @property
    def pins(self) -> Pins:
        owner = self.fleet.owner
        return Pins(owner.fleet, owner.environment, self.fleet.service.kind, self.app_id)


def look(job: Job, observer: Observer) -> Steps[tuple[Basis, tuple[Write, ...]]]:
    """Return the basis of a plan, and the writes that settle what earlier runs left open."""
    state: State = yield ReadState({str(address): each.body for address, each in job.fleet.agents.items()})
    check_pins(state, job.pins)
    basis = yield from observe(
        observer,
        state,
        job.fleet.owner,
        job.fleet.agents,
        parallelism=job.settings.parallelism,
        memory=job.memory,
    )
    _check_times(basis)
    return settle(replace(basis, grace=job.settings.grace, horizon=job.settings.reach), observer.capabilities)


def _check_times(basis: Basis) -> None:
    """Raise `StateError` for intents of the future: waits that begin at such a time would never end."""
    for intent in basis.state.intents:
        ahead = max(intent.created_at, intent.unknown_since or 0.0, intent.sent_at or 0.0) - basis.now
        if ahead > _MOST_AHEAD:
            raise StateError(
                f"the state means to {intent.operation} {intent.address} since a time {spelled(round(ahead / 3600) * 3600)} in the future: "
                "somebody has edited it, or a clock was wrong; nothing was done",
                hint=restore_hint("a good copy"),
            )


def check_pins(state: State, pins: Pins) -> None:
    """Raise `StateError` for a state that has moved or belongs to another fleet, service or App ID.

    An intent to join finds its agent by the name in it; a name without our owner mark was never given by this tool, and
    could claim another fleet's agent.
    """
    if state.moved_to is not None:
        raise moved(state.moved_to)
    mark = Owner(pins.fleet, pins.environment)
    for intent in state.intents:
        claimed = AgentName.parse(intent.name)
        if intent.is_of_a_join and (claimed is None or claimed.owner != mark):
            raise StateError(
                f"the state means to join {intent.address} as {intent.name!r}, which is no name of {mark}; nothing was done",
                hint=f"somebody has edited it: {restore_hint('a good copy')}",
            )
    if state.pins is None:
        return
    for name, label in _PINNED.items():
        mine, its = getattr(pins, name), getattr(state.pins, name)
        if mine != its:
            raise StateError(
                f"the state belongs to {label} {its or '(none)'}, and this run is for {mine or '(none)'}; nothing was done",
                hint=f"check the directory, --env and {entry_of(pins.service).project_variable}; a copied directory, or a fleet with "
                "a new name or project, needs a new state: move the old one away (beside the files it is in .reconciler/)",
            )


def moved(place: str) -> StateError:
    """Return the error for a state that `state migrate` has moved elsewhere."""
    return StateError(
        f"this state has moved to {place}; nothing was done",
        hint="go on there (--state, or RECONCILER_STATE); `reconciler state migrate` brings it back. Where that place is lost "
        "for good: push what `reconciler state pull` prints here, with --force-lineage",
    )


_PINNED = {"fleet": "fleet", "environment": "environment", "service": "service", "app_id": "App ID"}


def plan_for(job: Job, basis: Basis, observer: Observer) -> Plan:
    """Return the plan of a job on its basis."""
    policy = replace(job.policy, ends_are_limited=False) if job.destroying else job.policy
    return build_plan(
        job.fleet,
        basis,
        observer.capabilities,
        selection=job.selection,
        policy=policy,
        allow_empty=job.destroying,
        destroying=job.destroying,
    )


def altered(steps: Steps[T], change: Callable[[Effect], Steps[Effect]]) -> Steps[T]:
    """Perform steps, each effect as `change` returns it; an error that `change` raises is raised in the steps."""
    value: object = None
    problem: ReconcilerError | None = None
    while True:
        try:
            effect = steps.send(value) if problem is None else steps.throw(problem)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # typed by the generator
        value, problem = None, None
        try:
            value = yield (yield from change(effect))
        except ReconcilerError as raised:
            problem = raised


def exclusive(job: Job, steps: Steps[T]) -> Steps[T]:
    """Run steps while holding the lock, which is released even if they raise."""
    yield Lock(job.lock_timeout)
    try:
        result = yield from steps
    except ReconcilerError:
        yield Unlock()
        raise
    yield Unlock()
    return result
