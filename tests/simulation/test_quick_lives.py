"""A few whole lives for the quick tests, in small portions, so that two cores share them."""

from __future__ import annotations

import pytest

from .lives import live

PORTION = 10


@pytest.mark.parametrize("first", range(2000, 2000 + 10 * PORTION, PORTION))
def test_lives(first: int) -> None:
    problems = {
        seed: outcome.problem for seed in range(first, first + PORTION) if (outcome := live(seed)[0]).problem
    }
    assert problems == {}
