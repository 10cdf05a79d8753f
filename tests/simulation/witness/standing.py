"""What must hold of a fleet that controllers keep standing, at every instant, whatever becomes of them.

No token runs out, nobody reaches the service's limit, few are away for their rotation, what has ended is back within a
bound, somebody who waits for the state is let in, and a join that fails costs few calls. What a person or the weather
forbids excuses for as long as it lasts, never more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from reconciler.simulator import Agent, ServiceCall, Status

from . import budget, names
from .checker import Checker, Run
from .judgement import Violation
from .words import Files, Outcome, Terms

if TYPE_CHECKING:
    from tests.simulation.driver import Fiber, Process
    from tests.simulation.world import Call, Universe

HOUR = 3_600.0
# A turn starts nothing new after half a minute; a call takes up to another one.
_LONGEST_TURN = 60.0
# How long somebody knocks before a turn must have heard it.
_HEARD = 0.3
# How many joins of an address that keep failing cost at most, in their first hour.
_JOINS_IN_AN_HOUR = 12


class StandingChecker(Checker):
    """Watches a world in which controllers keep a fleet. `within` is how soon what has ended must be back, seconds."""

    def __init__(self, world: Universe, files: Files, *, within: float) -> None:
        super().__init__(world)
        self.files = files
        self.within = within
        self.heals: list[float] = []
        self.counts: Counter[str] = Counter()
        self.most_away = 0
        self.oldest = 0.0
        # Until when nobody can be asked to heal anything, and until when not at one address.
        self._forbidden_until = 0.0
        self._forbidden_at: dict[str, float] = {}
        self._down: dict[str, float] = {}
        self._rotated: dict[str, str] = {}
        # Those beside whom their successor was joined by a rotation: a later turn only ends what that one has begun.
        self._overlapped: set[str] = set()
        self._away: set[str] = set()
        self._after_a_knock: Counter[Process] = Counter()
        self._without_files: set[Process] = set()
        self._failing: dict[str, float] = {}
        self._tried: defaultdict[str, list[float]] = defaultdict(list)
        self._looked_until = world.time.now
        # Since when the files do not load, None where they do.
        self.broken_since: float | None = None
        # The places whose agents somebody has ended again and again.
        self.keeps_ending: set[str] = set()

    # --- what excuses

    def forbid(self, until: float, address: str = "") -> None:
        """Until then nothing can be healed, because of the weather or of what a person does: nowhere, or not there."""
        if address:
            self._forbidden_at[address] = max(until, self._forbidden_at.get(address, 0.0))
        else:
            self._forbidden_until = max(until, self._forbidden_until)

    def fails(self, address: str) -> None:
        """From now on the joins of an address fail: a controller tries a few times an hour, whoever restarts it."""
        self._failing[address] = self.world.time.now
        self._tried[names.place_of(address)].clear()

    # --- runs

    def began(self, process: Process, verb: str, terms: Terms) -> None:
        super().began(process, verb, terms)
        # A round reads the files, and begins its turn a moment later.
        if verb == "turn" and self.broken_since is not None and self.world.time.now - self.broken_since > 1.0:
            self._without_files.add(process)

    def ended(self, process: Process, outcome: Outcome | None) -> None:
        super().ended(process, outcome)
        self._without_files.discard(process)
        self._after_a_knock.pop(process, None)

    def held(self, process: Process, since: float) -> None:
        """I23: a turn gives the lock back within its time, whatever it has begun."""
        if (
            self._runs[process].verb != "turn"
            or since < self._forbidden_until
            or process.paused_until > since
        ):
            return
        self.asked["I23"] += 1
        if self.world.time.now - since > _LONGEST_TURN:
            raise Violation("I23", f"a turn has held the lock for {self.world.time.now - since:.0f} s")

    # --- calls

    def _mutation(self, call: Call, run: Run, fiber: Fiber) -> None:
        super()._mutation(call, run, fiber)
        row = run.planned_for(call.agent_id) if call.agent_id else None
        if call.operation is ServiceCall.LEAVE and row is not None:
            self._rotated[call.agent_id] = row.address if row.action == "rotate" else ""
        if run.verb != "turn":
            return
        if call.operation is ServiceCall.JOIN and (name := names.read(call.name)) is not None:
            rotations = (each for each in run.plan or () if each.action == "rotate")
            self._overlapped |= {
                each.agent_id for each in rotations if names.place_of(each.address) == name.place
            }
        self._hears_a_knock(call, run)
        if call.process in self._without_files and row is not None:
            self.asked["I11"] += 1
            is_left = call.operation is ServiceCall.LEAVE and row.action in ("leave", "replace")
            if is_left and call.agent_id not in self._overlapped:
                raise Violation("I11", f"{row.address} is left while the files do not load")
        if call.operation is ServiceCall.JOIN:
            self._brakes(call)

    def _hears_a_knock(self, call: Call, run: Run) -> None:
        """I23: while somebody waits for the lock, a turn ends what it has begun, and begins nothing new."""
        if self.world.locks.waited <= _HEARD or not self.world.locks.holds(call.process):
            return
        self.asked["I23"] += 1
        self._after_a_knock[call.process] += 1
        if self._after_a_knock[call.process] > 3 * run.terms.in_flight:
            count = self._after_a_knock[call.process]
            raise Violation("I23", f"a turn made {count} calls while somebody waited for the lock")

    def _brakes(self, call: Call) -> None:
        """A join that keeps failing costs a few calls in its first hour, restarts included."""
        name = names.read(call.name)
        if name is None:
            return
        now = self.world.time.now
        self.asked["I22"] += 1
        if name.place in self.keeps_ending:
            raise Violation("I22", f"{call.name} was joined, although somebody keeps ending it")
        for address, since in list(self._failing.items()):
            if now - since > HOUR:
                del self._failing[address]
            elif names.place_of(address) == name.place:
                self.asked["I13"] += 1
                self._tried[name.place].append(now)
                if len(self._tried[name.place]) > _JOINS_IN_AN_HOUR:
                    minutes = (now - since) / 60
                    raise Violation(
                        "I13", f"{address} was joined {_JOINS_IN_AN_HOUR + 1} times in {minutes:.0f} min"
                    )

    def arrived(self, call: Call, fate: str) -> None:
        super().arrived(call, fate)
        if call.operation is ServiceCall.LEAVE:
            self._rotates(call)

    def _rotates(self, call: Call) -> None:
        """I21: of all that run, no more are away for their rotation than the files let be away."""
        address = self._rotated.get(call.agent_id, "")
        if not address or self.world.simulator.world.agent(call.agent_id).left_at is None:
            return
        up = self._places()
        self._away = {each for each in self._away if each not in up}
        place = names.place_of(address)
        if place not in up:
            self._away.add(place)
        self.asked["I21"] += 1
        self.most_away = max(self.most_away, len(self._away))
        bound = budget.allowed(self.files.rotations, len(self.files.wishes))
        if len(self._away) > bound:
            raise Violation("I21", f"{len(self._away)} are away for their rotation at once, {bound} may be")

    # --- the world

    def _places(self) -> dict[str, Agent]:
        """Where an agent of ours runs that was not told to leave."""
        now, found = self.world.time.now, {}
        for agent in self.live():
            name = names.read(agent.name)
            if (
                name is not None
                and name.mark == self.files.mark
                and agent.status_at(now) is not Status.STOPPING
            ):
                found[name.place] = agent
        return found

    def look(self) -> None:
        """All that the clock alone brings about; to be called every now and then."""
        now = self.world.time.now
        self.check_world()
        self._lives_well(now)
        holder = self.world.locks.holder
        if holder is not None and (holder not in self._runs or self._runs[holder].verb != "turn"):
            self.forbid(now + self.within)  # a person's apply is at work
        up = self._places()
        self.oldest = max([self.oldest, *(now - each.created_at for each in up.values())])
        self.asked["I5"] += 1
        for address, wish in self.files.wishes.items():
            if wish.paused or names.place_of(address) in up:
                since = self._down.pop(address, None)
                if since is not None:
                    self.heals.append(now - since)
                continue
            since = self._down.setdefault(address, now)
            excused = max(since, self._forbidden_until, self._forbidden_at.get(address, 0.0))
            if now - excused > self.within:
                raise Violation(
                    "I5", f"{address} has been down for {now - since:.0f} s, and nothing forbids to join it"
                )
        for address in set(self._down) - set(self.files.wishes):
            del self._down[address]

    def _lives_well(self, now: float) -> None:
        """I14, I21: of the agents that have ended since the last look, none did for its token or its age."""
        self.asked["I14"] += 1
        for agent in self.world.simulator.world.agents():
            if not self._looked_until < agent.end.at <= now:
                continue
            name = names.read(agent.name)
            if name is None or name.mark != self.files.mark:
                continue
            if agent.end.at == agent.lifetime_until:
                raise Violation("I21", f"{agent.name} was ended by the service's limit")
            if agent.token_until is not None and agent.end.at == agent.token_until:
                raise Violation("I14", f"the token of {agent.name} has run out")
            if agent.left_at is not None:
                rotated = self._rotated.pop(agent.agent_id, None)
                self.counts["ended: rotated" if rotated else "ended: told to leave"] += 1
        self._looked_until = now
