"""Every row of the fault matrix as a directed case, named by its row, with what must be seen beyond settling.

Rows that are about parsing files belong to the configuration's own tests, and rows about leases to the backends that
have them; what is here is everything that an apply on the local state can meet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256

from reconciler import workflow
from reconciler.apply.context import Settings
from reconciler.apply.events import Ledger, Result
from reconciler.errors import IncompleteRead, Refused, ServiceError, StalePlan, StateError, StateLocked
from reconciler.model.address import Address
from reconciler.model.fleet import Limit
from reconciler.simulator import Fate, ServiceCall, fate
from reconciler.workflow import Approved, Job
from tests.fakes.fleets import UNLIMITED

from .driver import Clocks, Crash, Point, Process
from .fleets import HOUR, agent, fleet
from .quiet import calm, settle
from .scenarios import BY_NAME, Scenario
from .witness.judgement import Violation
from .world import APP_ID, Call, Universe

_TRIO = BY_NAME["create"].after


@dataclass(frozen=True, slots=True)
class Row:
    """One case: `run` makes it happen and raises `Violation` when it is not as it must be."""

    name: str
    run: Callable[[], Universe]


def require(condition: object, row: str, what: str) -> None:
    if not condition:
        raise Violation("row", f"{row}: {what}")


# --- fates of single calls ----------------------------------------------------------------------------------------


def _script(
    operation: str, chosen: Fate, first: int, count: int
) -> Callable[[Call], tuple[str, Fate] | None]:
    """Let the calls from the `first` on of one operation, `count` of them (0: all), meet a fate."""
    seen = iter(range(1_000_000))

    def script(call: Call) -> tuple[str, Fate] | None:
        if call.operation != operation:
            return None
        place = next(seen)
        return (
            (chosen.kind.value, chosen) if place >= first and (not count or place < first + count) else None
        )

    return script


def _case(
    name: str,
    scenario: str,
    operation: str,
    chosen: Fate,
    *,
    first: int = 0,
    count: int = 1,
    expect: Callable[[Universe, Process], object] = lambda world, process: True,
    **switches: object,
) -> Row:
    def run() -> Universe:
        situation = BY_NAME[scenario]
        situation = replace(situation, switches={**situation.switches, **switches})
        world = situation.prepared()
        world.network.script = _script(operation, chosen, first, count)
        process = world.run("apply", situation.job)
        require(expect(world, process), name, f"{process.error!r} {process.result!r}"[:300])
        situation.finish(world)
        return world

    return Row(name, run)


def _mutated_nothing(world: Universe, process: Process) -> bool:
    return process.mutations == 0


def _incomplete_read(world: Universe, process: Process) -> bool:
    return isinstance(process.error, (IncompleteRead, ServiceError)) and process.mutations == 0


def _read_ends_in_time(world: Universe, process: Process) -> bool:
    return _incomplete_read(world, process) and process.lasted <= 30.0


def _done(world: Universe, process: Process) -> bool:
    return isinstance(process.result, Ledger) and process.result.is_complete


def _each_once(world: Universe, process: Process) -> bool:
    return len(world.simulator.world.agents()) == len(_TRIO.agents)


def _results(**wanted: int) -> Callable[[Universe, Process], bool]:
    def check(world: Universe, process: Process) -> bool:
        if not isinstance(process.result, Ledger):
            return False
        counts = process.result.counts()
        return all(counts[Result(name)] == number for name, number in wanted.items())

    return check


def _both(*checks: Callable[[Universe, Process], object]) -> Callable[[Universe, Process], bool]:
    return lambda world, process: all(check(world, process) for check in checks)


_DEFECTS = ("short", "wrong_total", "cursor_loop", "data_null", "no_meta")
_FORMS = ("html", "empty", "empty_object", "null", "array", "cut", "wrong_types", "not_utf8", "deep")

_READS = (
    *(
        _case(
            f"list live: {defect}, every time",
            "replace, leave first",
            "list",
            fate("list_defect", defect=defect),
            count=0,
            expect=_incomplete_read,
        )
        for defect in _DEFECTS
    ),
    _case(
        "list live: timeout, every time",
        "replace, leave first",
        "list",
        fate("drop_request"),
        count=0,
        expect=_read_ends_in_time,
    ),
    _case(
        "list live: 5xx, every time",
        "replace, leave first",
        "list",
        fate("refuse", status=503),
        count=0,
        expect=_read_ends_in_time,
    ),
    _case(
        "list live: 429, every time",
        "replace, leave first",
        "list",
        fate("rate_limit", retry_after="seconds", seconds=7.0),
        count=0,
        expect=_read_ends_in_time,
    ),
    _case(
        "list live: 401",
        "replace, leave first",
        "list",
        fate("refuse", status=401),
        count=0,
        expect=_incomplete_read,
    ),
    _case(
        "list live: page 2 fails",
        "replace, leave first",
        "list",
        fate("refuse", status=500),
        first=1,
        count=40,
        expect=_incomplete_read,
        list_limit_max=2,
    ),
    _case(
        "list live: empty while the state has three",
        "replace, leave first",
        "list",
        fate("list_defect", defect="empty"),
        expect=_done,
    ),
    _case("list live: one bad answer", "create", "list", fate("list_defect", defect="short"), expect=_done),
    _case(
        "list live: lag", "create", "list", fate("slow", seconds=0.1), expect=_done, list_lag_seconds=120.0
    ),
    *(
        _case(
            f"list live: malformed, {form}",
            "replace, leave first",
            "list",
            fate("malformed", form=form),
            count=0,
            expect=_incomplete_read,
        )
        for form in _FORMS
    ),
)
_JOINS = (
    _case("join: request lost", "create", "join", fate("drop_request"), expect=_both(_done, _each_once)),
    _case("join: response lost", "create", "join", fate("lose_response"), expect=_both(_done, _each_once)),
    _case(
        "join: response lost, the list is behind",
        "create",
        "join",
        fate("lose_response"),
        expect=_each_once,
        list_lag_seconds=120.0,
        conflict_body="agent_id",
    ),
    _case(
        "join: response lost, the agent still starts",
        "create",
        "join",
        fate("lose_response"),
        expect=_both(_done, _each_once),
        start_seconds=45.0,
    ),
    *(
        _case(
            f"join: late by {seconds:.0f} s",
            "create",
            "join",
            fate("late", seconds=seconds),
            expect=_each_once,
        )
        for seconds in (0.0, 31.0, 120.0, 300.0)
    ),
    _case("join: delivered twice", "create", "join", fate("twice"), expect=_both(_done, _each_once)),
    _case(
        "join: delivered twice, the 409 is the answer",
        "create",
        "join",
        fate("twice", answer="second"),
        expect=_both(_done, _each_once),
        conflict_body="agent_id",
    ),
    _case(
        "join: delivered twice, the 409 is the answer and names nobody",
        "create",
        "join",
        fate("twice", answer="second"),
        expect=_both(_done, _each_once),
    ),
    _case(
        "join: 409 and nobody bears the name",
        "create",
        "join",
        fate("refuse", status=409),
        expect=_results(done=2, deferred=1),
    ),
    *(
        _case(
            f"join: {status} is definite",
            "create",
            "join",
            fate("refuse", status=status),
            expect=_results(done=2, failed=1),
        )
        for status in (400, 404)
    ),
    _case(
        "join: 422 stops joins",
        "create",
        "join",
        fate("refuse", status=422),
        count=0,
        expect=_results(done=0),
    ),
    *(
        _case(
            f"join: {status} stops the run",
            "create",
            "join",
            fate("refuse", status=status),
            expect=lambda w, p: p.mutations <= 3,
        )
        for status in (401, 403)
    ),
    *(
        _case(
            f"join: 429, Retry-After {form}",
            "create",
            "join",
            fate("rate_limit", retry_after=form, seconds=5.0),
            expect=_both(_done, _each_once),
        )
        for form in ("none", "seconds", "date", "garbage", "negative", "huge")
    ),
    *(
        _case(
            f"join: {status}, {'executed' if executed else 'not executed'}",
            "create",
            "join",
            fate("refuse", status=status, executed=executed),
            expect=_both(_done, _each_once),
        )
        for status in (500, 502, 503, 504)
        for executed in (True, False)
    ),
    _case(
        "join: slow drip ends at the deadline",
        "create",
        "join",
        fate("drip", seconds=1.0),
        expect=_both(_done, lambda w, p: p.lasted < 60.0),
    ),
    _case(
        "join: reset before", "create", "join", fate("reset", executed=False), expect=_both(_done, _each_once)
    ),
    _case(
        "join: reset after", "create", "join", fate("reset", executed=True), expect=_both(_done, _each_once)
    ),
    *(
        _case(f"join: malformed, {form}", "create", "join", fate("malformed", form=form), expect=_each_once)
        for form in _FORMS
    ),
    _case("join: 204", "create", "join", fate("no_content"), expect=_both(_done, _each_once)),
    _case(
        "join: redirect is not followed", "create", "join", fate("redirect"), expect=_both(_done, _each_once)
    ),
    _case("join: oversize", "create", "join", fate("oversize"), expect=_both(_done, _each_once)),
    _case(
        "join: 200, then FAILED at once",
        "create",
        "join",
        fate("doom", seconds=0.0),
        expect=_results(done=2, failed=1),
    ),
    _case(
        "join: unreachable is definite",
        "create",
        "join",
        fate("unreachable"),
        expect=_results(done=2, failed=1),
    ),
)
_UPDATES = (
    *(
        _case(f"update: {name}", "update", "update", chosen, expect=_done)
        for name, chosen in {
            "request lost": fate("drop_request"),
            "response lost": fate("lose_response"),
            "5xx": fate("refuse", status=502),
            "delivered twice": fate("twice"),
            "malformed": fate("malformed"),
        }.items()
    ),
)
_LEAVES = (
    *(
        _case(f"leave: {name}", "leave", "leave", chosen, expect=_done)
        for name, chosen in {
            "request lost": fate("drop_request"),
            "response lost": fate("lose_response"),
            "5xx, executed": fate("refuse", status=500, executed=True),
            "delivered twice": fate("twice", answer="second"),
            "late": fate("late", seconds=20.0),
        }.items()
    ),
    _case(
        "leave: lost, every time", "leave", "leave", fate("drop_request"), count=0, expect=_results(done=0)
    ),
    _case("leave: 404 is success", "leave", "leave", fate("refuse", status=404), expect=lambda w, p: True),
    _case(
        "leave: 200 but still listed",
        "leave",
        "leave",
        fate("slow", seconds=0.1),
        expect=_done,
        list_lag_seconds=200.0,
    ),
)


# --- everything else ------------------------------------------------------------------------------------------------


def _lock_held() -> Universe:
    world = BY_NAME["create"].prepared()
    holder = world.launch("apply", Job(_TRIO, APP_ID))
    world.time.run_for(0.2)
    waiter = world.launch("apply", Job(_TRIO, APP_ID, lock_timeout=0.2))
    world.finish()
    require(isinstance(waiter.error, StateLocked) and waiter.mutations == 0, "lock held", repr(waiter.error))
    require(_done(world, holder) and world.locks.is_free, "lock held", "the lock is leaked")
    return world


def _lock_dies_with_its_process() -> Universe:
    world = BY_NAME["create"].prepared()
    world.run("apply", Job(_TRIO, APP_ID), crash=Crash(9, Point.TORN))
    require(world.locks.is_free, "lock", "it outlives its process")
    BY_NAME["create"].finish(world)
    return world


def _disk_full(fails_at: int) -> Universe:
    world = BY_NAME["mixed"].prepared()
    commits = world.store.commits
    process = world.launch("apply", BY_NAME["mixed"].job)
    world.store.fail_at = commits + fails_at
    world.finish()
    if world.store.failed:
        ledger = process.result
        require(
            isinstance(ledger, Ledger) and isinstance(ledger.broken, StateError | StateLocked),
            "disk full",
            "nobody was told",
        )
    BY_NAME["mixed"].finish(world)
    return world


def _damaged_state() -> Universe:
    world = BY_NAME["mixed"].prepared()
    world.store.damaged = True
    for verb in ("apply", "plan", "drift"):
        process = world.run(verb, BY_NAME["mixed"].job)
        require(
            isinstance(process.error, StateError) and process.mutations == 0,
            "damaged state",
            repr(process.error),
        )
    world.store.damaged = False
    BY_NAME["mixed"].finish(world)
    return world


def _foreign_app() -> Universe:
    world = BY_NAME["mixed"].prepared()
    process = world.run("apply", Job(BY_NAME["mixed"].after, "another-app"))
    require(
        isinstance(process.error, StateError) and process.mutations == 0,
        "state of another App ID",
        repr(process.error),
    )
    return world


def _empty_fleet() -> Universe:
    world = BY_NAME["mixed"].prepared()
    process = world.run("apply", Job(fleet(), APP_ID))
    require(isinstance(process.error, Refused) and process.mutations == 0, "empty fleet", repr(process.error))
    return world


def _too_many_leaves() -> Universe:
    world = BY_NAME["leave"].prepared()
    small = fleet(agent("lobby/greeter"), limits=replace(UNLIMITED, leave=Limit(percent=30.0)))
    process = world.run("apply", Job(small, APP_ID))
    require(
        isinstance(process.error, Refused) and process.mutations == 0, "too many leaves", repr(process.error)
    )
    return world


def _stale_approval() -> Universe:
    world = BY_NAME["mixed"].prepared()
    plan = world.run("plan", BY_NAME["mixed"].job).result
    edited = fleet(*BY_NAME["mixed"].after.agents.values(), agent("desk/one-more"))
    for approved in (Approved(plan.digest), Approved(plan.digest, plan.fleet_digest, plan.rows)):
        process = world.run("apply", Job(edited, APP_ID), approved=approved)
        require(
            isinstance(process.error, StalePlan) and process.mutations == 0,
            "stale approval",
            repr(process.error),
        )
    world.simulator.end(world.simulator.world.live()[0].agent_id)
    process = world.run("apply", BY_NAME["mixed"].job, approved=Approved(plan.digest))
    require(
        isinstance(process.error, StalePlan) and process.mutations == 0, "stale approval", repr(process.error)
    )
    return world


def _clock_skew() -> Universe:
    world = BY_NAME["create"].prepared()
    for ahead in (-600.0, 600.0):
        process = world.run("apply", BY_NAME["create"].job, clocks=Clocks(ahead))
        require(
            process.mutations == 0 and not _done(world, process),
            "clock skew",
            "a token was minted by a wrong clock",
        )
    BY_NAME["create"].finish(world)
    return world


def _broken_slot_is_alone() -> Universe:
    """I17: one address that always fails does not stop the others."""
    world = BY_NAME["create"].prepared()
    bad = fate("refuse", status=400)
    world.network.script = lambda call: ("refused", bad) if "guide" in call.name else None
    process = world.run("apply", BY_NAME["create"].job)
    require(_results(done=2, failed=1)(world, process), "isolation", repr(process.result))
    BY_NAME["create"].finish(world)
    return world


def _systemic_failure_stops() -> Universe:
    """I17: five failures in a row open the breaker; nothing of the rest is tried."""
    world = BY_NAME["create"].prepared()
    many = fleet(*(agent(f"lobby/agent-{number}") for number in range(12)))
    down = fate("refuse", status=503)
    world.network.script = lambda call: ("5xx", down) if call.process.mutations else None
    process = world.run("apply", Job(many, APP_ID, settings=Settings(parallelism=1)))
    require(process.mutations <= 8, "systemic failure", f"{process.mutations} mutating calls")
    calm(world)
    settle(world, Job(many, APP_ID))
    return world


def _old_agents_are_found() -> Universe:
    """The list's own window is two hours: agents of three hours ago are found all the same, and none is joined."""
    world = BY_NAME["adopt: state lost"].prepared()
    world.time.run_for(3 * HOUR)
    process = world.run("apply", BY_NAME["adopt: state lost"].job)
    joined = len(world.simulator.world.agents()) - len(_TRIO.agents)
    require(_done(world, process) and not joined, "old agents", f"{joined} joined beside those that run")
    BY_NAME["adopt: state lost"].finish(world)
    return world


