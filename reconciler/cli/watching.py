"""`watch`: the controller of this process, from the first read of the files to the signal that ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from reconciler.cli import wiring
from reconciler.cli.exposing import Exposed
from reconciler.cli.many import fleets_of
from reconciler.cli.meter import Meter
from reconciler.cli.notifying import Notifier
from reconciler.cli.options import FleetFlags, ManyFlags
from reconciler.cli.output import Output, show_error
from reconciler.cli.session import Session, holder_of, on_signal
from reconciler.cli.standing_log import StandingLog
from reconciler.cli.turning import StandingFlags
from reconciler.cli.watched_files import WatchedFiles
from reconciler.controller.loop import Standing
from reconciler.controller.roll import Roll
from reconciler.driver.standing import StandingDriver
from reconciler.errors import UsageError
from reconciler.ports import StateStore
from reconciler.providers import Purpose
from reconciler.services import entry_of
from reconciler.state.blocking import behind_ports
from reconciler.state.opening import for_a_controller
from reconciler.state.unchanged import ReadOnce, SeenLease
from reconciler.values import dataclass

SHORTEST_INTERVAL = 1.0
# A loop that a bug of ours has ended begins anew after so many seconds.
_AFTER_A_BUG = 5.0


@dataclass(frozen=True, slots=True)
class WatchFlags:
    """How a controller goes about it. `interval` between two rolls of an App ID, seconds."""

    interval: float
    standing: StandingFlags
    listen: str | None = None
    notify: str | None = None

    def __post_init__(self) -> None:
        if self.interval < SHORTEST_INTERVAL:
            raise UsageError(
                f"--interval {self.interval:g}s is too short: each one costs a complete listing",
                hint=f"write {SHORTEST_INTERVAL:g}s or more; 30s is usual",
            )


@dataclass(slots=True)
class Kept:
    """One fleet of this process."""

    session: Session
    standing: Standing
    driver: StandingDriver
    log: StandingLog


def run_watch(fleets: ManyFlags, flags: WatchFlags, output: Output) -> int:
    """Keep fleets standing until SIGTERM or SIGINT; returns the exit code."""
    with ExitStack() as stack:
        chosen = [(each, _opened(each, output, stack)) for each in fleets_of(fleets)]
        _check_apart([session for _, session in chosen])
        # What was read until here stays: the collector looks at what the loops make, for as long as they run.
        exposed = Exposed(flags.listen)
        gc.collect()
        gc.freeze()
        gc.enable()
        asyncio.run(_Controller(chosen, flags, output, exposed).run())
    return 0


def _opened(flags: FleetFlags, output: Output, stack: ExitStack) -> Session:
    if unsuited := for_a_controller(flags.state):
        output.warn_once(f"warning: {unsuited} [state]")
    return stack.enter_context(wiring.open_session(flags, output, purpose=Purpose.CHANGE))


def _project_of(session: Session) -> tuple[str, ...]:
    """Whose agents a fleet's are among: an App ID of a service. The embedded simulator has a world for each fleet."""
    kind = session.fleet.service.kind
    place = (str(session.directory.resolve()),) if entry_of(kind).is_embedded else ()
    return (kind, session.provider.host, session.connection.project, *place)


def _check_apart(sessions: Iterable[Session]) -> None:
    """Raise `UsageError` for two fleets that would take each other's agents for their own."""
    seen: dict[tuple[object, ...], Session] = {}
    for each in sessions:
        key = (_project_of(each), each.fleet.owner)
        if key in seen:
            raise UsageError(
                f"{seen[key].directory} and {each.directory} are both {each.fleet.owner}: each would take the other's "
                "agents for its own",
                hint="name one of them, or give one another `fleet:` or environment",
            )
        seen[key] = each


class _Controller:
    """The loops of all fleets, on one event loop."""

    def __init__(
        self, chosen: list[tuple[FleetFlags, Session]], flags: WatchFlags, output: Output, exposed: Exposed
    ) -> None:
        self._chosen = chosen
        self._flags = flags
        self._output = output
        self._exposed = exposed
        self._notifier = Notifier(flags.notify, output, exposed.notified)
        self._kept: list[Kept] = []
        self._senders: dict[tuple[str, ...], Meter] = {}
        self._rolls: dict[tuple[str, ...], tuple[Session, Roll]] = {}

    async def run(self) -> None:
        """Until somebody stops it."""
        self._kept = [self._keep(*each) for each in self._chosen]
        loop = asyncio.get_running_loop()
        # What is left of a call that was cut short has nobody to tell, and may quote what it sent.
        loop.set_exception_handler(lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            on_signal(loop, number, self._stop)
        if hasattr(signal, "SIGHUP"):
            on_signal(loop, signal.SIGHUP, self._wake)
        if self._exposed.address is not None:
            self._output.say(f"health and metrics at {self._exposed.address}/metrics")
        try:
            notifying = asyncio.ensure_future(self._notifier.run())
            loops = asyncio.gather(*(self._stand(each) for each in self._kept))
            loops.add_done_callback(lambda _: self._exposed.stop())
            await asyncio.gather(loops, self._exposed.serve())
        finally:
            notifying.cancel()
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
        for each in self._kept:
            each.driver.stop()

    def _wake(self, number: int) -> None:
        for each in self._kept:
            each.driver.wake("signal")

    def _keep(self, flags: FleetFlags, session: Session) -> Kept:
        key = _project_of(session)
        log = StandingLog(self._output, session.fleet.owner)
        if key not in self._rolls:
            self._rolls[key] = (session, Roll(session.memory, interval=self._flags.interval))
            sender = self._exposed.counting(session.sender())
            self._senders[key] = Meter(sender, session.provider.host, log.tell, self._output.trace)
        first, roll = self._rolls[key]
        job = self._flags.standing.job(session)
        self._exposed.begin(session.fleet)

        def take(event: Any) -> None:
            log.take(event)
            now = session.clock() + (first.provider.clock_skew or 0.0)
            self._exposed.take(session.fleet, event, now)
            self._notifier.take(standing.job.fleet, event)

        standing = Standing(job, first.provider, roll)
        driver = StandingDriver(
            self._senders[key],
            store=_store(session, self._exposed),
            holder=holder_of(session.fleet),
            secrets=session.secrets,
            archive=session.archive,
            on_event=take,
            clock=session.clock,
            read_files=WatchedFiles(flags, self._output, self._flags.standing.check).read,
        )
        return Kept(session, standing, driver, log)

    async def _stand(self, kept: Kept) -> None:
        """The loop of one fleet; a bug of ours in it ends no other one."""
        while not kept.driver.stopped:
            try:
                await kept.driver.run(kept.standing.stand())
            except Exception as problem:  # noqa: BLE001  told, and begun anew: the loop is led by what it sees
                kept.log.begin()
                show_error(problem)
                await _unless(kept, _AFTER_A_BUG)


async def _unless(kept: Kept, seconds: float) -> None:
    """Wait, but not for one who was told to stop."""
    step = 0.1
    while seconds > 0 and not kept.driver.stopped:
        await asyncio.sleep(step)
        seconds -= step


def _store(session: Session, exposed: Exposed) -> StateStore:
    ports = behind_ports(session.store)
    lease = SeenLease(ports.lease)
    ledger = ReadOnce(ports.ledger, lease, partial(exposed.committed, type(session.store).__name__))
    return replace(ports, ledger=ledger, lease=lease)
