"""The simulator: one request in, one response or outage out, synchronously, with no I/O but the store's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from threading import RLock

from reconciler.simulator.agent import RTC_ERROR, Agent, End, Status
from reconciler.simulator.auth import Credentials
from reconciler.simulator.faults import Fate, FaultScript
from reconciler.simulator.history import Deferred, LogEntry, Note
from reconciler.simulator.messages import Outage, OutageKind, Request, Response, http_date
from reconciler.simulator.outcomes import Outcome, enact
from reconciler.simulator.routes import Call, identify, respond, subject
from reconciler.simulator.store import Store, WorldSettings
from reconciler.simulator.switches import Switches
from reconciler.simulator.world import World

Clock = Callable[[], float]
"""Epoch seconds. The world adds the offset by which it is ahead; it never runs backwards on its own."""


@dataclass(slots=True)
class Gauge:
    """The number of requests that are being served, and the highest number so far. Servers count it."""

    current: int = 0
    maximum: int = 0

    def __enter__(self) -> None:
        self.current += 1
        self.maximum = max(self.maximum, self.current)

    def __exit__(self, *_: object) -> None:
        self.current -= 1


class WorldView:
    """A view of a world, for the control path and for tests; each read is at the present time, after due requests were
    executed. It has every agent that ever existed with its times, so that a test can assert what must never have happened.
    """

    def __init__(self, enter: Callable[[], AbstractContextManager[World]]) -> None:
        self._enter = enter

    @property
    def now(self) -> float:
        """The world's time in epoch seconds."""
        with self._enter() as world:
            return world.now

    def agents(self) -> tuple[Agent, ...]:
        """Return all agents that were ever started (except those that a reset deleted), oldest first."""
        with self._enter() as world:
            return tuple(world.store.every())

    def live(self) -> tuple[Agent, ...]:
        """Return the agents that live now, STOPPING ones included, oldest first."""
        with self._enter() as world:
            return tuple(agent for agent in world.store.every() if agent.live_at(world.now))

    def agent(self, agent_id: str) -> Agent:
        """Return one agent. Raises `KeyError`."""
        with self._enter() as world:
            agent = world.store.find_anywhere(agent_id)
        if agent is None:
            raise KeyError(agent_id)
        return agent

    def notes(self, agent_id: str) -> tuple[Note, ...]:
        """Return an agent's notes with their times: updates, and texts that were sent to it."""
        with self._enter() as world:
            return tuple(world.store.history.notes(agent_id))


