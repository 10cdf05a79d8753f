"""One random life of one fleet: some rounds in bad weather, then quiet, in which it must settle.

A round is an edit, one to three writers at the same time (or one after the other, as cron would have them), and a
pause. In the quiet at the end, once nothing is under way any more, at most two passes bring the fleet to what the
files ask, and the third makes no mutating call and leaves the state's bytes as they are.
"""

from __future__ import annotations

import random
import traceback
from dataclasses import dataclass
from functools import partial

from reconciler.apply.context import Settings
from reconciler.workflow import Job

from .driver import Clocks
from .faults import random_weather
from .fleets import HOUR, edited, random_fleet
from .quiet import calm, settle
from .sometimes import Seen
from .witness.judgement import Violation
from .world import APP_ID, Universe

_GAPS = (1.0, 5.0, 60.0, 600.0, 2 * HOUR, 13 * HOUR, 30 * HOUR, 61 * HOUR, 73 * HOUR)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a seed."""

    seed: int
    fingerprint: str
    seen: Seen
    runs: int
    events: int
    writers: int = 1
    problem: str | None = None


def live(seed: int, *, trace: bool = False) -> tuple[Outcome, Universe]:
    """Live one life. A violated invariant is in the outcome's `problem`."""
    life = _Life(seed, trace=trace)
    problem: str | None = None
    try:
        life.live()
    except Violation as violation:
        problem = str(violation)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        life.world.note("".join(traceback.format_exception(error)) if trace else problem)
    world = life.world
    return Outcome(
        seed, world.fingerprint, world.seen, life.runs, world.time.events, len(life.writers), problem
    ), world


def random_switches(chance: random.Random) -> dict[str, object]:
    """How this seed's service is, where the documents leave it open: every combination may come up."""
    pick = chance.choice
    return {
        "name_scope": pick(("project", "channel")),
        "name_reuse": pick(("immediately", "after_seconds", "never")),
        "name_reuse_seconds": pick((1.0, 60.0, 3600.0)),
        "conflict_body": pick(("none", "agent_id", "task_id")),
        "uid_conflict": pick(("accepted", "refused", "kicks")),
        "quota": pick((20, 20, 20, 4)),
        "quota_status": pick((422, 429)),
        "requests_per_second": pick((0.0, 0.0, 0.0, 5.0, 20.0)),
        "retry_after": pick(("none", "seconds", "date")),
        "list_lag_seconds": pick((0.0, 0.0, 0.0, 2.0, 30.0, 240.0)),
        "list_state_comma": pick(("accepted", "accepted", "refused")),
        "list_state5": pick(("accepted", "refused")),
        "list_limit_max": pick((100, 100, 20, 3)),
        "list_limit_over": pick(("clamp", "refuse")),
        "list_total": pick(("matching", "matching", "page")),
        "list_cursor": pick(("exclusive", "inclusive", "overlapping")),
        "list_last_cursor": pick(("empty", "absent", "always")),
        "list_order": pick(("newest", "oldest")),
        "list_time": pick(("created", "active")),
        "join_status": pick(("RUNNING", "STARTING", "IDLE")),
        "start_seconds": pick((0.0, 0.3, 5.0)),
        "stop_seconds": pick((0.0, 0.2, 5.0)),
        "rtc_token": pick(("fails", "refused")),
        "get_exited": pick(("stopped", "404")),
        "retention_seconds": pick((604800.0, 600.0)),
        "live_stop_ts": pick(("zero", "absent", "null")),
        "leave_unknown": pick(("404", "200")),
        "leave_stopping": pick(("200", "404", "409")),
        "leave_body": pick(("empty", "object")),
        "update_reply": pick(("status", "state")),
        "update_outside_running": pick(("accepted", "refused")),
        "latency_seconds": pick((0.0, 0.0, 0.3)),
    }


