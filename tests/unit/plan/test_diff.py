"""Two trees -> their differences: the paths, both sides, and nothing besides."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.plan.diff import ABSENT, field_diffs


def rows(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    return [(".".join(map(str, each.path)), each.before, each.after) for each in field_diffs(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, []),
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("a", 1, 2)]),
        ({"a": 1}, {}, [("a", 1, ABSENT)]),
        ({}, {"a": None}, [("a", ABSENT, None)]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, [("a.c", 2, 3)]),
        ({"a": {"b": 1}}, {"a": "b"}, [("a", {"b": 1}, "b")]),
        ({"a": [1, 2]}, {"a": [1, 3]}, [("a.1", 2, 3)]),
        ({"a": [1]}, {"a": [1, 2]}, [("a.1", ABSENT, 2)]),
        ({"a": [1, 2]}, {"a": [1]}, [("a.1", 2, ABSENT)]),
        ({"a": []}, {"a": {}}, [("a", [], {})]),
        ({"a": [{"b": 1}, 2]}, {"a": [[1], 3]}, [("a.0", {"b": 1}, [1]), ("a.1", 2, 3)]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, [("a.0.b", 1, 2)]),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, [("a", 1, 2), ("b", 1, 2)]),
    ],
)
def test_differences_by_path_in_order(before: Any, after: Any, expected: list[Any]) -> None:
    assert rows(before, after) == expected


def test_a_long_text_inside_a_list_is_shown_whole() -> None:
    old, new = "x" * 500, "x" * 499 + "y"
    assert rows({"a": [{"t": old}]}, {"a": [{"t": new}]}) == [("a.0.t", old, new)]


def test_the_eleventh_entry_of_a_list_comes_after_the_second() -> None:
    before = {"a": list(range(12))}
    after = {"a": [*range(2), 99, *range(3, 11), 98]}
    assert [path for path, _, _ in rows(before, after)] == ["a.2", "a.11"]


def test_a_long_list_is_aligned_and_no_text() -> None:
    before = list(range(130))
    assert rows({"a": before}, {"a": [*before[:129], 7]}) == [("a.129", 129, 7)]
    assert rows({"a": [before]}, {"a": [[*before, 7]]}) == [("a.0.130", ABSENT, 7)]
    assert rows({"a": [{"b": 1}]}, {"a": (1,)}) == [("a.0", {"b": 1}, 1)]
    assert rows({"a": [1]}, {"a": "x"}) == [("a", [1], "x")]
