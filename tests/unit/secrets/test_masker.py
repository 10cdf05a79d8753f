"""What the masker finds beyond whole forms, what it leaves, and that its time is linear in the text."""

from __future__ import annotations

import gc
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.report.folding import folded
from reconciler.secrets import Secret
from reconciler.secrets.foreign_text import LONGEST_READ, redact
from reconciler.secrets.masker import SecretMasker

VALUE = "sk-proj-Kq8/Vx2+Zt5=Wm7Yb3Nc6Lp9"
# Processor time below this is mostly noise.
FLOOR = 0.02
SIZES = (50_000, 100_000, 200_000)
UNITS = {
    "whole forms": VALUE,
    "forms with gaps": " ".join(VALUE),
    "beginnings": VALUE[:14],
    "beginnings, one character too short": f"{VALUE[:11]}#",
    "ends, one character too short": f"#{VALUE[-11:]}",
    "no hits": "lobby/desk: joined (agent 1NT29X10YHXX)\n",
    "white space": " \n",
    "escaped separators": "\\n\\u{0}\\u0000",
    "unfinished separators": "\\u{0\\u000\\",
    "beginnings of tokens": "007eA",
    "tokens, one character too short": f"007eA{'x' * 19}.",
    "one character": "s",
}


def learnt(*values: str) -> SecretMasker:
    masker = SecretMasker()
    masker.learn_all(map(Secret, values))
    return masker


def many(number: int) -> list[str]:
    """Secrets with one beginning, which is the hardest to tell apart."""
    return [VALUE, *(f"{VALUE[:12]}{place:04}{VALUE[16:]}" for place in range(1, number))]


def seconds(masker: SecretMasker, text: str) -> float:
    """The least processor time of several runs, which is the one that was disturbed least.

    The garbage collector, which looks at all that other tests have left, is off meanwhile.
    """
    times = []
    gc.disable()
    for _ in range(5):
        started = time.process_time()
        masker.mask(text)
        times.append(time.process_time() - started)
    gc.enable()
    return min(times)


