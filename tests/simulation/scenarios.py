"""Named situations, each with every single crash point, and crash pairs: a crash in the run that recovers.

A scenario prepares a world in fair weather, and then lets one run be crashed. Afterwards the fleet must settle
(`quiet.settle`), with every invariant watched all the while.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from reconciler import workflow
from reconciler.apply.context import Settings
from reconciler.errors import StalePlan
from reconciler.model.address import Address
from reconciler.model.fleet import DesiredFleet
from reconciler.model.spec import ReplaceOrder
from reconciler.simulator import Fate, fate
from reconciler.workflow import Approved, Job

from .driver import Crash, Point, Process
from .fleets import HOUR, agent, fleet
from .quiet import calm, settle
from .witness.judgement import Violation
from .world import APP_ID, Call, Universe

_GREETER, _GUIDE, _DESK = "lobby/greeter", "lobby/guide", "desk/concierge"
_TRIO = fleet(agent(_GREETER), agent(_GUIDE, uid="77"), agent(_DESK))
_FIRST = ReplaceOrder.JOIN_FIRST


@dataclass(frozen=True, slots=True)
class Scenario:
    """What runs before, what happens then, and what the run under test wants."""

    name: str
    after: DesiredFleet
    before: DesiredFleet | None = None
    between: Callable[[Universe], None] = lambda world: None
    switches: dict[str, object] = field(default_factory=dict)
    pause: float = 0.0
    destroying: bool = False

    def prepared(self, seed: int = 1, *, trace: bool = False) -> Universe:
        """A world in which the run under test may begin."""
        world = Universe(seed, switches={"stop_seconds": 1.0, **self.switches}, trace=trace)
        if self.before is not None:
            world.run("apply", Job(self.before, APP_ID))
        self.between(world)
        return world

    @property
    def job(self) -> Job:
        return Job(self.after, APP_ID, settings=Settings(parallelism=3), destroying=self.destroying)

    def finish(self, world: Universe) -> None:
        """Recovery: two passes home, and a third that does nothing."""
        calm(world)
        settle(world, self.job, pause=self.pause)


# --- what happens between the two runs -------------------------------------------------------------------------


def _wait(hours: float) -> Callable[[Universe], None]:
    return lambda world: world.time.run_for(hours * HOUR)


def _lose_state(world: Universe) -> None:
    world.store.lose()
    world.checker.state_lost()


def _end_one(world: Universe) -> None:
    world.simulator.end(world.simulator.world.live()[0].agent_id)


def _interrupt(point: Point, effect: int) -> Callable[[Universe], None]:
    def crash(world: Universe) -> None:
        world.run("apply", Job(_TRIO, APP_ID), crash=Crash(effect, point))

    return crash


def _twin(world: Universe) -> None:
    """A second agent of ours at one address, as a weak service or another writer would leave it."""
    world.checker.strict = False
    one = world.simulator.world.live()[0]
    name = one.name[: one.name.rindex(".g")] + ".g9"
    world.join_stranger(name, one.channel, uid="9999")
    world.checker.excused.add(name)


def _late_join(world: Universe) -> None:
    """A join of which nobody knows; it is executed long after its sender has gone."""
    late = fate("late", seconds=200.0)
    world.network.script = lambda call: ("late", late) if call.operation == "join" else None
    job = Job(fleet(*_TRIO.agents.values(), agent("desk/late")), APP_ID, settings=Settings(attempts=1))
    world.run("apply", job)
    world.network.script = None


def _adopt(world: Universe) -> None:
    """Somebody's own agent at the seat of one that the files declare, taken over by command."""
    agent_id = world.join_stranger("front-desk-bot", "lobby", uid="77")
    job = Job(_TRIO, APP_ID)
    world.run(
        "adopt", job, claim=lambda provider: workflow.adopt(job, provider, Address.parse(_GUIDE), agent_id)
    )


def _forget(world: Universe) -> None:
    job = Job(_TRIO, APP_ID)
    world.run("forget", job, claim=lambda _: workflow.forget(job, Address.parse(_GREETER)))


def _edit(address: str) -> DesiredFleet:
    """The trio with one agent changed in what only a join can set."""
    place = Address.parse(address)
    uid = _TRIO.agents[place].body.uid
    return fleet(
        *(each for each in _TRIO.agents.values() if each.address != place),
        agent(address, voice="emma", uid=uid),
    )


_RENAMED = replace(agent("lobby/welcomer"), previously=(Address.parse(_GREETER),))
_OVERLAP = fleet(agent(_GREETER, replace=_FIRST), agent(_DESK))
_SWAP = (
    fleet(agent(_GREETER, uid="5"), agent(_GUIDE, uid="6")),
    fleet(agent(_GREETER, uid="6"), agent(_GUIDE, uid="5")),
)