class Simulator:
    """One simulated service: its store, its clock, its switches, its faults, and the credentials that it accepts.

    Without `switches`, those in the store are used. The world's clock runs `speed` times as fast as
    `clock`. Safe to share between threads.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        clock: Clock = time.time,
        credentials: Credentials | None = None,
        switches: Switches | None = None,
        speed: float = 1.0,
    ) -> None:
        self._store = store if store is not None else Store()
        self._clock = clock
        self.speed = speed
        self._last_tick = clock()
        self._credentials = credentials or Credentials()
        self._lock = RLock()
        self.in_flight = Gauge()
        if switches is not None:
            self.set_switches(switches)

    # --- serving

    def handle(self, request: Request, *, fate: Fate | None = None) -> Outcome:
        """Serve one request. `fate` is used in place of the fault script's."""
        with self._world() as world:
            call = identify(request)
            if fate is None and world.store.settings.script.rules:
                fate = _next_fate(call, world)
            outcome = respond(call, world) if fate is None else enact(fate, call, world)
            world.store.history.log(_entry(call, world, outcome))
            return _delivered(outcome, world)

    @contextmanager
    def _world(self) -> Iterator[World]:
        with self._lock, self._store.open() as store:
            now = self._tick(store)
            while (deferred := store.history.take_due(now)) is not None:
                self._execute_late(store, deferred)
            yield World(store, now, store.settings.switches, self._credentials)

    def _execute_late(self, store: Store, deferred: Deferred) -> None:
        world = World(store, deferred.due, store.settings.switches, self._credentials)
        call = identify(deferred.request)
        store.history.log(_entry(call, world, respond(call, world)))

    # --- time

    @property
    def now(self) -> float:
        """The world's time in epoch seconds."""
        with self._lock, self._store.open() as store:
            return self._tick(store)

    def _tick(self, store: Store) -> float:
        clock = self._clock()
        gained = (clock - self._last_tick) * (self.speed - 1)
        if gained > 0:
            # the store keeps how far the world is ahead, so that a restart at any speed continues from here
            store.save_settings(replace(store.settings, offset=store.settings.offset + gained))
        self._last_tick = max(clock, self._last_tick)
        return clock + store.settings.offset

    def advance(self, seconds: float) -> float:
        """Move the world's clock forward and return its time. Requests that become due are executed."""
        if not 0 <= seconds < float("inf"):
            raise ValueError("the clock of a world only moves forward")
        with self._lock, self._store.open() as store:
            store.save_settings(replace(store.settings, offset=store.settings.offset + seconds))
        self.settle()
        return self.now

    def settle(self) -> None:
        """Execute the late requests that are due by now."""
        with self._world():
            pass

    def next_due(self) -> float | None:
        """Return when the next late request will be executed, in epoch seconds of the world, or None."""
        with self._lock, self._store.open() as store:
            return store.history.next_due()

    # --- settings

    @property
    def settings(self) -> WorldSettings:
        """The world's settings: clock offset, switches, fault script."""
        with self._lock, self._store.open() as store:
            return store.settings

    @property
    def switches(self) -> Switches:
        """The switches in force."""
        return self.settings.switches

    def set_switches(
        self, switches: Switches | Mapping[str, object] | None = None, /, **settings: object
    ) -> None:
        """Set all switches, or some of them by name. Raises `SwitchError`."""
        with self._lock, self._store.open() as store:
            base = switches if isinstance(switches, Switches) else store.settings.switches
            named = switches if isinstance(switches, Mapping) else {}
            changed = base.with_settings({**named, **settings})
            store.save_settings(replace(store.settings, switches=changed))

    def set_script(self, script: FaultScript | list[Mapping[str, object]]) -> None:
        """Set a fault script, which begins with its first rule. Raises `FaultError`."""
        parsed = script if isinstance(script, FaultScript) else FaultScript.parse(script)
        with self._lock, self._store.open() as store:
            store.save_settings(replace(store.settings, script=parsed))
            store.save_script_position(())

    def reset(self) -> None:
        """Delete agents, switches, faults, log and clock offset."""
        with self._lock, self._store.open() as store:
            store.clear()
        self.in_flight.maximum = self.in_flight.current

    # --- what happens in the world by itself

    def end(self, agent_id: str, *, message: str = RTC_ERROR, failed: bool = True) -> None:
        """End a live agent at once, without a call. Raises `KeyError` if it does not live."""
        status = Status.FAILED if failed else Status.STOPPED
        with self._world() as world:
            world.doom(_live(world, agent_id), End(world.now, status, message))

    def show(self, agent_id: str, status: Status | None) -> None:
        """Make a live agent show a status, such as RECOVERING; None shows its own again. Raises `KeyError`."""
        with self._world() as world:
            world.show(_live(world, agent_id), status)

    def users_joined(self, channel: str) -> None:
        """Note that a user has joined a channel: the idle clocks of its agents stop."""
        with self._world() as world:
            world.users_joined(channel)

    def users_left(self, channel: str) -> None:
        """Note that all users have left a channel: the idle clocks of its agents run."""
        with self._world() as world:
            world.users_left(channel)

    # --- looking

    @property
    def world(self) -> WorldView:
        """A read-only view of the world: agents, their lives and what was done to them."""
        return WorldView(self._world)

    def log(self) -> list[LogEntry]:
        """Return the last requests, oldest first."""
        with self._world() as world:
            return list(world.store.history.entries())

    def tally(self) -> dict[str, int]:
        """Return the number of requests for each operation, lost and late ones included."""
        with self._world() as world:
            return world.store.history.tally()

    def close(self) -> None:
        """Close the store."""
        self._store.close()


def _live(world: World, agent_id: str) -> Agent:
    agent = world.store.find_anywhere(agent_id)
    if agent is None or not agent.live_at(world.now):
        raise KeyError(agent_id)
    return agent


def _next_fate(call: Call, world: World) -> Fate | None:
    before = world.store.script_position()
    fate, position = world.store.settings.script.choose(subject(call, world), before)
    if position != before:
        world.store.save_script_position(position)
    return fate


def _entry(call: Call, world: World, outcome: Outcome) -> LogEntry:
    told = str(outcome.status) if isinstance(outcome, Response) else outcome.kind.value
    agent = call.agent_id
    if not agent and isinstance(call.body, dict):
        agent = str(call.body.get("name", ""))
    return LogEntry(world.now, call.operation.value, call.request.method, call.request.path, agent, told)


def _delivered(outcome: Outcome, world: World) -> Outcome:
    latency = world.switches.latency_seconds
    if isinstance(outcome, Outage):
        answer = outcome.response and _dated(outcome.response, world.now)
        return Outage(outcome.kind, outcome.executed, answer, outcome.seconds)
    answer = _dated(outcome, world.now)
    return Outage(OutageKind.SLOW, executed=True, response=answer, seconds=latency) if latency else answer


def _dated(response: Response, now: float) -> Response:
    return Response(response.status, (*response.headers, ("date", http_date(now))), response.body)
