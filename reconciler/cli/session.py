"""One run on one fleet: performs its steps, reacts to signals, and saves what it learned of the service."""

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
from dataclasses import field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import click

from reconciler.apply.events import Notice
from reconciler.cli.meter import Meter, PageLine
from reconciler.cli.output import Output
from reconciler.driver.loop import Driver, Sender
from reconciler.errors import ReconcilerError
from reconciler.model.fleet import DesiredFleet
from reconciler.observe import ForeignMemory
from reconciler.ports import Reading, SecretSource, Steps
from reconciler.providers import Connection, Paced, RunProvider
from reconciler.state.archive import TranscriptFiles
from reconciler.state.blocking import BlockingStore, behind_ports
from reconciler.state.service_cache import ServiceCache
from reconciler.values import dataclass
from reconciler.workflow import Planned

T = TypeVar("T")

# Windows has no SIGHUP.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
# Seconds that a run has to print its end after a second signal.
_LAST_WORDS = 0.5


class Interrupted(click.exceptions.Exit):
    """The end of a run that was stopped by a signal; its exit code is 128 + the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


@dataclass(slots=True)
class Session:
    """One run on one fleet, with all adapters chosen and nothing done yet. As a context it closes the store."""

    directory: Path
    fleet: DesiredFleet
    connection: Connection
    sender: Callable[[], Sender]
    store: BlockingStore
    secrets: SecretSource
    output: Output
    clock: Callable[[], float] = time.time
    cache: ServiceCache | None = None
    interrupted_by: int | None = field(default=None, init=False)
    # False if the report itself contains the run's warnings.
    warns: bool = field(default=True, init=False)
    _has_changed: bool = field(default=False, init=False)

    @property
    def provider(self) -> RunProvider:
        """The provider of the run's connection."""
        return self.connection.provider

    @property
    def archive(self) -> TranscriptFiles | None:
        """The archive of the fleet's transcripts; None if the fleet keeps none."""
        kept = self.fleet.archive
        return TranscriptFiles(self.directory, kept.directory) if kept is not None else None

    @property
    def memory(self) -> ForeignMemory:
        """The foreign agents that earlier runs and this one know of."""
        return self.cache.memory if self.cache is not None else ForeignMemory()

    def run(
        self,
        steps: Steps[T],
        *,
        on_event: Callable[[Any], None] | None = None,
        keeps_result: bool = False,
        is_watch: bool = False,
    ) -> T:
        """Perform steps and return their result. A signal stops the run in order; a second one ends it at once.

        Raises `Interrupted` after a signal. With `keeps_result`, steps that ended in order return their result instead:
        that of an apply says what was done. `is_watch` leaves out the message on whether anything was changed.
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
        """Return the exception that ends a stopped run, after a line that says whether anything was changed."""
        if not is_watch:
            said = "interrupted" if self._has_changed else "interrupted; nothing was done"
            self.output.say(said, level="error")
        return Interrupted(number)

    async def _run(self, steps: Steps[T], on_event: Callable[[Any], None] | None) -> T:
        def tell(text: str) -> None:
            if on_event is None:
                self.output.say(text)
            else:
                on_event(Notice(text))

        sender = Meter(self.sender(), self.provider.host, tell, self.output.trace)
        pages = PageLine(self.output.passing)
        driver = Driver(
            sender,
            store=behind_ports(self.store),
            secrets=self.secrets,
            archive=self.archive,
            on_event=self._heard(on_event, pages),
            holder=holder_of(self.fleet),
            clock=self.clock,
        )
        task = asyncio.ensure_future(driver.run(steps))
        loop = asyncio.get_running_loop()
        # Errors of cancelled calls are dropped: no caller waits for them, and their text may quote what was sent.
        loop.set_exception_handler(lambda *_: None)

        def interrupt(number: int) -> None:
            if self.interrupted_by is not None:
                task.cancel()
                # A thread that waits for another program cannot be cancelled, so the process exits without it.
                loop.call_later(_LAST_WORDS, os._exit, 128 + self.interrupted_by)
                return
            self.interrupted_by = number
            known = "" if on_event is None else " (the intents are on disk)"
            self.output.acknowledge(f"stopping: nothing new is started; once more ends at once{known}")
            driver.stop()

        for number in _SIGNALS:
            # nohup and background jobs ignore these signals on purpose.
            if signal.getsignal(number) is not signal.SIG_IGN:
                on_signal(loop, number, interrupt)
        try:
            return await task
        finally:
            pages.close()
            await sender.aclose()
            self._has_changed = self._has_changed or driver.has_changed
            self.save_cache()
            self.output.detail(
                f"asked {self.provider.host}: {sender.reads:,} reads ({self.provider.retries:,} of them again), "
                f"{sender.changes:,} changes, in {sender.seconds:.2f} s"
            )
            self._warn("clock", self.provider.clock_warning)
            self._warn("credentials", self.provider.credentials_warning)

    def _warn(self, rule: str, text: str | None) -> None:
        """Print a warning about the run, once however many steps the command performs."""
        if text and self.warns:
            self.output.warn_once(f"warning: {text} [{rule}]")

    def _heard(self, on_event: Callable[[Any], None] | None, pages: PageLine) -> Callable[[Any], None]:
        """Return the run's event handler: it counts pages, keeps what is known of foreign agents, passes on the rest.

        Once the plan of an apply is complete, garbage is collected again, except what was read until then, and pages
        are not counted any more: from then on the terminal shows the changes.
        """

        def handle(event: Any) -> None:
            match event:
                case Reading():
                    pages.note(event)
                    return
                case ForeignMemory():
                    if self.cache is not None:
                        self.cache.memory = event
                    return
                case Planned():
                    pages.close()
                    if not gc.isenabled():
                        gc.freeze()
                        gc.enable()
                case _:
                    pass
            if on_event is not None:
                on_event(event)

        return handle

    def save_cache(self) -> None:
        """Save what this run learned of the service for the next run."""
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


def on_signal(loop: asyncio.AbstractEventLoop, number: int, interrupt: Callable[[int], None]) -> None:
    """Call `interrupt` from the event loop when a signal arrives."""
    try:
        loop.add_signal_handler(number, interrupt, number)
    except NotImplementedError:  # Windows

        def pass_on(number: int, frame: object) -> None:
            if loop.is_closed():
                raise KeyboardInterrupt
            loop.call_soon_threadsafe(interrupt, number)

        signal.signal(number, pass_on)


def user_and_host() -> str:
    """Return the present user and machine as `user@host`."""
    user = "somebody"
    with suppress(ImportError, KeyError, OSError):
        user = getpass.getuser()
    return f"{user}@{socket.gethostname()}"


def holder_of(fleet: DesiredFleet) -> str:
    """Return the name under which this process holds a lock: user, machine, process id, fleet and start time."""
    started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return f"{user_and_host()} (pid {os.getpid()}, fleet {fleet.owner}, since {started})"
