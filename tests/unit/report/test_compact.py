"""Addresses as a shell's braces: what a shell makes of them is the addresses, each once, and nothing else."""

from __future__ import annotations

import random
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.address import AGENT, CHANNEL, Address
from reconciler.report.addresses import braced
from reconciler.report.folding import LONGEST, in_lines
from tests.unit.report.test_laws import QUICK

NUMBERS = st.one_of(
    st.integers(0, 30).map(str), st.integers(0, 130).map("{:03d}".format), st.sampled_from(["0", "00", "07"])
)
WORDS = st.sampled_from(["shop", "desk", "a", "x7", "7x", ""])
CHANNELS = st.one_of(
    st.tuples(WORDS, st.sampled_from(["-", "_", ".", ":"]), NUMBERS).map("".join),
    st.tuples(NUMBERS, st.just("-"), NUMBERS, WORDS).map("".join),
    st.from_regex(CHANNEL, fullmatch=True),
)
ADDRESSES = st.lists(
    st.builds(
        Address,
        CHANNELS,
        st.sampled_from(["desk", "night", "n1", "n2"]) | st.from_regex(AGENT, fullmatch=True),
    ),
    min_size=1,
    max_size=60,
)


def shell(words: list[str], program: str = "bash") -> list[str]:
    """What a shell hands to a program, word by word."""
    script = f"printf '%s\\0' {' '.join(words)}"
    done = subprocess.run([program], input=script, capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


@given(ADDRESSES)
@settings(QUICK, max_examples=100)
def test_a_shell_expands_them_to_the_addresses(addresses: list[Address]) -> None:
    assert sorted(shell(braced(addresses))) == sorted({str(each) for each in addresses})


def test_a_product_is_one_word() -> None:
    addresses = [
        Address(f"{city}-{number:02d}-desk", name)
        for city in ("oslo", "rome")
        for number in range(8, 13)
        for name in ("concierge", "night")
    ]
    assert braced(addresses) == ["{oslo,rome}-{08..12}-desk/{concierge,night}"]
    assert braced(reversed(addresses)) == braced(addresses)
    assert braced([Address(f"h{number}", "a") for number in (*range(5), 7, 9, *range(98, 103))]) == [
        "h{{0..4},7,9,{98..102}}/a"
    ]
    assert braced([Address(f"h{number:03d}", "a") for number in range(0, 200, 2)]) == ["h{000..198..2}/a"]
    assert braced([Address(f"h{number}", "a") for number in (1001, 1004, 1013, 2001, 2002)]) == [
        "h{10{01,04,13},2001,2002}/a"
    ]
    assert braced([Address("-x", "a"), Address("a b!$", "c")]) == ["-x/a", "'a b!$/c'"]


@pytest.mark.parametrize("count", [500, 10_000])
def test_gaps_and_random_names_stay_exact_and_their_lines_short(count: int) -> None:
    chance = random.Random(count)
    addresses = [Address(f"shop-{number:05d}", "desk") for number in chance.sample(range(10 * count), count)]
    addresses += [Address(f"{chance.getrandbits(48):012x}", "desk") for _ in range(count // 10)]
    words = braced(addresses)
    lines = in_lines(words, 110, " ")
    assert max(map(len, lines)) <= LONGEST + 5
    assert " ".join(lines) == " ".join(words)
    assert sorted(shell(lines)) == sorted(map(str, addresses))
    assert len(" ".join(words)) < 0.45 * sum(len(str(each)) + 2 for each in addresses)
