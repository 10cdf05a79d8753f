"""The tasks of one gathering borrow its connections: there may be more tasks than connections."""

from __future__ import annotations

import asyncio
from collections import deque


class ConnectionNumbers:
    """The numbers of some connections; each is lent to one task at a time, in the order in which the tasks ask."""

    def __init__(self, count: int) -> None:
        self._free = list(reversed(range(count)))
        self._waiting: deque[asyncio.Future[int]] = deque()

    async def borrow(self) -> int:
        """A number that nobody else has until it is given back."""
        if self._free:
            return self._free.pop()
        loan: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(loan)
        return await loan

    def give_back(self, number: int) -> None:
        """Lend a number to whoever waits."""
        while self._waiting:
            loan = self._waiting.popleft()
            if not loan.done():
                loan.set_result(number)
                return
        self._free.append(number)


class Borrower:
    """One task, and the number of its connection; without `numbers` it has the first one, and shares it with nobody."""

    __slots__ = ("_has_one", "_numbers", "number")

    def __init__(self, numbers: ConnectionNumbers | None = None) -> None:
        self._numbers = numbers
        self._has_one = False
        self.number = 0

    async def borrow(self) -> None:
        """Wait for a connection."""
        if self._numbers is not None:
            self.number = await self._numbers.borrow()
            self._has_one = True

    def give_back(self) -> None:
        """Let another task have the connection; harmless without one."""
        if self._numbers is not None and self._has_one:
            self._has_one = False
            self._numbers.give_back(self.number)
