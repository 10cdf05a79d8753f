"""The simulation's short way, in a process that has a mutant planted: exit 1 when an invariant speaks up."""

from __future__ import annotations

import sys

from tests.simulation.campaign import Tally, all_rows, lives, regressions
from tests.simulation.checks import CHECKS

# Most bugs are noticed at once; a campaign is for the rest.
FEW = 40


def main() -> int:
    """Rows of the fault matrix, random lives, directed checks, and what has failed before."""

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
        regressions,
    ]
    for step in steps:
        tally: Tally = step()
        if tally.failures:
            print(tally.failures[0])
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
