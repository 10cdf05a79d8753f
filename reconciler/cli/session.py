"""One run on one fleet: performs steps, hears signals, and keeps what was learned of the service."""

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
from reconciler.providers import (
    Connection,
    Paced,
    RunProvider,
)
from reconciler.state.archive import TranscriptFiles
from reconciler.state.blocking import BlockingStore, behind_ports
from reconciler.state.service_cache import ServiceCache
from reconciler.values import dataclass
from reconciler.workflow import Planned

T = TypeVar("T")

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
    store: BlockingStore
    secrets: SecretSource
    output: Output
    clock: Callable[[], float] = time.time
    cache: ServiceCache | None = None
    interrupted_by: int | None = field(default=None, init=False)
    # False where the report itself tells what a run would warn of.
    warns: bool = field(default=True, init=False)
    _has_changed: bool = field(default=False, init=False)

    @property
    def provider(self) -> RunProvider:
        """The provider that this run works with."""
        return self.connection.provider

    @property
    def archive(self) -> TranscriptFiles | None:
        """Where the fleet keeps its transcripts, if it keeps any."""
        kept = self.fleet.archive
        return TranscriptFiles(self.directory / kept.directory) if kept is not None else None

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
        """The exception that ends a stopped run, after a line on whether anything was changed."""
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
        # What is left of a call that was cut short has nobody to tell, and may quote what it sent.
        loop.set_exception_handler(lambda *_: None)

        def interrupt(number: int) -> None:
            if self.interrupted_by is not None:
                task.cancel()
                # A thread that waits for another program cannot be cancelled, and is not waited for.
                loop.call_later(_LAST_WORDS, os._exit, 128 + self.interrupted_by)
                return
            self.interrupted_by = number
            known = "" if on_event is None else " (the intents are on disk)"
            self.output.acknowledge(f"stopping: nothing new is started; once more ends at once{known}")
            driver.stop()

        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, and jobs in the background, mean it
                on_signal(loop, number, interrupt)
        try:
            return await task
        finally:
            pages.close()
            await sender.aclose()
            self._has_changed = self._has_changed or driver.has_changed
            self.save_cache()
            self.output.detail(
                f"asked {self.provider.host}: {sender.reads} reads ({self.provider.retries} of them again), "
                f"{sender.changes} changes, in {sender.seconds:.2f} s"
            )
            self._warn("clock", self.provider.clock_warning)
            self._warn("credentials", self.provider.credentials_warning)

    def _warn(self, rule: str, text: str | None) -> None:
        """Say a warning about the run, once however many steps the command performs."""
        if text and self.warns:
            self.output.warn_once(f"warning: {text} [{rule}]")

    def _heard(self, on_event: Callable[[Any], None] | None, pages: PageLine) -> Callable[[Any], None]:
        """Passes events on. Once the plan of an apply stands, garbage is collected again, apart from what was read.

        From then on the changes have the terminal, and no pages are counted there.
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
        """Keep for the next run what this one has learned of the service."""
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
    """Let the loop answer a signal."""
    try:
        loop.add_signal_handler(number, interrupt, number)
    except NotImplementedError:  # Windows

        def pass_on(number: int, frame: object) -> None:
            if loop.is_closed():
                raise KeyboardInterrupt
            loop.call_soon_threadsafe(interrupt, number)

        signal.signal(number, pass_on)


def whoever() -> str:
    """This user and this machine."""
    user = "somebody"
    with suppress(ImportError, KeyError, OSError):
        user = getpass.getuser()
    return f"{user}@{socket.gethostname()}"


def holder_of(fleet: DesiredFleet) -> str:
    """How a state that this process holds names its holder."""
    started = _timestamp()
    return f"{whoever()} (pid {os.getpid()}, fleet {fleet.owner}, since {started})"


def _timestamp() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
