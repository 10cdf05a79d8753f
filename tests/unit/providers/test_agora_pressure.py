"""Politeness, in virtual time: pace, retries of reads alone, Retry-After, budget, breaker, and the time they
take.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ports import HttpFailure, HttpReply, HttpRequest, HttpTrouble, Pace, Steps
from reconciler.providers.agora.call_limits import Breaker, CallLimits, Latency, Rate, RetryBudget
from reconciler.providers.agora.call_sender import Pressure, Result, Withheld, retry_after
from tests.unit.providers.hand import LATENCY, Answer, Hand, failure, reply, script

GET = HttpRequest("GET", "https://x.example/agents")
POST = HttpRequest("POST", "https://x.example/join", body={})
OK = reply(200, b"{}")
DOWN = reply(503)
BUSY = reply(429)


def read(hand: Hand, pressure: Pressure | None = None) -> Result:
    return hand.run((pressure or Pressure()).read(GET))


@given(st.floats(0.1, 60.0), st.integers(0, 60), st.floats(0.0, 59.0))
def test_nobody_starts_before_a_hold_is_over(seconds: float, successes: int, later: float) -> None:
    """Calls that were under way may succeed meanwhile, and raise the pace: not before the pause is over."""
    rate = Rate(CallLimits())
    for _ in range(40):
        rate.reserve(0.0)
    rate.hold(0.0, 1.0)
    rate.hold(1.5, seconds)
    for _ in range(successes):
        rate.succeeded(1.5)
    now = 1.5 + min(later, seconds)
    assert now + rate.reserve(now) >= 1.5 + seconds - 1e-9


# --- reads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "passing",
    [reply(408), reply(425), BUSY, reply(500), reply(502), DOWN, reply(504)]
    + [failure(t) for t in (HttpTrouble.CONNECT, HttpTrouble.TIMEOUT, HttpTrouble.BROKEN)],
)
def test_a_read_that_fails_in_passing_is_tried_again(passing: HttpReply | HttpFailure) -> None:
    hand = Hand(script(passing, passing, OK))
    assert read(hand) is OK
    assert len(hand.requests) == 3


@pytest.mark.parametrize(
    "final",
    [reply(status) for status in (200, 201, 204, 301, 400, 401, 403, 404, 409, 422)]
    + [failure(HttpTrouble.TOO_LARGE), failure(HttpTrouble.INTERRUPTED)],
)
def test_a_read_that_is_answered_is_not_tried_again(final: HttpReply | HttpFailure) -> None:
    hand = Hand(script(final))
    assert read(hand) is final
    assert len(hand.requests) == 1


@pytest.mark.parametrize(
    "got", [OK, DOWN, BUSY, reply(408), failure(HttpTrouble.TIMEOUT), failure(HttpTrouble.CONNECT)]
)
def test_a_mutating_call_is_never_tried_again(got: HttpReply | HttpFailure) -> None:
    hand = Hand(script(got))
    assert hand.run(Pressure().once(POST)) is got
    assert len(hand.requests) == 1


@given(
    st.sampled_from(
        [DOWN, BUSY, reply(429, retry_after="20"), reply(503, retry_after="7"), failure(HttpTrouble.TIMEOUT)]
    ),
    st.floats(0, 0.999),
)
def test_a_read_that_keeps_failing_ends_within_half_a_minute(
    got: HttpReply | HttpFailure, chance: float
) -> None:
    hand = Hand(script(got), chance=chance)
    assert read(hand) is got
    assert hand.elapsed <= 30
    assert all(request.deadline <= 10 for request in hand.requests)


def test_pauses_grow_and_are_drawn_by_chance() -> None:
    hand = Hand(script(DOWN, DOWN, DOWN, DOWN, OK), chance=0.5)
    assert read(hand) is OK
    assert hand.slept == [0.25, 0.5, 1.0, 2.0]


def test_a_stopping_run_waits_for_nothing() -> None:
    hand = Hand(script(DOWN))
    hand.stopping = True
    assert read(hand) is DOWN
    assert len(hand.requests) == 1


def test_a_run_that_only_reads_ends_after_half_a_minute_without_a_success() -> None:
    """However many reads there are, whatever they meet, and although each of them has 25 s."""
    pressure = Pressure(CallLimits(silence_seconds=30))
    hand = Hand(script(BUSY))
    results = hand.run_all([pressure.read(GET) for _ in range(60)])
    assert hand.elapsed <= 30
    assert all(each is BUSY or isinstance(each, Withheld) for each in results)
    assert isinstance(hand.run(pressure.read(GET)), Withheld) or hand.elapsed <= 31


def test_a_read_that_succeeds_gives_the_run_its_time_again() -> None:
    pressure = Pressure(CallLimits(silence_seconds=30))
    hand = Hand(script(OK))
    for _ in range(5):
        assert hand.run(pressure.read(GET)) is OK
        hand.run(pressure.has_succeeded())
        hand.elapsed += 29
    hand.elapsed += 2
    assert isinstance(hand.run(pressure.read(GET)), Withheld)


# --- Retry-After --------------------------------------------------------------------------------------------

DATE = "Wed, 23 Sep 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 120 "}, 120.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "Wed, 23 Sep 2026 10:00:07 GMT", "date": DATE}, 7.0),
        ({"retry-after": "Wed, 23 Sep 2026 09:59:00 GMT", "date": DATE}, None),
        ({"retry-after": "Wed, 23 Sep 2026 10:00:07 GMT"}, None),
        ({"retry-after": "Wed, 23 Sep 2026 10:00:07 GMT", "date": "today"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Wed, 99 Sep 99999 10:00:07 GMT", "date": DATE}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_is_understood_or_ignored(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_retry_after_is_a_crash(text: str, date: str) -> None:
    seconds = retry_after({"retry-after": text, "date": date})
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("3600", 20.0)])
def test_a_429_holds_back_every_call_of_the_run(asked: str, waited: float) -> None:
    hand = Hand(script(reply(429, retry_after=asked), OK))
    pressure = Pressure()
    assert isinstance(hand.run(pressure.once(POST)), HttpReply)
    answered = hand.elapsed
    assert hand.run(pressure.once(POST)) is OK
    assert hand.sent_at[1] == pytest.approx(answered + waited)


def test_a_hold_reaches_calls_that_wait_for_their_turn_already() -> None:
    limits = CallLimits(calls_per_second=1.0, burst=1.0)
    hand = Hand(script(reply(429, retry_after="10"), OK))
    pressure = Pressure(limits)
    hand.run_all([pressure.once(POST) for _ in range(3)])
    assert hand.sent_at[0] == 0
    assert hand.sent_at[1] >= 10 + LATENCY
    assert hand.sent_at[2] - hand.sent_at[1] >= 1.9  # at half the rate


@pytest.mark.parametrize("garbage", ["-5", "soon", ""])
def test_a_429_that_says_nothing_useful_still_slows_us_down(garbage: str) -> None:
    hand = Hand(script(reply(429, retry_after=garbage), OK))
    pressure = Pressure()
    hand.run(pressure.once(POST))
    hand.run(pressure.once(POST))
    assert hand.sent_at[1] - hand.sent_at[0] > 0.5


def allowed(rate: float, burst: float) -> Callable[[Hand], Callable[[HttpRequest], HttpReply]]:
    """A service that answers 429 above some calls a second, and says nothing about when to come back."""

    def make(hand: Hand) -> Callable[[HttpRequest], HttpReply]:
        state = {"tokens": burst, "at": 0.0}

        def answer(_: HttpRequest) -> HttpReply:
            state["tokens"] = min(burst, state["tokens"] + (hand.elapsed - state["at"]) * rate)
            state["at"] = hand.elapsed
            if state["tokens"] < 1:
                return BUSY
            state["tokens"] -= 1
            return OK

        return answer

    return make


def test_the_pace_adapts_to_a_slow_service() -> None:
    hand = Hand(script(OK))
    hand.answer = allowed(1.0, 1.0)(hand)
    pressure = Pressure()
    results: list[Result] = []
    while sum(each is OK for each in results) < 60:
        results += hand.run_all([pressure.once(POST) for _ in range(5)])  # type: ignore[arg-type]
    assert len(results) <= 1.2 * 60 + 20
    assert pressure.pace.per_second < 4


# --- pace ---------------------------------------------------------------------------------------------------


@given(st.integers(1, 200), st.sampled_from([1.0, 5.0, 50.0]), st.sampled_from([1.0, 10.0, 50.0]))
def test_no_second_sees_more_calls_than_the_rate_and_one_burst(calls: int, rate: float, burst: float) -> None:
    hand = Hand(script(OK))
    pressure = Pressure(CallLimits(calls_per_second=rate, burst=burst))
    hand.run_all([pressure.once(POST) for _ in range(calls)])
    assert len(hand.sent_at) == calls
    for at in hand.sent_at:
        within = sum(at <= other <= at + 1 for other in hand.sent_at)
        assert within <= burst + rate + 1
    assert hand.sent_at[-1] == pytest.approx(max(0.0, (calls - burst) / rate), abs=0.001)


def joined(service: Callable[[Hand], Answer], calls: int, pressure: Pressure) -> tuple[Hand, int]:
    """Ten workers that make so many calls, each again until it is taken; the hand, and how many were refused."""
    hand = Hand(script(OK))
    hand.answer = service(hand)
    places = iter(range(calls))
    refused = 0

    def work() -> Steps[None]:
        nonlocal refused
        for _ in places:
            while (yield from pressure.once(POST)) is not OK:
                refused += 1

    hand.run_all([work() for _ in range(10)])
    return hand, refused


@pytest.mark.parametrize("burst", [1.0, 5.0, 20.0])
def test_few_calls_are_refused_by_a_service_that_takes_twenty_a_second(burst: float) -> None:
    pressure = Pressure()
    hand, refused = joined(allowed(20.0, burst), 1000, pressure)
    assert refused <= 20
    assert hand.elapsed <= 1000 / 20 * 1.6
    again, refused = joined(allowed(20.0, burst), 1000, continued(pressure))
    assert refused <= 20
    assert again.elapsed <= 1000 / 20 * 1.6


@pytest.mark.parametrize("burst", [1.0, 10.0, 500.0])
def test_a_service_that_takes_five_hundred_a_second_is_soon_asked_that_fast(burst: float) -> None:
    """At 50 ms a call ten workers make 200 calls a second: that, not the pace, is what bounds a thousand of them."""
    hand, _ = joined(allowed(500.0, burst), 1000, Pressure())
    assert hand.elapsed <= 7


def test_a_pace_that_nobody_waits_for_does_not_rise() -> None:
    pressure = Pressure()
    hand = Hand(script(OK))
    for _ in range(200):
        hand.run(pressure.once(POST))
    assert pressure.pace.per_second == 50


def continued(before: Pressure) -> Pressure:
    """What the next run begins with."""
    pressure = Pressure()
    pressure.start_at(before.pace)
    return pressure


def test_a_pace_from_elsewhere_stays_within_bounds() -> None:
    limits = CallLimits()
    for asked, taken in ((0.0, limits.slowest), (1e12, limits.fastest), (123.0, 123.0)):
        pressure = Pressure()
        pressure.start_at(Pace(asked))
        assert pressure.pace.per_second == taken


def test_answers_that_take_twice_as_long_halve_the_pace_once() -> None:
    rate, latency = Rate(CallLimits()), Latency()
    said = [latency.has_doubled(seconds) for seconds in [0.2] * 20 + [0.5] * 40 + [0.2] * 40]
    assert said.count(True) == 1
    assert said.index(True) < 30
    rate.slow_down(0.0)
    assert rate.pace.per_second == 25


def test_a_service_that_grows_slow_under_our_calls_is_called_less_often() -> None:
    pressure = Pressure(CallLimits(calls_per_second=100.0))
    hand = Hand(script(OK), latency=lambda hand: 0.05 if len(hand.requests) < 100 else 0.4)
    hand.run_all([repeated(pressure, 30) for _ in range(10)])
    assert pressure.pace.per_second < 100


def repeated(pressure: Pressure, times: int) -> Steps[None]:
    for _ in range(times):
        yield from pressure.once(POST)


@given(st.lists(st.floats(0.0, 0.1), max_size=200))
def test_what_is_fast_in_any_case_is_not_called_slow(answers: list[float]) -> None:
    latency = Latency()
    assert not any(latency.has_doubled(each) for each in answers)


# --- budget -------------------------------------------------------------------------------------------------


def test_the_budget_is_ten_and_a_fifth_of_the_calls() -> None:
    budget = RetryBudget(CallLimits())
    for _ in range(100):
        budget.called()
    assert sum(budget.take() for _ in range(100)) == 30
    assert budget.retries == 30


def test_retries_cannot_grow_into_a_storm() -> None:
    turn = iter(range(1_000_000))

    def answer(_: HttpRequest) -> HttpReply:
        return OK if next(turn) % 3 else DOWN  # every third answer, so that no five in a row fail

    hand = Hand(answer)
    pressure = Pressure()
    calls = 300
    for _ in range(calls):
        read(hand, pressure)
    assert len(hand.requests) <= 1.2 * calls + 10


# --- breaker ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "systemic", [DOWN, reply(500), failure(HttpTrouble.CONNECT, sent=False, detail="refused")]
)
def test_five_systemic_failures_in_a_row_stop_everything_at_once(systemic: HttpReply | HttpFailure) -> None:
    hand = Hand(script(systemic))
    pressure = Pressure()
    for _ in range(5):
        assert hand.run(pressure.once(POST)) is systemic
    withheld = hand.run(pressure.once(POST))
    assert isinstance(withheld, Withheld)
    assert "5 calls in a row failed" in withheld.reason
    assert isinstance(hand.run(pressure.read(GET)), Withheld)
    assert len(hand.requests) == 5


@pytest.mark.parametrize("other", [OK, reply(404), reply(400), BUSY])
def test_anything_but_a_systemic_failure_starts_the_count_anew(other: HttpReply) -> None:
    hand = Hand(script(DOWN, DOWN, DOWN, DOWN, other, DOWN, DOWN, DOWN, DOWN, OK))
    pressure = Pressure()
    for _ in range(10):
        assert not isinstance(hand.run(pressure.once(POST)), Withheld)


def test_a_probe_after_ten_seconds_closes_the_breaker() -> None:
    hand = Hand(script(*[DOWN] * 5, OK))
    pressure = Pressure()
    for _ in range(5):
        hand.run(pressure.once(POST))
    hand.elapsed += 9
    assert isinstance(hand.run(pressure.once(POST)), Withheld)
    hand.elapsed += 1
    assert hand.run(pressure.once(POST)) is OK
    assert hand.run(pressure.once(POST)) is OK


def test_a_failed_probe_opens_the_breaker_again() -> None:
    hand = Hand(script(DOWN))
    pressure = Pressure()
    for _ in range(5):
        hand.run(pressure.once(POST))
    hand.elapsed += 10
    assert hand.run(pressure.once(POST)) is DOWN
    assert isinstance(hand.run(pressure.once(POST)), Withheld)


def test_only_one_probe_goes_out_at_a_time() -> None:
    hand = Hand(script(*[DOWN] * 5, OK))
    pressure = Pressure()
    for _ in range(5):
        hand.run(pressure.once(POST))
    hand.elapsed += 10
    results = hand.run_all([pressure.once(POST) for _ in range(4)])
    assert sum(result is OK for result in results) == 1
    assert sum(isinstance(result, Withheld) for result in results) == 3


def test_a_probe_that_never_returns_does_not_shut_the_gate_for_good() -> None:
    limits = CallLimits()
    breaker = Breaker(limits)
    for _ in range(5):
        breaker.failed(0.0, "HTTP 503")
    assert breaker.refuses_for(10.0) == 0
    breaker.enter(10.0)
    assert breaker.refuses_for(11.0) > 0
    assert breaker.refuses_for(10.0 + limits.write_seconds) == 0


def test_a_read_that_is_being_retried_waits_for_the_probe() -> None:
    hand = Hand(script(*[DOWN] * 5, OK), chance=0.5)
    assert read(hand) is OK
    assert 10 < hand.elapsed < 25
    assert len(hand.requests) == 6


# --- while waiting for a turn ---------------------------------------------------------------------------


def test_a_call_that_waits_for_its_turn_is_withheld_when_the_run_stops() -> None:
    hand = Hand(script(OK))
    pressure = Pressure(CallLimits(calls_per_second=1.0, burst=1.0))
    assert hand.run(pressure.once(POST)) is OK
    hand.stopping = True
    assert hand.run(pressure.once(POST)) == Withheld("the run is stopping")
    assert len(hand.requests) == 1


def test_a_call_that_waits_for_its_turn_is_withheld_when_the_breaker_opens_meanwhile() -> None:
    hand = Hand(script(DOWN))
    pressure = Pressure(CallLimits(calls_per_second=10.0, burst=5.0))
    results = hand.run_all([pressure.once(POST) for _ in range(8)])
    assert [isinstance(each, Withheld) for each in results] == [False] * 5 + [True] * 3


def test_a_retry_whose_turn_would_come_too_late_is_not_made() -> None:
    hand = Hand(script(DOWN))
    pressure = Pressure(CallLimits(calls_per_second=0.01, burst=1.0, slowest=0.01))
    assert read(hand, pressure) is DOWN
    assert (len(hand.requests), pressure.retries) == (1, 0)
    assert hand.elapsed < 25
