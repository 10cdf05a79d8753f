"""The only place that chooses adapters: which provider, sender, state and secrets a run works with."""

from __future__ import annotations

import asyncio
import gc
import getpass
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import click

from reconciler.apply.events import Notice
from reconciler.cli.limits import load_limits
from reconciler.cli.meter import Meter
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import MASKER, Output
from reconciler.cli.pull_requests import CHANGES, SECRETS, refuse_unmerged
from reconciler.cli.remembering import Attentive, Remembering
from reconciler.driver.loop import Driver, Sender
from reconciler.driver.secrets import SecretSources, StandIns
from reconciler.errors import InvalidConfig, ReconcilerError
from reconciler.model.fleet import DesiredFleet
from reconciler.observe import ForeignMemory
from reconciler.ports import SecretSource, Steps
from reconciler.providers import (
    Connection,
    Connector,
    Paced,
    Purpose,
    RunProvider,
    connector_of,
)
from reconciler.secrets import Secret
from reconciler.services import entry_of
from reconciler.state.blocking import behind_ports
from reconciler.state.condition import app_id_of
from reconciler.state.local import LocalStore
from reconciler.state.seen import seen_directory
from reconciler.state.service_cache import ServiceCache
from reconciler.workflow import Planned

T = TypeVar("T")

STATE_DIRECTORY = ".reconciler"
# Windows has no SIGHUP.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
# How long a run that is ended at once may take to say so, seconds.
_LAST_WORDS = 0.5


