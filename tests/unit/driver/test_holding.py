"""How a run holds the state: commits of unknown outcome, a slow disk, a lease that cannot be renewed, a stopped holder."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from reconciler.driver.committing import make_durable
from reconciler.driver.holding import Holding
from reconciler.errors import StateError, StateLocked
from reconciler.model.address import Address
from reconciler.model.writes import PutGeneration, Write
from reconciler.state.blocking import behind_ports
from reconciler.state.local import LocalStore
from reconciler.state.memory import MemoryStore
from tests.fakes.stores import acquire

ADDRESS = Address("lobby", "greeter")
SHORT = 0.6


class Flaky(MemoryStore):
    """A store whose commits end as they are told to: the state moves or not, and the writer hears something else."""

    def __init__(self, *fates: str) -> None:
        super().__init__()
        self.fates = list(fates)
        self.tries = 0

    def commit(self, writes: Sequence[Write], *, expected: int, nonce: str = "") -> int:
        self.tries += 1
        fate = self.fates.pop(0) if self.fates else "made"
        if fate == "another":
            super().commit([PutGeneration(ADDRESS, 7)], expected=expected, nonce="somebody else's")
        elif fate != "lost":
            serial = super().commit(writes, expected=expected, nonce=nonce)
            if fate == "made":
                return serial
        if fate == "made, called a conflict":
            raise StateLocked("the key exists")
        raise StateError("the answer was lost")


def committed(store: Flaky) -> int:
    """Make one commit durable."""
    writes = [PutGeneration(ADDRESS, 1)]
    return asyncio.run(make_durable(behind_ports(store).ledger, writes, expected=0, nonce="ours"))


@pytest.mark.parametrize(
    ("fates", "tries"),
    [
        (["made"], 1),
        (["made, unheard"], 1),
        (["made, called a conflict"], 1),
        (["lost", "made"], 2),
        (["lost", "made, unheard"], 2),
    ],
)
def test_a_commit_that_is_there_is_made_once(fates: list[str], tries: int) -> None:
    store = Flaky(*fates)
    assert committed(store) == 1
    assert (store.tries, store.read().serial, store.read().generations) == (tries, 1, {ADDRESS: 1})


def test_what_another_writer_made_is_not_taken_for_ours() -> None:
    store = Flaky("another")
    with pytest.raises(StateLocked, match="moved on"):
        committed(store)
    assert (store.tries, store.read().generations) == (1, {ADDRESS: 7})


def test_what_is_lost_twice_is_an_error_and_is_not_there() -> None:
    store = Flaky("lost", "lost", "made")
    with pytest.raises(StateError, match="the answer was lost"):
        committed(store)
    assert (store.tries, store.read().serial) == (2, 0)


class Slow(MemoryStore):
    """A store whose commits wait for the test; `signs` counts signs of life."""

    lease_seconds = SHORT

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.at_work = 0
        self.most_at_work = 0
        self.batches: list[int] = []
        self.signs = 0
        self.renewing: Callable[[], None] = lambda: None
        self.seconds = 0.0

    def commit(self, writes: Sequence[Write], *, expected: int, nonce: str = "") -> int:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        assert self.go.wait(10)
        time.sleep(self.seconds)
        self.batches.append(len(writes))
        self.at_work -= 1
        return super().commit(writes, expected=expected, nonce=nonce)

    def renew(self) -> None:
        self.renewing()
        self.signs += 1


def test_a_slow_commit_stops_neither_the_loop_nor_the_signs_of_life_and_others_gather() -> None:
    store = Slow()

    async def run() -> float:
        holding = Holding(behind_ports(store), lambda: None)
        await holding.take("a test")
        await holding.read()
        first = asyncio.ensure_future(holding.commit([PutGeneration(ADDRESS, 1)]))
        await asyncio.sleep(0.01)
        others = [asyncio.ensure_future(holding.commit([PutGeneration(ADDRESS, n)])) for n in range(2, 7)]
        longest, until = 0.0, time.monotonic() + 2 * SHORT
        while (now := time.monotonic()) < until:
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - now)
        assert await holding.may_change(SHORT / 4)
        store.go.set()
        await asyncio.gather(first, *others)
        await holding.release()
        return longest

    longest = asyncio.run(run())
    assert longest < SHORT
    assert store.signs >= 4
    assert (store.batches, store.most_at_work) == ([1, 5], 1)
    assert store.read().serial == 2


def test_a_slow_store_is_written_once_for_what_all_workers_do_next() -> None:
    store = Slow()
    store.go.set()
    store.seconds = 0.4

    async def run() -> None:
        holding = Holding(behind_ports(store), lambda: None, lambda: 5)
        await holding.take("a test")
        await holding.read()

        async def outcome(number: int) -> None:
            await asyncio.sleep(0.002 * number)
            await holding.commit([PutGeneration(ADDRESS, number)])

        await holding.commit([PutGeneration(ADDRESS, 1)])
        await asyncio.gather(*(outcome(number) for number in range(2, 7)))
        await holding.release()

    asyncio.run(run())
    assert store.batches == [1, 5]


def held(store: MemoryStore, during: Callable[[Holding], object], seconds: float) -> tuple[int, bool]:
    """Hold a lease for some seconds; how often the run was fenced, and whether it might change anything at the end."""
    fenced = 0

    def fence() -> None:
        nonlocal fenced
        fenced += 1

    async def run() -> bool:
        holding = Holding(behind_ports(store), fence)
        await holding.take("a test")
        during(holding)
        await asyncio.sleep(seconds)
        may = await holding.may_change(SHORT / 6)
        await holding.release()
        return may

    may = asyncio.run(run())
    return fenced, may


def test_a_sign_that_takes_long_counts_all_the_same() -> None:
    """As a push on a busy host does: longer than a sign's share of the lease, and well within the lease."""
    store = Slow()
    store.renewing = lambda: time.sleep(SHORT / 4)
    assert held(store, lambda _: None, 3 * SHORT) == (0, True)


