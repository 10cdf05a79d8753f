"""A run's hold on the state: the lease with its signs of life, and commits, one at a time.

Commits of concurrent tasks that are ready together share one durable write. While it is on its way the next ones
gather; where a write takes long, the next one waits a moment for those that are about to come. The sign of life is a task
of its own, and waits for no commit.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from reconciler.driver.committing import make_durable
from reconciler.driver.lease import HeldLease, clock
from reconciler.errors import StateError
from reconciler.model.record import State
from reconciler.model.writes import Write
from reconciler.ports import StateStore

_SIGNS_IN_A_LEASE = 6
# How long one commit may take, its reading back included, seconds.
_COMMIT_SECONDS = 20.0
# How long a commit waits for others to join, seconds: as long as the last one took, but no longer than this; a store
# whose commits take less than the shortest is not waited for.
_SHORTEST_GATHERING, _LONGEST_GATHERING = 0.05, 0.5
_GATHERING_PAUSE = 0.01


class Holding:
    """The state of one run. `fence` is called when the run must start nothing new, as its lease is lost or ending.

    `workers` is how many tasks are at work, each of which may commit something next.
    """

    def __init__(
        self, store: StateStore, fence: Callable[[], None], workers: Callable[[], int] = lambda: 0
    ) -> None:
        self._store = store
        self._fence = fence
        self._workers = workers
        # How long the last commit took, seconds.
        self._took = 0.0
        self._serial = 0
        self._lease = HeldLease(store.lease, fence, signs=_SIGNS_IN_A_LEASE, spare=1 / 3)
        self._pending: list[tuple[Sequence[Write], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    # --- the lease

    async def take(self, holder: str) -> str:
        """Take the lease and make the state ready; returns what people are to be told. Raises `StateLocked`."""
        # The signs begin before the state is made ready: to convert a large one takes a while.
        await self._lease.take(holder)
        try:
            await self._store.key.create()
            return await self._store.ledger.prepare()
        except BaseException:
            await self.release()
            raise

    async def release(self) -> None:
        """Give the lease back; harmless without one."""
        await self._lease.release()

    async def is_knocked(self) -> bool:
        """Whether somebody else waits for the lease."""
        return self._store.door is not None and await self._store.door.is_knocked()

    async def knock(self) -> None:
        """Say that this run waits for the lease, until `leave_door`."""
        if self._store.door is not None:
            with suppress(OSError, StateError):  # a courtesy: who waits is served without it, too
                await self._store.door.knock()

    async def leave_door(self) -> None:
        """Wait no more for the lease."""
        if self._store.door is not None:
            await self._store.door.leave()

    async def may_change(self, deadline: float) -> bool:
        """Whether a call that takes up to `deadline` seconds would end within the lease; fences the run if not.

        Without a lease nothing is refused.
        """
        if not self._lease.is_held or await self._lease.lasts(deadline):
            return True
        self._fence()
        return False

    # --- the ledger

    async def read(self) -> State:
        """The state as it stands, with the key for digests. Later commits build on this read."""
        state = await self._store.ledger.read()
        self._serial = state.serial
        return replace(state, secret_key=await self._store.key.read())

    async def commit(self, writes: Sequence[Write]) -> None:
        """Join the next batch; returns when it is durable. Raises what `make_durable` says of the whole batch."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((writes, done))
        if self._writer is None:
            self._writer = asyncio.ensure_future(self._write())
        await done

    async def _write(self) -> None:
        """Write batch after batch, until nothing waits."""
        while self._pending:
            await self._gathered()
            batch, self._pending = self._pending, []
            problem: Exception | None = None
            try:
                await self._make_durable([write for writes, _ in batch for write in writes])
            except Exception as raised:  # noqa: BLE001  handed to every task of the batch
                problem = raised
            for _, done in batch:
                if done.done():
                    continue
                if problem is None:
                    done.set_result(None)
                else:
                    done.set_exception(problem)
        self._writer = None

    async def _gathered(self) -> None:
        """Give everything that is ready now its turn to join; of a slow store, also what the other tasks do next."""
        await asyncio.sleep(0)
        if self._took < _SHORTEST_GATHERING:
            return
        until = clock() + min(self._took, _LONGEST_GATHERING)
        while len(self._pending) < self._workers() and clock() < until:
            await asyncio.sleep(_GATHERING_PAUSE)

    async def _make_durable(self, writes: Sequence[Write]) -> None:
        nonce, begun = uuid.uuid4().hex, clock()
        try:
            async with asyncio.timeout(_COMMIT_SECONDS):
                self._serial = await make_durable(
                    self._store.ledger, writes, expected=self._serial, nonce=nonce
                )
            self._took = clock() - begun
        except TimeoutError:
            raise StateError(
                f"the state gave no answer in {_COMMIT_SECONDS:.0f} s",
                hint="no further call was made; run the same command again",
            ) from None
