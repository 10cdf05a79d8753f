"""The commands of `state`: list, show, pull, push and migrate, for every backend. Nothing here calls the service."""

from __future__ import annotations

import asyncio
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from reconciler import workflow
from reconciler.cli import wiring
from reconciler.cli.jobs import parse_address
from reconciler.cli.loading import load_fleet, outline
from reconciler.cli.options import FleetFlags
from reconciler.cli.output import Output
from reconciler.cli.session import Interrupted, holder_of, on_signal
from reconciler.diagnostics import plural
from reconciler.driver.loop import Driver, NoService
from reconciler.errors import StateError, StateLocked, UsageError
from reconciler.git import shown
from reconciler.model.fleet import DesiredFleet
from reconciler.model.record import State
from reconciler.model.writes import PutMoved
from reconciler.plan.selection import nearest_addresses
from reconciler.ports import Commit, Effect, Lock, ReadState, Steps, Unlock
from reconciler.report.escape import json_text
from reconciler.report.records import StateReport, record_tree
from reconciler.state.blocking import BlockingStore, behind_ports
from reconciler.state.local import LocalStore
from reconciler.state.opening import LOCAL
from reconciler.state.whole import of_document, to_document
from reconciler.values import dataclass
from reconciler.workflow import Job

T = TypeVar("T")

_LARGEST = 64 * 1024 * 1024
# How many of the latest lines of the history move with a state; the source keeps all of them.
_HISTORY = 1000


@dataclass(frozen=True, slots=True)
class Backend:
    """A state's store. `url` is what `--state` accepts; `mark` is written into a source whose state moved here."""

    store: BlockingStore
    url: str
    mark: str

    @property
    def name(self) -> str:
        """The backend's name in messages."""
        return "the local state" if self.url == LOCAL else self.url


def report(flags: FleetFlags, output: Output) -> StateReport:
    """Return the content of the state for `state list`."""
    backend = _backend(flags, _fleet(flags, output), output)
    with closing(backend.store) as store:
        return StateReport(backend.name, store.read())


def record(flags: FleetFlags, output: Output, address: str) -> dict[str, Any]:
    """Return what the state holds of one address, as a tree."""
    where = parse_address(address)
    backend = _backend(flags, _fleet(flags, output), output)
    with closing(backend.store) as store:
        found = StateReport(backend.name, store.read())
        if where not in found.addresses:
            known = nearest_addresses(where, found.addresses)
            raise UsageError(
                f"the state has no record of {where}",
                hint=f"the nearest that it has: {known}"
                if known
                else "`reconciler state list` lists what it has",
            )
        return record_tree(found, where, store.history(where, 10))


def pulled(flags: FleetFlags, output: Output) -> str:
    """Return the whole state as a JSON document. Raises `StateError` if there is no state yet."""
    backend = _backend(flags, _fleet(flags, output), output)
    with closing(backend.store) as store:
        state = store.read()
        if state.is_empty:
            raise StateError(
                f"there is no state yet: nothing was ever written to {backend.name}",
                hint="check the directory, --env and --state",
            )
        document = to_document(state)
    if len(document) > _LARGEST:
        output.warn_once("warning: this is more than `state push` takes (64 MiB) [state]")
    # GitHub's runner reads `##[` as a workflow command anywhere in a line of a job's log.
    return json_text(document.decode()).replace("##[", "\\u0023#[")


def push(flags: FleetFlags, output: Output, file: str, *, force: bool, lock_timeout: float) -> str:
    """Replace the state by a document; return a message on what was done."""
    data = _read(file)
    fleet = _fleet(flags, output)
    backend = _backend(flags, fleet, output)
    with closing(backend.store) as store:
        name = "what stdin gave" if file == "-" else file
        pushed = of_document(data, name, key=store.read_key())
        pins = Job(fleet).pins
        workflow.pushed_writes(store.read(), pushed, pins, force=force)  # refuse before anything is written

        async def put() -> State:
            async with _held(backend, fleet, output, lock_timeout) as perform:
                current: State = await perform(ReadState())
                ours = pushed.with_key(current.secret_key)
                writes = workflow.pushed_writes(current, ours, pins, force=force)
                await perform(Commit(tuple(writes)))
                after: State = await perform(ReadState())
                return after

        now = _run(put(), output, "nothing is half done")
        kept = _kept(store)
    return (
        f"pushed to {backend.name}: {plural(len(now.records), 'agent', 'agents')} recorded, serial {now.version}, lineage "
        f"{now.lineage}{kept}\nlook at the next plan before you apply it"
    )