def test_a_renewal_that_fails_once_is_tried_again() -> None:
    store = Slow()
    failures = 2

    def fail() -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise StateError("no space left on device")

    store.renewing = fail
    assert held(store, lambda _: None, 2 * SHORT) == (0, True)


@pytest.mark.parametrize("hangs", [False, True])
def test_a_renewal_that_goes_on_failing_ends_the_run_before_the_lease(hangs: bool) -> None:
    store = Slow()
    ended = threading.Event()

    def fail() -> None:
        if hangs:
            ended.wait(3)
        raise StateError("no space left on device")

    store.renewing = fail
    fenced, may = held(store, lambda _: threading.Timer(2 * SHORT, ended.set).start(), SHORT)
    assert fenced
    assert not may


def test_a_lease_that_somebody_has_taken_over_allows_nothing() -> None:
    store = Slow()

    def lost() -> None:
        raise StateLocked("the state was taken over")

    store.renewing = lost
    assert held(store, lambda _: None, SHORT / 3)[1] is False


# A run with three workers that send one changing call after the other, each named on a line, until one is refused.
_HOLDER = """
import asyncio, sys
from pathlib import Path
from reconciler.driver.loop import Driver
from reconciler.errors import ReconcilerError
from reconciler.ports import Commit, Gather, Http, HttpReply, HttpRequest, Lock, ReadState, Unlock
from reconciler.model.address import Address
from reconciler.model.writes import PutGeneration
from reconciler.state.blocking import behind_ports
from reconciler.state.local import LocalStore
class Sender:
    async def send(self, request):
        print("sent", flush=True)
        await asyncio.sleep(0.02)
        return HttpReply(200, {}, b"")
    async def aclose(self): pass
def task():
    while True:
        reply = yield Http(HttpRequest("POST", "http://service/agents", deadline=0.3))
        if not isinstance(reply, HttpReply):
            return reply
def steps():
    yield Lock(0)
    yield ReadState()
    refused = yield Gather([task] * 3, 3)
    print("refused", [each.sent for each in refused], flush=True)
    try:
        yield Commit((PutGeneration(Address("a", "b"), 9),))
    except ReconcilerError as problem:
        print("ended", int(problem.exit_code), flush=True)
    yield Unlock()
store = LocalStore(Path(sys.argv[1]), lease=1.5)
asyncio.run(Driver(Sender(), store=behind_ports(store), holder="the stopped one").run(steps()))
"""


def test_a_holder_that_was_stopped_beyond_its_lease_sends_at_most_one_call_per_worker(tmp_path: Path) -> None:
    """SIGSTOP is what a sleeping laptop or a frozen container looks like."""
    path = tmp_path / ".reconciler" / "default.state"
    stopped = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert stopped.stdout is not None
    try:
        assert stopped.stdout.readline().startswith("sent")
        os.kill(stopped.pid, signal.SIGSTOP)
        other = LocalStore(path, lease=1.5)
        acquire(other, "we", 20.0)
        other.commit([PutGeneration(ADDRESS, 3)], expected=other.read().serial)
        other.close()
        os.set_blocking(stopped.stdout.fileno(), False)
        while stopped.stdout.readline():
            """What was sent before it was stopped."""
        os.set_blocking(stopped.stdout.fileno(), True)
        os.kill(stopped.pid, signal.SIGCONT)
        told = stopped.stdout.read().splitlines()
        assert stopped.wait(20) == 0
    finally:
        stopped.kill()
        stopped.wait()
        stopped.stdout.close()
    assert len([each for each in told if each.startswith("sent")]) <= 3
    assert told[-2:] == ["refused [False, False, False]", "ended 4"]
    assert LocalStore(path).read().generations == {ADDRESS: 3}
