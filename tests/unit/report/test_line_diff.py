"""Prompts: line diffs with the changed words marked."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.report import line_diff
from reconciler.report.line_diff import Line, Piece, text_diff


def drawn(before: str, after: str) -> list[str]:
    return [_drawn(line) for line in text_diff(before, after)]


def _drawn(line: Line) -> str:
    words = [
        f"{{{p.kind}{p.text}{p.kind}}}" if line.mark == "~" and p.kind != " " else p.text for p in line.pieces
    ]
    return f"{line.mark} {''.join(words)}"


def test_changed_words_are_marked_in_their_line() -> None:
    assert drawn("Be a polite concierge.", "Be an upbeat concierge.") == [
        "~ Be {-a polite-}{+an upbeat+} concierge."
    ]


def test_lines_that_are_not_alike_are_two_lines() -> None:
    assert drawn("Never quote prices.", "Offer a taxi.") == ["- Never quote prices.", "+ Offer a taxi."]


def test_a_line_that_moved_in_between_is_added() -> None:
    assert drawn("one fine line\ntwo fine lines", "one fine line\nnew\ntwo fine lines!") == [
        "  one fine line",
        "+ new",
        "~ two fine lines{+!+}",
    ]


def test_context_is_two_lines_and_the_rest_is_counted() -> None:
    before = "\n".join(map(str, range(20)))
    assert drawn(before, before.replace("\n10\n", "\nten\n")) == [
        "@ (8 unchanged lines)",
        "  8",
        "  9",
        "- 10",
        "+ ten",
        "  11",
        "  12",
        "@ (7 unchanged lines)",
    ]


def test_one_line_left_out_would_save_nothing() -> None:
    assert drawn("0\n1\n2\n3", "0\n1\n2\nx")[0] == "  0"


def test_white_space_alone_is_a_change() -> None:
    assert drawn("a b", "a  b") == ["~ {-a-}{+a +} b"]
    assert drawn("a\n", "a") == ["  a", "- "]


def test_a_long_line_shows_what_is_beside_the_change_and_all_of_the_change() -> None:
    before = "word " * 200 + "old" + " word" * 200
    (line,) = drawn(before, before.replace("old", "entirely new"))
    assert "{-old-}{+entirely new+}" in line
    assert line.count("[…]") == 2
    assert len(line) < 200


def test_what_cannot_be_aligned_in_time_is_shown_whole() -> None:
    started = time.process_time()
    lines = text_diff("a\nb\n" * 20_000, "b\nb\na\n" * 20_000)
    assert time.process_time() - started < 20
    assert {line.mark for line in lines} >= {"~"} or {line.mark for line in lines} >= {"-", "+"}


def test_a_long_text_is_aligned_in_parts_and_shows_each_change_at_its_place() -> None:
    before = [f"{number} is a line of its own" for number in range(3_000)]
    after = [f"{line}, and longer" if number % 5 == 0 else line for number, line in enumerate(before)]
    lines = text_diff("\n".join(before), "\n".join([*after[:1_500], "This is new.", *after[1_500:]]))
    assert [line.mark for line in lines].count("~") == 600
    assert [line for line in lines if line.mark in "-+"] == [Line("+", (Piece("+", "This is new."),))]


@given(st.lists(st.sampled_from("abcd")), st.lists(st.sampled_from("abcd")), st.integers(0, 20))
def test_what_is_aligned_in_parts_turns_one_into_the_other(old: list[str], new: list[str], most: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(line_diff, "_MOST_PLACES", most)
        found = line_diff.opcodes(old, new)
    assert [each for _, i, j, _, _ in found for each in old[i:j]] == old
    assert [each for _, _, _, k, m in found for each in new[k:m]] == new
    assert all(old[i:j] == new[k:m] for tag, i, j, k, m in found if tag == "equal")
