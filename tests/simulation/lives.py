"""One random life in the weather that a fleet meets: faults at what changes something, strangers, restarts, every verb.

A life has rounds: people edit the files, then writers start runs of any verb and flag at nearly the same time, and
meanwhile agents end, the service restarts, strangers come, take seats and go, processes pause, clocks step. Then it is
quiet, and the fleet must settle (`quiet.settle`). Some lives have a second fleet in the same project, some the real
store of files, some go on for the three days in which every agent rotates.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

from reconciler import workflow
from reconciler.apply.context import Settings
from reconciler.model.address import Address, Owner
from reconciler.model.fleet import DesiredFleet, Limit, Limits
from reconciler.model.spec import AgentSpec, Beside
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from reconciler.plan.selection import Selection
from reconciler.simulator import ServiceCall
from reconciler.state.lease import FileLease
from reconciler.state.local import LocalStore
from reconciler.state.log.store import LogStore
from reconciler.workflow import Approved, Job
from tests.fakes.directory_drawer import DirectoryDrawer
from tests.fakes.fleets import UNLIMITED
from tests.fakes.stores import acquire

from . import fleets
from .driver import Clocks, Process
from .faults import KINDS, Weather
from .fleets import HOUR, random_fleet
from .quiet import calm, settle, vigil
from .seeds import Outcome, random_clocks, random_switches
from .translate import approval_of
from .witness.judgement import Violation
from .witness.words import Approval
from .world import APP_ID, OWNER, Universe

_MUTATING = (ServiceCall.JOIN, ServiceCall.LEAVE, ServiceCall.UPDATE)
_GAPS = (1.0, 5.0, 60.0, 600.0, 2 * HOUR, 13 * HOUR, 30 * HOUR, 61 * HOUR, 73 * HOUR)
_VERBS = ("apply",) * 11 + (
    "plan",
    "drift",
    "saved",
    "saved",
    "part",
    "part",
    "forced",
    "adopt",
    "forget",
    "destroy",
)
_STRICT = Limits(hang_ups=Limit(percent=30.0), max_unavailable=Limit(percent=10.0), leave=Limit(percent=50.0))
# Whatever a limit says, somebody who has looked may allow it once.
_ALLOWED = {"hang_ups": 99.0, "leave": 99.0, "replace": 99.0, "join": 99.0}


def live(seed: int, *, trace: bool = False) -> tuple[Outcome, Universe]:
    """Live one life. A violated invariant is in the outcome's `problem`."""
    with ExitStack() as stack:
        life = _Life(seed, stack, trace=trace)
        problem: str | None = None
        try:
            life.live()
        except Violation as violation:
            problem = str(violation)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            life.world.note("".join(traceback.format_exception(error)) if trace else problem)
        finally:
            for side in life.sides:
                if side.world.store.real is not None:
                    side.world.store.real.close()
    world = life.world
    for side in life.sides:
        for invariant, count in side.world.checker.asked.items():
            world.seen[f"asked: {invariant}"] += count
    writers = sum(len(side.writers) for side in life.sides)
    outcome = Outcome(seed, world.fingerprint, world.seen, life.runs, world.time.events, writers, problem)
    return outcome, world


@dataclass(slots=True)
class _Side:
    """One fleet of the project, as it is now, as it was, and whoever writes."""

    world: Universe
    fleet: DesiredFleet
    writers: list[Clocks]
    earlier: list[DesiredFleet] = field(default_factory=list)
    planned: tuple[Process, DesiredFleet] | None = None
    saved: tuple[Approved, Approval, DesiredFleet] | None = None


