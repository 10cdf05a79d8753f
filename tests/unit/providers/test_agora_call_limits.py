"""The numbers of pace, breaker, budget and answer times: each bound, by hand."""

from __future__ import annotations

import pytest

from reconciler.errors import ServiceError
from reconciler.ports import HttpReply, HttpTrouble, Pace
from reconciler.providers.agora.call_limits import Breaker, CallLimits, Latency, Rate, RetryBudget
from reconciler.providers.agora.call_sender import Pressure, Withheld
from reconciler.providers.agora.clock import ServiceClock, parse_date
from tests.unit.providers.hand import LATENCY, Hand, failure, reply, script
from tests.unit.providers.test_agora_pressure import BUSY, DOWN, GET, OK, POST

SLOW = CallLimits(calls_per_second=10, slowest=1, fastest=20, burst=1)
# A burst of three: two calls may start before their places.
BURST = CallLimits(calls_per_second=10, slowest=1, fastest=20, burst=3)


# --- the pace ------------------------------------------------------------------------------------------------------


def test_places_are_a_tenth_of_a_second_apart_and_a_burst_comes_before_them() -> None:
    rate = Rate(SLOW)
    assert [round(rate.reserve(5.0), 6) for _ in range(3)] == [0.0, 0.1, 0.2]
    rate = Rate(BURST)
    assert [round(rate.reserve(5.0), 6) for _ in range(5)] == [0.0, 0.0, 0.0, 0.1, 0.2]
    # Time that passes without a call gives no more than a burst.
    assert [round(rate.reserve(9.0), 6) for _ in range(4)] == [0.0, 0.0, 0.0, 0.1]


def test_a_slower_pace_has_a_smaller_burst_and_none_is_below_one_call() -> None:
    rate = Rate(BURST)
    rate.start_at(Pace(5.0, None))
    # Half the pace, half the burst: 1.5 calls, so half a place (0.1 s) early.
    assert [round(rate.reserve(5.0), 6) for _ in range(3)] == [0.0, 0.1, 0.3]
    rate.start_at(Pace(1.0, None))
    assert [round(rate.reserve(50.0), 6) for _ in range(2)] == [0.0, 1.0]
    rate.start_at(Pace(20.0, None))
    assert [round(rate.reserve(90.0), 6) for _ in range(4)] == [0.0, 0.0, 0.0, 0.05]


@pytest.mark.parametrize(("asked", "begun"), [(0.5, 1.0), (1.0, 1.0), (7.0, 7.0), (20.0, 20.0), (21.0, 20.0)])
def test_a_pace_stays_within_its_bounds(asked: float, begun: float) -> None:
    rate = Rate(SLOW)
    rate.start_at(Pace(asked, 3.0))
    assert rate.pace == Pace(begun, 3.0)


def test_a_refusal_halves_the_pace_down_to_the_slowest_and_is_remembered() -> None:
    rate = Rate(SLOW)
    rate.slow_down(0.0)
    assert rate.pace == Pace(5.0, 8.5)
    for _ in range(5):
        rate.slow_down(0.0)
    assert rate.pace == Pace(1.0, 1.0)


@pytest.mark.parametrize(
    ("taken", "then"),
    [
        ([2.2, 2.3, 2.4, 2.5], Pace(10.0, 17.0)),  # too few to conclude anything from
        ([2.0, 2.2, 2.3, 2.4, 2.5], Pace(10.0, 17.0)),  # the first one is not of the last second
        ([2.1, 2.2, 2.3, 2.4, 2.5], Pace(2.5, 4.25)),
        ([2.0 + each / 30 for each in range(1, 30)], Pace(10.0, 17.0)),  # more than the pace
    ],
)
def test_a_refusal_halves_the_rate_at_which_calls_were_taken_if_that_is_lower(
    taken: list[float], then: Pace
) -> None:
    rate = Rate(SLOW)
    rate.start_at(Pace(20.0))
    rate.reserve(0.0)
    for each in taken:
        rate.succeeded(each)
    rate.hold(3.0, 1.0)
    assert rate.pace == then


