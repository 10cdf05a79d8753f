"""The connections that tasks of one `Gather` borrow in turn: there may be more tasks than connections."""

from __future__ import annotations

import asyncio
from collections import deque


class ConnectionNumbers:
    """The numbers of the connections; each is lent to one task at a time, in the order in which the tasks ask."""

    def __init__(self, count: int) -> None:
        self._free = list(reversed(range(count)))
        self._waiting: deque[asyncio.Future[int]] = deque()

    async def borrow(self) -> int:
        """Wait for a free number and return it; no other task gets it until it is given back."""
        if self._free:
            return self._free.pop()
        loan: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(loan)
        return await loan

    def give_back(self, number: int) -> None:
        """Lend a number to the task that waits longest, or note that it is free."""
        while self._waiting:
            loan = self._waiting.popleft()
            if not loan.done():
                loan.set_result(number)
                return
        self._free.append(number)


class Borrower:
    """A task and the number of the connection that it has borrowed; without `numbers` it always has the first one."""

    __slots__ = ("_has_one", "_numbers", "number")

    def __init__(self, numbers: ConnectionNumbers | None = None) -> None:
        self._numbers = numbers
        self._has_one = False
        self.number = 0

    async def borrow(self) -> None:
        """Wait for a connection; without effect without `numbers`."""
        if self._numbers is not None:
            self.number = await self._numbers.borrow()
            self._has_one = True

    def give_back(self) -> None:
        """Give the connection back for other tasks; without effect if none is borrowed."""
        if self._numbers is not None and self._has_one:
            self._has_one = False
            self._numbers.give_back(self.number)