def _flaky_reads() -> Universe:
    """I13: every read fails once; the retries of a run are bounded, and it says so rather than going on."""
    world = Universe(1, switches={"quota": 100})
    many = fleet(*(agent(f"lobby/agent-{number}") for number in range(40)))
    world.run("apply", Job(many, APP_ID))
    world.store.lose()
    world.checker.state_lost()
    seen: set[str] = set()

    def script(call: Call) -> tuple[str, Fate] | None:
        first = call.operation is ServiceCall.QUERY and call.agent_id not in seen
        seen.add(call.agent_id)
        return ("5xx", fate("refuse", status=503)) if first else None

    world.network.script = script
    world.run("apply", Job(many, APP_ID, settings=Settings(parallelism=1)))
    calm(world)
    settle(world, Job(many, APP_ID))
    return world


def _endless_failure_backs_off() -> Universe:
    """Joins per address and hour stay few when every agent fails at once."""
    world = BY_NAME["create"].prepared()
    doomed = fate("doom", seconds=0.0)
    world.network.script = lambda call: (
        ("dies_at_once", doomed) if call.operation is ServiceCall.JOIN else None
    )
    one = Job(fleet(agent("lobby/greeter")), APP_ID)
    for _ in range(60):
        world.run("apply", one)
        world.time.run_for(60.0)
    joins = len(world.simulator.world.agents())
    require(joins <= 10, "failing agent", f"{joins} joins in an hour")
    return world


