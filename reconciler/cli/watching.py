"""`watch`: the controller of this process, from the first load of the files to the signal that ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from reconciler.cli import wiring
from reconciler.cli.exposing import MetricsServer
from reconciler.cli.following import Checkout, FollowedFiles, top_of
from reconciler.cli.meter import Meter
from reconciler.cli.notifying import Notifier
from reconciler.cli.options import FleetFlags, ManyFlags
from reconciler.cli.output import Output
from reconciler.cli.session import Session, holder_of, on_signal
from reconciler.cli.several_fleets import fleets_of
from reconciler.cli.shown_errors import show_error
from reconciler.cli.standing_log import StandingLog
from reconciler.cli.turning import StandingFlags
from reconciler.cli.watched_files import WatchedFiles
from reconciler.controller.loop import FleetLoop
from reconciler.controller.roll import Roll
from reconciler.driver.controller import ControllerDriver
from reconciler.errors import UsageError
from reconciler.model.fleet import EMPTY, EMPTY_HINT, DesiredFleet
from reconciler.ports import StateStore
from reconciler.providers import Purpose
from reconciler.state.blocking import behind_ports
from reconciler.state.opening import for_a_controller
from reconciler.state.unchanged import ReadIfChanged, SeenLease
from reconciler.values import dataclass

ReadFiles = Callable[[], Awaitable[DesiredFleet | None]]

SHORTEST_INTERVAL = 1.0
# Seconds after a signal until calls that wait for the host of a state in Git are ended.
_LAST_WAIT = 2.0
# Seconds after which a fleet's loop that a bug of ours has ended is started again.
_AFTER_A_BUG = 5.0


@dataclass(frozen=True, slots=True)
class WatchFlags:
    """The settings of a controller. `interval` is the number of seconds between two rolls; `pinned` is the value of `--git`.

    `per_agent` serves metrics of each agent, too.
    """

    interval: float
    standing: StandingFlags
    listen: str | None = None
    notify: str | None = None
    pinned: str | None = None
    per_agent: bool = False

    def __post_init__(self) -> None:
        if self.interval < SHORTEST_INTERVAL:
            raise UsageError(
                f"--interval {self.interval:g}s is too short: each one costs a complete listing",
                hint=f"write {SHORTEST_INTERVAL:g}s or more; 30s is usual",
            )
        if self.per_agent and self.listen is None:
            raise UsageError("--metrics-per-agent needs --listen, where metrics are served")


@dataclass(slots=True)
class Kept:
    """One fleet that this process keeps, with what its loop uses."""

    session: Session
    standing: FleetLoop
    driver: ControllerDriver
    store: StateStore
    log: StandingLog


def run_watch(fleets: ManyFlags, flags: WatchFlags, output: Output) -> None:
    """Run the controller of some fleets until SIGTERM or SIGINT."""
    with ExitStack() as stack:
        exposed = MetricsServer(flags.listen, per_agent=flags.per_agent)
        stack.callback(exposed.close)
        checkouts = _checkouts(fleets.directories, flags.pinned, output, exposed)
        chosen = [(each, _opened(each, output, stack)) for each in fleets_of(fleets)]
        _check_begin([session for _, session in chosen])
        # The objects made until here live as long as the process: the garbage collector need not examine them again.
        gc.collect()
        gc.freeze()
        gc.enable()
        asyncio.run(_Controller(chosen, flags, output, checkouts, exposed).run())


def _checkouts(
    directories: Iterable[str], pinned: str | None, output: Output, exposed: MetricsServer
) -> dict[str, Checkout]:
    """Return the checkout of each directory, after one fetch; empty without `--git`."""
    if pinned is None:
        return {}
    tops = {each: top_of(Path(each)) for each in directories}
    found = {
        top: Checkout(top, pinned, output, exposed.metrics.fetched) for top in sorted(set(tops.values()))
    }
    for each in found.values():
        each.look()
    return {each: found[top] for each, top in tops.items()}


def _opened(flags: FleetFlags, output: Output, stack: ExitStack) -> Session:
    if unsuited := for_a_controller(flags.state):
        output.warn_once(f"warning: {unsuited} [state]")
    return stack.enter_context(wiring.open_session(flags, output, purpose=Purpose.CHANGE))


def _project_of(session: Session) -> tuple[str, ...]:
    """Return the key of the service and App ID that a fleet's agents run under; each embedded fleet has its own."""
    service = session.fleet.service
    place = (str(session.directory.resolve()),) if service.entry.is_embedded else ()
    return (service.kind, session.provider.host, session.connection.project, *place)


def _check_begin(sessions: Iterable[Session]) -> None:
    """Raise `UsageError` for an empty fleet, and if two fleets have one owner mark under one App ID."""
    seen: dict[tuple[object, ...], Session] = {}
    for each in sessions:
        if not each.fleet.agents:
            raise UsageError(f"{each.fleet.owner}: {EMPTY}", hint=EMPTY_HINT)
        key = (_project_of(each), each.fleet.owner)
        if key in seen:
            raise UsageError(
                f"{seen[key].directory} and {each.directory} are both {each.fleet.owner}: each would take the other's "
                "agents for its own",
                hint="name one of them, or give one another `fleet:` or environment",
            )
        seen[key] = each


