"""A run's hold on the state: the lease with its signs of life, and commits, one at a time.

Commits of concurrent tasks that are ready together share one durable write. While it is on its way the next ones
gather; where a write takes long, the next one waits a moment for those that are about to come. The sign of life is a task
of its own, and waits for no commit.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from reconciler.driver.committing import make_durable
from reconciler.errors import StateError, StateLocked
from reconciler.model.record import State
from reconciler.model.writes import Write
from reconciler.ports import StateStore

SIGNS_IN_A_LEASE = 6
# How long one commit may take, its reading back included, seconds.
_COMMIT_SECONDS = 20.0
# How long a commit waits for others to join, seconds: as long as the last one took, but no longer than this; a store
# whose commits take less than the shortest is not waited for.
_SHORTEST_GATHERING, _LONGEST_GATHERING = 0.05, 0.5
_GATHERING_PAUSE = 0.01
# Runs on while the machine is suspended, where the system has such a clock: a lease ends meanwhile.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Seconds by a clock that no change of the time of day moves."""
    return time.clock_gettime(_CLOCK)


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
        # When the lease ends by `clock`, counted from before the last sign of life was asked for; None without one.
        self._valid_until: float | None = None
        self._signs: asyncio.Task[None] | None = None
        # The latest sign of life; on its way, or done.
        self._sign: asyncio.Task[None] | None = None
        self._pending: list[tuple[Sequence[Write], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    # --- the lease

    async def take(self, holder: str) -> str:
        """Take the lease and make the state ready; returns what people are to be told. Raises `StateLocked`."""
        asked_at = clock()
        await self._store.lease.take(holder)
        self._valid_until = asked_at + self._store.lease.seconds
        # The signs begin before the state is made ready: to convert a large one takes a while.
        self._signs = asyncio.ensure_future(self._give_signs())
        try:
            await self._store.key.create()
            return await self._store.ledger.prepare()
        except BaseException:
            await self.release()
            raise

    async def release(self) -> None:
        """Give the lease back; harmless without one."""
        if self._signs is not None:
            self._signs.cancel()
            with suppress(asyncio.CancelledError):
                await self._signs
            self._signs = None
        self._valid_until = None
        await self._store.lease.release()

    async def is_knocked(self) -> bool:
        """Whether somebody else waits for the lease."""
        return self._store.door is not None and await self._store.door.is_knocked()

    async def knock(self) -> None:
        """Say that this run waits for the lease, until `leave_door`."""
        if self._store.door is not None:
            with suppress(OSError):  # a courtesy: who waits is served without it, too
                await self._store.door.knock()

    async def leave_door(self) -> None:
        """Wait no more for the lease."""
        if self._store.door is not None:
            await self._store.door.leave()

    async def may_change(self, deadline: float) -> bool:
        """Whether a call that takes up to `deadline` seconds would end within the lease; fences the run if not.

        A process that was stopped or asleep has given no sign meanwhile: it gives one first, and finds out then
        whether somebody has taken over. Without a lease nothing is refused.
        """
        if self._valid_until is None:
            return True
        if self._is_late(deadline):
            await self._give_sign()
        if self._is_late(deadline):
            self._fence()
            return False
        return True

    def _is_late(self, deadline: float) -> bool:
        return self._valid_until is not None and clock() > self._valid_until - deadline

    async def _give_signs(self) -> None:
        """Signs of life until the lease is given back or lost; nothing else ends this."""
        every = self._store.lease.seconds / SIGNS_IN_A_LEASE
        while True:
            await asyncio.sleep(every)
            await self._give_sign()
            # Errors are tried again until two thirds of the lease are gone.
            if self._is_late(self._store.lease.seconds / 3):
                self._fence()

    async def _give_sign(self) -> None:
        """Give a sign, or go on waiting for the one that is on its way: a slow one counts too, from when it was asked for."""
        if self._sign is None or self._sign.done():
            self._sign = asyncio.ensure_future(self._renew())
        with suppress(TimeoutError):
            async with asyncio.timeout(self._store.lease.seconds / SIGNS_IN_A_LEASE):
                await asyncio.shield(self._sign)

    async def _renew(self) -> None:
        asked_at, until = clock(), self._valid_until
        try:
            await self._store.lease.renew()
            until = asked_at + self._store.lease.seconds
        except StateLocked:
            until = asked_at  # somebody has taken over: no call may start any more
        except (StateError, OSError):
            pass  # tried again, until the lease is too old: whoever calls asks that
        if self._valid_until is not None:
            self._valid_until = until

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
