"""Whoever wakes the controller is answered at once; a flood is answered by a look a second, and nobody is forgotten."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reconciler.controller.loop import FLOOD, OVER, TurnEnded, Woken, answer_at
from reconciler.ports import HttpRequest
from tests.unit.controller.test_standing import World

# Steps of a 64th of a second are exact.
STEP = 1 / 64
TIMES = st.lists(st.integers(0, 64 * 30), min_size=1, max_size=200).map(
    lambda found: Counter(each * STEP for each in found)
)


def answered(woken: Counter[float]) -> list[tuple[float, float]]:
    """Each answer of a loop, with the time at which it was first asked for."""
    answers: list[tuple[float, float]] = []
    last = -OVER
    waiting = sorted(woken)
    while waiting:
        first = waiting[0]
        last = answer_at({at: woken[at] for at in woken if at <= first}, last)
        answers.append((first, last))
        waiting = [at for at in waiting if at > last]
    return answers


def within(woken: Counter[float], at: float) -> int:
    """How many have woken the loop in the second that ends then."""
    return sum(count for each, count in woken.items() if at - 1 < each <= at)


@given(TIMES)
def test_up_to_ten_in_a_second_are_answered_at_once_and_more_within_the_next_one(
    woken: Counter[float],
) -> None:
    for asked, at in answered(woken):
        assert at == asked or within(woken, asked) > FLOOD
        assert asked <= at <= asked + OVER / FLOOD


@given(TIMES)
def test_no_second_and_no_ten_seconds_have_more_looks_than_their_share(woken: Counter[float]) -> None:
    looks = [at for _, at in answered(woken)]
    assert all(sum(at <= each < at + 1 for each in looks) <= FLOOD for at in looks)
    in_flood = [at for asked, at in answered(woken) if within(woken, asked) > FLOOD]
    for at, following in pairwise(in_flood):
        assert following - at >= OVER / FLOOD


def test_a_flood_of_wake_ups_costs_a_listing_a_second_and_the_last_one_is_heard() -> None:
    world = World()
    world.stand(20)
    requests: list[HttpRequest] = []
    world.on_request = requests.append

    def wake() -> None:
        world.woken["event"] += 1

    for hundredth in range(1000):
        world.at(hundredth / 100, wake)
    world.at(9.995, lambda: world.service.end(world.live()[0].agent_id))
    world.at(9.996, wake)
    world.stand(11.5, interval=600)
    world.assert_all_stand()
    assert sum(each.count for each in world.of(Woken)) == 1001
    looks = [each for each in requests if each.url.endswith("/agents")]
    assert len(looks) <= FLOOD + 12, "those of the first moment, and then one a second"


def test_few_are_answered_at_once() -> None:
    world = World()
    world.stand(20)
    world.events.clear()
    for second in range(1, 6):
        world.at(second, lambda: world.woken.update(event=2))
    world.stand(6, interval=600)
    assert len(world.of(TurnEnded)) == 6
