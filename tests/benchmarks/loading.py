"""Loading, rendering, validating and digesting a fleet, against the same by hand; in CPU time of fresh processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.goals import Figure
from tests.benchmarks.measure import in_child, in_turns
from tests.benchmarks.scale import Scale


def for_each_row(scale: Scale) -> Iterator[Figure]:
    """All agents from one block."""
    yield _figure("for-each", scale.for_each(scale.agents), "load-by-hand", scale, 1.6)


def spelled_row(scale: Scale) -> Iterator[Figure]:
    """Every agent written out."""
    yield _figure("spelled", scale.spelled(scale.agents), "events-by-hand", scale, 2.25)


def _figure(key: str, directory: Path, floor: str, scale: Scale, most: float) -> Figure:
    pair = in_turns(
        lambda: in_child("load", directory)["seconds"],
        lambda: in_child(floor, directory)["seconds"],
        scale.turns,
    )
    return Figure(
        key,
        f"{pair.work:.2f} s",
        f"{pair.floor:.2f} s",
        pair.ratio,
        pair.ratio <= most,
        case=f"{scale.agents:,} agents",
    )