def _interrupted(after: float) -> Universe:
    world = BY_NAME["mixed"].prepared()
    process = world.launch("apply", BY_NAME["mixed"].job)
    world.time.run_for(after)
    told = world.time.now
    process.stop()
    world.finish()
    require(
        process.started + process.lasted - told <= 2.0,
        "interrupt",
        f"{process.started + process.lasted - told:.1f} s",
    )
    BY_NAME["mixed"].finish(world)
    return world


def _unwanted_and_listed_at_last() -> Universe:
    """A late join that is executed between the plan of a run and its last look: that look leaves its agent."""
    path = "grace: an unwanted late agent was left"
    for step in range(30):
        world = BY_NAME["unwanted late join"].prepared()
        world.time.run_for(173.9 + 0.04 * step)
        process = world.run("apply", BY_NAME["unwanted late join"].job)
        if world.seen[path]:
            require(_done(world, process), "unwanted, listed at last", repr(process.result))
            BY_NAME["unwanted late join"].finish(world)
            return world
    raise Violation("row", "unwanted, listed at last: no run met the instant")


def _unwanted_intent() -> Universe:
    world = BY_NAME["unwanted late join"].prepared()
    process = world.run("apply", BY_NAME["unwanted late join"].job)
    require(_results(done=0, deferred=1)(world, process), "unwanted join", repr(process.result))
    require(process.lasted < 60.0, "unwanted join", f"the run waited for {process.lasted:.0f} s")
    world.time.run_for(2 * BY_NAME["unwanted late join"].job.settings.grace)
    process = world.run("apply", BY_NAME["unwanted late join"].job)
    require(_done(world, process), "unwanted join", repr(process.result))
    live = [each.name for each in world.simulator.world.live() if "late" in each.name]
    require(not live, "unwanted join", f"{live} still run")
    BY_NAME["unwanted late join"].finish(world)
    return world


