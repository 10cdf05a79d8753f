"""Days of controllers that keep a fleet standing: a leader, who stands by, and a person who applies, in all weather.

The fleet is hours to days old when they start, of any ages. Then agents end in all five ways, calls are lost, the service
is away, processes are killed, paused and started anew, clocks step, files do not load for a while, and people edit them.
`witness.standing` says what must hold meanwhile; in the end it is quiet, and the fleet must be what the files ask for.
"""

from __future__ import annotations

import random
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate

from reconciler.apply.context import Settings
from reconciler.errors import InvalidConfig
from reconciler.model.address import Address
from reconciler.model.fleet import DesiredFleet, Freeze, Limit, Limits
from reconciler.model.spec import AgentSpec, Lifecycle, ReplaceOrder
from reconciler.plan.change import Action
from reconciler.plan.guard import Policy
from reconciler.providers.agora.provider import AgoraProvider
from reconciler.simulator import Agent, Request, ServiceCall, fate
from reconciler.workflow import Job

from . import fleets
from . import world as worlds
from .controllers import Controller, Site, launch
from .driver import LEASE, Clocks
from .faults import KINDS, LATEST, Weather
from .fleets import HOUR
from .memory import footprint, resident
from .translate import files_of, terms_of
from .witness import goal, names
from .witness.judgement import Violation
from .witness.standing import StandingChecker
from .world import APP_ID, Universe

DAY = 24 * HOUR
# The ages, in hours, that agents have when the controllers start.
AGES = (59.0, 71.0)
# After a storm an address may have failed so often that the next try waits for an hour, and late copies are about.
_AFTER_A_STORM = HOUR + LATEST + 120.0
_REBOOT = (5.0, 120.0)
_ALLOWED = {"hang_ups": 9e9, "leave": 9e9, "replace": 9e9, "join": 9e9}
WAYS = ("lifetime", "idle", "stopped", "failed", "never_started")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a life is made of. `interval` is the controllers', in seconds; `calm` lets nothing happen but the clock."""

    days: float = 30.0
    agents: int = 1000
    controllers: int = 3
    interval: float = 600.0
    calm: bool = False


# What a pull request lives.
SHORT = Shape(days=0.8, agents=20, interval=120.0)


def of_ages(seed: int) -> Shape:
    """A fleet of 59 to 71 hours, and nothing but the clock: half a day in which all of it rotates."""
    chance = random.Random(f"{seed} ages")
    return Shape(
        0.5, chance.randint(4, 50), chance.randint(1, 3), chance.choice((30.0, 300.0, 600.0)), calm=True
    )


@dataclass(slots=True)
class Lived:
    """What came of some days: counts, how long heals took (seconds), and the bytes that a controller keeps, day by day."""

    seed: int
    shape: Shape
    counts: Counter[str] = field(default_factory=Counter)
    heals: list[float] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    oldest: float = 0.0
    most_away: int = 0
    resident: list[int] = field(default_factory=list)
    events: int = 0
    fingerprint: str = ""
    problem: str | None = None


def live(
    seed: int, shape: Shape, *, trace: bool = False, say: Callable[[str], None] | None = None
) -> tuple[Lived, Universe]:
    """Live some days. A violated invariant is in the `problem` of what came of them."""
    life = _Days(seed, shape, trace=trace, say=say or (lambda _: None))
    lived = life.lived
    try:
        life.live()
    except Violation as violation:
        lived.problem = f"{violation} (at {life.hours:.2f} h)"
    checker, world = life.checker, life.world
    lived.counts.update(checker.counts)
    lived.counts.update(life.site.told if life.site is not None else {})
    lived.heals, lived.oldest, lived.most_away = checker.heals, checker.oldest, checker.most_away
    lived.events, lived.fingerprint = world.time.events, world.fingerprint
    for invariant, count in checker.asked.items():
        world.seen[f"asked: {invariant}"] += count
    return lived, world


