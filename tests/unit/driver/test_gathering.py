"""Tasks side by side: calls at a time, and what goes on while a commit is on its way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from reconciler.driver.loop import Driver
from reconciler.model.address import Address
from reconciler.model.writes import PutGeneration, Write
from reconciler.ports import Commit, Gather, Http, HttpReply, HttpRequest, Lock, ReadState, Steps, Unlock
from reconciler.state.blocking import behind_ports
from reconciler.state.memory import MemoryStore

LIMIT = 2
TASKS = 6


class Service:
    """Answers after a moment; remembers which connections are in use, and the most at a time."""

    def __init__(self) -> None:
        self.in_use: list[int] = []
        self.most = 0
        self.shared = False
        self.calls = 0
        self.enough = threading.Event()

    async def send(self, request: HttpRequest, worker: int) -> HttpReply:
        self.shared = self.shared or worker in self.in_use
        self.in_use.append(worker)
        self.most = max(self.most, len(self.in_use))
        await asyncio.sleep(0.01)
        self.in_use.remove(worker)
        self.calls += 1
        if self.calls > LIMIT:
            self.enough.set()
        return HttpReply(200, {}, b"{}")

    async def aclose(self) -> None:
        pass


class Waiting(MemoryStore):
    """Its second commit lasts until more calls were made than there are connections."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self.service = service
        self.commits = 0

    def commit(self, writes: Sequence[Write], *, expected: int, nonce: str = "") -> int:
        self.commits += 1
        if self.commits == 2:
            assert self.service.enough.wait(10)
        return super().commit(writes, expected=expected, nonce=nonce)


def test_others_call_while_a_commit_is_on_its_way_and_no_connection_is_shared() -> None:
    service = Service()
    store = Waiting(service)

    def task(number: int) -> Steps[int]:
        address = Address("lobby", f"desk-{number}")
        yield Commit((PutGeneration(address, 1),))
        yield Http(HttpRequest("POST", "http://service/join"))
        yield Commit((PutGeneration(address, 2),))
        return number

    def steps() -> Steps[object]:
        yield Lock(1.0)
        yield ReadState()
        found = yield Gather([lambda number=number: task(number) for number in range(TASKS)], LIMIT)
        yield Unlock()
        return found

    async def run() -> object:
        return await Driver(service, store=behind_ports(store), holder="a test").run(steps())

    assert asyncio.run(run()) == list(range(TASKS))
    assert (service.most, service.shared) == (LIMIT, False)
    assert set(store.read().generations.values()) == {2}