SCENARIOS = (
    Scenario("create", _TRIO),
    Scenario("update", fleet(agent(_GREETER, "good evening"), agent(_GUIDE, uid="77"), agent(_DESK)), _TRIO),
    Scenario("replace, leave first", _edit(_GREETER), _TRIO),
    Scenario(
        "replace, join first", fleet(agent(_GREETER, voice="emma", replace=_FIRST), agent(_DESK)), _OVERLAP
    ),
    Scenario("rotate", _TRIO, _TRIO, _wait(23.0), {"token_expiry": "ignored"}),
    Scenario("rotate at 60 h", _TRIO, _TRIO, _wait(61.0), {"token_expiry": "ignored"}),
    Scenario("renew", _TRIO, _TRIO, _wait(13.0)),
    Scenario("leave", fleet(agent(_GREETER)), _TRIO),
    Scenario("adopt: state lost", _TRIO, _TRIO, _lose_state),
    Scenario("replace: state lost", _edit(_GREETER), _TRIO, _lose_state),
    Scenario("rename", fleet(_RENAMED, agent(_GUIDE, uid="77"), agent(_DESK)), _TRIO),
    Scenario("swap uids", _SWAP[1], _SWAP[0]),
    Scenario(
        "mixed",
        fleet(agent(_GREETER, "new"), agent(_GUIDE, voice="emma", uid="77"), agent("desk/porter")),
        _TRIO,
    ),
    Scenario("resume a join", _TRIO, None, _interrupt(Point.TORN, 5)),
    Scenario("resume a join, files edited", _edit(_DESK), None, _interrupt(Point.TORN, 5)),
    Scenario("vanished", _TRIO, _TRIO, _end_one),
    Scenario("duplicates", _TRIO, _TRIO, _twin),
    Scenario("unwanted late join", _TRIO, _TRIO, _late_join),
    Scenario("pause", fleet(agent(_GREETER, paused=True), agent(_DESK)), _TRIO),
    Scenario("adopt by command", _TRIO, fleet(agent(_GREETER), agent(_DESK)), _adopt),
    Scenario("replace what was adopted", _edit(_GUIDE), fleet(agent(_GREETER), agent(_DESK)), _adopt),
    Scenario("forgotten", fleet(agent(_GUIDE, "new", uid="77"), agent(_DESK)), _TRIO, _forget),
    Scenario("destroy", _TRIO, _TRIO, destroying=True),
    Scenario(
        "names are spent",
        _edit(_GREETER),
        _TRIO,
        switches={"name_reuse": "never", "conflict_body": "agent_id"},
    ),
)
BY_NAME = {each.name: each for each in SCENARIOS}


# --- crash points -----------------------------------------------------------------------------------------------


def effects_of(scenario: Scenario) -> int:
    """How many outward effects the run under test has when nothing crashes."""
    return scenario.prepared().run("apply", scenario.job).effects


def crash_points(scenario: Scenario) -> Iterator[Crash]:
    """Every effect, before, in the middle and after."""
    for effect in range(effects_of(scenario)):
        for point in Point:
            yield Crash(effect, point)


def crashed(
    scenario: Scenario, crashes: tuple[Crash, ...], *, seed: int = 1, trace: bool = False
) -> Universe:
    """Crash the run under test, then the run that recovers, and so on; then let it settle. Raises `Violation`."""
    world = scenario.prepared(seed, trace=trace)
    for crash in crashes:
        world.run("apply", scenario.job, crash=crash)
    scenario.finish(world)
    return world


def resumed(scenario: Scenario, crash: Crash) -> Universe:
    """Crash the apply of a saved plan: the same command goes on with it, as long as there is work left."""
    world = scenario.prepared()
    saved = world.run("plan", scenario.job).result
    approved = Approved(saved.digest, saved.fleet_digest, saved.rows)
    world.run("apply", scenario.job, crash=crash, approved=approved)
    again = world.run("apply", scenario.job, approved=approved)
    left = world.run("plan", scenario.job).result.rows
    is_approved = {address for _, address in left} <= {address for _, address in approved.rows}
    if left and is_approved and isinstance(again.error, StalePlan):
        raise Violation(
            "I11", f"an interrupted plan is not gone on with ({sorted(left)}): {again.error.hint}"
        )
    scenario.finish(world)
    return world


def second_crashes(scenario: Scenario, first: Crash) -> Iterator[Crash]:
    """Every crash point of the run that recovers from a crash."""
    world = scenario.prepared()
    world.run("apply", scenario.job, crash=first)
    for effect in range(world.run("apply", scenario.job).effects):
        for point in Point:
            yield Crash(effect, point)


def sampled_pairs(count: int, seed: int) -> Iterator[tuple[Scenario, tuple[Crash, Crash]]]:
    """Pairs of crash points, by chance, over all scenarios."""
    chance = random.Random(seed)
    lengths = {each.name: effects_of(each) for each in SCENARIOS}
    points = tuple(Point)
    for _ in range(count):
        scenario = chance.choice(SCENARIOS)
        length = lengths[scenario.name]
        one, two = chance.randrange(length), chance.randrange(length + 6)
        yield scenario, (Crash(one, chance.choice(points)), Crash(two, chance.choice(points)))


# --- every fate at every call -------------------------------------------------------------------------------------


def calls_of(scenario: Scenario) -> list[Call]:
    """The calls of the run under test when nothing goes wrong, in order."""
    world = scenario.prepared()
    calls: list[Call] = []

    def listen(call: Call) -> None:
        calls.append(call)

    world.network.script = listen
    world.run("apply", scenario.job)
    return calls


def troubled(
    scenario: Scenario,
    number: int,
    name: str,
    chosen: Fate,
    *,
    crash: Crash | None = None,
    trace: bool = False,
) -> tuple[Universe, Process]:
    """Let the `number`-th call of the run under test meet a fate, and perhaps a crash befall the run besides.

    Then let it settle. Raises `Violation`.
    """
    world = scenario.prepared(trace=trace)
    calls = iter(range(1_000_000))
    world.network.script = lambda call: (name, chosen) if next(calls) == number else None
    process = world.run("apply", scenario.job, crash=crash)
    scenario.finish(world)
    return world, process