def test_the_time_before_the_first_call_and_in_holds_does_not_count_for_that_rate() -> None:
    rate = Rate(SLOW)
    rate.start_at(Pace(20.0))
    rate.reserve(100.0)
    for at in (100.1, 100.2, 100.3, 100.4, 100.5):
        rate.succeeded(at)
    rate.hold(100.5, 50.0)  # ten a second
    assert rate.pace == Pace(5.0, 8.5)
    rate.start_at(Pace(20.0))
    for at in (110.0, 150.6, 150.7, 150.8, 150.9):  # the first one is answered during the hold
        rate.succeeded(at)
    rate.hold(151.0, 1.0)  # ten in a second of which half was before the hold
    assert rate.pace == Pace(5.0, 8.5)


def test_a_hold_delays_all_and_a_second_one_within_it_halves_nothing() -> None:
    rate = Rate(BURST)
    rate.hold(10.0, 4.0)
    assert (rate.holds, rate.pace.per_second, rate.held_for(11.0), rate.held_for(14.0)) == (1, 5.0, 3.0, 0.0)
    rate.hold(11.0, 1.0)
    assert (rate.holds, rate.pace.per_second, rate.held_for(11.0)) == (2, 5.0, 3.0)
    # After the hold calls start evenly, without a burst.
    assert [round(rate.reserve(11.0), 6) for _ in range(3)] == [3.0, 3.2, 3.4]
    rate.hold(14.0, 1.0)
    assert (rate.holds, rate.pace.per_second) == (3, 2.5)


def waiting(limits: CallLimits, pace: Pace) -> Rate:
    """A rate of which somebody waits for a place."""
    rate = Rate(limits)
    rate.start_at(pace)
    rate.reserve(0.0)
    rate.reserve(0.0)
    return rate


@pytest.mark.parametrize(
    ("pace", "then"),
    [
        (Pace(10.0, None), Pace(10.5, None)),  # 5 %
        (Pace(19.9, None), Pace(20.0, None)),  # up to the fastest
        (Pace(20.0, None), Pace(20.0, None)),
        (Pace(8.0, 10.0), Pace(8.4, 10.0)),  # below what was refused
        (Pace(9.9, 10.0), Pace(10.0, 10.0)),  # up to it
        (Pace(10.0, 10.0), Pace(10.002, 10.0)),  # from there on by 0.02 %
        (Pace(15.0, 10.0), Pace(15.02, 10.0)),  # further beyond it by 0.4 % of the distance
        (Pace(18.0, 9.0), Pace(18.036, 9.0)),
        (Pace(18.1, 9.0), Pace(19.005, None)),  # beyond twice of it, it is forgotten
    ],
)
def test_how_much_a_success_raises_the_pace(pace: Pace, then: Pace) -> None:
    rate = waiting(SLOW, pace)
    rate.succeeded(0.0)
    assert rate.pace.per_second == pytest.approx(then.per_second)
    assert rate.pace.refused_near == then.refused_near
    idle = Rate(SLOW)
    idle.start_at(pace)
    idle.reserve(0.0)
    idle.succeeded(0.0)
    assert idle.pace == pace


# --- answer times --------------------------------------------------------------------------------------------------


def test_a_doubling_is_noticed_once_and_only_after_ten_answers() -> None:
    latency = Latency()
    assert [latency.has_doubled(1.0) for _ in range(5)] + [latency.has_doubled(9.0) for _ in range(5)] == [
        False
    ] * 10
    latency = Latency()
    assert not any(latency.has_doubled(1.0) for _ in range(10))
    # A fifth of each answer counts: 1, then 1.8, then 2.44, which is more than twice one second.
    assert [latency.has_doubled(5.0) for _ in range(3)] == [False, True, False]
    fast = Latency()
    assert not any(fast.has_doubled(0.01) for _ in range(10))
    assert [fast.has_doubled(0.3) for _ in range(3)] == [False, True, False]


