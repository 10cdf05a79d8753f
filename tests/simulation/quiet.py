"""After the storm: what must become true, and in how many passes.

Two passes bring a fleet to what the files ask, whatever was interrupted; the third makes no mutating call and leaves
the state's bytes as they are; and two plans of the same inputs are the same.
"""

from __future__ import annotations

from reconciler.apply.events import Finished, Ledger, Result
from reconciler.plan.build import Plan
from reconciler.plan.change import Hold, Keep, Renew, action_of
from reconciler.workflow import Approved, Job

from .driver import Process
from .faults import LATEST, Weather
from .fleets import HOUR
from .translate import deferred_until, terms_of
from .witness import goal
from .witness.judgement import Violation
from .world import Universe

# How long it may take until a machine can know: the longest backoff after failures, the longest lag, the latest call.
SETTLING = HOUR + LATEST + 60.0


def calm(world: Universe) -> None:
    """No more faults; what is under way stays under way."""
    world.note("quiet")
    world.weather = Weather()
    world.network.script = None
    world.store.failure_rate = 0.0
    world.store.fail_next = 0
    world.store.unknown_rate = world.store.slow_rate = 0.0
    world.locks.broken = False
    world.simulator.set_switches(quota=100, requests_per_second=0.0)


def settle(
    world: Universe, job: Job, *, pause: float = 0.0, approve: bool = False, retold: bool = False
) -> int:
    """Two passes that must bring the fleet home, and a third that must do nothing; returns how many runs it took.

    With `retold`, what is held is asked of one more apply.
    """
    world.time.run_for(SETTLING)
    world.checker.check_world()
    first = run_through(world, job, approve=approve)
    more = _one_story(world, job, first, retold=retold)
    world.time.run_for(pause)
    _outwait(world, first)
    second = run_through(world, job)
    if deferred_until(second.result):  # only runs that began after the time of a deferral count
        _outwait(world, second)
        second = run_through(world, job)
    problem = next(goal.unsettled(world.checker, terms_of(job)), None)
    if problem is not None and world.checker.ended_since(
        second.started
    ):  # no run knows what comes after its look
        second = run_through(world, job)
        problem = next(goal.unsettled(world.checker, terms_of(job)), None)
    if problem is not None:
        raise Violation("I5", f"after two passes in the quiet {problem} ({_told(first, second)})")
    _idle(world, job, since=second.started)
    return 6 + approve + more


def vigil(world: Universe, job: Job) -> int:
    """Three days and more of passes that come every tenth of a token's life; returns how many runs it took.

    I14, I21: no token runs out, no agent is ended by its age, and those that started together do not rotate together.
    """
    wishes = terms_of(job).files.wishes.values()
    every = min((each.token_life for each in wishes), default=24 * HOUR) / 10
    passes = min(40, int(80 * HOUR / every) + 1)
    world.note("vigil")
    started = world.time.now
    for _ in range(passes):
        world.time.run_for(every)
        run_through(world, job)
    world.checker.asked["I21"] += 1
    for agent in world.simulator.world.agents():
        known = agent.agent_id in world.store.by_id()
        if known and agent.left_at is None and started < agent.end.at <= world.time.now:
            hours = (agent.end.at - agent.created_at) / HOUR
            raise Violation("I21", f"{agent.name} was ended after {hours:.1f} h: {agent.end.message}")
    world.seen.hit("life: three days of passes" if passes > 30 else "life: some passes")
    return passes


def run_through(world: Universe, job: Job, *, approve: bool = False) -> Process:
    """One apply with a good clock and no crash, which must end by itself and without an error.

    With `approve`, a plan is made first, and exactly that is applied.
    """
    approved = None
    if approve:
        seen = world.run("plan", job).result
        approved = Approved(seen.digest)
    process = world.run("apply", job, approved=approved)
    if process.error is not None:
        raise Violation("I5", f"a pass in the quiet: {process.error!r}") from process.error
    return process


def _one_story(world: Universe, job: Job, process: Process, *, retold: bool) -> int:
    """I22: a plan by another process says what an apply has held, deferred or failed, and the next apply what the plan holds.

    Returns how many more applies that took.
    """
    rows = _pending(job, process)
    if not rows:
        return 0
    began = world.time.now
    plan = world.run("plan", job).result
    _agree(world, rows, plan, world.checker.ended_since(process.started))
    if not retold:
        return 0
    again = run_through(world, job)
    if world.checker.ended_since(began):
        return 1  # a plan does not know what comes after its look
    rows = _pending(job, again)
    _agree(world, rows, plan, [])
    for change in plan.changes:
        if not isinstance(change, Hold) or change.address not in job.fleet.agents:
            continue
        if change.until is not None and change.until <= world.time.now:
            continue
        world.checker.asked["I22"] += 1
        said = [str(each.result) for each in rows if each.address == change.address]
        world.seen.hit(f"story: held by the plan, and the next apply says {' and '.join(said) or 'nothing'}")
        if not {"held", "deferred"} & set(said):
            raise Violation(
                "I22", f"the plan holds {change.address} ({change.reason.text}); the next apply says {said}"
            )
    return 1