class _Controller:
    """The loops of all fleets, on one event loop. `checkouts` are those of `--git`, by the fleets' directories."""

    def __init__(
        self,
        chosen: list[tuple[FleetFlags, Session]],
        flags: WatchFlags,
        output: Output,
        checkouts: Mapping[str, Checkout],
        exposed: MetricsServer,
    ) -> None:
        self._chosen = chosen
        self._flags = flags
        self._output = output
        self._checkouts = checkouts
        self._exposed = exposed
        self._notifier = Notifier(flags.notify, output, exposed.metrics.notified)
        self._beside: list[asyncio.Task[None]] = []
        self._kept: list[Kept] = []
        self._senders: dict[tuple[str, ...], Meter] = {}
        self._rolls: dict[tuple[str, ...], tuple[Session, Roll]] = {}

    async def run(self) -> None:
        """Run the loops until a signal stops them."""
        self._kept = [self._keep(*each) for each in self._chosen]
        loop = asyncio.get_running_loop()
        # Errors of cancelled calls are dropped: no caller waits for them, and their text may quote what was sent.
        loop.set_exception_handler(lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            on_signal(loop, number, self._stop)
        if hasattr(signal, "SIGHUP"):
            on_signal(loop, signal.SIGHUP, lambda _: self._wake("signal"))
        if self._exposed.address is not None:
            self._output.say(f"health and metrics at {self._exposed.address}/metrics")
        try:
            self._beside = [asyncio.ensure_future(self._notifier.run())]
            for checkout in set(self._checkouts.values()):
                self._beside.append(asyncio.ensure_future(self._follow(checkout)))
            loops = asyncio.gather(*(self._stand(each) for each in self._kept))
            loops.add_done_callback(lambda _: self._exposed.stop())
            await asyncio.gather(loops, self._exposed.serve())
        finally:
            self._end_beside()
            for each in self._kept:
                await each.driver.close()
            for key, (session, roll) in self._rolls.items():
                await self._senders[key].aclose()
                if session.cache is not None:
                    session.cache.memory = roll.memory
                session.save_cache()
        self._output.say("stopped; the agents run on")

    def _stop(self, number: int) -> None:
        if all(each.driver.stopped for each in self._kept):
            return
        self._output.acknowledge("stopping: nothing new is started; the agents run on")
        self._end_beside()
        for each in self._kept:
            each.driver.stop()
            asyncio.get_running_loop().call_later(_LAST_WAIT, each.store.abandon)

    def _end_beside(self) -> None:
        """End the tasks besides the loops: notifications, and fetches, which may be waiting for their remote."""
        for task in self._beside:
            task.cancel()
        for checkout in self._checkouts.values():
            checkout.stop()

    def _wake(self, source: str) -> None:
        for each in self._kept:
            each.driver.wake(source)

    async def _follow(self, checkout: Checkout) -> None:
        """Keep a checkout up to date; a bug of ours in that is reported and does not end the loops."""
        while True:
            try:
                await checkout.follow(self._flags.interval, lambda: self._wake("fetch"))
            except Exception as problem:  # noqa: BLE001
                show_error(problem)

    def _keep(self, flags: FleetFlags, session: Session) -> Kept:
        key = _project_of(session)
        log = StandingLog(self._output, session.fleet.owner)
        if key not in self._rolls:
            self._rolls[key] = (session, Roll(session.memory, interval=self._flags.interval))
            sender = self._exposed.counting(session.sender())
            self._senders[key] = Meter(sender, session.provider.host, log.tell, self._output.trace)
        first, roll = self._rolls[key]
        job = self._flags.standing.job(session)
        read, commit = self._files(flags, session)
        self._exposed.begin(session.fleet, commit())

        def take(event: Any) -> None:
            log.take(event)
            now = session.clock() + (first.provider.clock_skew or 0.0)
            self._exposed.take(session.fleet, event, now, commit())
            self._notifier.take(standing.job.fleet, event)

        store = _store(session, self._exposed)
        standing = FleetLoop(job, first.provider, roll)
        driver = ControllerDriver(
            self._senders[key],
            store=store,
            holder=holder_of(session.fleet),
            secrets=session.secrets,
            archive=session.archive,
            on_event=take,
            clock=session.clock,
            read_files=read,
        )
        return Kept(session, standing, driver, store, log)

    def _files(self, flags: FleetFlags, session: Session) -> tuple[ReadFiles, Callable[[], str]]:
        """Return a function that reads a fleet's files again, and one for the commit of its last good files."""
        checkout, check = self._checkouts.get(flags.directory), self._flags.standing.check
        if checkout is None:
            return WatchedFiles(flags, self._output, check).read, lambda: ""

        def check_commit(fleet: DesiredFleet) -> None:
            checkout.check(session.directory, fleet)
            check(fleet)

        files = WatchedFiles(flags, self._output, check_commit)
        followed = FollowedFiles(files, checkout, session.fleet, check_commit)
        return followed.read, lambda: followed.commit

    async def _stand(self, kept: Kept) -> None:
        """Run the loop of one fleet; a bug of ours in it does not end the others."""
        while not kept.driver.stopped:
            try:
                await kept.driver.run(kept.standing.stand())
            except Exception as problem:  # noqa: BLE001  reported, then started again: the loop observes everything anew
                kept.log.begin()
                show_error(problem)
                await _unless(kept, _AFTER_A_BUG)


async def _unless(kept: Kept, seconds: float) -> None:
    """Wait some seconds, or until the loop is stopped."""
    step = 0.1
    while seconds > 0 and not kept.driver.stopped:
        await asyncio.sleep(step)
        seconds -= step


def _store(session: Session, exposed: MetricsServer) -> StateStore:
    ports = behind_ports(session.store)
    lease = SeenLease(ports.lease)
    ledger = ReadIfChanged(
        ports.ledger, lease, partial(exposed.metrics.committed, type(session.store).__name__)
    )
    return replace(ports, ledger=ledger, lease=lease)
