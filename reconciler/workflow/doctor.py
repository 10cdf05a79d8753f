"""`doctor`: checks everything that an apply needs and returns all findings; it changes nothing.

On the service it only lists and queries. The checks are independent: a check that could not be made, because another
one failed, is not reported as passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from reconciler.diagnostics import Problem, Severity, first_of, plural
from reconciler.errors import ReconcilerError, Refused, ServiceError, StateError, StateLocked
from reconciler.model.record import State
from reconciler.model.tree import tree_references
from reconciler.plan.build import Plan
from reconciler.plan.dangers import hosts_of
from reconciler.ports import Checker, Effect, Elapsed, Gather, Http, Observer, Passed, ReadState, Steps
from reconciler.values import dataclass
from reconciler.workflow.job import Job, altered, check_pins, look, plan_for
from reconciler.workflow.readiness import missing_secrets

T = TypeVar("T")

Row = Problem | Passed

# Seconds after which reading the agents is given up, and the plan is not checked. A service that does not answer, and
# a program that looks up secrets, can add half a minute.
_PATIENCE = 25.0


@dataclass(frozen=True, slots=True)
class Checkup:
    """The results for one fleet and environment, in the order of the checks."""

    rows: tuple[Row, ...]

    @property
    def findings(self) -> tuple[Problem, ...]:
        return tuple(each for each in self.rows if isinstance(each, Problem))


def doctor(job: Job, observer: Observer | None, *, whole: bool = True) -> Steps[tuple[Row, ...]]:
    """Return the results of all checks of one fleet.

    `observer` is None if the service cannot be called; `whole` is False if the files do not load and the agents are
    unknown.
    """
    rows: list[Row] = []
    state = yield from _state(job, rows)
    is_answered = observer is not None and (yield from _service(job, observer, rows))
    if whole:
        rows += yield from _secrets(job)
        rows += _hosts(job)
    if observer is not None and is_answered and state is not None and whole:
        rows += [each for each in (yield from _plan(job, observer)) if not _is_told(each, rows)]
    return tuple(rows)


def _is_told(row: Row, rows: Sequence[Row]) -> bool:
    """Return whether a finding repeats an earlier one: a wrong clock, for example, also makes the listing fail."""
    told = (each.summary for each in rows if isinstance(each, Problem))
    return isinstance(row, Problem) and any(map(row.summary.startswith, told))


def finding(rule: str, problem: ReconcilerError) -> Problem:
    """Return an error as a finding."""
    return Problem(rule, problem.message.removesuffix("; nothing was done"), help=problem.hint)


def _state(job: Job, rows: list[Row]) -> Steps[State | None]:
    """Return the state if it can be read and belongs to this fleet and App ID; add the rows of these checks."""
    try:
        state: State = yield ReadState()
    except ReconcilerError as problem:
        rows.append(finding("state", problem))
        return None
    known = "none yet: the first apply makes it"
    if state.lineage:
        known = f"read, with {plural(len(state.records), 'record', 'records')}"
    rows.append(Passed("state", known))
    if job.app_id is None:
        return state
    try:
        check_pins(state, job.pins)
    except StateError as problem:
        is_project = state.pins is not None and state.pins.app_id != job.app_id
        rows.append(finding("app-id" if is_project else "state", problem))
        return None
    if state.pins is not None:
        rows.append(Passed("app-id", f"the state is that of App ID {job.app_id}"))
    return state


def _service(job: Job, observer: Observer, rows: list[Row]) -> Steps[bool]:
    """Return whether the service answers and accepts our credentials; add the rows of these checks."""
    if job.fleet.service.entry.is_embedded:
        rows.append(Passed("service", "the embedded simulator, which needs no credentials"))
        return True
    if not isinstance(observer, Checker):
        return True
    found = yield from observer.check()
    rows += found
    return any(isinstance(each, Passed) and each.check == "credentials" for each in found)


def _secrets(job: Job) -> Steps[list[Row]]:
    specs = [each for each in job.fleet.agents.values() if not each.lifecycle.paused]
    try:
        found = yield from missing_secrets(each.body.references for each in specs)
    except ReconcilerError as problem:
        return [finding("secrets", problem)]
    if found:
        return list(found)
    count = len({ref for each in specs for _, ref in tree_references(each.body.properties)})
    if not count:
        return [Passed("secrets", "the files refer to none")]
    text = "each has a value" if count > 1 else "it has a value"
    if job.fleet.service.entry.is_embedded:
        text += ", or a stand-in, which the embedded service takes"
    return [Passed("secrets", f"the files refer to {count:,}: {text}")]


def _hosts(job: Job) -> Iterator[Row]:
    """Yield one row for each host that secrets are sent to, by all agents together."""
    gets: dict[str, list[str]] = {}
    for reference, hosts in sorted(hosts_of(each.body for each in job.fleet.agents.values()).items()):
        for host in hosts:
            gets.setdefault(host, []).append(reference)
    for host, references in sorted(gets.items()):
        yield Passed("hosts", f"{host} gets {first_of(references, _NAMED)}")


# How many of the secrets that go to one host are named.
_NAMED = 3


def _plan(job: Job, observer: Observer) -> Steps[list[Row]]:
    """Return a finding for each reason why an apply would be refused, and the row about the quota."""
    try:
        basis, _ = yield from _within(_PATIENCE, lambda: look(job, observer))
        plan = plan_for(job, basis, observer)
    except Refused as problem:
        return [finding("plan", problem)]
    except ReconcilerError as problem:
        return [finding("state" if isinstance(problem, StateError) else "service", problem)]
    others = [Problem("plan", each.text) for each in plan.refusals if each.limit != "quota"]
    return [*others, _quota(plan)]


def _quota(plan: Plan) -> Row:
    cost = plan.cost
    now = plural(cost.before, "agent runs", "agents run")
    counted = f"{now} under this App ID, and {cost.after:,} would after an apply"
    help = "leave other agents, or have the quota raised and declare it in `limits.quota`"
    if any(each.limit == "quota" for each in plan.refusals):
        return Problem("quota", f"{counted}; limits.quota allows {cost.quota:,}", help=help)
    if cost.passes_default_quota:
        text = f"{counted}; the service allows {cost.default_quota:,} by default"
        return Problem("quota", text, help=help, severity=Severity.WARNING)
    allowed = f"limits.quota is {cost.quota:,}" if cost.quota is not None else "no limits.quota is declared"
    return Passed("quota", f"{counted}; {allowed}")


def _within(seconds: float, begin: Callable[[], Steps[T]]) -> Steps[T]:
    """Run steps that fail with `ServiceError` at the first request after so many seconds, also in gathered tasks."""
    ends = (yield Elapsed()) + seconds
    return (yield from _until(ends, seconds, begin))


def _until(ends: float, seconds: float, begin: Callable[[], Steps[T]]) -> Steps[T]:
    def bounded(effect: Effect) -> Steps[Effect]:
        if isinstance(effect, Http) and (yield Elapsed()) >= ends:
            raise ServiceError(
                f"the agents could not be read within {seconds:.0f} s",
                hint="see whether the service is well; plan and quota were not checked",
            )
        if isinstance(effect, Gather):
            # Gathered tasks are steps of their own, so each of them is bounded by itself.
            return Gather([partial(_until, ends, seconds, each) for each in effect.tasks], effect.limit)
        return effect

    return altered(begin(), bounded)


def refused_rows(problems: Sequence[ReconcilerError]) -> list[Row]:
    """Return findings about the state's store: which run holds the lock, and why it cannot be written."""
    return [finding("lock" if isinstance(each, StateLocked) else "state", each) for each in problems]
