"""How a controller leads: a slow remote, one that fails, and another that has taken over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from reconciler.driver.leading import Leading
from reconciler.errors import StateError, StateLocked

SHORT = 0.6


class OneLease:
    """A lease whose signs of life end as they are told to; `holder` is who has it."""

    seconds = SHORT

    def __init__(self) -> None:
        self.holder: str | None = None
        self.slow = 0.0
        self.trouble: Exception | None = None
        self.at_once = self.most_at_once = 0

    async def take(self, holder: str) -> None:
        if self.holder is not None:
            raise StateLocked(f"held by {self.holder}")
        self.holder = holder

    async def renew(self) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.slow)
        self.at_once -= 1
        if self.trouble is not None:
            raise self.trouble

    async def release(self) -> None:
        self.holder = None


def led(during: Callable[[OneLease], None]) -> tuple[OneLease, bool, int]:
    """Lead through three leases in which something happens; whether it leads then, and how often a turn was ended."""
    lease = OneLease()
    ended = 0

    def end() -> None:
        nonlocal ended
        ended += 1

    async def run() -> bool:
        leading = Leading(lease, "we", end)
        assert await leading.lead()
        during(lease)
        await asyncio.sleep(3 * SHORT)
        still = await leading.lead()
        await leading.give_back()
        return still

    still = asyncio.run(run())
    return lease, still, ended


def test_a_remote_that_answers_slowly_takes_no_lead_away_and_is_asked_once_at_a_time() -> None:
    lease, still, ended = led(lambda lease: setattr(lease, "slow", SHORT / 2.5))
    assert (still, ended, lease.most_at_once) == (True, 0, 1)


def test_a_remote_that_goes_on_failing_ends_the_turn_and_the_lead() -> None:
    _, still, ended = led(lambda lease: setattr(lease, "trouble", StateError("no answer")))
    assert not still
    assert ended


def test_who_has_taken_over_ends_the_turn_and_the_lead() -> None:
    _, still, ended = led(lambda lease: setattr(lease, "trouble", StateLocked("taken over")))
    assert not still
    assert ended


def test_who_stands_by_does_not_lead_until_the_lead_is_given_back() -> None:
    lease = OneLease()

    async def run() -> list[bool]:
        first, second = (Leading(lease, name, lambda: None) for name in ("one", "two"))
        seen = [await first.lead(), await second.lead()]
        await first.give_back()
        seen.append(await second.lead())
        await second.give_back()
        return seen

    assert asyncio.run(run()) == [True, False, True]
