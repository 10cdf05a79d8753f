"""The comparison sees one changed byte, and its fleets are the same every time."""

from __future__ import annotations

from pathlib import Path

from .__main__ import ROOT, Printed, differences, printed, started
from .generated import story


def test_one_changed_byte_or_another_exit_code_is_a_difference() -> None:
    old = [Printed("a plan", 0, "+ join lobby/desk\n", "")]
    assert list(differences(old, old)) == []
    (found,) = differences(old, [Printed("a plan", 0, "+ join lobby/door\n", "")])
    assert "-+ join lobby/desk" in found
    assert "++ join lobby/door" in found
    assert list(differences(old, [Printed("a plan", 5, "+ join lobby/desk\n", "refused")]))


def test_a_seed_gives_the_same_files_every_time() -> None:
    assert [story(seed) for seed in range(20)] == [story(seed) for seed in range(20)]


def test_a_plan_of_this_tree_is_run_in_a_process_of_its_own(tmp_path: Path) -> None:
    home = tmp_path / "fleet"
    home.mkdir()
    with started(ROOT, tmp_path) as version:
        found = printed(version, story(1), home)
    assert {each.code for each in found} == {0}
    assert "join" in found[0].out