def _foreign_conflict(body: str) -> Universe:
    """A 409 that names a foreign agent: it is neither adopted nor touched."""
    world = Scenario("foreign", _TRIO, switches={"uid_conflict": "refused", "conflict_body": body}).prepared()
    stranger = world.join_stranger("front-desk-bot", "lobby", uid="77")
    process = world.run("apply", BY_NAME["create"].job)
    require(_results(done=2, held=1)(world, process), "foreign conflict", repr(process.result))
    world.simulator.end(stranger)
    BY_NAME["create"].finish(world)
    return world


def _echoed_secret() -> Universe:
    """A service that repeats what it was sent: none of it reaches anybody's eyes or the state (I9)."""
    world = BY_NAME["create"].prepared()
    echo = fate("refuse", status=400, detail="bad key canary-TTS_KEY, and Bearer canary-LLM_KEY")
    world.network.script = lambda call: ("refused", echo) if call.operation is ServiceCall.JOIN else None
    world.run("apply", BY_NAME["create"].job)
    BY_NAME["create"].finish(world)
    return world


def _late_copy(delay: float) -> tuple[Universe, Scenario]:
    """The first join of an agent is executed `delay` seconds late; the second one was executed at once."""
    world = Universe(3, switches={"stop_seconds": 0.0})
    scenario = Scenario("late copy", fleet(agent("lobby/greeter"), agent("desk/concierge")))
    late = fate("late", seconds=delay)
    calls = iter(range(1_000))
    world.network.script = lambda call: (
        ("late", late) if call.operation == "join" and next(calls) == 0 else None
    )
    world.run("apply", scenario.job)
    world.network.script = None
    require(world.simulator.next_due() is not None, scenario.name, "no copy is under way")
    return world, scenario


