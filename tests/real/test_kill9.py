"""A few real kills in every test run; `python -m tests.real.kill9 --cycles 1000` is the long form."""

from __future__ import annotations

import os

import pytest

from .kill9 import run


@pytest.mark.timeout(300)
def test_nothing_is_lost_doubled_or_torn() -> None:
    result = run(int(os.environ.get("KILL9_CYCLES", "25")), seed=int(os.environ.get("KILL9_SEED", "9")))
    assert result.problems == []
    assert result.killed