class Interrupted(click.exceptions.Exit):
    """The run was stopped by a signal, and says so by its exit code."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


@dataclass(slots=True)
class Session:
    """One run on one fleet: everything chosen, nothing done. Close it, or use it as a context."""

    directory: Path
    fleet: DesiredFleet
    connection: Connection
    sender: Callable[[], Sender]
    store: LocalStore
    secrets: SecretSource
    output: Output
    clock: Callable[[], float] = time.time
    cache: ServiceCache | None = None
    interrupted_by: int | None = field(default=None, init=False)
    # False where the report itself tells what a run would warn of.
    warns: bool = field(default=True, init=False)
    _has_changed: bool = field(default=False, init=False)
    _warned: set[str] = field(default_factory=set, init=False)

    @property
    def provider(self) -> RunProvider:
        """The provider that this run works with."""
        return self.connection.provider

    @property
    def memory(self) -> ForeignMemory:
        """What is known of foreign agents by now."""
        return self.cache.memory if self.cache is not None else ForeignMemory()

    def run(
        self,
        steps: Steps[T],
        *,
        on_event: Callable[[Any], None] | None = None,
        keeps_result: bool = False,
        is_watch: bool = False,
    ) -> T:
        """Perform steps. SIGINT, SIGTERM and SIGHUP stop the run in order; a second one ends it at once.

        Raises `Interrupted` after a signal, unless the steps ended in order and `keeps_result` asks for what they
        gave: that of an apply tells what was done. It is told, except of a watch, which has no other end.
        """
        try:
            result = asyncio.run(self._run(steps, on_event))
        except (ReconcilerError, asyncio.CancelledError):
            if self.interrupted_by is not None:
                raise self._interrupted(self.interrupted_by, is_watch=is_watch) from None
            raise
        if self.interrupted_by is not None and not keeps_result:
            raise self._interrupted(self.interrupted_by, is_watch=is_watch)
        return result

    def _interrupted(self, number: int, *, is_watch: bool) -> Interrupted:
        """The end of a run that was stopped; what is said of it is what is certain."""
        if not is_watch:
            self.output.say("interrupted" if self._has_changed else "interrupted; nothing was done")
        return Interrupted(number)

    async def _run(self, steps: Steps[T], on_event: Callable[[Any], None] | None) -> T:
        def tell(text: str) -> None:
            if on_event is None:
                self.output.say(text)
            else:
                on_event(Notice(text))

        sender = Meter(self.sender(), self.provider.host, tell)
        driver = Driver(
            sender,
            store=behind_ports(self.store),
            secrets=self.secrets,
            on_event=self._heard(on_event),
            holder=_holder(self.fleet),
            clock=self.clock,
        )
        task = asyncio.ensure_future(driver.run(steps))
        loop = asyncio.get_running_loop()
        # What is left of a call that was cut short has nobody to tell, and may quote what it sent.
        loop.set_exception_handler(lambda *_: None)

        def interrupt(number: int) -> None:
            if self.interrupted_by is not None:
                task.cancel()
                # A thread that waits for another program cannot be cancelled, and is not waited for.
                loop.call_later(_LAST_WORDS, os._exit, 128 + self.interrupted_by)
                return
            self.interrupted_by = number
            if on_event is not None:  # a command that only reads has nothing to finish
                self.output.say(
                    "stopping: nothing new is started; once more ends at once (the intents are on disk)"
                )
            driver.stop()

        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, and jobs in the background, mean it
                _handle(loop, number, interrupt)
        try:
            return await task
        finally:
            await sender.aclose()
            self._has_changed = self._has_changed or driver.has_changed
            self._save_cache()
            self.output.detail(
                f"asked {self.provider.host}: {sender.reads} reads ({self.provider.retries} of them again), "
                f"{sender.changes} changes, in {sender.seconds:.2f} s"
            )
            self._warn("clock", self.provider.clock_warning)
            self._warn("credentials", self.provider.credentials_warning)

    def _warn(self, rule: str, text: str | None) -> None:
        """Say a warning about the run, once however many steps the command performs."""
        if text and self.warns and text not in self._warned:
            self._warned.add(text)
            self.output.say(f"warning: {text} [{rule}]")

    def _heard(self, on_event: Callable[[Any], None] | None) -> Callable[[Any], None]:
        """Passes events on. Once the plan of an apply stands, garbage is collected again, apart from what was read."""

        def handle(event: Any) -> None:
            if isinstance(event, ForeignMemory):
                if self.cache is not None:
                    self.cache.memory = event
                return
            if isinstance(event, Planned) and not gc.isenabled():
                gc.freeze()
                gc.enable()
            if on_event is not None:
                on_event(event)

        return handle

    def _save_cache(self) -> None:
        if self.cache is not None:
            if isinstance(self.provider, Paced):
                self.cache.pace = self.provider.pace
            self.cache.save()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.close()


def load_fleet(flags: FleetFlags, output: Output) -> DesiredFleet:
    """The desired fleet of a directory; its warnings are shown, its errors raised."""
    from reconciler import config

    path = Path(flags.directory)
    begun = time.monotonic()
    try:
        fleet = config.load(
            path, environment=flags.environment, variables=dict(flags.variables), limits=load_limits()
        )
    except InvalidConfig as problem:
        problem.directory = flags.directory
        raise
    output.detail(
        f"read the files of {fleet.owner} in {path}: {len(fleet.agents)} agents in {len(fleet.channels)} channels, "
        f"in {time.monotonic() - begun:.2f} s"
    )
    output.warn(fleet.warnings, path)
    return fleet


def open_session(
    flags: FleetFlags, output: Output, *, purpose: Purpose = Purpose.OBSERVE, reads_secrets: bool = False
) -> Session:
    """A session for a fleet: the embedded simulator or the real service, as its files say.

    `reads_secrets` is for what observes and resolves references nevertheless.
    """
    fleet = load_fleet(flags, output)
    connector = connector_for(fleet)
    store, sources = local_parts(flags, output)
    if (purpose is Purpose.CHANGE or reads_secrets) and not connector.is_of_this_machine(os.environ):
        refuse_unmerged(os.environ, CHANGES if purpose is Purpose.CHANGE else SECRETS)
    connection = connector.connect(os.environ, fleet.service, purpose)
    return session_with(fleet, connection, (store, sources), flags, output, purpose=purpose)


def connector_for(fleet: DesiredFleet) -> Connector:
    """The connector of a fleet's service; the masker knows its credentials from here on."""
    _leave_no_core()
    entry = entry_of(fleet.service.kind)
    connector = connector_of(entry)
    MASKER.learn_all(Secret(os.environ[name]) for name in connector.credentials if name in os.environ)
    for project in (os.environ.get(entry.project_variable), fleet.service.app_id):
        if project:
            MASKER.publish(project)
    return connector