class _Life:
    def __init__(self, seed: int, *, trace: bool) -> None:
        chance = random.Random(seed ^ 0x5EED)
        switches = random_switches(chance)
        if switches["list_limit_over"] == "refuse":
            switches["list_limit_max"] = max(20, int(str(switches["list_limit_max"])))
        worst = chance.choice((0.0, 0.05, 0.2, 0.4))
        self.chance = chance
        self.mishaps = random.Random(f"{seed} mishaps")  # apart: what came later moves no earlier seed
        self.world = Universe(seed, switches=switches, weather=random_weather(chance, worst), trace=trace)
        self.world.store.failure_rate = chance.choice((0.0, 0.0, 0.0, 0.03))
        self.world.store.mishaps = random.Random(f"{seed} store")  # apart, too
        self.world.store.unknown_rate = self.world.store.mishaps.choice((0.0, 0.0, 0.05, 0.2))
        self.world.store.slow_rate = self.world.store.mishaps.choice((0.0, 0.0, 0.05, 0.2))
        self.world.locks.broken = chance.random() < 0.25
        self.crash_rate = chance.choice((0.0, 0.0, 0.003, 0.02))
        self.writers = [random_clocks(chance) for _ in range(chance.choice((1, 1, 2, 3)))]
        self.settings = Settings(parallelism=chance.choice((1, 3, 10)))
        self.fleet = random_fleet(chance)
        self.earlier = [self.fleet]
        self.world.checker.lagging = bool(switches["list_lag_seconds"])
        self.lost = False
        self.names_are_spent = switches["name_reuse"] != "immediately"
        self.runs = 0
        self.strangers: list[str] = []

    def live(self) -> None:
        if self.chance.random() < 0.3:
            self._strangers()
        for number in range(self.chance.randint(1, 4)):
            if number:
                self.fleet = edited(self.fleet, self.chance)
                if self.mishaps.random() < 0.15:
                    self.fleet = self.mishaps.choice(self.earlier)  # somebody reverts a commit
                self.earlier.append(self.fleet)
                self._trouble()
            self._round()
            self.world.time.run_for(self.chance.choice(_GAPS))
            self.world.checker.check_world()
        self._quiet()

    # --- bad weather

    def _round(self) -> None:
        """Every writer starts a run, some seconds apart, and perhaps another one when that was killed."""
        for clocks in self.writers:
            for start in range(self.chance.choice((1, 1, 2))):
                delay = self.chance.uniform(0.0, 10.0) + 30.0 * start
                self.world.time.after(delay, partial(self._start, clocks))
        pending = len(self.writers) * 2
        while pending:
            self.world.time.run_for(45.0)
            self.world.finish()
            pending -= 1
            if self.world.time.idle:
                break

    def _start(self, clocks: Clocks) -> None:
        verb = self.chance.choice(("apply",) * 6 + ("plan", "drift"))
        poor = self.mishaps.random() < 0.03
        process = self.world.launch(verb, self._job(), clocks=clocks, crash_rate=self.crash_rate, poor=poor)
        self.runs += 1
        if self.chance.random() < 0.05:
            self.world.time.after(self.chance.uniform(0.0, 5.0), process.stop)

    def _job(self) -> Job:
        return Job(self.fleet, APP_ID, settings=self.settings)

    def _strangers(self) -> None:
        """Agents of somebody else, in a channel of ours."""
        address = self.chance.choice(sorted(self.fleet.agents))
        names = ("front-desk-bot", "other.test.bot.0123456789.1abcdefgh.g1")
        for name, uid in zip(names, self.chance.sample(range(1, 900), 2), strict=True):
            self.world.join_stranger(name, address.channel, uid=str(uid))

    def _trouble(self) -> None:
        """What happens to agents and to the state while nobody looks."""
        world, chance = self.world, self.chance
        for agent in world.simulator.world.live():
            if chance.random() < 0.1:
                world.simulator.end(agent.agent_id, failed=chance.random() < 0.5)
                world.note(f"{agent.name} ended behind our back")
        if chance.random() < 0.05:
            self.lost = True
            world.lose_state()

    # --- quiet

    def _quiet(self) -> None:
        calm(self.world)
        if self.chance.random() < 0.5:
            self.world.run("apply", self._job())  # while late calls may still be executed
            self.runs += 1
        # A name that is spent, of which nobody tells anything any more, is given up after a second look, at least
        # the grace after the first.
        pause = self.settings.grace + 1.0 if self.lost or self.names_are_spent else 0.0
        self.runs += settle(self.world, self._job(), pause=pause, approve=self.chance.random() < 0.3)


def random_clocks(chance: random.Random) -> Clocks:
    ahead = chance.choice((0.0, 0.0, chance.uniform(-60.0, 60.0), chance.uniform(-600.0, 600.0)))
    return Clocks(ahead, chance.choice((1.0, 1.0, chance.uniform(0.9, 1.1))))