def _copy_after_the_end() -> Universe:
    """Its agent ends, and is joined anew before the copy is executed: there is never a second one."""
    world, scenario = _late_copy(200.0)
    for each in world.simulator.world.live():
        world.simulator.end(each.agent_id)
    world.checker.disturb()
    world.run("apply", scenario.job)
    scenario.finish(world)
    return world


def _copy_taken_in() -> Universe:
    """Its agent ends, and the copy is executed before anybody looks: it is the agent of the address then."""
    world, scenario = _late_copy(200.0)
    for each in world.simulator.world.live():
        world.simulator.end(each.agent_id)
    world.checker.disturb()
    world.time.run_for(260.0)
    before = {each.agent_id for each in world.simulator.world.live()}
    require(len(before) == 1, "late copy", "the copy was not executed")
    process = world.run("apply", scenario.job)
    require(_done(world, process), "late copy", f"{process.result!r}")
    require(
        before <= {each.agent_id for each in world.simulator.world.live()}, "late copy", "it was not kept"
    )
    scenario.finish(world)
    return world


def _copy_of_what_is_replaced() -> Universe:
    """Its agent is replaced within the grace: that waits, and the copy finds the name taken."""
    world, scenario = _late_copy(250.0)
    wanted = fleet(agent("lobby/greeter", voice="emma"), agent("desk/concierge", voice="emma"))
    moved = replace(scenario, after=wanted)
    world.run("apply", moved.job)
    moved.finish(world)
    return world