def local_parts(flags: FleetFlags, output: Output) -> tuple[LocalStore, SecretSource]:
    """What a run has on this machine: the state of a fleet's environment, and the sources of secrets."""
    path = Path(flags.directory)
    store = LocalStore(state_path(path, flags.environment), seen=seen_directory(os.environ))
    MASKER.publish(app_id_of(store))
    output.detail(f"the state is {store.path}")
    for each in store.exposures():
        output.say(f"warning: {each} [state]")
    return store, Remembering(SecretSources(os.environ, path))


def session_with(
    fleet: DesiredFleet,
    connection: Connection,
    local: tuple[LocalStore, SecretSource],
    flags: FleetFlags,
    output: Output,
    *,
    purpose: Purpose = Purpose.OBSERVE,
) -> Session:
    """A session on a connection: its requests go out by a socket, or to the simulator of this process."""
    path = Path(flags.directory)
    store, sources = local
    if entry_of(fleet.service.kind).is_embedded:
        from reconciler.cli.embedded import embedded

        sender = embedded(path / STATE_DIRECTORY, fleet, purpose)
        return Session(path, fleet, connection, sender, store, StandIns(sources), output)
    from reconciler.driver.http import HttpxSender
    from reconciler.driver.rehearsal import WithoutDate, fast_clock

    host = connection.provider.host
    cache = ServiceCache(store.path.parent, host, connection.project)
    if isinstance(connection.provider, Paced) and cache.pace is not None:
        connection.provider.start_at(cache.pace)
    clock = fast_clock(host) if _is_of_this_machine(fleet) else None
    if clock is None:
        return Session(
            path, fleet, connection, lambda: Attentive(HttpxSender()), store, sources, output, cache=cache
        )
    output.say(f"a rehearsal: the time is the simulator's at {host}, {clock.speed:g} times as fast as ours")

    sender = lambda: Attentive(WithoutDate(HttpxSender()))  # noqa: E731
    return Session(path, fleet, connection, sender, store, sources, output, clock, cache)


def _is_of_this_machine(fleet: DesiredFleet) -> bool:
    return connector_of(entry_of(fleet.service.kind)).is_of_this_machine(os.environ)


def _leave_no_core() -> None:
    """A crash must not leave the memory of a process that holds credentials on a disk."""
    with suppress(ImportError, OSError, ValueError):  # Windows has neither the module nor the files
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _handle(loop: asyncio.AbstractEventLoop, number: int, interrupt: Callable[[int], None]) -> None:
    """Let the loop answer a signal."""
    try:
        loop.add_signal_handler(number, interrupt, number)
    except NotImplementedError:  # Windows

        def pass_on(number: int, frame: object) -> None:
            if loop.is_closed():
                raise KeyboardInterrupt
            loop.call_soon_threadsafe(interrupt, number)

        signal.signal(number, pass_on)


def state_path(directory: Path, environment: str | None) -> Path:
    """Where the state of a fleet's environment lies."""
    # An environment may be called "default", and is another one than none.
    name = "env-default" if environment == "default" else environment or "default"
    return directory / STATE_DIRECTORY / f"{name}.state"


def _holder(fleet: DesiredFleet) -> str:
    user = "somebody"
    with suppress(ImportError, KeyError, OSError):
        user = getpass.getuser()
    started = _timestamp()
    return f"{user}@{socket.gethostname()} (pid {os.getpid()}, fleet {fleet.owner}, since {started})"


def _timestamp() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