def test_answers_that_get_faster_are_what_later_ones_are_compared_with() -> None:
    latency = Latency()
    assert not any(latency.has_doubled(2.0) for _ in range(10))
    assert not any(latency.has_doubled(0.2) for _ in range(30))
    assert [latency.has_doubled(1.0) for _ in range(3)] == [False, True, False]


# --- the breaker and the budget ------------------------------------------------------------------------------------


def test_the_breaker_opens_at_the_fifth_failure_and_lets_one_probe_through() -> None:
    breaker = Breaker(CallLimits())
    for _ in range(4):
        breaker.failed(1.0, "x")
    assert (breaker.failures, breaker.cause, breaker.refuses_for(1.0)) == (4, "x", 0.0)
    breaker.failed(1.0, "y")
    assert (breaker.failures, breaker.cause, breaker.refuses_for(2.0)) == (5, "y", 9.0)
    assert breaker.refuses_for(11.0) == 0.0
    breaker.enter(11.0)
    assert breaker.refuses_for(12.0) == 24.0
    breaker.failed(12.0, "z")
    assert breaker.refuses_for(12.0) == 10.0
    breaker.enter(22.0)
    breaker.succeeded()
    assert (breaker.failures, breaker.refuses_for(22.0)) == (0, 0.0)
    breaker.enter(22.0)  # closed: nobody is a probe
    assert breaker.refuses_for(22.0) == 0.0
    for _ in range(5):
        breaker.failed(23.0, "x")
    assert breaker.refuses_for(23.0) == 10.0


def test_the_budget_is_spent_to_the_last_retry() -> None:
    budget = RetryBudget(CallLimits(spare_retries=2, retries_per_call=0.5))
    assert [budget.take() for _ in range(3)] == [True, True, False]
    budget.called()
    assert [budget.take() for _ in range(2)] == [True, False]
    budget.called()
    assert (budget.take(), budget.retries) == (False, 3)


# --- what a reply does to the pace ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        (reply(429, retry_after="3"), 3.0),
        (reply(503, retry_after="3"), 3.0),
        (reply(429, retry_after="99"), 20.0),
        (reply(429, retry_after="0"), 0.0),
        (reply(500, retry_after="3"), None),
        (reply(408, retry_after="3"), None),
        (DOWN, None),
        (BUSY, 0.75),  # the second pause (one second), three quarters of it by chance 0.5
        (failure(HttpTrouble.CONNECT), None),
    ],
)
def test_which_replies_hold_back_the_next_call(answer: HttpReply, held: float | None) -> None:
    hand, pressure = Hand(script(answer, OK)), Pressure()
    hand.run(pressure.once(POST))
    assert pressure.pace.per_second == (50.0 if held is None else 25.0)
    hand.run(pressure.once(POST))
    assert hand.sent_at[1] == pytest.approx(LATENCY + (held or 0.0))


def test_refusals_of_one_moment_count_once_and_those_in_a_row_wait_longer() -> None:
    hand, pressure = Hand(script(BUSY)), Pressure(CallLimits(calls_per_second=1000, failures_to_open=99))
    hand.run_all([pressure.once(POST) for _ in range(3)])
    first = hand.elapsed
    hand.run(pressure.once(POST))
    assert hand.elapsed - first == pytest.approx(0.75 + LATENCY, abs=0.01)
    second = hand.elapsed
    hand.run(pressure.once(POST))
    assert hand.elapsed - second == pytest.approx(1.5 + LATENCY, abs=0.01)
    third = hand.elapsed
    hand.answer = script(OK)
    hand.run(pressure.once(POST))
    assert hand.elapsed - third == pytest.approx(3.0 + LATENCY, abs=0.01)
    hand.answer = script(BUSY, OK)
    hand.run(pressure.once(POST))
    fourth = hand.elapsed
    hand.run(pressure.once(POST))
    assert hand.elapsed - fourth == pytest.approx(0.75 + LATENCY, abs=0.01)


