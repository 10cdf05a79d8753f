"""The invariants I1 to I17, checked at every event that could break them, against what really is.

What is true comes from the service's own world, the durable state and the log of calls: never from the engine's view
of itself. Where the simulated service is weaker than documented (its list shows an old world and the state was lost
meanwhile), I1 is not "never" but "repaired by the next pass": `strict` says which of the two is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from reconciler.apply.events import Finished, Ledger, Notice, Progress
from reconciler.errors import ReconcilerError, StalePlan, StateError, StateLocked
from reconciler.model.address import Address, AgentName
from reconciler.model.record import State
from reconciler.model.spec import AgentSpec, ReplaceOrder
from reconciler.model.writes import Append, DropIntent, DropRecord, PutGeneration, PutRecord, Write
from reconciler.plan.change import Action, Because, Hold, Replace, Rotate, action_of, target_of
from reconciler.plan.steps import overlaps
from reconciler.ports import HttpFailure, HttpReply
from reconciler.providers.agora.pressure import retry_after
from reconciler.providers.agora.provider import AgoraProvider
from reconciler.simulator import Agent, Operation, Status
from reconciler.simulator.auth import decode
from reconciler.workflow import Job, Planned

from .sometimes import TELLTALES

if TYPE_CHECKING:
    from .driver import Fiber, Process
    from .world import Call, Universe

MUTATING = frozenset({Operation.JOIN, Operation.LEAVE, Operation.UPDATE})
_DAY = 86_400
# What is in place on an agent, whoever started it.
_LLM = ("system_messages", "params")
# The client's own bound on what it waits when it is asked to wait (gates.Limits.longest_hold).
_LONGEST_HOLD = 20.0


class Violation(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant


@lru_cache(maxsize=50_000)
def parsed(name: str) -> AgentName | None:
    return AgentName.parse(name)


@dataclass(slots=True)
class _Breaker:
    """What a run has heard in a row; five failures are systemic (gates.Limits.failures_to_open)."""

    failures: int = 0

    @property
    def is_open(self) -> bool:
        return self.failures >= 5

    def hear(self, reply: HttpReply | HttpFailure) -> None:
        failed = isinstance(reply, HttpFailure) or reply.status >= 500
        self.failures = self.failures + 1 if failed else 0


@dataclass(slots=True)
class _Run:
    """What is known of one run."""

    verb: str
    job: Job
    provider: AgoraProvider
    proven: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    conflicts: set[str] = field(default_factory=set)
    calls: dict[int, Call] = field(default_factory=dict)
    failed_reads: dict[int, str] = field(default_factory=dict)
    requests: int = 0
    retries: int = 0
    hold_until: float = 0.0
    breaker: _Breaker = field(default_factory=_Breaker)
    planned: Planned | None = None
    beyond: Counter[int] = field(default_factory=Counter)
    broken: bool = False
    disturbed: bool = False
    mutations: int = 0


class Checker:
    """Watches one world. `strict` asks I1 at every instant; else it is counted, and repaired by the next pass."""

    def __init__(self, world: Universe) -> None:
        self._world = world
        self._runs: dict[Process, _Run] = {}
        self.strict = True
        self.lagging = False
        self.excused: set[str] = set()
        self.mutations = 0
        self.weak_overlaps = 0
        self._serial = 0
        self._doomed_until = 0.0

    # --- runs

    def began(self, process: Process, verb: str, job: Job, provider: AgoraProvider) -> None:
        self._runs[process] = _Run(verb, job, provider, disturbed=self._world.time.now < self._doomed_until)

    def read(self, process: Process, state: State) -> None:
        """What a run has read: open intents' names are its to settle."""
        self._runs[process].names |= {each.name for each in state.intents if each.is_of_a_join}

    def locked(self, process: Process) -> None:
        others = [
            each for each in self._runs if each is not process and each.alive and self._runs[each].mutations
        ]
        if self._world.locks.broken and others:
            self._world.seen.hit("lock: broken, two holders at once")

    def disturb(self) -> None:
        """Something happened in the world that no run can know of yet: none can vouch for the result."""
        for run in self._runs.values():
            run.disturbed = True

    def ended(self, process: Process) -> None:
        run = self._runs.pop(process)
        if run.verb == "apply" and run.mutations:
            for other in self._runs.values():
                other.disturbed = True
        if process.killed:
            if run.calls:
                self._world.seen.hit("crash: in the middle of a call")
            return
        self._honest_end(process, run)
        stored = self._world.store.bytes()
        if b"canary" in stored or b"007eJ" in stored:
            raise Violation("I9", "a secret or a token is in the state")

    def _honest_end(self, process: Process, run: _Run) -> None:
        error, result = process.error, process.result
        seen = self._world.seen
        if error is not None and not isinstance(error, ReconcilerError):
            raise Violation("I16", f"a run ended with {error!r}") from error
        if isinstance(error, StateLocked):
            seen.hit("lock: waited in vain")
        if isinstance(error, StalePlan):
            seen.hit("refused: an approved plan went stale")
        if error is not None and run.mutations:
            raise Violation(
                "I16", f"a run that ended with {error!r} has changed something; the ledger is lost"
            )
        if process.stopping:
            seen.hit("stop: SIGTERM")
        if (
            isinstance(result, Ledger)
            and result.is_complete
            and not run.disturbed
            and not self._ended_by_themselves(process.started)
            and self.strict
            and not self.lagging
        ):
            problem = next(self.unsettled(run.job), None)
            if problem is not None:
                raise Violation("I16", f"a run says that all is done, but {problem}")

    def _ended_by_themselves(self, since: float) -> bool:
        """Whether an agent of ours came to its end since then without being asked: no run can know of it yet."""
        now = self._world.time.now
        ends = (
            agent.end.at
            for agent in self._world.simulator.world.agents()
            if agent.left_at is None and self._world.store.record_of(agent.agent_id) is not None
        )
        return any(since <= each <= now for each in ends)

    # --- what runs say

    def said(self, process: Process, event: object) -> None:
        run = self._runs[process]
        text = ""
        if isinstance(event, Planned):
            run.planned = event
            for change in event.plan.changes:
                self._world.seen.hit(f"change: {action_of(change)}")
                if not isinstance(change, Hold) and change.reason.because is Because.DUPLICATE:
                    self._world.seen.hit("duplicate: left by a plan")
        elif isinstance(event, Finished):
            text = event.detail
        elif isinstance(event, (Progress, Notice)):
            text = event.text
        if text:
            self._world.note(f"{process.label}: {text}")
            if "canary" in text or "007eJ" in text:
                raise Violation("I9", f"a secret or a token was said: {text[:40]}")
            for mark, path in TELLTALES.items():
                if mark in text:
                    self._world.seen.hit(path)

    # --- calls

    def sent(self, call: Call, fiber: Fiber) -> None:
        """A request leaves a process."""
        run = self._runs[call.process]
        now = self._world.time.now
        run.requests += 1
        run.calls[id(fiber)] = call
        if len(run.calls) > run.job.settings.parallelism:
            raise Violation(
                "I13", f"{len(run.calls)} calls are in flight, {run.job.settings.parallelism} are allowed"
            )
        if now < run.hold_until:
            raise Violation("I13", f"a call left {run.hold_until - now:.2f} s before Retry-After was over")
        if run.failed_reads.pop(id(fiber), None) == call.request.url:
            run.retries += 1
            if run.retries > 11 + 0.2 * run.requests:
                raise Violation("I13", f"{run.retries} retries in {run.requests} calls")
        if run.breaker.is_open:
            self._world.seen.hit("breaker: half-open")
        if call.operation in MUTATING:
            self._mutation(call, run, fiber)

    def _mutation(self, call: Call, run: _Run, fiber: Fiber) -> None:
        world = self._world
        self.mutations += 1
        run.mutations += 1
        call.process.mutations += 1
        if run.verb != "apply":
            raise Violation("I10", f"{run.verb} made a call of {call.operation}")
        if call.operation is Operation.LEAVE:
            self._in_vain(call, run)
        process = call.process
        stale = process.serial != world.store.serial
        if stale or run.broken:
            run.beyond[id(fiber)] += 1
            if run.beyond[id(fiber)] > 1:
                what = "its state is stale" if stale else "a write has failed"
                raise Violation("I6" if stale else "I7", f"{call.operation} left although {what}")
        elif not world.store.intends(call):
            raise Violation(
                "I7", f"{call.operation} of {call.name or call.agent_id} left before its intent was durable"
            )
        if call.operation is Operation.JOIN:
            run.names.add(call.name)
        self._token(call, run)
        self._approved(call, run)
        if call.operation is not Operation.JOIN:
            self._ours(call, run)

    def _in_vain(self, call: Call, run: _Run) -> None:
        """I17: nobody is hung up on for a successor that cannot be joined, or that join-first has not seen running."""
        assert run.planned is not None, "nothing is done before a plan was made"
        for change in run.planned.plan.acts:
            target = target_of(change)
            if (
                not isinstance(change, (Replace, Rotate))
                or target is None
                or target.agent_id != call.agent_id
            ):
                continue
            is_first = not overlaps(change) or self._world.store.record_of(call.agent_id) is not None
            if is_first and call.process.poor:
                raise Violation("I17", f"{change.address} was left, and its successor has no secrets")
            here = [
                each for each in self._world.simulator.world.live() if each.channel == change.address.channel
            ]
            others = [each for each in here if each.agent_id != call.agent_id]
            slots = {self._world.store.slot(each) for each in others}
            is_alone = change.address.digest not in slots and self._world.time.now > self._doomed_until
            if not is_first and is_alone and not self.lagging:
                raise Violation("I17", f"{change.address} was left before its successor ran")

    def _ours(self, call: Call, run: _Run) -> None:
        """I3: nothing is touched that a query of this run has not shown to be ours, and that is not ours in truth."""
        if call.agent_id not in run.proven:
            raise Violation(
                "I3", f"{call.operation} of {call.agent_id}, which no query of this run has shown to be ours"
            )
        agent = self._world.simulator.world.agent(call.agent_id)
        if not self._is_ours(agent, run.job) and not self._world.store.adopted(call.agent_id, agent.name):
            raise Violation("I3", f"{call.operation} of {agent.name}, which is not ours")

    def _token(self, call: Call, run: _Run) -> None:
        """I14: a token lives no longer than it may, and opens one seat."""
        properties = orjson.loads(call.body).get("properties", {}) if call.body else {}
        text = properties.get("token")
        if text is None:
            return
        token = decode(text)
        longest = max((each.lifecycle.token_ttl for each in run.job.fleet.agents.values()), default=_DAY)
        record = self._world.store.record_of(call.agent_id)
        if record is not None and record.address not in run.job.fleet.agents:
            longest = _DAY  # protected, and its block is gone: nobody says otherwise
        if token.expires_at - token.issued_at > min(longest, _DAY):
            raise Violation("I14", f"a token lives for {token.expires_at - token.issued_at} s")
        channel, uid = properties.get("channel"), properties.get("agent_rtc_uid")
        if call.operation is Operation.UPDATE:
            agent = self._world.simulator.world.agent(call.agent_id)
            channel, uid = agent.channel, agent.uid
        if (token.channel, token.account) != (channel, uid) or uid in ("", "0"):
            raise Violation("I14", f"a token for {token.channel}/{token.account} went to {channel}/{uid}")

    def _approved(self, call: Call, run: _Run) -> None:
        """I11: what is done is in the plan that was shown."""
        assert run.planned is not None, "nothing is done before a plan was made"
        acts = run.planned.plan.acts
        if call.operation is Operation.JOIN:
            name = parsed(call.name)
            digests = {each.address.digest for each in acts}
            if name is None or name.address_digest not in digests:
                raise Violation("I11", f"{call.name} is joined, and no change of the plan asks for it")
            return
        kinds = {Action.LEAVE, Action.REPLACE, Action.ROTATE}
        if call.operation is Operation.UPDATE:
            kinds = {Action.UPDATE, Action.RENEW, Action.ADOPT}
        targets = {
            target.agent_id
            for each in acts
            if action_of(each) in kinds and (target := target_of(each)) is not None
        }
        agent = self._world.simulator.world.agent(call.agent_id)
        if call.agent_id not in targets and agent.name not in run.names:
            raise Violation("I11", f"{call.operation} of {agent.name}, which no change of the plan asks for")

    def answered(self, process: Process, fiber: Fiber, reply: HttpReply | HttpFailure) -> None:
        """An answer, or the lack of one, reaches a process."""
        run = self._runs[process]
        call = run.calls.pop(id(fiber))
        failed = isinstance(reply, HttpFailure) or reply.status >= 500 or reply.status in (408, 425, 429)
        if failed and call.operation not in MUTATING:
            run.failed_reads[id(fiber)] = call.request.url
        run.breaker.hear(reply)
        if run.breaker.is_open:
            self._world.seen.hit("breaker: open")
        if isinstance(reply, HttpFailure):
            return
        if reply.status in (429, 503):
            asked = retry_after(reply.headers)
            if asked:
                wait = min(asked, _LONGEST_HOLD) / process.clocks.rate
                run.hold_until = max(run.hold_until, self._world.time.now + wait - 0.01)
        if call.operation is Operation.QUERY and reply.status == 200:
            self._prove(call, run, reply)
        if call.operation is Operation.JOIN and reply.status == 409:
            run.disturbed = True
            run.conflicts.add(call.name)

    def _prove(self, call: Call, run: _Run, reply: HttpReply) -> None:
        try:
            shown = orjson.loads(reply.body)
            name, agent_id = shown["name"], shown["agent_id"]
        except (ValueError, TypeError, KeyError):
            return
        if not isinstance(name, str) or agent_id != call.agent_id:
            return
        who = parsed(name)
        if (who is not None and who.owner == run.job.fleet.owner) or self._world.store.adopted(
            agent_id, name
        ):
            run.proven.add(agent_id)

    # --- the world

    def arrived(self, call: Call, fate: str) -> None:
        """A request has reached the service, or is executed late: the world may have changed."""
        if fate not in ("ok", "executed late"):
            run = self._runs.get(call.process)
            if run is not None and call.operation in MUTATING:
                run.disturbed = True
        if fate == "executed late" or call.process not in self._runs:
            self.disturb()
        if fate == "dies_at_once":
            self._doomed_until = self._world.time.now + 21.0
        if call.operation is Operation.JOIN:
            self.check_world(call.process)

    def check_world(self, process: Process | None = None) -> None:
        """I1 and I2, now."""
        live = [each for each in self._world.simulator.world.live() if parsed(each.name) is not None]
        mine = [each for each in live if parsed(each.name).owner == self._world.owner]  # type: ignore[union-attr]
        self._at_most_one(mine)
        for agent in mine:
            if not self._world.store.covers(agent):
                if agent.name in self.excused:
                    continue
                raise Violation(
                    "I2", f"{agent.name} ({agent.agent_id}) lives, and the state knows nothing of it"
                )
            if self._world.store.record_of(agent.agent_id) is not None:
                self.excused.discard(agent.name)

    def _at_most_one(self, mine: list[Agent]) -> None:
        slots: dict[object, Agent] = {}
        for agent in mine:
            for key in (self._world.store.slot(agent), (agent.channel, agent.uid)):
                other = slots.setdefault(key, agent)
                if other is agent or (isinstance(key, str) and self._overlap_is_declared(agent, other)):
                    continue
                self.weak_overlaps += 1
                if self.strict:
                    raise Violation(
                        "I1", f"{other.name} ({other.agent_id}) and {agent.name} ({agent.agent_id}) both live"
                    )

    def _overlap_is_declared(self, agent: Agent, other: Agent) -> bool:
        """Join-first: two generations of one slot beside each other, with uids that differ."""
        name = parsed(agent.name)
        for spec in self._world.every_spec():
            if name is not None and spec.address.digest == name.address_digest:
                if spec.lifecycle.replace is ReplaceOrder.JOIN_FIRST:
                    return agent.uid != other.uid
        return False

    def _is_ours(self, agent: Agent, job: Job) -> bool:
        name = parsed(agent.name)
        return name is not None and name.owner == job.fleet.owner

    # --- the state

    def committed(self, process: Process, writes: list[Write], problem: BaseException | None) -> None:
        run = self._runs.get(process)
        if run is not None and run.verb in ("plan", "drift"):
            raise Violation("I10", f"{run.verb} writes to the state")
        store = self._world.store
        if problem is None and store.serial != self._serial + 1:
            raise Violation("I6", f"the serial went from {self._serial} to {store.serial} in one write")
        if isinstance(problem, StateLocked):
            self._world.seen.hit("fenced: a stale writer's write was refused")
            if store.serial != self._serial:
                raise Violation("I6", "a refused write has changed the serial")
        self._serial = store.serial
        if run is not None and isinstance(problem, (StateError, StateLocked)):
            run.broken = run.broken or isinstance(problem, StateError)
            run.disturbed = True
        kinds = {type(each) for each in writes}
        if kinds >= {DropIntent, PutGeneration} and not kinds & {PutRecord, DropRecord}:
            self._world.seen.hit("next generation")
        if run is not None and problem is None:
            self._recorded(run, writes)
        told = ",".join(type(each).__name__ for each in writes)
        self._world.note(
            f"{process.label} commit {told} -> {problem and type(problem).__name__} {store.serial}"
        )
        self.check_world(process)

    def _recorded(self, run: _Run, writes: list[Write]) -> None:
        """I3: no agent of somebody else's is taken into the state."""
        for write in writes:
            if isinstance(write, PutRecord):
                agent = self._world.simulator.world.agent(write.record.agent_id)
                if not self._is_ours(agent, run.job) and not write.record.declared:
                    raise Violation("I3", f"{agent.name}, which is not ours, was taken into the state")
                if write.record.unsent and write.record.name in run.conflicts:
                    self._world.seen.hit("adopt on 409")
            elif isinstance(write, Append) and "found by its name" in write.entry.detail:
                self._world.seen.hit("join: found by its name")

    def state_lost(self) -> None:
        """What ran before a loss is found again by name; until then the state knows nothing of it."""
        self.excused |= {
            each.name for each in self._world.simulator.world.agents()
        } | self._world.network.sent_names
        self._serial = self._world.store.serial
        self._world.seen.hit("state: lost")

    # --- the goal

    def _uid_may_be_taken(self, address: Address, job: Job, live: Iterable[Agent]) -> bool:
        """Whether a join of an address was refused as taken, and an agent of somebody else runs in its channel."""
        refused = (each.refused_since for each in self._world.store.read().intents if each.address == address)
        foreign = (each for each in live if each.channel == address.channel and not self._is_ours(each, job))
        return any(since is not None for since in refused) and next(foreign, None) is not None

    def unsettled(self, job: Job) -> Iterator[str]:
        """What is not as the files want it, by the world's own account. Empty when the fleet is in place."""
        records = self._world.store.read().records
        live = {each.agent_id: each for each in self._world.simulator.world.live()}
        claimed: set[str] = set()
        for address, spec in sorted(job.fleet.agents.items()):
            record = records.get(address)
            if spec.lifecycle.paused or job.destroying:
                continue
            agent = live.get(record.agent_id) if record else None
            is_protected = self._is_protected(spec)
            if agent is None and is_protected:
                # Found by its name, and other than the files want it: held as it is, without a record.
                slots = {each.digest for each in (address, *spec.previously)}
                agent = next((each for each in live.values() if self._world.store.slot(each) in slots), None)
                if agent is not None:
                    claimed.add(agent.agent_id)
                    continue
            if agent is None and self.seat_is_protected(spec, job):
                continue
            if agent is None and self._uid_may_be_taken(address, job, live.values()):
                continue  # held, with the three ways on: no run can tell a spent name from a taken uid
            if record is None or agent is None or not agent.live_at(self._world.time.now):
                yield f"{address} does not run"
                continue
            claimed.add(agent.agent_id)
            if is_protected or self.seat_is_protected(spec, job):
                continue
            if record.declared:
                if any(
                    agent.properties["llm"].get(key) != spec.body.properties["llm"].get(key) for key in _LLM
                ):  # type: ignore[index,union-attr,call-overload]
                    yield f"{address} was adopted, and has other values in place"
                continue
            if agent.channel != address.channel or (spec.body.uid and agent.uid != spec.body.uid):
                yield f"{address} sits at {agent.channel}/{agent.uid}"
            wanted = self._world.filled(spec.body)
            has = {
                key: value
                for key, value in agent.properties.items()
                if key not in ("token", "channel", "agent_rtc_uid")
            }
            if has != wanted:
                keys = [key for key in sorted(has.keys() | wanted.keys()) if has.get(key) != wanted.get(key)]
                yield f"{address} has other properties: {keys}"
        for agent in live.values():
            name = parsed(agent.name)
            ours = name is not None and name.owner == job.fleet.owner and agent.name not in self.excused
            ours = ours and not self._world.store.is_released(agent.agent_id)
            if ours and agent.agent_id not in claimed and not self._may_stay(agent, records, job):
                yield f"{agent.name} ({agent.agent_id}) runs, and nobody wants it"

    def seat_is_protected(self, spec: AgentSpec, job: Job) -> bool:
        """Whether a protected agent holds the uid that the files want for another: it stays, and is shown as held.

        Its block may be gone: the protection outlives it. An agent of ours that no state knows stays likewise.
        """
        seat = (spec.address.channel, spec.uid(job.fleet.owner))
        holders = {
            self._world.store.slot(each)
            for each in self._world.simulator.world.live()
            if (each.channel, each.uid) == seat
        }
        outlived = {
            record.address.digest
            for address, record in self._world.store.read().records.items()
            if record.protect and address not in job.fleet.agents
        }
        declared = {each.digest for at, other in job.fleet.agents.items() for each in (at, *other.previously)}
        recorded = {record.address.digest for record in self._world.store.read().records.values()}
        held = {
            each for each in holders if each not in declared | recorded
        }  # ours, and nobody knows its address
        return bool(holders & outlived or held) or any(
            self._is_protected(other)
            and address != spec.address
            and holders & {each.digest for each in (address, *other.previously)}
            for address, other in job.fleet.agents.items()
        )

    def _may_stay(self, agent: Agent, records: object, job: Job) -> bool:
        """Protected agents outlive their block, and what is stopping is on its way."""
        if agent.status_at(self._world.time.now) is Status.STOPPING:
            return True
        record = self._world.store.record_of(agent.agent_id)
        if record is None:
            return False
        heirs = [
            spec
            for address, spec in job.fleet.agents.items()
            if record.address in (address, *spec.previously)
        ]
        return any(map(self._is_protected, heirs)) if heirs else record.protect

    def _is_protected(self, spec: AgentSpec) -> bool:
        """What the files say last: where they do not say, it is what the state remembers."""
        if spec.lifecycle.protect is not None:
            return spec.lifecycle.protect
        records = self._world.store.read().records
        known = (records.get(each) for each in (spec.address, *spec.previously))
        return any(record.protect for record in known if record is not None)