def is_linear(masker: SecretMasker, unit: str, sizes: Sequence[int]) -> bool:
    """Whether twice the text takes at most 2.5 times the time; asked again where a busy machine may have lied."""
    for _ in range(3):
        took = [max(FLOOR, seconds(masker, (unit * (size // len(unit) + 1))[:size])) for size in sizes]
        if all(twice <= 2.5 * once for once, twice in pairwise(took)):
            return True
    return False


@pytest.mark.parametrize("number", [1, 200], ids=["1 secret", "200 secrets"])
@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_twice_the_text_takes_twice_the_time(unit: str, number: int) -> None:
    assert is_linear(learnt(*many(number)), unit, SIZES)


@pytest.mark.parametrize("value", ["s" * 40, "s" * 39 + "t", "s" * 60_000], ids=["hits", "near", "a file"])
def test_a_secret_that_repeats_itself_takes_no_more(value: str) -> None:
    assert is_linear(learnt(value), "s", [size // 5 for size in SIZES])


@pytest.mark.parametrize("length", [10, 11, 12, 13, 23, 24, 25, 1023, 1024, 1025, 2035, 2036, 2037, 60_000])
def test_a_secret_of_any_length_is_masked_as_one_at_any_place(length: int) -> None:
    value = b64encode(b"".join(number.to_bytes(3, "big") for number in range(length))).decode()[-length:]
    masker = learnt(value)
    for before in range(15):
        text = f"{'.' * before}{value}."
        assert masker.mask(text) == f"{'.' * before}(secret)."


def test_two_secrets_side_by_side_are_masked_one_by_one() -> None:
    other = "another-secret-value-0123456789"
    assert learnt(VALUE, other).mask(f"{VALUE}{other}") == "(secret)(secret)"


def test_what_agrees_with_the_beginning_or_the_end_is_masked() -> None:
    masker = learnt(VALUE)
    assert masker.mask(f"key {VALUE[:14]}… and …{VALUE[-14:]}") == "key (secret)… and …(secret)"
    assert masker.mask(f"key {VALUE[:11]}… and …{VALUE[-11:]}") == f"key {VALUE[:11]}… and …{VALUE[-11:]}"


def test_a_beginning_does_not_hide_the_secret_that_begins_within_it() -> None:
    value = "ababababababZQ99"
    assert "Q99" not in learnt(value).mask(f"x ab{value} y")


def test_a_secret_of_which_a_gap_takes_the_first_character_is_masked() -> None:
    assert learnt("nightly-build-credential").mask("C:\\nightly-build-credential") == "C:\\(secret)"


@pytest.mark.parametrize("before", range(0, 60, 7))
def test_of_a_secret_across_the_cut_nothing_stays(before: int) -> None:
    shown = redact("." * (LONGEST_READ - before) + VALUE * 3, [Secret(VALUE)])
    assert not set(shown.replace("(secret)", "")) & set(VALUE)
    assert shown.startswith("." * (LONGEST_READ - before))


def test_more_than_the_limit_is_not_read() -> None:
    assert redact("." * LONGEST_READ * 2, [Secret(VALUE)]) == "." * LONGEST_READ


def test_what_is_public_is_shown_although_it_is_a_form_of_a_secret() -> None:
    certificate = "fedcba9876543210fedcba9876543210"
    masker = learnt(certificate)
    masker.publish(certificate[::-1])
    text = f"App ID {certificate[::-1]}, not {certificate}"
    assert masker.mask(text) == f"App ID {certificate[::-1]}, not (secret)"


@pytest.mark.parametrize(
    "secret", ["".join(f"{number:x}q" for number in range(200)), " ".join(["passphrase"] * 20)]
)
@pytest.mark.parametrize("width", [40, 80])
def test_a_secret_in_a_folded_line_is_masked(secret: str, width: int) -> None:
    line = folded(f"    \x1b[31merror: the service said: {secret}, and no more\x1b[0m", width)
    shown = learnt(secret).mask(line)
    assert line.count("↳") > 1
    assert secret[:12] not in shown
    assert secret[-12:] not in shown
    assert len(shown) < 120


def test_a_value_that_somebody_calls_public_stays_masked() -> None:
    masker = learnt(VALUE)
    masker.publish(VALUE)
    masker.publish("")
    assert masker.mask(f"x {VALUE} y") == "x (secret) y"


# --- a text that comes in pieces


LISTED = "pass,word,with,nine,commas,in,a,row,so,that,it,is,cut"
FILE = b64encode(b"".join(number.to_bytes(3, "big") for number in range(1500))).decode()
PIECES = {
    **UNITS,
    "a secret over lines": "\n".join(VALUE),
    "a secret in lines of JSON": ",\n      ".join(VALUE[at : at + 6] for at in range(0, len(VALUE), 6)),
    "a secret with far gaps": f"{VALUE[:15]}{' ' * 3000}\n{VALUE[15:]}",
    "a secret whose gap comes early": f"{VALUE[:5]}{chr(10) * 3000}{VALUE[5:]}",
    "a secret with spelled gaps": "\\u{0}".join(VALUE),
    "half a secret": VALUE[:18],
    "the other half": VALUE[18:],
    "a file": FILE,
    "a file over lines": "\n".join(FILE[at : at + 76] for at in range(0, len(FILE), 76)),
    "a token": f"007eJx{'k' * 40}==",
    "half a token": "007eJxTYFBg",
    "a line break": "\n",
    "a spelled line break": "\\n",
    "a comma": ",",
    "a secret with commas": LISTED,
}


def cut(text: str, sizes: Iterable[int]) -> list[str]:
    """The text in pieces of these sizes, and the rest of it."""
    places = [min(len(text), each) for each in accumulate(sizes, initial=0)]
    return [text[start:end] for start, end in pairwise([*places, len(text)])]


@given(
    st.lists(st.sampled_from([*PIECES.values()]), max_size=30),
    st.lists(st.integers(1, 6000), max_size=20),
    st.sampled_from([0, 100, 3000]),
)
@example(["half a line\n", VALUE[:18], "\n", VALUE[18:], "\n"], [13], 0)
@example([PIECES["a secret with far gaps"], "\n" * 4000], [2000, 3000], 0)
@example(["a comma, and ", LISTED, ", ", LISTED[:20]], [10, 10, 5], 0)
@example([PIECES["a secret whose gap comes early"]], [2500], 0)
def test_a_text_in_pieces_is_masked_as_the_whole_text(
    parts: list[str], sizes: list[int], at_once: int
) -> None:
    text = "".join(parts)
    masker = learnt(VALUE, FILE, LISTED)
    masker.publish(VALUE[::-1])
    assert "".join(masker.mask_pieces(cut(text, sizes), at_once)) == masker.mask(text)


@pytest.mark.parametrize("values", [(), (VALUE,), (FILE,)], ids=["nothing secret", "a secret", "a file"])
@pytest.mark.parametrize("end", ["\n", ","], ids=["lines", "one line with commas"])
def test_of_a_text_in_pieces_only_the_last_lines_are_kept(values: tuple[str, ...], end: str) -> None:
    lines = [f"lobby/desk: joined (agent 1NT29X10YHXX){end}"] * 1000
    given = 0

    def pieces() -> Iterator[str]:
        nonlocal given
        for line in lines:
            given += len(line)
            yield line

    shown = 0
    for text in learnt(*values).mask_pieces(pieces(), 1000):
        shown += len(text)
        assert given - shown < 5000
    assert shown == given


@pytest.mark.parametrize("size", range(1, 40))
def test_of_a_secret_that_comes_in_pieces_nothing_is_shown(size: int) -> None:
    text = f"a\nb\n{VALUE}\n" * 30
    pieces = cut(text, [size] * (len(text) // size))
    assert "".join(learnt(VALUE).mask_pieces(pieces, 0)) == "a\nb\n(secret)\n" * 30
