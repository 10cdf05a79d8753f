"""The simulation's short way with one mutant, in a process of its own: exit 1 when an invariant speaks up."""

from __future__ import annotations

import sys

from tests.mutation import plant  # noqa: F401  # first: it puts the mutant in place

# Most bugs are noticed at once, and the rest is worth looking for.
FEW, MORE = 30, 150


def main() -> int:
    """Rows of the fault matrix, directed checks, random lives, crash points, and more random lives."""
    from tests.simulation.campaign import Tally, all_rows, lives, points, regressions
    from tests.simulation.checks import CHECKS
    from tests.simulation.scenarios import SCENARIOS

    def checks() -> Tally:
        tally = Tally()
        for name, check in CHECKS.items():
            problem = check()
            if problem is not None:
                tally.failed(f"check {name}", problem, "")
        return tally

    steps = [
        all_rows,
        lambda: lives(0, FEW),
        checks,
        *(lambda name=each.name: points(name) for each in SCENARIOS),
        regressions,
        lambda: lives(FEW, MORE),
    ]
    for step in steps:
        tally: Tally = step()
        if tally.failures:
            print(tally.failures[0])
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
