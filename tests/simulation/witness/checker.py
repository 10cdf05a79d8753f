"""Watches one world at every event that could break an invariant, and asks what really is.

What is true comes from the service's own world, the durable state and the log of calls, never from the engine's view of
itself. Where the simulated service is weaker than documented (its list shows an old world and the state was lost
meanwhile), I1 is not "never" but "repaired by the next pass": `strict` says which of the two is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from reconciler.simulator import Agent, ServiceCall, Status
from reconciler.simulator.auth import decode
from tests.simulation.sometimes import TELLTALES

from . import budget, goal, names, pace
from .judgement import Violation
from .words import Files, Outcome, Shown, Terms, Wish, Wrote

if TYPE_CHECKING:
    from tests.simulation.driver import Fiber, Process
    from tests.simulation.world import Call, Universe

MUTATING = frozenset({ServiceCall.JOIN, ServiceCall.LEAVE, ServiceCall.UPDATE})
# The verbs that may change something: an apply, and a turn of a controller.
_CHANGING = frozenset({"apply", "turn"})
_DAY = 86_400
_HOUR = 3_600.0
# The service ends an agent at this age; with less than two hours left it is rotated whatever the limits say.
_LIFETIME = 72 * _HOUR
_LAST_HOURS = 2 * _HOUR
# The longest that a run may pause while it holds the lock: as long as a service may ask it to wait (Retry-After).
_LONGEST_PAUSE = 60.0
_ENDING = frozenset({"leave", "replace", "rotate"})


@dataclass(slots=True)
class Run:
    """What is known of one run."""

    verb: str
    terms: Terms
    began_at: float
    proven: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    conflicts: set[str] = field(default_factory=set)
    calls: dict[int, Call] = field(default_factory=dict)
    failed_reads: dict[int, str] = field(default_factory=dict)
    requests: int = 0
    retries: int = 0
    hold_until: float = 0.0
    streak: pace.Streak = field(default_factory=pace.Streak)
    plan: tuple[Shown, ...] | None = None
    beyond: Counter[int] = field(default_factory=Counter)
    broken: bool = False
    disturbed: bool = False
    mutations: int = 0
    running: int = 0
    lefts: tuple[float, ...] = ()
    planned_at: float = 0.0
    hung_up: set[str] = field(default_factory=set)
    rotated: set[str] = field(default_factory=set)
    first_places: frozenset[str] = frozenset()
    overlapping: frozenset[str] = frozenset()
    open_names: frozenset[str] = frozenset()

    def planned_for(self, agent_id: str) -> Shown | None:
        """What the plan does with an agent."""
        return next((each for each in self.plan or () if each.agent_id == agent_id), None)


class Checker:
    """Watches one world. `strict` asks I1 at every instant; else it is counted, and repaired by the next pass.

    `asked` counts how often each invariant was evaluated: one that a life switches off counts as not checked.
    """

    def __init__(self, world: Universe) -> None:
        self.world = world
        self._runs: dict[Process, Run] = {}
        self.strict = True
        self.lagging = False
        self.excused: set[str] = set()
        self.mutations = 0
        self.weak_overlaps = 0
        self.asked: Counter[str] = Counter()
        self._files: list[Files] = []
        self._protected: dict[str, bool] = {}
        self._serial = 0
        # Which version of the state was last searched for secrets.
        self._looked_at = -1
        self._doomed_until = 0.0

    # --- runs

    def began(self, process: Process, verb: str, terms: Terms) -> None:
        now = self.world.time.now
        if terms.files not in self._files[-1:]:
            self._files.append(terms.files)
        self._runs[process] = Run(verb, terms, now, disturbed=now < self._doomed_until)

    def read(self, process: Process, open_names: Collection[str]) -> None:
        """A run has read the state: the names of open joins are its to settle."""
        run = self._runs[process]
        run.names |= set(open_names)
        run.open_names = frozenset(open_names)
        known = {names.place_of(each) for each in self.world.store.used()}
        known |= {names.place_of(each.address) for each in self.world.store.by_id().values()}
        run.first_places = frozenset(
            place for address in run.terms.files.wishes if (place := names.place_of(address)) not in known
        )

    def locked(self, process: Process) -> None:
        others = [
            each for each in self._runs if each is not process and each.alive and self._runs[each].mutations
        ]
        if self.world.locks.broken and others:
            self.world.seen.hit("lock: broken, two holders at once")

    def disturb(self, but: Process | None = None) -> None:
        """Something happened in the world that no run can know of yet: none but its author can vouch for the result."""
        for process, run in self._runs.items():
            run.disturbed = run.disturbed or process is not but

    def ended(self, process: Process, outcome: Outcome | None) -> None:
        """A run has ended; `outcome` is None for one that was killed."""
        run = self._runs.pop(process)
        if outcome is None:
            if run.calls:
                self.world.seen.hit("crash: in the middle of a call")
            return
        self._honest_end(process, run, outcome)
        self.asked["I9"] += 1
        if self._looked_at != self.world.store.serial:
            self._looked_at = self.world.store.serial
            stored = self.world.store.bytes()
            if b"canary" in stored or b"007eJ" in stored:
                raise Violation("I9", "a secret or a token is in the state")

    def _honest_end(self, process: Process, run: Run, outcome: Outcome) -> None:
        seen = self.world.seen
        if outcome.kind == "foreign":
            raise Violation("I16", f"a run ended with {outcome.text}")
        if outcome.kind == "locked":
            seen.hit("lock: waited in vain")
        if outcome.kind == "stale":
            seen.hit("refused: an approved plan went stale")
        if outcome.kind == "refused":
            seen.hit("refused: by a limit")
        if outcome.kind != "ledger" and run.mutations:
            raise Violation("I16", f"a run that ended with {outcome.text} has changed something")
        if process.stopping:
            seen.hit("stop: SIGTERM")
        if outcome.kind != "ledger" or not outcome.is_complete or run.verb != "apply":
            return
        seen.hit("apply: complete")
        if run.disturbed or self._ended_by_themselves(run.began_at - self._lag()) or not self.strict:
            why = (
                "disturbed"
                if run.disturbed
                else "an agent came to its end"
                if self.strict
                else "weak service"
            )
            seen.hit(f"apply: complete, and not judged: {why}")
            return
        self.asked["I16"] += 1
        problem = next(goal.unsettled(self, run.terms), None)
        if problem is not None:
            raise Violation("I16", f"a run says that all is done, but {problem}")
        self._tokens_last(run)

    def _tokens_last(self, run: Run) -> None:
        """I14: after a pass that ended well, each token has a fifth of its life left."""
        store, now = self.world.store, self.world.time.now
        for agent in self.live():
            known = store.by_id().get(agent.agent_id)
            if known is None or (run.terms.about is not None and known.address not in run.terms.about):
                continue
            wish = run.terms.files.wishes.get(known.address)
            if wish is None or wish.paused or run.terms.destroying or agent.status_at(now) is Status.STOPPING:
                continue
            text = agent.properties.get("token")
            if not text or known.was_adopted:
                continue
            token = decode(text)
            self.asked["I14"] += 1
            if token.expires_at - now < 0.2 * (token.expires_at - token.issued_at) - 60.0:
                left = token.expires_at - now
                raise Violation(
                    "I14", f"{known.address} has {left:.0f} s left on its token after a full pass"
                )

    def _lag(self) -> float:
        """How old the world is that the list shows: what happened since then, no run can have seen."""
        return self.world.simulator.switches.list_lag_seconds

    def _ended_by_themselves(self, since: float) -> bool:
        """Whether an agent of ours came to its end since then without being asked: no run can know of it yet."""
        now, by_id = self.world.time.now, self.world.store.by_id()
        return any(
            agent.left_at is None and since <= agent.end.at <= now and agent.agent_id in by_id
            for agent in self.world.simulator.world.agents()
        )

    def ended_since(self, since: float) -> list[str]:
        """The ids of agents of anybody that came to their ends since then."""
        return [
            each.agent_id
            for each in self.world.simulator.world.agents()
            if since <= each.end.at <= self.world.time.now
        ]

    def slept(self, seconds: float) -> None:
        """I23: whoever holds the lock pauses for no longer than a call may take, and outwaits no late copy."""
        self.asked["I23"] += 1
        if seconds > _LONGEST_PAUSE:
            raise Violation("I23", f"a run that holds the lock pauses for {seconds:.0f} s")

    def held(self, process: Process, since: float) -> None:
        """A run gives the lock back that it has held since then."""

    # --- what runs say

    def shown(self, process: Process, plan: Sequence[Shown]) -> None:
        """A plan was made, and is about to be carried out."""
        run = self._runs[process]
        run.plan, run.planned_at = tuple(plan), self.world.time.now
        run.overlapping = frozenset(each.agent_id for each in plan if self._may_overlap(run, each))
        ours = [each for each in self.live() if self.is_ours(each, run.terms.files.mark)]
        run.running = len(ours)
        run.lefts = tuple(each.created_at + _LIFETIME - self.world.time.now for each in ours)
        for row in plan:
            self.world.seen.hit(f"change: {row.action}")
            if row.action == "hold":
                self.world.seen.hit(f"held: {row.why}")
            if row.why == "duplicate" and row.action != "hold":
                self.world.seen.hit("duplicate: left by a plan")

    def _may_overlap(self, run: Run, row: Shown) -> bool:
        """Whether old and new may run beside each other: the files ask for it, and their uids differ."""
        wish, known = run.terms.files.wishes.get(row.address), self.world.store.by_id().get(row.agent_id)
        if wish is None or known is None or known.was_adopted or not wish.join_first:
            return False
        return wish.uid is None or wish.uid != known.uid

    def said(self, process: Process, text: str) -> None:
        self.world.note(f"{process.label}: {text}")
        if "canary" in text or "007eJ" in text:
            raise Violation("I9", f"a secret or a token was said: {text[:40]}")
        for mark, path in TELLTALES.items():
            if mark in text:
                self.world.seen.hit(path)

    # --- calls

    def sent(self, call: Call, fiber: Fiber) -> None:
        """A request leaves a process."""
        run = self._runs[call.process]
        now = self.world.time.now
        run.requests += 1
        run.calls[id(fiber)] = call
        self.asked["I13"] += 1
        if len(run.calls) > run.terms.in_flight:
            raise Violation("I13", f"{len(run.calls)} calls in flight, {run.terms.in_flight} are allowed")
        if now < run.hold_until:
            raise Violation("I13", f"a call left {run.hold_until - now:.2f} s before Retry-After was over")
        # Who stands by lists again and again: that is no retry.
        if run.failed_reads.pop(id(fiber), None) == call.url and run.verb != "stand":
            run.retries += 1
            if run.retries > 11 + 0.2 * run.requests:
                raise Violation("I13", f"{run.retries} retries in {run.requests} calls")
        if run.streak.is_systemic:
            self.world.seen.hit("breaker: half-open")
        if call.operation in MUTATING:
            self._mutation(call, run, fiber)

    def _mutation(self, call: Call, run: Run, fiber: Fiber) -> None:
        world = self.world
        self.mutations += 1
        run.mutations += 1
        call.process.mutations += 1
        world.seen.sent(call.operation)
        if run.verb not in _CHANGING:
            raise Violation("I10", f"{run.verb} made a call of {call.operation}")
        if run.plan is None:
            raise Violation("I11", f"{call.operation} before a plan was made")
        stale = call.process.serial != world.store.serial
        self.asked["I6"] += 1
        self.asked["I7"] += 1
        if stale or run.broken:
            run.beyond[id(fiber)] += 1
            if run.beyond[id(fiber)] > 1:
                what = "its state is stale" if stale else "a write has failed"
                raise Violation("I6" if stale else "I7", f"{call.operation} left although {what}")
        elif f"{call.operation}:{call.name or call.agent_id}" not in world.store.notes():
            what = call.name or call.agent_id
            raise Violation("I7", f"{call.operation} of {what} left before its intent was durable")
        self._token(call, run)
        if call.operation is ServiceCall.JOIN:
            self._joins(call, run)
            return
        agent = world.simulator.world.agent(call.agent_id)
        self._ours(call, run, agent)
        self._planned(call, run, agent)
        if call.operation is ServiceCall.LEAVE:
            self._leaves(call, run, agent)

    def _joins(self, call: Call, run: Run) -> None:
        """I11 and I20 of one join."""
        name = names.read(call.name)
        run.names.add(call.name)
        self.asked["I11"] += 1
        places = {
            names.place_of(each.address) for each in run.plan or () if each.action not in ("hold", "none")
        }
        if name is None or name.place not in places:
            raise Violation("I11", f"{call.name} is joined, and no change of the plan asks for it")
        address = next(each.address for each in run.plan or () if names.place_of(each.address) == name.place)
        approval = run.terms.approval
        if approval is not None:
            approval.started.add(call.name)
            rows = {action for action, at in approval.rows if at == address}
            if not rows & {"join", "replace", "rotate"} and name.place in run.first_places:
                raise Violation("I11", f"{address} is joined for the first time, which nobody approved")
        self._talks_over_nobody(call, run, address, name.place)

    def _talks_over_nobody(self, call: Call, run: Run, address: str, place: str) -> None:
        """I20: a first join comes into no channel where somebody else's agent is known to run."""
        wish = run.terms.files.wishes.get(address)
        if wish is None or wish.may_join_beside or address in run.terms.beside:
            return
        acts = {each.action for each in run.plan or () if each.address == address}
        if place not in run.first_places or not acts <= {"join"} or call.name in run.open_names:
            return  # what is open from an earlier run is sent again, whoever has come meanwhile
        if any(names.place_of(each) not in run.first_places for each in wish.previously):
            return  # renamed: it has run before
        self.asked["I20"] += 1
        wishes = run.terms.files.wishes.values()
        adopted = {each.adopt for each in wishes if each.channel == wish.channel}
        for agent in self.live():
            if agent.channel != wish.channel or self.is_ours(agent, run.terms.files.mark):
                continue
            if agent.agent_id in adopted:
                continue  # the files take it over in this channel, at whichever address
            if agent.created_at < run.began_at and not self.lagging:
                raise Violation("I20", f"{address} joins beside {agent.name} ({agent.agent_id}), unasked")

    def _leaves(self, call: Call, run: Run, agent: Agent) -> None:
        """I17, I18, I19, I21 of one leave."""
        self._in_vain(call, run)
        row = run.planned_for(call.agent_id)
        now = self.world.time.now
        age = now - agent.created_at
        runs = agent.live_at(now) and agent.status_at(now) is not Status.STOPPING
        is_rotation = row is not None and row.action == "rotate"
        if is_rotation and row is not None:
            wish = run.terms.files.wishes.get(row.address)
            horizon = run.terms.horizon
            is_early = wish is not None and age < min(wish.rotate_after, _LIFETIME - horizon) - 1.0
            if is_early and not run.terms.forced and not self._is_crowded(run, _LIFETIME - age):
                raise Violation("I21", f"{row.address} is rotated at {age:.0f} s, before its time")
            if runs and age < _LIFETIME - max(_LAST_HOURS, horizon) - 60.0:
                run.rotated.add(call.agent_id)
            self._rotates_few(run)
            return
        self._is_unprotected(call, run, agent)
        # What this run itself has started, since nobody knew that an earlier join of it was never executed, is nobody's
        # conversation yet.
        if runs and not run.terms.destroying and agent.created_at < run.planned_at:
            run.hung_up.add(call.agent_id)
            self._hangs_up_few(run)

    def _is_crowded(self, run: Run, left: float) -> bool:
        """Whether too many end together with an agent that has so long left for the runs until then."""
        bound = budget.allowed(run.terms.files.rotations, run.running)
        between = max(_LAST_HOURS, run.terms.horizon)
        return left <= budget.crowded(run.lefts, bound, between)

    def _rotates_few(self, run: Run) -> None:
        """I21: of what has time, no more rotates in one run than the files let be away."""
        self.asked["I21"] += 1
        bound = budget.allowed(run.terms.files.rotations, run.running)
        if run.terms.horizon and bound:
            bound = max(bound, budget.equal_share(run.lefts, max(_LAST_HOURS, run.terms.horizon)))
        if len(run.rotated) > bound and not self.lagging and not run.disturbed:
            raise Violation(
                "I21", f"{len(run.rotated)} rotations in one run, {bound} of {run.running} allowed"
            )

    def _hangs_up_few(self, run: Run) -> None:
        """I19: leaves and replacements together end no more conversations than the files allow."""
        self.asked["I19"] += 1
        bound = budget.allowed(run.terms.files.hang_ups, run.running, run.terms.more_hang_ups)
        if len(run.hung_up) > bound and not self.lagging and not run.disturbed:
            raise Violation("I19", f"{len(run.hung_up)} conversations end, {bound} of {run.running} allowed")

    def _is_unprotected(self, call: Call, run: Run, agent: Agent) -> None:
        """I18: what is protected now, or was when it was last recorded, is not left."""
        self.asked["I18"] += 1
        slot = self.world.store.slot(agent)
        heir = self._heir(run.terms.files, slot)
        remembered = self._protected.get(call.agent_id, self._protected.get(agent.name, False))
        word = heir.protect if heir is not None else None
        if not (remembered if word is None else word):
            return
        twins = [each for each in self.live() if self.world.store.slot(each) == slot and each is not agent]
        if any(each.agent_id != agent.agent_id for each in twins):
            return  # one of two at one address has to go
        raise Violation("I18", f"{agent.name} ({agent.agent_id}) is left, and it is protected")

    def _heir(self, files: Files, slot: str) -> Wish | None:
        """Who in the files answers for the agents of an address, under its own name or an earlier one."""
        wishes = files.wishes.values()
        found = next((each for each in wishes if names.place_of(each.address) == slot), None)
        if found is not None:
            return found
        heirs = (each for each in wishes if any(names.place_of(at) == slot for at in each.previously))
        # Who has an agent of its own was not renamed, whatever its earlier address was.
        return next((each for each in heirs if self.world.store.at(each.address) is None), None)

    def _in_vain(self, call: Call, run: Run) -> None:
        """I17: nobody is hung up on for a successor that cannot be joined, or that join-first has not seen running."""
        row = run.planned_for(call.agent_id)
        if row is None or row.action not in ("replace", "rotate"):
            return
        self.asked["I17"] += 1
        known = self.world.store.by_id().get(call.agent_id)
        is_first = call.agent_id not in run.overlapping or known is not None
        if is_first and call.process.poor:
            raise Violation("I17", f"{row.address} was left, and its successor has no secrets")
        here = [e for e in self.live() if e.channel == row.address.rpartition("/")[0]]
        slots = {self.world.store.slot(each) for each in here if each.agent_id != call.agent_id}
        is_alone = names.place_of(row.address) not in slots and self.world.time.now > self._doomed_until
        if not is_first and is_alone and not self.lagging:
            raise Violation("I17", f"{row.address} was left before its successor ran")

    def _ours(self, call: Call, run: Run, agent: Agent) -> None:
        """I3: nothing is touched that a query of this run has not shown to be ours, and that is not ours in truth."""
        self.asked["I3"] += 1
        if call.agent_id not in run.proven:
            what = f"{call.operation} of {call.agent_id}"
            raise Violation("I3", f"{what}, which no query of this run has shown to be ours")
        # Where two hold the lock, the other one may have ended it since and dropped its record; a call to what has ended
        # hurts nobody.
        if not self.is_ours(agent, run.terms.files.mark) and agent.live_at(self.world.time.now):
            raise Violation("I3", f"{call.operation} of {agent.name}, which is not ours")

    def _token(self, call: Call, run: Run) -> None:
        """I14: a token lives no longer than it may, and opens one seat."""
        properties = orjson.loads(call.body).get("properties", {}) if call.body else {}
        text = properties.get("token")
        if text is None:
            return
        self.asked["I14"] += 1
        token = decode(text)
        longest = max((each.token_life for each in run.terms.files.wishes.values()), default=_DAY)
        known = self.world.store.by_id().get(call.agent_id)
        if known is not None and known.address not in run.terms.files.wishes:
            longest = _DAY  # protected, and its block is gone: nobody says otherwise
        if token.expires_at - token.issued_at > min(longest, _DAY):
            raise Violation("I14", f"a token lives for {token.expires_at - token.issued_at} s")
        channel, uid = properties.get("channel"), properties.get("agent_rtc_uid")
        if call.operation is ServiceCall.UPDATE:
            agent = self.world.simulator.world.agent(call.agent_id)
            channel, uid = agent.channel, agent.uid
        if (token.channel, token.account) != (channel, uid) or uid in ("", "0"):
            raise Violation("I14", f"a token for {token.channel}/{token.account} went to {channel}/{uid}")

    def _planned(self, call: Call, run: Run, agent: Agent) -> None:
        """I11: what is done to an agent is in the plan that was shown, and in what a person approved."""
        self.asked["I11"] += 1
        kinds = _ENDING if call.operation is ServiceCall.LEAVE else {"update", "renew", "adopt"}
        targets = {each.agent_id for each in run.plan or () if each.action in kinds}
        if call.agent_id not in targets and agent.name not in run.names:
            raise Violation("I11", f"{call.operation} of {agent.name}, which no change of the plan asks for")
        approval = run.terms.approval
        if approval is None or agent.name in approval.started or agent.name in run.names:
            return
        row = run.planned_for(call.agent_id)
        action = row.action if row is not None else ""
        if action in ("renew", "rotate", "adopt"):
            return  # what falls due by the clock needs no new approval
        if call.operation is ServiceCall.LEAVE and approval.targets.get(call.agent_id) not in _ENDING:
            raise Violation("I11", f"{agent.name} is left, which nobody approved ({action})")
        at = row.address if row is not None else ""
        if call.operation is ServiceCall.UPDATE and not any(at == each for _, each in approval.rows):
            raise Violation("I11", f"{at} is updated, which nobody approved ({action})")

    def answered(
        self, process: Process, fiber: Fiber, status: int | None, headers: Mapping[str, str], body: bytes
    ) -> None:
        """An answer reaches a process; `status` is None where there is none."""
        run = self._runs[process]
        call = run.calls.pop(id(fiber))
        failed = status is None or status >= 500 or status in (408, 425, 429)
        if failed and call.operation not in MUTATING:
            run.failed_reads[id(fiber)] = call.url
        run.streak.hear(status)
        if run.streak.is_systemic:
            self.world.seen.hit("breaker: open")
        if status is None:
            return
        if status in (429, 503):
            wait = pace.asked_to_wait(headers)
            if wait:
                until = self.world.time.now + wait / process.clocks.rate - 0.01
                run.hold_until = max(run.hold_until, until)
        if call.operation is ServiceCall.QUERY and status == 200:
            self._prove(call, run, body)
        if call.operation is ServiceCall.JOIN and status == 409:
            run.conflicts.add(call.name)

    def _prove(self, call: Call, run: Run, body: bytes) -> None:
        try:
            shown = orjson.loads(body)
            name, agent_id = shown["name"], shown["agent_id"]
        except (ValueError, TypeError, KeyError):
            return
        if not isinstance(name, str) or agent_id != call.agent_id:
            return
        who = names.read(name)
        known = self.world.store.by_id().get(agent_id)
        is_adopted = known is not None and known.was_adopted and known.name == name
        if (who is not None and who.mark == run.terms.files.mark) or is_adopted:
            run.proven.add(agent_id)

    # --- the world

    def live(self) -> tuple[Agent, ...]:
        return self.world.simulator.world.live()

    def doomed(self, seconds: float) -> None:
        """An agent ends within so many seconds of its start, and no run can know of that."""
        self._doomed_until = self.world.time.now + seconds
        self.disturb()

    def arrived(self, call: Call, fate: str) -> None:
        """A request has reached the service, or is executed late: the world may have changed."""
        if call.operation in MUTATING:
            is_known = fate != "executed late" and call.process in self._runs
            self.disturb(call.process if is_known else None)
        if fate == "dies_at_once":
            self.doomed(21.0)
        if call.operation is ServiceCall.JOIN:
            self.check_world()

    def check_world(self) -> None:
        """I1 and I2, now."""
        mark = self.world.mark
        mine = [e for e in self.live() if names.read(e.name) is not None and self.is_ours(e, mark)]
        self._at_most_one(mine)
        self.asked["I2"] += 1
        for agent in mine:
            if not self.world.store.covers(agent):
                if agent.name in self.excused:
                    continue
                what = f"{agent.name} ({agent.agent_id})"
                raise Violation("I2", f"{what} lives, and the state knows nothing of it")
            if agent.agent_id in self.world.store.by_id():
                self.excused.discard(agent.name)

    def _at_most_one(self, mine: list[Agent]) -> None:
        self.asked["I1"] += self.strict
        slots: dict[object, Agent] = {}
        for agent in mine:
            for key in (self.world.store.slot(agent), (agent.channel, agent.uid)):
                other = slots.setdefault(key, agent)
                if other is agent or (isinstance(key, str) and self._overlap_is_declared(agent, other)):
                    continue
                self.weak_overlaps += 1
                if self.strict:
                    one, two = f"{other.name} ({other.agent_id})", f"{agent.name} ({agent.agent_id})"
                    raise Violation("I1", f"{one} and {two} both live")

    def _overlap_is_declared(self, agent: Agent, other: Agent) -> bool:
        """Join-first: two generations of one slot beside each other, with uids that differ."""
        name = names.read(agent.name)
        if name is None or agent.uid == other.uid:
            return False
        wishes = (files.wishes.values() for files in self._files)
        return any(e.join_first and names.place_of(e.address) == name.place for each in wishes for e in each)

    def is_ours(self, agent: Agent, mark: str) -> bool:
        """Whether an agent bears our mark and was not released, or was adopted: its id and name are those of a record."""
        name = names.read(agent.name)
        known = self.world.store.by_id().get(agent.agent_id)
        is_adopted = known is not None and known.was_adopted and known.name == agent.name
        is_marked = name is not None and name.mark == mark
        return is_adopted or (is_marked and agent.agent_id not in self.world.store.released())

    # --- the state

    def committed(self, process: Process, writes: Sequence[Wrote], problem: str) -> None:
        """A commit was made (`problem` is empty), or `failed`, or was refused to a `stale` writer."""
        run = self._runs.get(process)
        if run is not None and run.verb in ("plan", "drift"):
            raise Violation("I10", f"{run.verb} writes to the state")
        store = self.world.store
        self.asked["I6"] += 1
        if not problem and store.serial != self._serial + 1:
            raise Violation("I6", f"the serial went from {self._serial} to {store.serial} in one write")
        if problem == "stale":
            self.world.seen.hit("fenced: a stale writer's write was refused")
            if store.serial != self._serial:
                raise Violation("I6", "a refused write has changed the serial")
        self._serial = store.serial
        if run is not None and problem:
            run.broken = run.broken or problem == "failed"
            run.disturbed = True
        kinds = {each.kind for each in writes}
        if kinds >= {"DropIntent", "PutGeneration"} and not kinds & {"PutRecord", "DropRecord"}:
            self.world.seen.hit("next generation")
        for known in store.by_id().values():
            self._protected[known.agent_id] = known.protect
        self._protected |= store.protected_names()
        if run is not None and not problem:
            self._recorded(run, writes)
            if run.verb == "apply" and kinds >= {"PutRecord", "DropForeign", "DropReleased"}:
                self.world.seen.hit("adopt in the files: taken over")
            # Where two hold the lock, what the other one has looked at may not be recorded any more.
            if run.verb in ("adopt", "forget") or ("DropRecord" in kinds and self.world.locks.broken):
                self.disturb(process)
        told = ",".join(each.kind for each in writes)
        self.world.note(f"{process.label} commit {told} -> {problem or 'made'} {store.serial}")
        self.check_world()

    def _recorded(self, run: Run, writes: Sequence[Wrote]) -> None:
        """I3: no agent of somebody else's is taken into the state."""
        for write in writes:
            known = write.known
            if known is not None:
                agent = self.world.simulator.world.agent(known.agent_id)
                name = names.read(agent.name)
                is_marked = name is not None and name.mark == run.terms.files.mark
                if not is_marked and not known.was_adopted:
                    raise Violation("I3", f"{agent.name}, which is not ours, was taken into the state")
                if known.was_adopted and agent.channel != known.address.rpartition("/")[0]:
                    raise Violation("I3", f"{agent.name} of {agent.channel} was adopted as {known.address}")
                if write.unsent and known.name in run.conflicts:
                    self.world.seen.hit("adopt on 409")
            elif "found by its name" in write.detail:
                self.world.seen.hit("join: found by its name")

    def state_lost(self) -> None:
        """What ran before a loss is found again by name; until then the state knows nothing of it."""
        self.excused |= {e.name for e in self.world.simulator.world.agents()}
        self.excused |= self.world.network.sent_names
        self._protected.clear()
        self._serial = self.world.store.serial
        self._looked_at = -1
        self.world.seen.hit("state: lost")