def test_no_hold_that_nobody_asked_for_is_longer_than_twenty_seconds() -> None:
    hand, pressure = Hand(script(BUSY), chance=1.0), Pressure(CallLimits(failures_to_open=99))
    for _ in range(9):
        hand.run(pressure.once(POST))
    assert max(hand.slept) == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("answer", "stops"),
    [
        (reply(499), False),
        (reply(500), True),
        (failure(HttpTrouble.BROKEN), True),
        (failure(HttpTrouble.CONNECT), True),
        (failure(HttpTrouble.TIMEOUT), True),
        (failure(HttpTrouble.TOO_LARGE), False),
        (failure(HttpTrouble.INTERRUPTED), False),
    ],
)
def test_what_counts_towards_the_breaker(answer: HttpReply, stops: bool) -> None:
    hand, pressure = Hand(script(answer)), Pressure()
    for _ in range(5):
        hand.run(pressure.once(POST))
    result = hand.run(pressure.once(POST))
    assert isinstance(result, Withheld) == stops
    if isinstance(result, Withheld):
        cause = f"HTTP {answer.status}" if isinstance(answer, HttpReply) else str(answer.trouble)
        assert result.reason == f"5 calls in a row failed, the last one with {cause}"
        assert 0 < result.again_in <= 10


def test_a_cause_is_named_with_its_detail() -> None:
    hand, pressure = Hand(script(failure(HttpTrouble.BROKEN, detail="x" * 200))), Pressure()
    for _ in range(5):
        hand.run(pressure.once(POST))
    result = hand.run(pressure.once(POST))
    assert isinstance(result, Withheld)
    assert result.reason.endswith(f"{HttpTrouble.BROKEN} ({'x' * 120})")


# --- how long a read is tried --------------------------------------------------------------------------------------


def test_each_attempt_has_ten_seconds_and_all_of_them_twenty_five() -> None:
    hand = Hand(script(failure(HttpTrouble.TIMEOUT)), chance=1.0)
    pressure = Pressure()
    result = hand.run(pressure.read(GET))
    assert result == failure(HttpTrouble.TIMEOUT)
    # Pauses of 0.5 and 1 s between them.
    assert [each.deadline for each in hand.requests] == [10.0, 10.0, pytest.approx(3.5)]
    assert hand.slept == [0.5, 1.0]
    assert hand.elapsed == pytest.approx(25.0)
    assert pressure.retries == 2


def test_pauses_double_up_to_eight_seconds() -> None:
    hand = Hand(script(reply(408)), chance=1.0)
    hand.run(Pressure(CallLimits(read_seconds=100)).read(GET))
    assert hand.slept[:7] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_read_ends_by_the_time_that_it_is_given() -> None:
    hand = Hand(script(failure(HttpTrouble.TIMEOUT)), chance=1.0)
    hand.run(Pressure().read(GET, until=11.0))
    assert [each.deadline for each in hand.requests] == [10.0, pytest.approx(0.5)]
    hand = Hand(script(failure(HttpTrouble.TIMEOUT)), chance=1.0)
    hand.run(Pressure().read(GET, until=10.5))
    assert len(hand.requests) == 1


def test_a_retry_that_would_start_at_the_end_is_not_waited_for() -> None:
    limits = CallLimits(read_seconds=1.0, first_backoff=1.0)
    hand, pressure = Hand(script(reply(408)), chance=1.0, latency=lambda _: 0.0), Pressure(limits)
    hand.run(pressure.read(GET))
    assert (hand.slept, pressure.retries, len(hand.requests)) == ([], 0, 1)


