"""The pace against services of four kinds, five rates and four answer times, in virtual time: what is refused, and how
long a thousand calls take.

The first run knows nothing of the service; the second begins with the pace that the first one has remembered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import pytest

from reconciler.ports import Pace, Steps
from reconciler.providers.agora.call_sender import Pressure
from tests.unit.providers.hand import Hand, script
from tests.unit.providers.test_agora_pressure import BUSY, OK, POST, allowed

CALLS = 1000
# Answer times in seconds, from the same region to the other side of the world.
LATENCIES = (0.005, 0.05, 0.1, 0.3)
Service = Callable[[Hand], Callable[[object], object]]


def even(rate: float) -> Service:
    """Takes calls that come evenly, and no two that are closer."""
    return allowed(rate, 1.0)


def bucket(rate: float) -> Service:
    """Has room for the calls of one second, which fills again evenly."""
    return allowed(rate, rate)


def sliding(rate: float) -> Service:
    """Counts the calls that it took in the last second."""

    def make(hand: Hand) -> Callable[[object], object]:
        taken: deque[float] = deque()

        def answer(_: object) -> object:
            while taken and taken[0] <= hand.elapsed - 1:
                taken.popleft()
            if len(taken) >= rate:
                return BUSY
            taken.append(hand.elapsed)
            return OK

        return answer

    return make


def fixed(rate: float) -> Service:
    """Counts the calls of each second of its clock."""

    def make(hand: Hand) -> Callable[[object], object]:
        taken: dict[int, int] = {}

        def answer(_: object) -> object:
            second = int(hand.elapsed)
            if taken.get(second, 0) >= rate:
                return BUSY
            taken[second] = taken.get(second, 0) + 1
            return OK

        return answer

    return make


def unlimited(_: float) -> Service:
    """Takes every call."""
    return lambda _: lambda _: OK


def called(service: Service, latency: float, parallelism: int, pressure: Pressure) -> tuple[int, float]:
    """A thousand calls, each made again until it is taken: how many were refused, and the seconds that they took."""
    hand = Hand(script(OK), latency=lambda _: latency)
    hand.answer = service(hand)  # type: ignore[assignment]  # of replies
    places = iter(range(CALLS))
    refused = 0

    def work() -> Steps[None]:
        nonlocal refused
        for _ in places:
            while (yield from pressure.once(POST)) is not OK:
                refused += 1

    hand.run_all([work() for _ in range(parallelism)])
    return refused, hand.elapsed


def two_runs(service: Service, latency: float, parallelism: int) -> list[tuple[int, float]]:
    first, second = Pressure(), Pressure()
    runs = [called(service, latency, parallelism, first)]
    second.start_at(first.pace)
    return [*runs, called(service, latency, parallelism, second)]


# For each kind, and a first and a second run at ten at once: how many times as long as at the service's own rate the
# calls may take. A service that takes no two calls at once shows too low a rate while the pace still rises quickly.
LONGEST: Mapping[Callable[[float], Service], tuple[float, float]] = {
    even: (3.1, 2.1),
    bucket: (1.2, 1.2),
    sliding: (1.5, 1.5),
    fixed: (1.5, 1.5),
}


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("rate", [20, 50, 200, 500])
@pytest.mark.parametrize("kind", LONGEST)
def test_at_ten_at_once_a_service_refuses_at_most_two_percent(
    kind: Callable[[float], Service], rate: int, latency: float
) -> None:
    least = max(CALLS / rate, CALLS * latency / 10)
    for (refused, seconds), longest in zip(two_runs(kind(rate), latency, 10), LONGEST[kind], strict=True):
        assert refused <= CALLS * 0.02
        assert seconds <= least * (longest if (kind, rate) != (even, 500) else 6)


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("kind", LONGEST)
def test_a_service_of_five_calls_a_second_refuses_few_calls_and_fewer_the_next_time(
    kind: Callable[[float], Service], latency: float
) -> None:
    (first, seconds), (second, later) = two_runs(kind(5), latency, 10)
    assert first <= 30
    assert second <= 5
    assert max(seconds, later) <= CALLS / 5 * 1.25


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("rate", [5, 20, 50, 200, 500])
@pytest.mark.parametrize("kind", LONGEST)
def test_at_fifty_at_once_what_is_refused_beyond_that_is_one_wave_of_all_of_them(
    kind: Callable[[float], Service], rate: int, latency: float
) -> None:
    """All fifty can be under way when the first refusal arrives; a pace that rises slowly from the start would avoid
    it, and take seconds longer wherever nothing is refused.
    """
    (first, _), (second, _) = two_runs(kind(rate), latency, 50)
    assert first <= CALLS * 0.02 + 55
    assert second <= 50


def test_where_nothing_is_refused_the_pace_costs_less_than_half_a_second() -> None:
    pressure = Pressure()
    _, seconds = called(unlimited(0), 0.005, 10, pressure)
    assert seconds <= CALLS * 0.005 / 10 + 0.6
    assert pressure.pace.refused_near is None
    _, seconds = called(unlimited(0), 0.05, 10, Pressure())
    assert seconds <= CALLS * 0.05 / 10 + 0.4


def test_a_service_that_takes_more_than_it_did_is_found_out() -> None:
    """The pace rises slowly beyond the refused one, then faster, and in the end the refusal is forgotten."""
    first, second = Pressure(), Pressure()
    first.start_at(Pace(10.0, 17.0))
    _, seconds = called(unlimited(0), 0.05, 10, first)
    assert seconds <= 55
    second.start_at(first.pace)
    _, seconds = called(unlimited(0), 0.05, 10, second)
    assert seconds <= 10
    assert second.pace.refused_near is None