def _copy_beside_a_spent_name(told: str) -> Universe:
    """State lost, the first agent ended, the list behind: a 409 that is that of the join's own second copy."""
    switches = {"stop_seconds": 0.0, "list_lag_seconds": 120.0, "conflict_body": told}
    world = Universe(5, switches=switches)
    scenario = Scenario("spent name", fleet(agent("lobby/greeter")))
    world.run("apply", scenario.job)
    world.time.run_for(HOUR)
    world.checker.disturb()
    world.simulator.end(world.simulator.world.live()[0].agent_id)
    world.time.run_for(HOUR)
    world.store.lose()
    world.checker.state_lost()
    world.network.script = _script("join", fate("twice", answer="second"), 0, 1)
    world.run("apply", scenario.job)
    started = [each.agent_id for each in world.simulator.world.live()]
    require(len(started) == 1, scenario.name, f"{started} run")
    scenario.finish(world)
    kept = [each.agent_id for each in world.simulator.world.live()]
    require(kept == started, scenario.name, f"{started} was not taken back: {kept}")
    return world


def _copy_of_another_name() -> Universe:
    """A badly answered join has started an agent that no list shows yet; another one was adopted, and is replaced."""
    world = Universe(6, switches={"stop_seconds": 0.0})
    scenario = Scenario("another name", fleet(agent("lobby/greeter", uid="77")))
    stranger = world.join_stranger("front-desk-bot", "lobby", uid="77")
    world.time.run_for(300.0)
    world.simulator.set_switches(list_lag_seconds=250.0, uid_conflict="accepted")
    world.network.script = _script("join", fate("refuse", status=500, executed=True), 0, 0)
    world.run("apply", replace(scenario.job, settings=Settings(attempts=1)))
    world.network.script = None
    address = Address.parse("lobby/greeter")
    world.run(
        "adopt", scenario.job, claim=lambda client: workflow.adopt(scenario.job, client, address, stranger)
    )
    moved = replace(scenario, after=fleet(agent("lobby/greeter", voice="emma", uid="77")))
    process = world.run("apply", moved.job)
    require(_results(deferred=1)(world, process), scenario.name, repr(process.result))
    require(
        len(world.simulator.world.live()) == 2, scenario.name, "somebody was hung up on, or joined beside"
    )
    moved.finish(world)
    return world


