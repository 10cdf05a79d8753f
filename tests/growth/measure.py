"""Measures how the processor time of a function grows: with input doubled, at most 2.5 times."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

MOST = 2.5
# Characters of the smaller and the larger text.
SIZES = (32_000, 64_000)
# Of what does much with each character: the same powers show.
SMALL = (8_000, 16_000)
# Where a step at a smaller size looked like a power.
LARGER = (16_000, 32_000)
# Of the tests, which every change runs: a power in our own code shows here, one inside a C function in the table.
TESTED = (4_000, 8_000)
# What takes no longer than this for the larger text has no power that matters: at 8,000 characters even 1 ns for each
# pair of them would be 0.06 s. Below it a step from one way of working to another would look like a power.
_FAST = 0.05
_REMEMBERING = ("reconciler.", "fnmatch", "urllib.parse")
# Remembers what it made from the names of vendors, and no text.
_MAY_REMEMBER = frozenset({"_validator"})
# A first look at a piece of the text, so that a cube ends here and not in an hour.
_LOOK, _LOOK_MOST = 2_000, 1.0
_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Growth:
    """What was measured: seconds for the larger text, and by how much it took longer than the smaller one."""

    seconds: float
    ratio: float
    is_fast: bool

    @property
    def is_linear(self) -> bool:
        return self.is_fast or self.ratio <= MOST


def growth(
    run: Callable[[str], object], text: Callable[[int], str], sizes: tuple[int, int] = SIZES
) -> Growth:
    """The growth of one function on texts of two sizes; the least ratio of some rounds, since others use the machine."""
    small, large = sizes
    if small > _LOOK and _seconds(run, text(_LOOK)) > _LOOK_MOST:
        return Growth(_LOOK_MOST, float("inf"), is_fast=False)
    less, more = text(small), text(large)
    best = _seconds(run, more)
    if best <= _FAST:
        return Growth(best, 0.0, is_fast=True)
    least, ratio = _seconds(run, less), float("inf")
    for _ in range(_ROUNDS):
        ratio = min(ratio, best / least)
        if ratio <= MOST:
            break
        least, best = min(least, _seconds(run, less)), min(best, _seconds(run, more))
    return Growth(best, ratio, is_fast=False)


def _seconds(run: Callable[[str], object], text: str) -> float:
    for each in _caches(len(sys.modules)):
        each.cache_clear()
    was_enabled = gc.isenabled()
    gc.disable()
    begin = time.process_time()
    try:
        with suppress(Exception):  # a refusal of hostile text is right, and takes its time too
            run(text)
        return time.process_time() - begin
    finally:
        if was_enabled:
            gc.enable()


@cache
def _caches(modules: int) -> tuple[Any, ...]:
    """The caches that remember texts, ours and the library's: with them a second run of one text would take no time."""
    ours = [vars(module) for name, module in sys.modules.items() if name.startswith(_REMEMBERING)]
    found = [(name, each) for module in ours for name, each in module.items() if hasattr(each, "cache_clear")]
    return tuple(
        each
        for name, each in found
        if name not in _MAY_REMEMBER and each.cache_parameters()["maxsize"] is not None
    )