def test_without_a_budget_nothing_is_tried_again() -> None:
    hand, pressure = Hand(script(BUSY)), Pressure(CallLimits(spare_retries=0, retries_per_call=0))
    hand.run(pressure.read(GET))
    assert (len(hand.requests), pressure.retries, pressure.spend_retry()) == (1, 0, False)
    assert Pressure().spend_retry()


def test_a_run_of_reads_without_a_success_is_given_up_to_the_second() -> None:
    limits = CallLimits(silence_seconds=5)
    hand, pressure = Hand(script(reply(404))), Pressure(limits)
    for _ in range(3):
        hand.run(pressure.read(GET))
    hand.elapsed = 5.0
    refused = hand.run(pressure.read(GET))
    assert refused == Withheld("no read has succeeded for 5s")
    hand.run(pressure.has_succeeded())
    assert isinstance(hand.run(pressure.read(GET)), HttpReply)


# --- the clock of the service --------------------------------------------------------------------------------------

DATE = "Mon, 21 Sep 2026 14:13:20 GMT"
THEN = parse_date(DATE)


def test_a_date_without_a_zone_is_utc() -> None:
    assert parse_date(DATE.removesuffix(" GMT") + " -0000") == parse_date(DATE.removesuffix(" GMT")) == THEN
    assert parse_date(DATE.replace("GMT", "+0100")) == THEN - 3600


@pytest.mark.parametrize(
    ("headers", "skew"),
    [
        ({"date": DATE}, 0.5),
        ({"date": DATE, "age": "3"}, None),
        ({"date": ""}, None),
        ({}, None),
        ({"date": "today"}, None),
    ],
)
def test_what_a_reply_says_of_the_time(headers: dict[str, str], skew: float | None) -> None:
    clock = ServiceClock()
    clock.learn(headers, THEN)
    assert clock.skew == skew
    assert clock.correct(100.0) == 100.0 + (skew or 0.0)


def test_of_replies_of_one_second_the_first_one_counts_unless_our_clock_was_set() -> None:
    clock = ServiceClock()
    clock.learn({"date": DATE}, THEN)
    clock.learn({"date": DATE}, THEN + 0.9)
    assert clock.skew == 0.5
    clock.learn({"date": DATE}, THEN + 2.0)
    assert clock.skew == 0.5
    clock.learn({"date": DATE}, THEN + 2.6)
    assert clock.skew == pytest.approx(-2.1)
    clock.learn({"date": DATE.replace(":20 ", ":21 ")}, THEN + 1.0)
    assert clock.skew == 0.5


@pytest.mark.parametrize(
    ("skew", "warning", "is_refused"),
    [
        (30.0, None, False),
        (-30.0, None, False),
        (31.0, "31 seconds behind the service's", False),
        (-31.0, "31 seconds ahead of the service's", False),
        (300.0, "300 seconds behind the service's", False),
        (301.0, "301 seconds behind the service's", True),
        (-301.0, "301 seconds ahead of the service's", True),
    ],
)
def test_a_difference_is_warned_of_beyond_half_a_minute_and_refused_beyond_five(
    skew: float, warning: str | None, is_refused: bool
) -> None:
    clock = ServiceClock()
    clock.require_close()
    assert clock.warning is None
    clock.learn({"date": DATE}, THEN + 0.5 - skew)
    assert clock.warning == (
        None if warning is None else f"this machine's clock is {warning}; set it, or tokens may be refused"
    )
    if is_refused:
        with pytest.raises(ServiceError, match=f"clock is {warning}: a token"):
            clock.require_close()
    else:
        clock.require_close()


def test_slower_answers_to_a_list_read_page_by_page_say_nothing_of_the_rate_that_is_taken() -> None:
    """Seven pages a minute were counted as all that the service takes: 1,000 joins afterwards took three minutes."""
    rate, now = Rate(CallLimits()), 0.0
    for _ in range(7):
        now += rate.reserve(now) + 0.2
        rate.succeeded(now)
    rate.slow_down(now)
    assert rate.pace.per_second == 25.0
