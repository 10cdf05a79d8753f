"""The simulated driver of a controller: its loop, its turns, the files that it reads, and who leads.

The generators of `reconciler.controller` run as they are. What `driver.controller` and `driver.leading` do around them is
done here in virtual time: a turn is a run of its own, which ends with its controller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from reconciler.controller.loop import FleetLoop, LeadChanged, TurnEnded
from reconciler.controller.roll import Roll
from reconciler.errors import ReconcilerError
from reconciler.model.fleet import DesiredFleet
from reconciler.ports import Effect, Lead, ReadFiles, Run, WaitUntilWoken
from reconciler.workflow import Job

from .driver import Clocks, Fiber, Process
from .translate import terms_of
from .world import Universe

# How long the lead outlasts its holder's last sign of life, and how often one is given, seconds.
LEAD = 15.0
_SIGN = 5.0


class Site:
    """What the controllers of one fleet share: its files, and the lead. `told` counts what they say."""

    def __init__(self, world: Universe, job: Job) -> None:
        self.world = world
        self.job = job
        self.told: Counter[str] = Counter()
        self.version = 0
        self.files: DesiredFleet | ReconcilerError = job.fleet
        self.broken_since: float | None = None
        self._leader: Controller | None = None
        # When the leader was last alive to give a sign.
        self._signed = 0.0

    @property
    def fleet(self) -> DesiredFleet:
        """The last good files."""
        return self.job.fleet

    def write(self, files: DesiredFleet | ReconcilerError) -> None:
        """Somebody writes the files: a fleet, or what does not load."""
        self.files = files
        self.version += 1
        if isinstance(files, ReconcilerError):
            self.broken_since = self.world.time.now
        else:
            self.broken_since = None
            self.job = replace(self.job, fleet=files)

    # --- the lead

    def lead(self, controller: Controller) -> bool:
        """Whether a controller leads now; it takes the lead where nobody has it, or whoever has it gave no sign."""
        now = self.world.time.now
        if self._leader is not controller and self._leader is not None:
            if self._leader.alive and self._leader.paused_until <= now:
                self._signed = now
            if now - self._signed < LEAD:
                return False
            self._leader.loses_the_lead()
            self.world.seen.hit("lead: taken over")
        self._leader, self._signed = controller, now
        return True

    def silent(self, controller: Controller) -> None:
        """A controller gives no sign from now on: it was killed, or it is paused."""
        if self._leader is controller:
            self._signed = self.world.time.now

    def gives_back(self, controller: Controller) -> None:
        """A controller that ends in order leads no more."""
        if self._leader is controller:
            self._leader = None


@dataclass(eq=False, slots=True)
class Turn(Process):
    """A run within a controller, with its clocks."""

    of: Controller | None = None
    tell: Callable[[Any, BaseException | None], None] | None = None

    def kill(self) -> None:
        """No run is killed without its process."""
        assert self.of is not None
        self.of.kill()

    def _ended(self, result: Any, error: BaseException | None) -> None:
        Process._ended(self, result, error)
        assert self.tell is not None
        self.world.time.after(0.0, partial(self.tell, result, error))


@dataclass(eq=False, slots=True)
class Controller(Process):
    """A process of `reconciler watch` for one fleet."""

    site: Site | None = None
    standing: FleetLoop | None = None
    turn: Turn | None = None
    turns: int = 0
    _files_read: int = 0
    _wakers: set[str] = field(default_factory=set)
    _waits_for: tuple[Fiber, list[bool]] | None = None

    # --- life

    def kill(self) -> None:
        """The process ends at once, and the turn under way with it."""
        if not self.alive:
            return
        if self.site is not None:
            self.site.silent(self)
        if self.turn is not None and self.turn.alive:
            Process.kill(self.turn)
        Process.kill(self)

    def stop(self) -> None:
        """What SIGTERM does."""
        Process.stop(self)
        if not self.stopping:
            return
        if self.turn is not None:
            self.turn.stop()
        self.wake("stop")

    def pause(self, seconds: float) -> None:
        """The process is stopped, its turn and its signs of life too."""
        Process.pause(self, seconds)
        if self.site is not None:
            self.site.silent(self)
        if self.turn is not None:
            self.turn.pause(seconds)

    def loses_the_lead(self) -> None:
        """Somebody else has taken the lead: the turn under way starts nothing new, once a sign of life has told so."""
        at = max(self.paused_until, self.world.time.now) + self.world.chance.uniform(0.0, _SIGN)
        self.world.time.at(at, self._end_turn)

    def _end_turn(self) -> None:
        if self.turn is not None:
            self.turn.stop()

    def wake(self, source: str) -> None:
        """Let the loop come round now."""
        self._wakers.add(source)
        if self._waits_for is not None:
            self._end_wait(*self._waits_for)

    # --- effects

    def _perform_standing(self, fiber: Fiber, effect: Effect, token: list[bool]) -> None:
        assert self.site is not None
        time = self.world.time
        match effect:
            case Lead():
                time.after(0.001, partial(self._answer_lead, fiber, token))
            case ReadFiles():
                time.after(0.001, partial(self._answer_files, fiber, token))
            case WaitUntilWoken(seconds):
                self._waits_for = (fiber, token)
                pause = 0.001 if self._wakers or self.stopping else seconds / self.clocks.rate
                time.after(pause, partial(self._end_wait, fiber, token))
            case Run(steps):
                self._run(steps, lambda value, error: self._answer_once(fiber, token, value, error))
            case _:
                Process._perform_standing(self, fiber, effect, token)

    def _answer_lead(self, fiber: Fiber, token: list[bool]) -> None:
        assert self.site is not None
        if self.alive and not self._waits(partial(self._answer_lead, fiber, token)):
            self._answer_once(fiber, token, self.site.lead(self))

    def _answer_files(self, fiber: Fiber, token: list[bool]) -> None:
        assert self.site is not None
        site, value = self.site, None
        problem: ReconcilerError | None = None
        if self._files_read != site.version:
            self._files_read = site.version
            if isinstance(site.files, ReconcilerError):
                problem = site.files
            else:
                value = site.files
        self._answer_once(fiber, token, value, problem)

    def _end_wait(self, fiber: Fiber, token: list[bool]) -> None:
        if not self.alive or not token[0] or self._waits(partial(self._end_wait, fiber, token)):
            return
        self._waits_for = None
        woken, self._wakers = dict.fromkeys(self._wakers, 1), set()
        self._answer_once(fiber, token, woken)

    def _run(self, steps: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """A run of its own: what it has lost, its lease above all, the next one may have again."""
        assert self.standing is not None
        self.turns += 1
        turn = Turn(
            self.world,
            f"{self.label}.{self.turns}",
            self.clocks,
            crash_rate=self.crash_rate,
            of=self,
            tell=done,
        )
        turn.started, turn.paused_until, turn.stopping = self.started, self.paused_until, self.stopping
        self.turn = turn
        self.world.checker.began(turn, "turn", terms_of(self.standing.job))
        turn.start(steps())

    def _said(self, event: object) -> None:
        Process._said(self, event)
        assert self.site is not None
        match event:
            case TurnEnded(turned):
                self.site.told[f"turns: {turned.result}"] += 1
                self.site.told.update(f"ends told of: {each.kind}" for each in turned.ends)
            case LeadChanged(leads):
                self.site.told["leads" if leads else "stands by"] += 1
            case _:
                pass

    def _ended(self, result: Any, error: BaseException | None) -> None:
        Process._ended(self, result, error)
        if self.site is not None:
            self.site.gives_back(self)


def launch(
    site: Site,
    label: str,
    provider: Any,
    *,
    interval: float,
    clocks: Clocks | None = None,
    crash_rate: float = 0.0,
) -> Controller:
    """A controller that is started now, with the files as they are."""
    world = site.world
    sleep = min(60.0, max(5.0, interval / 10))
    standing = FleetLoop(site.job, provider, Roll(interval=interval), longest_sleep=sleep)
    controller = Controller(
        world, label, clocks or Clocks(), crash_rate=crash_rate, site=site, standing=standing
    )
    controller._files_read = site.version
    world.note(f"{label} started")
    world.checker.began(controller, "stand", terms_of(site.job))
    controller.start(standing.stand())
    return controller
