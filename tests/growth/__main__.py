"""Prints how the time of each function grows, with the text that it likes least: `python -m tests.growth [PART]`."""

from __future__ import annotations

import sys

from tests.growth.cases import CASES, SLOW
from tests.growth.measure import SIZES, SMALL, growth
from tests.growth.texts import texts


def main(part: str = "") -> None:
    print(f"{'function':<58} {'characters':>10} {'ms':>8} {'times':>6}  worst text")
    for name, run in CASES.items():
        if part not in name:
            continue
        sizes = SMALL if name.startswith(SLOW) else SIZES
        found = {what: growth(run, text, sizes) for what, text in texts().items()}
        what, worst = max(found.items(), key=lambda item: (not item[1].is_linear, item[1].seconds))
        times = "fast" if worst.is_fast else f"{worst.ratio:.1f}"
        print(f"{name:<58} {sizes[1]:>10,} {worst.seconds * 1000:>8.1f} {times:>6}  {what}", flush=True)


main(*sys.argv[1:])