def migrate(flags: FleetFlags, output: Output, source: str, target: str, *, lock_timeout: float) -> str:
    """Move the state from one backend to another; return a message on what was done."""
    fleet = _fleet(flags, output)
    leaving, arriving = (_backend(flags, fleet, output, each) for each in (source, target))
    if leaving.mark == arriving.mark:
        raise UsageError(
            f"--from and --to are both {leaving.url}", hint="name two backends: local, and git:REMOTE"
        )
    with closing(leaving.store), closing(arriving.store):
        first = workflow.Move(leaving.mark, arriving.mark, leaving.store.read(), arriving.store.read())
        first.check(Job(fleet).pins)  # refuse before anything is written
        again = "the same command goes on where this one has stopped"
        said = _run(_moved(leaving, arriving, fleet, output, lock_timeout), output, again)
        return f"{said}{_kept(arriving.store)}\nfrom now on: --state {arriving.url}, or RECONCILER_STATE={arriving.url}"


async def _moved(
    source: Backend, target: Backend, fleet: DesiredFleet, output: Output, lock_timeout: float
) -> str:
    async with (
        _held(source, fleet, output, lock_timeout) as at_source,
        _held(target, fleet, output, lock_timeout) as at_target,
    ):
        leaving, arriving = await at_source(ReadState()), await at_target(ReadState())
        move = workflow.Move(source.mark, target.mark, leaving, arriving)
        move.check(Job(fleet).pins)
        if move.is_taken_back:
            await at_source(Commit(tuple(move.taken_back())))
            await at_target(Commit((PutMoved(None),)))
            return f"{target.name} is the state again; it had never arrived in {source.url}"
        if move.is_done:
            return f"the state has moved to {target.url} already"
        # The source is marked first: after a crash no run can go on in it while the target has a copy.
        if move.leaving.moved_to is None:
            await at_source(Commit((PutMoved(target.mark),)))
        marked: State = await at_source(ReadState())
        known = set(target.store.history(None, _HISTORY))
        history = [each for each in source.store.history(None, _HISTORY) if each not in known]
        writes = move.writes(marked.version, history)
        try:
            await at_target(Commit(tuple(writes)))
        except (StateError, StateLocked) as problem:
            raise type(problem)(
                f"the state may not have arrived in {target.url}: {problem.message}; {source.url} is marked as moved there, and nothing is lost",
                hint="run the same command again, it goes on; or take it back: "
                f"`reconciler state migrate --from {target.url} --to {source.url}`",
            ) from problem
    agents = plural(len(move.leaving.records), "agent", "agents")
    return f"moved from {source.url} to {target.url}: {agents} recorded, serial {marked.version + 1}"


# --- what all of them need


def _fleet(flags: FleetFlags, output: Output) -> DesiredFleet:
    """Return the fleet's identity and service, even if the rest of its files does not load."""
    return outline(flags) or load_fleet(flags, output)


def _backend(flags: FleetFlags, fleet: DesiredFleet, output: Output, url: str | None = None) -> Backend:
    """Return the backend of a URL; without a URL, that of the flags."""
    url = url or flags.state or LOCAL
    store = wiring.open_store(replace(flags, state=url), fleet.owner, output)
    if isinstance(store, LocalStore):
        return Backend(store, url, f"{url} ({store.path.resolve()} on {socket.gethostname()})")
    return Backend(store, shown(url), shown(url))


def _kept(store: BlockingStore) -> str:
    backup = store.backup if isinstance(store, LocalStore) else None
    if backup is None:
        return ""
    return f"\nas it was before, it is kept: `reconciler state pull --state {shlex.quote(str(backup))}` prints it"


def _read(file: str) -> bytes:
    """Return the bytes of a file or of stdin, at most one more than a document may have."""
    if file == "-":
        return sys.stdin.buffer.read(_LARGEST + 1)
    try:
        with Path(file).open("rb") as found:
            return found.read(_LARGEST + 1)
    except OSError as problem:
        raise UsageError(
            f"{file} cannot be read: {problem.strerror}", hint="`-` reads what is pushed from stdin"
        ) from problem


@asynccontextmanager
async def _held(
    backend: Backend, fleet: DesiredFleet, output: Output, lock_timeout: float
) -> AsyncIterator[Callable[[Effect], Awaitable[Any]]]:
    """Return a context that holds the lock of a backend, with a function that performs an effect there."""
    driver = Driver(
        NoService(),
        store=behind_ports(backend.store),
        holder=holder_of(fleet),
        on_event=lambda event: output.say(event.text),
    )

    async def perform(effect: Effect) -> Any:
        def steps() -> Steps[Any]:
            return (yield effect)

        return await driver.run(steps())

    await perform(Lock(lock_timeout))
    try:
        yield perform
    finally:
        await perform(Unlock())


def _run(work: Coroutine[Any, Any, T], output: Output, comfort: str) -> T:
    """Run a coroutine and return its result. SIGINT and SIGTERM cancel it, and `comfort` is printed then."""
    heard: list[int] = []

    async def run() -> T:
        task = asyncio.ensure_future(work)

        def interrupt(number: int) -> None:
            heard.append(number)
            output.acknowledge(f"interrupted; {comfort}")
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            on_signal(asyncio.get_running_loop(), number, interrupt)
        return await task

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise Interrupted(heard[0]) from None