def _pending(job: Job, process: Process) -> list[Finished]:
    rows = process.result.finished if isinstance(process.result, Ledger) else ()
    return [row for row in rows if row.result in _PENDING and row.address in job.fleet.agents]


def _agree(world: Universe, rows: list[Finished], plan: Plan, ended: list[str]) -> None:
    """A plan tells each of an apply's rows, as held where it was held, and until the same time.

    The plan knows the state and the service alone: an apply that had more to go by may defer what the plan would try.
    What was held because of a foreign agent is not held any more when that agent has `ended` since, or is this fleet's:
    the same apply may have adopted it at another address, as the files declare.
    """
    over = [*ended, *(each.agent_id for each in world.store.read().records.values())]
    told = {each.address: each for each in plan.changes if not isinstance(each, Keep | Renew)}
    for row in rows:
        world.checker.asked["I22"] += 1
        planned = told.get(row.address)
        if planned is None:
            raise Violation("I22", f"{row.address} {row.result}: {row.detail}; the plan says nothing of it")
        held = isinstance(planned, Hold)
        world.seen.hit(f"story: {row.result}, and the plan {'holds it' if held else 'tries'}")
        if "max_unavailable" in row.detail:
            continue  # a budget of each run: the next one goes on
        if row.result is Result.HELD and not held and not any(each in row.detail for each in over):
            raise Violation(
                "I22", f"{row.address} was held ({row.detail}); the plan says {planned.reason.text}"
            )
        if (
            held
            and row.until is not None
            and planned.until is not None
            and abs(row.until - planned.until) > 2.0
        ):
            raise Violation(
                "I22", f"{row.address} waits until {row.until:.0f}, the plan says {planned.until:.0f}"
            )


_PENDING = (Result.HELD, Result.DEFERRED, Result.FAILED)


def _outwait(world: Universe, process: Process) -> None:
    """Let the time come from which what a run has deferred goes on."""
    until = deferred_until(process.result)
    if until:
        world.seen.hit("deferred, and gone on with after its time")
        world.time.run_for(max(0.0, until - world.time.now) + 1.0)


def _idle(world: Universe, job: Job, *, since: float) -> None:
    """A third pass does nothing, and two plans are the same; `since` is when the second one began."""
    terms = terms_of(job)
    wishes = terms.files.wishes.values()
    if any(goal.seat_is_protected(world.checker, wish, terms) for wish in wishes):
        return  # the files ask for what their own protection forbids: each pass tries, and says so
    if any(goal.seat_is_taken(world.checker, wish, terms) for wish in wishes):
        return  # an open join is sent again once in every run
    for _ in range(12):  # rotations have a budget of their own: each run does some of those that are due
        if not any(row.startswith("rotate") or "max_unavailable" in row for row in _due(world, job)):
            break
        run_through(world, job)
    before, calls = world.store.bytes(), world.checker.mutations
    third = run_through(world, job)
    if _has_only_renewed(third):  # a renewal fell due seconds ago; another one does not in the next run
        before, calls = world.store.bytes(), world.checker.mutations
        run_through(world, job)
    if world.checker.mutations != calls:
        raise Violation(
            "I5", f"the third pass in the quiet made {world.checker.mutations - calls} mutating calls"
        )
    lag = world.simulator.switches.list_lag_seconds
    if world.store.bytes() != before and not world.checker.ended_since(since - lag):
        raise Violation("I5", "the third pass in the quiet changed the state")
    plans = [world.run("plan", job).result for _ in range(2)]
    # Seconds pass between the two, and a renewal may fall due: no plan's digest covers those.
    shown = [
        [
            (each.address, action_of(each), each.reason)
            for each in plan.changes
            if not isinstance(each, (Keep, Renew))
        ]
        for plan in plans
    ]
    if plans[0].digest != plans[1].digest or shown[0] != shown[1]:
        odd = sorted(f"{each}" for each in set(map(str, shown[0])) ^ set(map(str, shown[1])))
        raise Violation("I10", f"two plans of the same inputs differ: {'; '.join(odd)[:600]}")
    if world.checker.weak_overlaps:
        world.seen.hit("I1: a weak service let two live at once, and it was repaired")


def _has_only_renewed(process: Process) -> bool:
    """Whether a run has renewed tokens, and done nothing else; what it holds is not done."""
    rows = process.result.finished if isinstance(process.result, Ledger) else ()
    return {str(row.action) for row in rows if row.result is not Result.HELD} == {"renew"}


def _due(world: Universe, job: Job) -> list[str]:
    """What another apply would do, or hold, by word and reason."""
    return [f"{action_of(each)} {each.reason.because}" for each in world.run("plan", job).result.pending]


def _told(*processes: Process) -> str:
    ledgers = [each.result for each in processes if isinstance(each.result, Ledger)]
    rows = [row for ledger in ledgers for row in ledger.finished if row.result != "done"]
    return "; ".join(f"{row.address} {row.action} {row.result}: {row.detail[:120]}" for row in rows[:3])