def _quota_stops_joins() -> Universe:
    """One 422: no other join is sent, nobody is hung up on, and what had left already is joined all the same."""
    ghosts = (agent(f"attic {number}/ghost") for number in range(3))
    wanted = fleet(*(agent(f"room {number}/desk", voice="emma") for number in range(4)), *ghosts)
    before = fleet(*(agent(f"room {number}/desk") for number in range(4)))
    scenario = Scenario("quota", wanted, before, lambda world: world.simulator.set_switches(quota=4))
    world = scenario.prepared()
    joins = 0

    def listen(call: Call) -> None:
        nonlocal joins
        joins += call.operation == "join"

    world.network.script = listen
    world.run("apply", replace(scenario.job, settings=Settings(parallelism=1)))
    live = world.simulator.world.live()
    require(len(live) == 4, "quota", f"{len(live)} of 4 live")
    require(joins <= 5, "quota", f"{joins} joins were sent")
    world.simulator.set_switches(quota=100)
    scenario.finish(world)
    return world


def _renewed_though_gone() -> Universe:
    """A protected agent whose block is gone ends just before its token is renewed: nothing is started in its place."""
    guarded = agent("lobby/greeter", protect=True)
    scenario = Scenario(
        "renewal of the unwanted", fleet(agent("desk/concierge")), fleet(guarded, agent("desk/concierge"))
    )
    world = scenario.prepared()
    world.time.run_for(13 * HOUR)

    def script(call: Call) -> None:
        if (
            call.operation is ServiceCall.UPDATE
            and "greeter" in world.simulator.world.agent(call.agent_id).name
        ):
            world.simulator.end(call.agent_id)
            world.checker.disturb()

    world.network.script = script
    world.run("apply", scenario.job)
    names = [each.name for each in world.simulator.world.live()]
    require(not any("greeter" in each for each in names), scenario.name, f"{names} run")
    scenario.finish(world)
    return world


def _keyed_digests() -> Universe:
    """The same secret has another digest in another state, and never its plain one."""
    world = BY_NAME["create"].prepared()
    world.run("apply", BY_NAME["create"].job)
    digests = {digest for record in world.store.read().records.values() for digest in record.secrets.values()}
    plain = {
        sha256(world.secret(name).encode()).hexdigest() for name in ("ref+env://TTS_KEY", "ref+env://LLM_KEY")
    }
    other = Universe(2)
    other.store.rekey(b"another key")
    other.run("apply", BY_NAME["create"].job)
    others = {digest for record in other.store.read().records.values() for digest in record.secrets.values()}
    require(digests and not digests & (plain | others), "digests", "a secret's digest can be compared")
    return world


