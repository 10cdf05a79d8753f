"""Durations: one grammar and one spelling, and each reads the other back."""

from __future__ import annotations

import re

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli import parameters
from reconciler.config.words import InvalidValue, duration
from reconciler.durations import PATTERN, parse, rounded, spelled

YEAR = 366 * 86_400
MILLISECONDS = st.integers(0, YEAR * 1000)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5_400),
        ("1.5h", 5_400),
        ("90m", 5_400),
        ("60h", 216_000),
        ("2d", 172_800),
        ("1d12h", 129_600),
        ("30m1h", 5_400),
        ("1h05m", 3_900),
        ("250ms", 0.25),
        ("1s1ms", 1.001),
        ("0s", 0),
    ],
)
def test_what_is_read(text: str, seconds: float) -> None:
    assert parse(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "1.5",
        "h",
        "-5s",
        "+5s",
        "1h 30m",
        " 5s",
        "5s\n",
        "5 s",
        "1w",
        "5S",
        "1.h",
        ".5h",
        "1h30",
        "٣s",
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse(text)


def test_a_bare_number_is_in_seconds_where_that_was_always_so() -> None:
    assert parse("90", bare_seconds=True) == parse("90s")
    assert parse("0.5", bare_seconds=True) == parse("500ms")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5_400, "1h30m"),
        (216_000, "60h"),
        (259_200, "72h"),
        (3_661, "1h1m1s"),
        (45, "45s"),
        (0.25, "250ms"),
        (0, "0s"),
        (-1, "0s"),
    ],
)
def test_how_it_is_spelled(seconds: float, text: str) -> None:
    assert spelled(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (75, "1m15s"),
        (3_600, "1h"),
        (3_659, "1h"),
        (11_543, "3h12m"),
        (259_199, "71h59m"),
        (1_000_000, "277h46m"),
    ],
)
def test_how_it_is_rounded(seconds: float, text: str) -> None:
    assert rounded(seconds) == text


@given(MILLISECONDS)
def test_what_is_spelled_is_read_back_exactly(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse(spelled(seconds)) == seconds
    assert re.fullmatch(PATTERN, spelled(seconds))


@given(st.from_regex(PATTERN, fullmatch=True).filter(str.isascii))
def test_files_and_options_read_the_same(text: str) -> None:
    try:
        of_an_option = parameters.duration(text)
    except click.BadParameter as problem:
        assert "longer than a year" in problem.message
        with pytest.raises(InvalidValue, match="is not between"):
            duration(text, 0, YEAR)
    else:
        assert of_an_option == duration(text, 0, YEAR)
        assert spelled(parse(spelled(of_an_option))) == spelled(of_an_option)


@given(MILLISECONDS)
def test_rounding_goes_down_and_never_far(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    lost = seconds - parse(rounded(seconds))
    assert 0 <= lost < (60 if seconds >= 3600 else 1)


def test_what_only_one_of_two_grammars_read_before_is_read_by_both() -> None:
    assert parameters.duration("1h30m") == duration("1h30m", 0, YEAR)
    assert parameters.duration("1.5h") == duration("1.5h", 0, YEAR)
    with pytest.raises(InvalidValue):
        duration("90", 0, YEAR)
    assert parameters.duration("90") == 90
