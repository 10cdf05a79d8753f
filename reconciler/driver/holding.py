"""One run's access to the state: the lease with its signs of life, and commits, one at a time.

Commits of concurrent tasks that are ready together share one durable write. While it is in progress the next ones are
collected; if writes are slow, the next one waits a moment for commits that are about to come. The signs of life have a
task of their own, which waits for no commit.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from reconciler.driver.committing import make_durable
from reconciler.driver.lease import HeldLease, clock
from reconciler.errors import StateError
from reconciler.model.record import State
from reconciler.model.spec import Body
from reconciler.model.writes import Write
from reconciler.ports import StateStore

_SIGNS_IN_A_LEASE = 6
# The seconds that one commit may take, including the read that finds out its outcome.
_COMMIT_SECONDS = 20.0
# The seconds that a commit waits for others to join: as long as the last one took, at most the longest; if that took
# less than the shortest, it does not wait.
_SHORTEST_GATHERING, _LONGEST_GATHERING = 0.05, 0.5
_GATHERING_PAUSE = 0.01


class Holding:
    """The state of one run. `fence` is called when the run must start nothing new, as its lease is lost or ending.

    `workers` returns how many tasks are running, each of which may commit something next.
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
        """Take the lease and prepare the state; return a message for the user, mostly empty. Raises `StateLocked`."""
        # The signs of life begin before the state is prepared, because the conversion of a large one takes a while.
        await self._lease.take(holder)
        try:
            await self._store.key.create()
            return await self._store.ledger.prepare()
        except BaseException:
            await self.release()
            raise

    async def release(self) -> None:
        """Release the lease; without effect if it is not held."""
        await self._lease.release()

    async def is_knocked(self) -> bool:
        """Return whether another process waits for the lease."""
        return self._store.door is not None and await self._store.door.is_knocked()

    async def knock(self) -> None:
        """Note that this run waits for the lease, until `leave_door`."""
        if self._store.door is not None:
            with suppress(
                OSError, StateError
            ):  # a knock only shortens the wait: the lease is taken without it, too
                await self._store.door.knock()

    async def leave_door(self) -> None:
        """Drop the note that this run waits for the lease."""
        if self._store.door is not None:
            await self._store.door.leave()

    async def may_change(self, deadline: float) -> bool:
        """Return whether a call that takes up to `deadline` seconds would end within the lease; fence the run if not.

        Without a lease every call is allowed.
        """
        if not self._lease.is_held or await self._lease.lasts(deadline):
            return True
        # The lease may end before the call does: nothing more is sent in this run.
        self._fence()
        return False

    # --- the ledger

    async def read(self, likely: Mapping[str, Body] | None = None) -> State:
        """Return the present state, with the key for digests. Later commits build on this read."""
        state = await self._store.ledger.read(likely)
        self._serial = state.serial
        return replace(state, secret_key=await self._store.key.read())

    async def commit(self, writes: Sequence[Write]) -> None:
        """Add writes to the next batch; return when it is durable. Raises as `make_durable` for the whole batch."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((writes, done))
        if self._writer is None:
            self._writer = asyncio.ensure_future(self._write())
        await done

    async def _write(self) -> None:
        """Write one batch after the other, until none is pending."""
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
        """Let all tasks that are ready now add their writes; for a slow store, also wait a moment for the others."""
        await asyncio.sleep(0)
        if self._took < _SHORTEST_GATHERING:
            return
        until = clock() + min(self._took, _LONGEST_GATHERING)
        while len(self._pending) < self._workers() and clock() < until:
            await asyncio.sleep(_GATHERING_PAUSE)

    async def _make_durable(self, writes: Sequence[Write]) -> None:
        # Each commit has its own nonce, by which it is recognised when its outcome is unknown.
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
