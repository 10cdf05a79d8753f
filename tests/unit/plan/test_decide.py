"""`decide` and what a plan makes of it, case by case, as the files of `tests/plans` say; see the README there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.plan.change import Action, Because, Hold, act_of, action_of
from tests.unit.plan.cases import NOW, paths, read, told

PATHS = paths()


@pytest.mark.parametrize("path", PATHS, ids=[each.stem for each in PATHS])
def test_the_plan_of_a_case_is_what_its_file_says(path: Path) -> None:
    case = read(path)
    assert all({"change", "because"} <= set(each) for each in case.expected), "say at least what, and why"
    found = [told(each) for each in case.plan().changes]
    # Of each change only what the file speaks of is compared; how many there are, and in which order, always.
    spoken = [
        {key: row.get(key, "(none)") for key in wish} for row, wish in zip(found, case.expected, strict=False)
    ]
    assert spoken + found[len(spoken) :] == case.expected


def test_what_each_case_says(golden: Callable[[str, str], None]) -> None:
    lines: list[str] = []
    for path in PATHS:
        for each in read(path).plan().changes:
            inner = f" [{act_of(each).reason.text}]" if isinstance(each, Hold) else ""
            until = f" ({each.until - NOW:.0f} s from now)" if isinstance(each, Hold) and each.until else ""
            lines.append(f"{path.stem}: {action_of(each)}: {each.reason.text}{until}{inner}\n")
    golden("plan/reasons.txt", "".join(lines))


def test_each_reason_occurs_in_some_case() -> None:
    reasons = {
        reason
        for path in PATHS
        for each in read(path).expected
        for reason in (each["because"], each.get("holds_because"))
    }
    assert {each.value for each in Because} - reasons == set()


def test_each_kind_of_change_occurs_in_some_case_and_inside_some_hold() -> None:
    expected = [each for path in PATHS for each in read(path).expected]
    assert {each["change"] for each in expected} == {each.value for each in Action}
    held = {each["holds"] for each in expected if each["change"] == "hold"}
    assert held == {"join", "update", "renew", "replace", "rotate", "leave", "adopt", "forget"}


def test_a_slip_of_the_pen_in_a_case_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "slip.yaml"
    path.write_text("title: a slip\nwants: {}\nexpected: []\n", encoding="utf-8")
    with pytest.raises(ValueError, match="wants"):
        read(path)
