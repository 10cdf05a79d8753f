"""A store whose calls block, behind the asynchronous ports.

The calls of the ledger are made one after the other in a thread of their own, and those of the lease in another one, so
that the event loop never waits for a file, and a sign of life never waits for a slow commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol, TypeVar, runtime_checkable

from reconciler.errors import StateError, StateLocked
from reconciler.model.address import Address
from reconciler.model.record import Entry, State
from reconciler.model.spec import Body
from reconciler.model.writes import Write
from reconciler.ports import CommitOutcome, CommitUnknown, Made, MovedOn, StateStore, Version
from reconciler.values import dataclass

T = TypeVar("T")

# The longest wait for a door's answer whether a process knocks, seconds.
_LISTENING = 0.05


class BlockingStore(Protocol):
    """The methods of a backend of blocking calls, which `LocalStore` documents."""

    @property
    def name(self) -> str: ...
    @property
    def lease_seconds(self) -> float: ...

    def exposures(self) -> list[str]: ...
    def holder(self) -> str | None: ...
    def take(self, holder: str) -> None: ...
    def renew(self) -> None: ...
    def release(self) -> None: ...
    def prepare(self) -> str: ...
    def read(self, likely: Mapping[str, Body] | None = None) -> State: ...
    def history(self, address: Address | None, limit: int) -> Sequence[Entry]: ...
    def version(self) -> Version: ...
    def commit(self, writes: Sequence[Write], *, expected: int, nonce: str = "") -> int: ...
    def create_key(self) -> None: ...
    def read_key(self) -> bytes: ...
    def close(self) -> None: ...


class BlockingDoor(Protocol):
    """See `ports.Door`."""

    def knock(self) -> None: ...
    def leave(self) -> None: ...
    def is_knocked(self) -> bool: ...


class BlockingLease(Protocol):
    """See `ports.Lease`."""

    @property
    def seconds(self) -> float: ...

    def take(self, holder: str) -> None: ...
    def renew(self) -> None: ...
    def release(self) -> None: ...


@runtime_checkable
class Attended(Protocol):
    """A store that may have a door, and a lease for its leading controller."""

    @property
    def door(self) -> BlockingDoor | None: ...
    @property
    def controllers(self) -> BlockingLease | None: ...


@runtime_checkable
class Distant(Protocol):
    """A store whose calls may wait for another machine: `abandon` ends them and refuses later ones."""

    @property
    def abandon(self) -> Callable[[], None]: ...


class Runner(Protocol):
    """A function that performs a blocking call and makes its result awaitable."""

    def __call__(self, action: Callable[[], T], /) -> Awaitable[T]: ...


def behind_ports(store: BlockingStore, run: Runner | None = None) -> StateStore:
    """Return the ports of a store; its calls are made in threads, or by `run`."""
    ledger, lease = run or in_thread("ledger"), run or in_thread("lease")
    ports = StateStore(_Ledger(store, ledger), _Lease(store, store.lease_seconds, lease), _Key(store, ledger))
    if isinstance(store, Attended) and store.door is not None:
        ports = replace(ports, door=_Door(store.door, run or in_thread("door")))
    if isinstance(store, Attended) and store.controllers is not None:
        leads = store.controllers
        ports = replace(ports, controllers=_Lease(leads, leads.seconds, lease))
    if isinstance(store, Distant):
        ports = replace(ports, abandon=store.abandon)
    return ports


def in_thread(name: str) -> Runner:
    """Return a runner with one thread of its own, which starts with the first call."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(action: Callable[[], T], /) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, action)

    return run


@dataclass(frozen=True, slots=True)
class _Ledger:
    store: BlockingStore
    run: Runner

    async def prepare(self) -> str:
        return await self.run(self.store.prepare)

    async def read(self, likely: Mapping[str, Body] | None = None) -> State:
        return await self.run(lambda: self.store.read(likely))

    async def history(self, address: Address | None, limit: int) -> Sequence[Entry]:
        return await self.run(lambda: self.store.history(address, limit))

    async def version(self) -> Version:
        return await self.run(self.store.version)

    async def commit(self, writes: Sequence[Write], *, expected: int, nonce: str) -> CommitOutcome:
        try:
            return Made(await self.run(lambda: self.store.commit(writes, expected=expected, nonce=nonce)))
        except StateLocked as problem:
            return MovedOn(problem)
        except StateError as problem:  # an error of the disk does not exclude that the commit was written
            return CommitUnknown(problem)


@dataclass(frozen=True, slots=True)
class _Lease:
    lease: BlockingLease | BlockingStore
    seconds: float
    run: Runner

    async def take(self, holder: str) -> None:
        await self.run(lambda: self.lease.take(holder))

    async def renew(self) -> None:
        await self.run(self.lease.renew)

    async def release(self) -> None:
        await self.run(self.lease.release)


@dataclass(frozen=True, slots=True)
class _Key:
    store: BlockingStore
    run: Runner

    async def create(self) -> None:
        await self.run(self.store.create_key)

    async def read(self) -> bytes:
        return await self.run(self.store.read_key)


@dataclass(slots=True)
class _Door:
    door: BlockingDoor
    run: Runner
    _listening: asyncio.Task[bool] | None = None
    _is_knocked: bool = False

    async def knock(self) -> None:
        await self.run(self.door.knock)

    async def leave(self) -> None:
        await self.run(self.door.leave)

    async def is_knocked(self) -> bool:
        """Return the door's answer, or its answer before that if it takes longer than `_LISTENING`."""
        if self._listening is None:
            self._listening = asyncio.ensure_future(self._listen())
        await asyncio.wait({self._listening}, timeout=_LISTENING)
        return self._is_knocked

    async def _listen(self) -> bool:
        try:
            self._is_knocked = await self.run(self.door.is_knocked)
        finally:
            self._listening = None
        return self._is_knocked