def _among_strangers(churn: float) -> Universe:
    """The state is lost among many agents of others, so only the list tells what is ours; it is read in windows."""
    world = BY_NAME["create"].prepared()
    world.simulator.set_switches(quota=100)
    for number in range(30):
        world.join_stranger(f"bot-{number}", f"hall-{number}", uid="1")
        world.time.run_for(HOUR / 2)
    world.run("apply", BY_NAME["create"].job)
    world.simulator.set_switches(list_limit_max=2)
    ours = {each.agent_id for each in world.simulator.world.live() if each.name.startswith(world.mark)}
    numbers = iter(range(100, 100_000))

    def come_and_go(call: Call) -> None:
        if call.operation == "list" and world.chance.random() < churn:
            number = next(numbers)
            world.join_stranger(f"bot-{number}", f"hall-{number}", uid="1")
            world.simulator.end(
                next(each for each in world.simulator.world.live() if each.uid == "1").agent_id
            )
            world.checker.disturb()

    world.lose_state()
    world.network.script = come_and_go
    world.run("apply", BY_NAME["create"].job)
    world.network.script = None
    BY_NAME["create"].finish(world)
    kept = {each.agent_id for each in world.simulator.world.live() if each.name.startswith(world.mark)}
    require(kept == ours, "among strangers", f"{ours} were joined anew: {kept}")
    return world


def _aged(hours: float) -> Universe:
    """Agents die at 72 h and tokens at 24 h, whatever was planned; the next run starts anew."""
    world = BY_NAME["create"].prepared()
    world.run("apply", BY_NAME["create"].job)
    world.time.run_for(hours * HOUR)
    BY_NAME["create"].finish(world)
    return world


ROWS: tuple[Row, ...] = (
    *_READS,
    *_JOINS,
    *_UPDATES,
    *_LEAVES,
    Row("acquire lock: held", _lock_held),
    Row("acquire lock: dies with its process", _lock_dies_with_its_process),
    Row("read state: damaged", _damaged_state),
    Row("read state: of another App ID", _foreign_app),
    *(Row(f"write: the {number}. write fails", partial(_disk_full, number)) for number in range(1, 16)),
    Row("plan: empty fleet", _empty_fleet),
    Row("plan: too many leaves", _too_many_leaves),
    Row("plan: approved, then edited", _stale_approval),
    Row("mint: clock skew", _clock_skew),
    Row("isolation: a broken address", _broken_slot_is_alone),
    Row("isolation: a systemic failure", _systemic_failure_stops),
    Row("list live: agents of three hours ago, state lost", _old_agents_are_found),
    *(
        Row(
            f"list live: in windows, strangers come and go with {churn:.0%} of the calls",
            partial(_among_strangers, churn),
        )
        for churn in (0.0, 0.05, 0.5)
    ),
    Row("reads: each fails once", _flaky_reads),
    Row("join: fails for ever, backed off", _endless_failure_backs_off),
    *(
        Row(f"interrupt after {after} s", partial(_interrupted, after))
        for after in (0.05, 0.2, 0.4, 0.6, 0.9, 1.5)
    ),
    Row("intent: unwanted, executed late", _unwanted_intent),
    Row("intent: unwanted, executed between the plan and the last look", _unwanted_and_listed_at_last),
    Row("renewal: of an agent that nobody wants, and that has just ended", _renewed_though_gone),
    Row("join: a copy is executed when its agent has ended", _copy_after_the_end),
    Row("join: a copy is executed and taken in", _copy_taken_in),
    Row("join: a copy of what is replaced", _copy_of_what_is_replaced),
    *(
        Row(
            f"join: its own copy's 409 beside a spent name ({told})", partial(_copy_beside_a_spent_name, told)
        )
        for told in ("none", "agent_id")
    ),
    Row("join: another name beside a badly answered one", _copy_of_another_name),
    Row("join: the quota is used up", _quota_stops_joins),
    *(
        Row(f"join: 409 with a foreign holder ({body})", partial(_foreign_conflict, body))
        for body in ("none", "agent_id", "task_id")
    ),
    Row("secrets: the service echoes them", _echoed_secret),
    Row("secrets: digests are keyed", _keyed_digests),
    *(Row(f"age: {hours} h", partial(_aged, hours)) for hours in (12.5, 24.5, 61.0, 73.0)),
)
BY_ROW = {each.name: each for each in ROWS}