class _Life:
    def __init__(self, seed: int, stack: ExitStack, *, trace: bool) -> None:
        chance = self.chance = random.Random(f"{seed} life")
        switches = random_switches(chance)
        switches["list_limit_max"] = chance.choice((2, 2, 3, 5, 100))
        switches["list_limit_over"] = "clamp"
        self.stormy = chance.random() < 0.85
        self.world = Universe(seed, switches=switches, weather=_weather(chance, self.stormy), trace=trace)
        self.spent = switches["name_reuse"] != "immediately"
        self.lost = False
        self.runs = 0
        self.settings = Settings(parallelism=chance.choice((1, 3, 10)))
        self.crash_rate = chance.choice((0.0, 0.0, 0.003, 0.02))
        # What few lives have goes by dice of its own, so that the other lives stay as they are.
        self.few = random.Random(f"{seed} few")
        self.adopts = self.few.random() < 0.15
        self.is_sick = self.few.random() < 0.06
        self.is_down = self.few.random() < 0.06
        # The runs of some lives are told how late the next run will be; dice of its own, as above.
        self.ahead = random.Random(f"{seed} ahead")
        self.looks_ahead = self.ahead.random() < 0.08
        self.sides = [self._side(self.world, OWNER)]
        if chance.random() < 0.12:
            owner = chance.choice((Owner("sim", "prod"), Owner("sim"), Owner("cousin", "test")))
            self.sides.append(self._side(self.world.beside(owner), owner))
            self.world.seen.hit("life: two fleets")
        for side in self.sides:
            side.world.checker.lagging = bool(switches["list_lag_seconds"])
        if chance.random() < 0.02:
            where = Path(stack.enter_context(TemporaryDirectory()))
            if seed % 2:
                self.world.store.real = LocalStore(where / "fleet" / "state.db")
                self.world.seen.hit("life: the real store")
            else:
                lease = FileLease(where / "lease")
                self.world.store.real = LogStore(DirectoryDrawer(where), lease, name="the log")
                self.world.seen.hit("life: the log")
            acquire(self.world.store.real, "simulation", 0.0)

    def _side(self, world: Universe, owner: Owner) -> _Side:
        chance = self.chance
        store = world.store
        store.mishaps = random.Random(f"{owner} {chance.random()}")
        store.failure_rate = chance.choice((0.0, 0.0, 0.0, 0.03))
        store.unknown_rate = chance.choice((0.0, 0.0, 0.05, 0.2))
        store.slow_rate = chance.choice((0.0, 0.0, 0.05, 0.2))
        world.locks.broken = chance.random() < 0.2
        writers = [random_clocks(chance) for _ in range(chance.choice((1, 1, 2, 3)))]
        self.limits = chance.choice(
            (UNLIMITED, UNLIMITED, _STRICT, replace(_STRICT, hang_ups=Limit(number=1)))
        )
        fleet = self._dressed(random_fleet(chance), owner)
        return _Side(world, fleet, writers, [fleet])

    def _dressed(self, fleet: DesiredFleet, owner: Owner) -> DesiredFleet:
        """A fleet of this owner, with limits, and with channels that nobody else may be in."""
        agents = [self._guarded(each) for each in fleet.agents.values()]
        return replace(fleets.fleet(*agents, limits=self.limits), owner=owner)

    def _guarded(self, spec: AgentSpec) -> AgentSpec:
        life = spec.lifecycle
        beside = Beside.HOLD if sum(map(ord, str(spec.address))) % 2 else Beside.ALLOW
        ignored = life.ignore_changes
        if self.chance.random() < 0.06:
            ignored = self.chance.choice(
                ((), (("llm", "system_messages"),), (("tts", "params", "voice_name"),))
            )
        return replace(spec, lifecycle=replace(life, beside=beside, ignore_changes=ignored))

    def live(self) -> None:
        for number in range(self.chance.randint(2, 4)):
            for side in self.sides:
                if number:
                    self._edit(side)
            if number:
                self._trouble()
            if self.adopts:
                self._declare_adoption(self.few.choice(self.sides))
            usual = self.world.weather
            if self.is_sick or self.is_down:
                self.world.weather = self._worse(usual)
            self._round()
            self.world.weather = usual
            self.world.time.run_for(self.chance.choice(_GAPS))
            for side in self.sides:
                side.world.checker.check_world()
        self._quiet()

    # --- people

    def _edit(self, side: _Side) -> None:
        chance = self.chance
        if chance.random() < 0.1:
            side.fleet = chance.choice(side.earlier)  # somebody reverts a commit
            self.world.seen.hit("edit: reverted")
        elif chance.random() < 0.9:
            agents = dict(side.fleet.agents)
            edited = fleets.edited(side.fleet, chance)
            agents = dict(edited.agents)
            for edit in chance.sample(fleets.COMMON, chance.choice((1, 2, 2))):
                edit(agents, chance)
            # Whoever edits the uid of an agent to adopt removes the line: no read could show that it is another's.
            uids = {each.adopt: each.body.uid for each in side.fleet.agents.values()}
            agents = {
                address: spec if uids.get(spec.adopt) == spec.body.uid else replace(spec, adopt=None)
                for address, spec in agents.items()
            }
            if agents:
                side.fleet = self._dressed(fleets.fleet(*agents.values()), side.fleet.owner)
        side.earlier.append(side.fleet)
        if chance.random() < 0.1:
            self.world.renewed[chance.choice(("TTS_KEY", "LLM_KEY"))] += 1
            self.world.seen.hit("edit: a reference was renewed")

    def _declare_adoption(self, side: _Side) -> None:
        """Somebody writes `adopt: ID` to an address: mostly of an agent that sits where the files say, at times of another."""
        chance, fleet = self.few, side.fleet
        specs = [each for each in fleet.agents.values() if each.body.uid is not None and each.adopt is None]
        if not specs:
            return
        free = [each for each in specs if str(each.address) not in side.world.store.used()]
        spec = chance.choice(free if free and chance.random() < 0.8 else specs)
        channel = spec.address.channel if chance.random() < 0.8 else chance.choice(fleets.CHANNELS)
        self._disturb()
        found = self.world.invited(f"front-desk-bot{chance.randrange(1000)}", channel, str(spec.body.uid))
        if not found:
            return
        self.world.note(f"the files adopt {found} of {channel} as {spec.address}")
        agents = {**fleet.agents, spec.address: replace(spec, adopt=found)}
        side.fleet = replace(fleets.fleet(*agents.values(), limits=fleet.limits), owner=fleet.owner)
        side.earlier.append(side.fleet)

    def _corrected(self, side: _Side) -> DesiredFleet:
        """The fleet once people have removed each `adopt` that cannot be followed, or may turn out not to be."""
        agents = {
            address: spec
            if spec.adopt is None or self._is_followed(side, spec)
            else replace(spec, adopt=None)
            for address, spec in side.fleet.agents.items()
        }
        return replace(fleets.fleet(*agents.values(), limits=side.fleet.limits), owner=side.fleet.owner)

    def _is_followed(self, side: _Side, spec: AgentSpec) -> bool:
        store, address = side.world.store, str(spec.address)
        known = store.at(address)
        if known is not None:
            return known.agent_id == spec.adopt
        is_there = any(
            (each.agent_id, each.channel, each.uid) == (spec.adopt, spec.address.channel, spec.body.uid)
            for each in side.world.checker.live()
        )
        return is_there and not self.lost and address not in store.used() and spec.adopt not in store.by_id()

    # --- runs

    def _round(self) -> None:
        """Every writer starts a run, some seconds apart, and things happen meanwhile."""
        chance, time = self.chance, self.world.time
        for side in self.sides:
            for clocks in side.writers:
                for start in range(chance.choice((1, 1, 2))):
                    time.after(chance.uniform(0.0, 10.0) + 30.0 * start, partial(self._start, side, clocks))
        for _ in range(chance.choice((0, 0, 1, 2))):
            time.after(chance.uniform(0.0, 45.0), partial(self._happening))
        for _ in range(2 * sum(len(each.writers) for each in self.sides)):
            time.run_for(45.0)
            self.world.finish()
            if time.idle:
                break

    def _start(self, side: _Side, clocks: Clocks) -> None:
        chance, world = self.chance, side.world
        verb = chance.choice(_VERBS)
        fleet = side.fleet if chance.random() < 0.93 else chance.choice(side.earlier)  # another checkout
        job = self._job(fleet)
        how: dict[str, object] = {
            "clocks": clocks,
            "crash_rate": self.crash_rate,
            "poor": chance.random() < 0.03,
        }
        world.seen.hit(f"verb: {verb}")
        process = self._launched(verb, side, job, how)
        if process is None:
            return
        self.runs += 1
        if chance.random() < 0.05:
            world.time.after(chance.uniform(0.0, 5.0), process.stop)
        if chance.random() < 0.06:
            pause = chance.choice((2.0, 20.0, 70.0, 200.0))
            world.time.after(chance.uniform(0.0, 3.0), partial(process.pause, pause))
        if chance.random() < 0.05:
            world.time.after(chance.uniform(0.0, 3.0), partial(self._step, clocks))
        elif chance.random() < 0.03:
            world.time.after(chance.uniform(0.0, 3.0), partial(self._suspend, process, clocks))

    def _suspend(self, process: Process, clocks: Clocks) -> None:
        """A machine is suspended: nothing runs, its clock on the wall stands, and jumps some time after it goes on."""
        seconds = self.chance.choice((30.0, 90.0, 900.0))
        process.pause(seconds)
        clocks.ahead -= seconds
        self.world.seen.hit("machine: suspended")
        self.world.time.after(
            seconds + self.chance.choice((0.0, 3.0, 20.0)), partial(setattr, clocks, "ahead", 0.0)
        )

    def _step(self, clocks: Clocks) -> None:
        clocks.ahead += self.chance.choice((-120.0, -5.0, 5.0, 120.0, 3600.0))
        self.world.seen.hit("clock: stepped within a run")
        self.world.time.after(90.0, partial(setattr, clocks, "ahead", 0.0))

    def _launched(self, verb: str, side: _Side, job: Job, how: dict[str, object]) -> Process | None:
        world = side.world
        match verb:
            case "plan" | "drift" | "apply":
                return world.launch(verb, job, **how)  # type: ignore[arg-type]  # passed through
            case "destroy":
                return world.launch("apply", replace(job, destroying=True), **how)  # type: ignore[arg-type]
            case "part":
                return self._part(side, job, how)
            case "forced":
                address = self._some(job)
                forced = replace(job, selection=Selection(replaces=(str(address),)))
                return world.launch("apply", forced, **how)  # type: ignore[arg-type]
            case "saved":
                return self._saved(side, job, how)
            case "adopt":
                return self._adopt(side, job)
            case _:
                address = self._some(job)
                return world.launch("forget", job, claim=lambda _: workflow.forget(job, address))

    def _some(self, job: Job) -> Address:
        return self.chance.choice(sorted(job.fleet.agents))

    def _part(self, side: _Side, job: Job, how: dict[str, object]) -> Process:
        """An apply with flags that leave something out, or let something in."""
        chance, address = self.chance, str(self._some(job))
        every = {str(each) for each in job.fleet.agents}
        flag = chance.choice(
            ("--target", "--target glob", "--exclude", "--only", "--prune-unrecorded", "--allow")
        )
        self.world.seen.hit(f"flag: {flag}")
        about: frozenset[str] | None = None
        beside: frozenset[str] = frozenset()
        policy, selection = job.policy, Selection()
        match flag:
            case "--target":
                about, selection = frozenset({address}), Selection(targets=(address,))
            case "--target glob":
                channel = address.rpartition("/")[0]
                about = frozenset(each for each in every if each.startswith(f"{channel}/"))
                selection = Selection(targets=(f"{channel}/*",))
            case "--exclude":
                about, selection = frozenset(every - {address}), Selection(excludes=(address,))
            case "--only":
                kinds = (
                    Action.JOIN,
                    Action.UPDATE,
                    Action.RENEW,
                    Action.ROTATE,
                    Action.LEAVE,
                    Action.REPLACE,
                )
                policy = replace(policy, only=frozenset(chance.sample(kinds, 2)))
                about = frozenset()
            case "--prune-unrecorded":
                policy = replace(policy, prune_unrecorded=True)
            case _:
                policy = replace(policy, allow_beside=(address,), allow={**policy.allow, "hang_ups": 2.0})
                beside = frozenset({address})
        job = replace(job, selection=selection, policy=policy)
        return side.world.launch("apply", job, about=about, beside=beside, **how)  # type: ignore[arg-type]

    def _saved(self, side: _Side, job: Job, how: dict[str, object]) -> Process:
        """A plan is made, and later that plan is applied, and resumed until it is done or stale."""
        world = side.world
        if side.planned is not None and not side.planned[0].alive:
            process, fleet = side.planned
            side.planned = None
            plan = process.result
            if plan is not None and process.error is None:
                approved = Approved(plan.digest, plan.fleet_digest, plan.rows)
                side.saved = (approved, approval_of(plan), fleet)
        if side.saved is not None and self.chance.random() < 0.8:
            approved, approval, fleet = side.saved
            world.seen.hit("saved plan: applied" if not approval.started else "saved plan: resumed")
            job = replace(job, fleet=fleet)
            return world.launch("apply", job, approved=approved, approval=approval, **how)  # type: ignore[arg-type]
        process = world.launch("plan", job, **how)  # type: ignore[arg-type]
        side.planned = (process, job.fleet)
        return process

    def _adopt(self, side: _Side, job: Job) -> Process | None:
        """Somebody's agent at a declared address is taken over: mostly the right one, at times one of another channel."""
        world, chance = side.world, self.chance
        nobodys = set(self._strangers())
        strangers = [each for each in world.checker.live() if each.agent_id in nobodys]
        spec = job.fleet.agents[self._some(job)]
        # No read tells an agent's uid: that the files declare the right one is for whoever adopts to know.
        here = [e for e in strangers if e.channel == spec.address.channel and e.uid == spec.body.uid]
        others = [each for each in strangers if each.channel != spec.address.channel]
        found = chance.choice(here or others).agent_id if here or others else ""
        if not here and spec.body.uid is not None:
            found = world.invited("front-desk-bot", spec.address.channel, spec.body.uid) or found
        if not found:
            return None
        address = spec.address
        return world.launch("adopt", job, claim=lambda client: workflow.adopt(job, client, address, found))

    def _job(self, fleet: DesiredFleet) -> Job:
        allow = _ALLOWED if self.chance.random() < 0.4 else {}
        settings = self.settings
        if self.looks_ahead:
            settings = replace(settings, horizon=self.ahead.choice((0.0, 12 * HOUR, 25 * HOUR, 30 * HOUR)))
            self.world.seen.hit("run: looks ahead")
        return Job(fleet, APP_ID, settings=settings, policy=Policy(allow=allow))

    # --- what happens meanwhile

    def _worse(self, usual: Weather) -> Weather:
        """Nearly every agent ends as soon as it has started, as with a refused vendor key; or the service is down, as good as."""
        rates = dict(usual.rates)
        if self.is_down and self.few.random() < 0.6:
            kinds = ["5xx", "unreachable", "request_lost"]
            for operation in KINDS:
                rates[operation] = (0.3 if operation is ServiceCall.LIST else 0.95, kinds, [2.0, 3.0, 4.0])
        if self.is_sick:
            rates[ServiceCall.JOIN] = (0.9, ["dies_at_once"], [1.0])
        return Weather(rates)

    def _happening(self) -> None:
        happenings: tuple[Callable[[], None], ...] = (
            self._stranger_comes,
            self._stranger_comes,
            self._stranger_goes,
            self._agent_ends,
        )
        self.chance.choice(happenings)()

    def _disturb(self) -> None:
        for side in self.sides:
            side.world.checker.disturb()

    def _stranger_comes(self) -> None:
        """An agent of somebody else, in a channel of ours; at times at the uid that one of ours is to have."""
        chance = self.chance
        side = chance.choice(self.sides)
        address = chance.choice(sorted(side.fleet.agents))
        spec = side.fleet.agents[address]
        takes = chance.random() < 0.3
        uid = spec.uid(side.fleet.owner) if takes else str(chance.randrange(1, 900))
        names = (
            "front-desk-bot",
            "other.test.bot.0123456789.1abcdefgh.g1",
            "sim.test2.bot.0123456789.1abcdefgh.g3",
        )
        name = f"{chance.choice(names)}{chance.randrange(100)}"
        self._disturb()
        if self.world.invited(name, address.channel, uid):
            self.world.seen.hit("stranger: took a seat" if takes else "stranger: came")
            self.world.note(f"a stranger comes to {address.channel}/{uid}")

    def _strangers(self) -> list[str]:
        marks = [str(side.fleet.owner) for side in self.sides]
        live = self.world.simulator.world.live()
        by_side = [side.world.checker for side in self.sides]
        return [
            each.agent_id
            for each in live
            if not any(one.is_ours(each, mark) for one, mark in zip(by_side, marks, strict=True))
        ]

    def _stranger_goes(self) -> None:
        if strangers := self._strangers():
            self._disturb()
            self.world.simulator.end(self.chance.choice(strangers))
            self.world.seen.hit("stranger: went")

    def _agent_ends(self) -> None:
        if live := self.world.simulator.world.live():
            agent = self.chance.choice(live)
            self._disturb()
            self.world.simulator.end(agent.agent_id, failed=self.chance.random() < 0.5)
            self.world.note(f"{agent.name} ended behind our back")

    def _restart(self) -> None:
        """The service restarts: everything ends at once, and it forgets names, or keeps them burnt."""
        burnt = self.chance.random() < 0.5
        self._disturb()
        for agent in self.world.simulator.world.live():
            self.world.simulator.end(agent.agent_id, failed=True)
        if burnt:
            self.world.simulator.set_switches(name_reuse="never", get_exited="404")
            self.spent = True
        else:
            self.world.simulator.set_switches(name_reuse="immediately", retention_seconds=1.0)
        self.world.seen.hit(
            "service: restarted, names burnt" if burnt else "service: restarted, names forgotten"
        )
        self.world.note("the service restarts")

    def _trouble(self) -> None:
        """What happens between two rounds, while nobody looks."""
        chance = self.chance
        for agent in self.world.simulator.world.live():
            if chance.random() < 0.08:
                self.world.simulator.end(agent.agent_id, failed=chance.random() < 0.5)
                self.world.note(f"{agent.name} ended behind our back")
        if chance.random() < 0.4:
            self._stranger_comes()
        if chance.random() < 0.06:
            self._restart()
        for side in self.sides:
            if chance.random() < 0.04:
                self._lose(side.world)

    def _lose(self, world: Universe) -> None:
        if world.store.real is not None:
            return
        self.lost = True
        world.lose_state()

    # --- quiet

    def _quiet(self) -> None:
        for side in self.sides:
            calm(side.world)
        if self.chance.random() < 0.5:
            for stranger in self._strangers():
                self.world.simulator.end(stranger)
        # A name that is spent, of which nobody tells anything any more, is given up after a second look, at least
        # the grace after the first.
        pause = self.settings.grace + 1.0 if self.lost or self.spent else 0.0
        for number, side in enumerate(self.sides):
            side.fleet = self._corrected(side) if self.adopts else side.fleet
            job = replace(self._job(side.fleet), policy=Policy(allow=_ALLOWED))
            if self.chance.random() < 0.5:
                side.world.run("apply", job)  # while late calls may still be executed
                self.runs += 1
            approve, retold = self.chance.random() < 0.3, self.few.random() < 0.5
            self.runs += settle(side.world, job, pause=pause, approve=approve, retold=retold)
            if not number and len(self.sides) == 1 and self.chance.random() < 0.06:
                self.runs += vigil(side.world, job)


def _weather(chance: random.Random, stormy: bool) -> Weather:
    """Rates of one life: what changes something meets a fault more often than what only reads."""
    rates: dict[ServiceCall, tuple[float, list[str], list[float]]] = {}
    for operation, kinds in KINDS.items():
        names = [name for name in kinds if chance.random() < 0.5] or sorted(kinds)
        weights = [chance.random() ** 2 + 0.05 for _ in names]
        worst = 0.12 if operation not in _MUTATING else 0.6
        rate = chance.random() * worst if stormy or operation not in _MUTATING else 0.0
        rates[operation] = (rate, names, list(accumulate(weights)))
    return Weather(rates)