class _Days:
    def __init__(self, seed: int, shape: Shape, *, trace: bool, say: Callable[[str], None]) -> None:
        chance = self.chance = random.Random(f"{seed} days")
        self.shape, self.say = shape, say
        self.lived = Lived(seed, shape)
        stop_seconds = chance.choice((0.2, 5.0, 90.0))
        switches: dict[str, object] = {
            "quota": 100_000,
            "stop_seconds": stop_seconds,
            "start_seconds": chance.choice((0.0, 0.3, 5.0)),
            "name_reuse": chance.choice(("immediately", "never")),
            "conflict_body": chance.choice(("none", "agent_id")),
            "uid_conflict": chance.choice(("accepted", "refused")),
            "list_lag_seconds": chance.choice((0.0, 0.0, 5.0)),
            "retention_seconds": 12 * HOUR,
        }
        self.world = Universe(seed, switches=switches, trace=trace)
        self.world.time.limit = sys.maxsize
        self.away = chance.choice((Limit(percent=10.0), Limit(percent=5.0), Limit(number=2)))
        if shape.agents > 100:
            self.away = Limit(percent=10.0)
        self.limits = Limits(Limit(percent=30.0), self.away, Limit(percent=30.0))
        self.fleet = self._fleet()
        within = (
            2 * 1.2 * shape.interval + min(60.0, max(5.0, shape.interval / 10)) + 60.0 + stop_seconds + 15.0
        )
        self.checker = StandingChecker(self.world, files_of(self.fleet), within=within)
        self.checker.lagging = bool(switches["list_lag_seconds"])
        self.world.checker = self.checker
        self.settings = Settings(parallelism=chance.choice((3, 5)))
        self.site: Site | None = None
        self.controllers: list[Controller | None] = []
        self.storms = 0
        self.refused: set[str] = set()
        self.doomed: Counter[str] = Counter()
        # When an agent of an address was last ended by somebody, and when a person has last applied or edited.
        self.stops: dict[str, float] = {}
        self.applied_at = 0.0
        self.started = 0.0
        self.world.network.script = self._befalls

    @property
    def hours(self) -> float:
        return (self.world.time.now - self.started) / HOUR

    # --- the fleet

    def _fleet(self) -> DesiredFleet:
        specs = []
        for number in range(self.shape.agents):
            order = ReplaceOrder.JOIN_FIRST if self.chance.random() < 0.2 else ReplaceOrder.LEAVE_FIRST
            lifecycle = Lifecycle(replace=order, beside=fleets.Beside.ALLOW)
            address = Address(f"room-{number // 4}", f"desk-{number}")
            specs.append(AgentSpec(address, fleets.body("hello"), lifecycle))
        return replace(fleets.fleet(*specs), limits=self.limits)

    def _of(self, agents: dict[Address, AgentSpec], freezes: tuple[Freeze, ...] = ()) -> DesiredFleet:
        return replace(fleets.fleet(*agents.values()), limits=self.limits, freezes=freezes)

    def _job(self, fleet: DesiredFleet, **policy: object) -> Job:
        return Job(fleet, APP_ID, settings=self.settings, policy=Policy(allow=_ALLOWED, **policy))  # type: ignore[arg-type]  # passed through

    # --- from the first agents to the last quiet

    def live(self) -> None:
        self._grow_old()
        self._controllers_start()
        self._schedule()
        world, shape = self.world, self.shape
        end, step = world.time.now + shape.days * DAY, max(30.0, shape.interval / 4)
        next_day = world.time.now + DAY
        while world.time.now < end:
            world.time.run_for(step)
            self.checker.look()
            world.processes[:] = [each for each in world.processes if each.alive]
            if world.time.now >= next_day:
                next_day += DAY
                self._a_day_is_over()
        self._quiet()

    def _grow_old(self) -> None:
        """People apply the fleet bit by bit, over twelve hours, and let nobody's token run out, until the first is 71 h old."""
        world, chance = self.world, self.chance
        specs = list(self.fleet.agents.values())
        chance.shuffle(specs)
        youngest, oldest = AGES
        batches = sorted(
            chance.uniform(0.0, oldest - youngest) * HOUR for _ in range(min(12, len(specs)) - 1)
        )
        moments = [0.0, *batches]
        cuts = [round(len(specs) * (number + 1) / len(moments)) for number in range(len(moments))]
        applies = [(at, cut, False) for at, cut in zip(moments, cuts, strict=True)]
        applies += [(at * HOUR, len(specs), True) for at in range(15, int(oldest), 5)]
        began = world.time.now
        self.started = began
        for at, count, is_renewal in sorted(applies):
            world.time.run_for(max(0.0, began + at - world.time.now))
            fleet = self._of({each.address: each for each in specs[:count]})
            job = self._job(fleet, only=frozenset({Action.RENEW})) if is_renewal else self._job(fleet)
            world.run("apply", job)
        world.time.run_for(max(0.0, began + oldest * HOUR - world.time.now))
        self.checker.look()

    def _controllers_start(self) -> None:
        self.started = self.world.time.now
        job = Job(
            self.fleet, APP_ID, settings=self.settings, policy=Policy(only=frozenset(Action), heal_stops=1)
        )
        self.site = Site(self.world, job)
        self.checker.forbid(self.world.time.now)
        for number in range(self.shape.controllers):
            self.controllers.append(None)
            self._start(number)

    def _start(self, number: int) -> None:
        """A supervisor starts a controller; while the files do not load it ends at once, and is started again later."""
        assert self.site is not None
        if self.controllers[number] is not None and self.controllers[number].alive:  # type: ignore[union-attr]  # asked just before
            return
        if self.site.broken_since is not None:
            self._nobody_heals()
            self.world.time.after(30.0, partial(self._start, number))
            return
        self.lived.counts["controllers started"] += 1
        clocks = Clocks(
            self.chance.choice((0.0, 0.0, -5.0, 3.0, 40.0)), self.chance.choice((1.0, 1.0, 0.9999, 1.001))
        )
        # Some die in the middle of something, whatever the number of effects that a turn has.
        rate = 0.0 if self.shape.calm else min(0.0003, 0.006 / self.shape.agents)
        label = f"controller{number}.{self.lived.counts['controllers started']}"
        self.controllers[number] = launch(
            self.site,
            label,
            AgoraProvider(worlds.SETTINGS),
            interval=self.shape.interval,
            clocks=clocks,
            crash_rate=rate,
        )

    def _supervise(self) -> None:
        """Whoever was killed is started anew after a while."""
        for number, each in enumerate(self.controllers):
            if each is not None and not each.alive:
                self.controllers[number] = None
                self.lived.counts["controllers ended"] += 1
                pause = self.chance.uniform(*_REBOOT)
                self._nobody_heals(pause)
                self.world.time.after(pause, partial(self._start, number))
        self.world.time.after(5.0, self._supervise)

    def _nobody_heals(self, seconds: float = 30.0) -> None:
        """Somebody who leads, or has the lock, is away: another one goes on after a lease, or this one when it is back."""
        self.checker.forbid(self.world.time.now + seconds + LEASE + 15.0)

    # --- what happens

    def _schedule(self) -> None:
        """Every thing that can happen, some times a day, at times by chance."""
        self.world.time.after(5.0, self._supervise)
        if self.shape.calm:
            return
        ends = max(1.0, self.shape.agents / 100)
        plan: tuple[tuple[Callable[[], None], float], ...] = (
            *((partial(self._one_ends, way), ends) for way in WAYS),
            (self._storm, 2.0),
            (self._service_is_away, 2.0),
            (self._killed, 4.0),
            (self._deployed, 1.0),
            (self._paused, 2.0),
            (self._clock_steps, 1.0),
            (self._files_break, 1.0),
            (self._edited, 2.0),
            (self._frozen, 0.5),
            (self._woken, 3.0),
            (self._joins_are_refused, 0.5),
            (self._stopped_again_and_again, 0.5),
            (self._grows, 0.5),
        )
        for happens, a_day in plan:
            for _ in range(max(1, round(a_day * self.shape.days))):
                # What lasts for hours is over before the end.
                at = self.chance.uniform(0.0, max(0.5, self.shape.days - 0.2)) * DAY
                self.world.time.after(at, happens)

    def _count(self, what: str) -> None:
        self.lived.counts[what] += 1
        self.world.note(what)

    def _some_agent(self) -> tuple[str, Agent] | None:
        """An address that the files ask for, and the agent that runs there and nobody has a hand on."""
        assert self.site is not None
        now = self.world.time.now
        place = {names.place_of(str(each)): str(each) for each in self.site.fleet.agents}
        found = []
        for agent in self.world.simulator.world.live():
            name = names.read(agent.name)
            if (
                name is not None
                and name.place in place
                and agent.left_at is None
                and now - agent.created_at > 90
            ):
                found.append((place[name.place], agent))
        return self.chance.choice(found) if found else None

    def _one_ends(self, way: str, victim: str = "") -> None:
        found = self._some_agent() if not victim else self._at(victim)
        if found is None:
            return
        address, agent = found
        self._count(f"ended: {way}")
        self.checker.disturb()
        service = self.world.simulator
        match way:
            case "lifetime":
                service.end(agent.agent_id, message="Task lifetime limit exceeded", failed=False)
            case "idle":
                service.end(agent.agent_id, message="Idle for too long", failed=False)
            case "stopped":
                self._leaves(agent.agent_id)
                self._stopped(address)
            case "failed":
                service.end(agent.agent_id, message="RTC connection error")
            case _:
                # The next ones of this address end a second after their start: two tries come at once, others later.
                service.end(agent.agent_id, message="RTC connection error")
                self.doomed[address] = self.chance.randint(1, 4)
                self.checker.fails(address)
                self.checker.forbid(self.world.time.now + 2 * HOUR, address)

    def _at(self, address: str) -> tuple[str, Agent] | None:
        place = names.place_of(address)
        for agent in self.world.simulator.world.live():
            name = names.read(agent.name)
            if name is not None and name.place == place and agent.left_at is None:
                return address, agent
        return None

    def _leaves(self, agent_id: str) -> None:
        """Somebody who has the project's credentials ends an agent, and not by this tool."""
        basic = b64encode(":".join(worlds.CUSTOMER).encode()).decode()
        path = f"/api/conversational-ai-agent/v2/projects/{APP_ID}/agents/{agent_id}/leave"
        self.world.simulator.handle(Request("POST", path, "", {"authorization": f"Basic {basic}"}, b""))

    def _stopped_again_and_again(self) -> None:
        """Somebody ends what is joined again: the second time it stays down, until a person has applied."""
        if (found := self._some_agent()) is not None:
            self._one_ends("stopped", found[0])
            self.world.time.after(
                self.chance.uniform(900.0, 2400.0), partial(self._one_ends, "stopped", found[0])
            )

    def _stopped(self, address: str) -> None:
        """What somebody has ended twice within an hour stays down, whoever is started anew, until a person applies."""
        now = self.world.time.now
        earlier, self.stops[address] = self.stops.get(address, 0.0), now
        if now - earlier > HOUR + 600.0:
            return
        self._count("ended twice within an hour")
        self.checker.forbid(now + 3 * HOUR, address)
        if now - earlier < HOUR - 60.0 and self.applied_at < earlier:
            self.checker.keeps_ending.add(names.place_of(address))
            self.world.time.after(self.checker.within / 2, self._all_killed)
        self.world.time.after(self.checker.within + 900.0, partial(self._applied_for, address))

    def _applied_for(self, address: str) -> None:
        """A person applies because of an address; where that failed in a storm, they do so again half an hour later."""
        self._applied()
        self.world.time.after(1800.0, lambda: None if self._at(address) is not None else self._applied())

    def _joins_are_refused(self) -> None:
        """The service refuses an address's joins for an hour and a half, while the controllers are started anew and anew."""
        found = self._some_agent()
        if found is None:
            return
        address, agent = found
        self._count("joins of an address refused")
        self.refused.add(names.place_of(address))
        self.checker.fails(address)
        self.checker.forbid(self.world.time.now + 4 * HOUR, address)
        self.world.simulator.end(agent.agent_id, message="RTC connection error")
        for minutes in range(5, 60, 9):
            self.world.time.after(minutes * 60.0, self._all_killed)
        self.world.time.after(1.5 * HOUR, partial(self.refused.discard, names.place_of(address)))

    # --- the service

    def _befalls(self, call: worlds.Call) -> tuple[str, object] | None:
        """The fate of one call: what the weather sends, or what was arranged for its address."""
        if call.operation is ServiceCall.JOIN:
            name = names.read(call.name)
            if name is not None and name.place in self.refused:
                return "refused", fate("refuse", status=400)
            address = next((each for each in self.doomed if name and names.place_of(each) == name.place), "")
            if address and self.doomed[address] > 0:
                self.doomed[address] -= 1
                self.checker.doomed(21.0)
                return "doomed", fate("doom", seconds=self.chance.choice((1.0, 2.5)))
        return self.world.weather.fate(call.operation, self.world.chance)

    def _weather(self, weather: Weather, seconds: float) -> None:
        self.storms += 1
        self.world.weather = weather
        self.checker.forbid(self.world.time.now + seconds + _AFTER_A_STORM + self.shape.interval)
        self.world.time.after(seconds, self._fair)

    def _fair(self) -> None:
        self.storms -= 1
        if not self.storms:
            self.world.weather = Weather()
            self.world.store.failure_rate = self.world.store.unknown_rate = self.world.store.slow_rate = 0.0

    def _storm(self) -> None:
        """Calls meet every fate; at times the disk does, too."""
        self._count("storms")
        chance = self.chance
        rates: dict[ServiceCall, tuple[float, list[str], list[float]]] = {}
        for operation, kinds in KINDS.items():
            chosen = [name for name in kinds if chance.random() < 0.5] or sorted(kinds)
            weights = [chance.random() ** 2 + 0.05 for _ in chosen]
            rates[operation] = (chance.random() * 0.5, chosen, list(accumulate(weights)))
        if chance.random() < 0.3:
            self.world.store.failure_rate, self.world.store.unknown_rate = 0.02, 0.05
            self.world.store.slow_rate = 0.1
        self._weather(Weather(rates), chance.uniform(120.0, 1200.0))

    def _service_is_away(self) -> None:
        """For minutes nobody answers, or everybody is told to come later."""
        self._count("the service was away")
        kind = self.chance.choice(("unreachable", "5xx", "429", "request_lost"))
        self._weather(_all_calls(kind), self.chance.uniform(60.0, 600.0))

    # --- the processes

    def _standing(self) -> list[Controller]:
        return [each for each in self.controllers if each is not None and each.alive]

    def _killed(self) -> None:
        if found := self._standing():
            self._count("killed")
            self._nobody_heals()
            self.chance.choice(found).kill()

    def _all_killed(self) -> None:
        self._nobody_heals()
        for each in self._standing():
            each.kill()

    def _deployed(self) -> None:
        """One after the other is told to stop, and started anew."""
        self._count("deployed")
        for number, each in enumerate(self._standing()):
            self.world.time.after(60.0 * number, each.stop)
        self._nobody_heals(60.0 * self.shape.controllers)

    def _paused(self) -> None:
        if found := self._standing():
            self._count("paused")
            seconds = self.chance.choice((2.0, 20.0, 70.0, 400.0))
            self._nobody_heals(seconds)
            self.chance.choice(found).pause(seconds)

    def _clock_steps(self) -> None:
        if found := self._standing():
            self._count("clock stepped")
            clocks = self.chance.choice(found).clocks
            clocks.ahead += self.chance.choice((-120.0, -5.0, 5.0, 120.0))
            self.world.time.after(600.0, partial(setattr, clocks, "ahead", 0.0))

    def _woken(self) -> None:
        for each in self._standing():
            each.wake("signal")

    # --- people

    def _files_break(self) -> None:
        """Somebody writes files that do not load, for an hour at most; what they asked before goes on.

        At times the last thing before them was an edit that takes an agent out, and the service was away when it was read.
        """
        assert self.site is not None
        if self.site.broken_since is not None:
            return
        self._count("files did not load")
        pause = 0.0
        if self.chance.random() < 0.7:
            agents = dict(self.site.fleet.agents)
            fleets.remove(agents, self.chance)
            self._weather(_all_calls("unreachable"), 120.0)
            self._write(self._of(agents))
            self._woken()
            pause = 100.0
        self.world.time.after(pause, self._break)

    def _break(self) -> None:
        assert self.site is not None
        if self.site.broken_since is None:
            self.site.write(InvalidConfig([]))
            self.checker.broken_since = self.world.time.now
            self.world.time.after(self.chance.uniform(300.0, 3600.0), self._mended)

    def _mended(self) -> None:
        assert self.site is not None
        self._write(self.site.fleet)

    def _write(self, fleet: DesiredFleet) -> None:
        assert self.site is not None
        self.site.write(fleet)
        self.checker.broken_since = None
        self.applied_at = self.world.time.now
        self.checker.keeps_ending.clear()
        self.checker.files = files_of(fleet)
        # Until they are read, and what is new is joined.
        self.checker.forbid(self.world.time.now + 30.0)

    def _edited(self) -> None:
        """Somebody changes some prompts and voices, takes agents out and puts others in; then applies, or lets it be done."""
        assert self.site is not None
        if self.site.broken_since is not None:
            return
        self._count("files edited")
        chance = self.chance
        agents = dict(self.site.fleet.agents)
        for _ in range(chance.randint(1, 3)):
            chance.choice((fleets.prompt, fleets.prompt, fleets.voice))(agents, chance)
        if chance.random() < 0.4:
            fleets.remove(agents, chance)
        gone = [each for each in self.fleet.agents if each not in agents]
        if gone and chance.random() < 0.5:
            back = chance.choice(gone)
            agents[back] = self.fleet.agents[back]
        self._write(self._of(agents))
        if chance.random() < 0.6:
            self.world.time.after(chance.uniform(1.0, 60.0), self._applied)

    def _grows(self) -> None:
        """Many agents are put in at once, and a person who is in a hurry waits for the turn that joins them; then out again."""
        assert self.site is not None
        if self.site.broken_since is not None:
            return
        self._count("files grew")
        more = [Address(f"hall-{number}", "guest") for number in range(40)]
        agents = dict(self.site.fleet.agents)
        agents |= {
            each: AgentSpec(each, fleets.body("welcome"), Lifecycle(beside=fleets.Beside.ALLOW))
            for each in more
        }
        self._write(self._of(agents))
        self._woken()
        self.world.time.after(self.chance.uniform(0.3, 1.0), self._applied)
        self.world.time.after(HOUR, partial(self._shrinks, more))

    def _shrinks(self, less: list[Address]) -> None:
        """More is taken out than a controller may end by itself: a person applies it."""
        assert self.site is not None
        if self.site.broken_since is not None:
            self.world.time.after(600.0, partial(self._shrinks, less))
            return
        self._write(self._of({at: each for at, each in self.site.fleet.agents.items() if at not in less}))
        self.world.time.after(self.chance.uniform(1.0, 300.0), self._applied)

    def _applied(self) -> None:
        """A person applies what the files say."""
        assert self.site is not None
        if self.site.broken_since is not None:
            return
        self._count("applied by a person")
        self.applied_at = self.world.time.now
        self.checker.keeps_ending.clear()
        clocks = Clocks(self.chance.choice((0.0, -5.0, 20.0)))
        self.world.launch("apply", self._job(self.site.fleet), clocks=clocks)

    def _frozen(self) -> None:
        """The files hold some kinds for some hours: where joins are among them, nothing can be healed."""
        assert self.site is not None
        if self.site.broken_since is not None:
            return
        self._count("frozen")
        seconds = self.chance.uniform(0.5, 3.0) * HOUR
        kinds = self.chance.choice((("update", "replace", "leave", "rotate"), ("rotate",), ("join", "leave")))
        freeze = Freeze(self.world.time.now + seconds, "a fair", ("*",), frozenset(kinds))
        if "join" in kinds:
            self.checker.forbid(freeze.until + self.shape.interval)
        self._write(self._of(dict(self.site.fleet.agents), (freeze,)))

    # --- days, and the end

    def _a_day_is_over(self) -> None:
        """What is long over is forgotten by the world, so that looking at it costs the same every day; memory is measured."""
        self.world.forget_before(self.world.time.now - 12 * HOUR)
        standing = self._standing()
        if standing:
            kept = max(footprint(each.standing) for each in standing)
            self.lived.kept.append(kept)
            self.lived.resident.append(resident())
            day, agents = len(self.lived.kept), len(self.world.simulator.world.live())
            self.say(
                f"day {day}: {agents} agents run, {len(self.checker.heals)} healed, {self.world.time.events:,} events, "
                f"a controller keeps {kept / 1e6:.2f} MB, this process {resident() / 1e6:.0f} MB"
            )

    def _quiet(self) -> None:
        """Nothing happens any more: the controllers bring the fleet to what the files ask, and then leave it alone."""
        assert self.site is not None
        world = self.world
        self.refused.clear()
        self.doomed.clear()
        self._fair()
        if self.site.broken_since is not None:
            self._mended()
        for each in self._standing():
            each.crash_rate = 0.0
        world.time.run_for(_AFTER_A_STORM)
        self._applied()
        for _ in range(8):
            world.time.run_for(HOUR / 2)
            self.checker.look()
        problem = next(goal.unsettled(self.checker, terms_of(self.site.job)), None)
        if problem is not None:
            raise Violation("I5", f"after four quiet hours {problem}")
        kept = self.lived.kept
        if len(kept) > 2 and kept[-1] > 1.05 * max(kept[:2]) + 50_000:
            raise Violation(
                "memory", f"a controller keeps {kept[-1]:,} bytes, and kept {max(kept[:2]):,} after two days"
            )


def _all_calls(kind: str) -> Weather:
    """Nearly all calls meet one fate."""
    return Weather({each: (0.98, [kind], [1.0]) for each in KINDS})
