"""One round of the race in every test run; `python -m tests.real.git_race --rounds 25` is the long form."""

from __future__ import annotations

import os

import pytest

from .git_race import run


@pytest.mark.timeout(300)
def test_of_several_writers_at_once_none_loses_or_doubles_anything() -> None:
    result = run(int(os.environ.get("GIT_RACE_ROUNDS", "1")), seed=int(os.environ.get("GIT_RACE_SEED", "3")))
    assert result.problems == []
    assert result.entries
