"""The planted bugs are still in their places; whether the quick tests notice them is `python -m tests.quick_score`'s."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from .__main__ import ROOT, Bug, bugs


@pytest.mark.parametrize("bug", bugs(), ids=lambda each: each.name)
def test_a_bug_can_be_planted_and_is_code(bug: Bug, tmp_path: Path) -> None:
    room = tmp_path / "reconciler" / bug.room
    shutil.copytree(ROOT / "reconciler" / bug.room, room, ignore=shutil.ignore_patterns("__pycache__"))
    changed = bug.plant(tmp_path)
    ast.parse(changed.read_text(encoding="utf-8"))
    original = ROOT / changed.relative_to(tmp_path)
    assert changed.read_text(encoding="utf-8") != original.read_text(encoding="utf-8")
    assert bug.why


def test_there_are_ten_in_the_three_modules_that_decide() -> None:
    assert len(bugs()) == 10
    assert {each.room for each in bugs()} == {"plan", "apply", "workflow"}
