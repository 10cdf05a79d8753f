"""The only place that chooses adapters: which provider, sender, state and secrets a run works with."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from reconciler.cli.output import Output
from reconciler.driver.loop import Driver, Sender
from reconciler.driver.secrets import SecretSources, StandIns
from reconciler.errors import InvalidConfig, StateError
from reconciler.model.fleet import DesiredFleet, ServiceKind
from reconciler.model.secret import Secret
from reconciler.ports import SecretSource, Steps
from reconciler.providers.agora.gates import Limits
from reconciler.providers.agora.provider import AgoraProvider
from reconciler.providers.agora.settings import AgoraSettings, Purpose, from_environment
from reconciler.state.local import LocalStore

T = TypeVar("T")

STATE_DIRECTORY = ".reconciler"
# The embedded service takes any credentials; these are as public as this file.
_EMBEDDED = AgoraSettings(
    app_id="00000000000000000000000000000000",
    certificate=Secret("00000000000000000000000000000000"),
    customer_id=Secret("embedded"),
    customer_secret=Secret("embedded"),
)
_EMBEDDED_QUOTA = 20


@dataclass(slots=True)
class Session:
    """One run on one fleet: everything chosen, nothing done. Close it, or use it as a context."""

    directory: Path
    fleet: DesiredFleet
    provider: AgoraProvider
    app_id: str
    sender: Callable[[], Sender]
    store: LocalStore
    secrets: SecretSource
    output: Output
    interrupted_by: int | None = field(default=None, init=False)

    def run(self, steps: Steps[T], *, on_event: Callable[[Any], None] | None = None) -> T:
        """Perform steps. SIGINT and SIGTERM stop the run in order; a second one ends it at once."""
        return asyncio.run(self._run(steps, on_event))

    async def _run(self, steps: Steps[T], on_event: Callable[[Any], None] | None) -> T:
        sender = self.sender()
        driver = Driver(
            sender, store=self.store, secrets=self.secrets, on_event=on_event, holder=_holder(self.fleet)
        )
        task = asyncio.ensure_future(driver.run(steps))
        loop = asyncio.get_running_loop()

        def interrupt(number: int) -> None:
            if self.interrupted_by is not None:
                task.cancel()
                return
            self.interrupted_by = number
            self.output.say("stopping: nothing new is started; once more ends at once (the intents are on disk)")
            driver.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt, number)
        try:
            return await task
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            await sender.aclose()
            if self.provider.clock_warning:
                self.output.say(f"warning: {self.provider.clock_warning} [clock]")

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.close()


def load_fleet(directory: str, environment: str | None, variables: tuple[tuple[str, str], ...], output: Output) -> DesiredFleet:
    """The desired fleet of a directory; its warnings are shown, its errors raised."""
    from reconciler import config

    path = Path(directory)
    try:
        fleet = config.load(path, environment=environment, variables=dict(variables))
    except InvalidConfig as problem:
        problem.directory = directory
        raise
    output.warn(fleet.warnings, path)
    return fleet


def open_session(
    directory: str,
    environment: str | None,
    variables: tuple[tuple[str, str], ...],
    output: Output,
    *,
    purpose: Purpose = Purpose.OBSERVE,
) -> Session:
    """A session for a fleet: the embedded simulator or the real service, as its files say."""
    fleet = load_fleet(directory, environment, variables, output)
    path = Path(directory)
    sources = SecretSources(os.environ, path)
    store = LocalStore(state_path(path, environment))
    if fleet.service.kind is ServiceKind.SIMULATOR:
        provider = AgoraProvider(_EMBEDDED, _unlimited())
        sender = _embedded(path, fleet, purpose)
        return Session(path, fleet, provider, _EMBEDDED.app_id, sender, store, StandIns(sources), output)
    area = fleet.service.area.value if fleet.service.area else None
    settings = from_environment(os.environ, area, fleet.service.app_id, purpose=purpose)
    from reconciler.driver.http import HttpxSender

    return Session(path, fleet, AgoraProvider(settings), settings.app_id, HttpxSender, store, sources, output)


def state_path(directory: Path, environment: str | None) -> Path:
    """Where the state of a fleet's environment lies."""
    return directory / STATE_DIRECTORY / f"{environment or 'default'}.state"


def _embedded(directory: Path, fleet: DesiredFleet, purpose: Purpose) -> Callable[[], Sender]:
    """A simulator of this process, its world kept beside the state so that the next command finds it again.

    What only reads creates no world: where there is none yet, it sees an empty one.
    """
    from reconciler.cli.embedded import EmbeddedSender
    from reconciler.simulator import MemoryStore, Simulator, SqliteStore, UnreadableWorld

    world = directory / STATE_DIRECTORY / "simulator.world"
    if purpose is Purpose.CHANGE:
        world.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        simulator = Simulator(SqliteStore(world) if world.parent.is_dir() else MemoryStore())
    except (UnreadableWorld, OSError) as problem:
        raise StateError(f"the simulated world {world} cannot be used: {problem}", hint="move it away") from problem
    quota = max(fleet.limits.quota or 0, _EMBEDDED_QUOTA)
    if simulator.switches.quota != quota:
        simulator.set_switches(quota=quota)
    return lambda: EmbeddedSender(simulator)


def _unlimited() -> Limits:
    """The embedded service needs no politeness."""
    return Limits(calls_per_second=1e9, burst=1e9)


def _holder(fleet: DesiredFleet) -> str:
    user = "somebody"
    with suppress(KeyError, OSError):
        user = getpass.getuser()
    started = _timestamp()
    return f"{user}@{socket.gethostname()} (pid {os.getpid()}, fleet {fleet.owner}, since {started})"


def _timestamp() -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())


