"""The command: measures what is asked for, and prints the table; a full run writes it beside this file.

python -m tests.benchmarks                          everything; about a quarter of an hour
python -m tests.benchmarks --quick                  smaller, without 100,000 agents
python -m tests.benchmarks --only apply --only durable
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks import applying, loading, peers, planning, remembering, startup, strangers
from tests.benchmarks.goals import Figure, missed, table
from tests.benchmarks.scale import Scale

RESULTS = Path(__file__).with_name("RESULTS.md")

# Name -> what measures it. The heavy ones are left out of a quick run, and octoDNS unless it is asked for.
BENCHMARKS: Mapping[str, Callable[[Scale], Iterator[Figure]]] = {
    "help": startup.help_rows,
    "start": startup.start_row,
    "for-each": loading.for_each_row,
    "spelled": loading.spelled_row,
    "plan": planning.plan_rows,
    "read": planning.read_rows,
    "growth": planning.growth_rows,
    "calls": planning.calls_rows,
    "sdk": applying.sdk_rows,
    "pace": applying.pace_rows,
    "apply": applying.client_rows,
    "latency": applying.latency_row,
    "durable": remembering.durable_rows,
    "size": remembering.size_row,
    "diff": planning.diff_row,
    "calm": planning.calm_row,
    "watch": planning.watch_rows,
    "strangers": strangers.stranger_rows,
    "octodns": peers.octodns_rows,
}
_HEAVY = frozenset({"growth"})
_ASKED_FOR = frozenset({"octodns"})


def main() -> None:
    """Measure, and write the table."""
    options = _options()
    names = [each for each in BENCHMARKS if _is_chosen(each, options)]
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="reconciler-benchmarks-") as directory:
        scale = Scale(Path(directory), options.agents, 2 if options.quick else 5)
        for name in names:
            began = time.monotonic()
            figures += BENCHMARKS[name](scale)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    text = _page(figures, options)
    out = options.out or (RESULTS if not options.only and not options.quick else None)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    print(text, end="")
    if missed(figures):
        print(f"missed: {', '.join(missed(figures))}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[*BENCHMARKS],
        metavar="NAME",
        help=f"one of {', '.join(BENCHMARKS)}",
    )
    parser.add_argument("--quick", action="store_true", help="fewer turns, and nothing heavy")
    parser.add_argument(
        "--agents", type=int, default=10_000, metavar="N", help="the size of an ordinary row (10000)"
    )
    parser.add_argument(
        "--octodns", action="store_true", help="compare with octoDNS, which is installed for it"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table here")
    return parser.parse_args()


def _is_chosen(name: str, options: argparse.Namespace) -> bool:
    if options.only:
        return name in options.only
    return not (name in _ASKED_FOR and not options.octodns) and not (name in _HEAVY and options.quick)


def _page(figures: list[Figure], options: argparse.Namespace) -> str:
    kind = "A quick run" if options.quick else "A full run"
    return (
        "# What it costs\n\n"
        f"{kind} of `python -m tests.benchmarks` on {datetime.now(UTC):%Y-%m-%d}: Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, {options.agents:,} agents where nothing else is said. Medians of turns; the ratios "
        "hold between machines, the figures do not. Starts are counted in instructions where valgrind is installed, other "
        "work on the CPU in CPU seconds, everything else by the clock.\n\n"
        f"{table(figures)}"
    )


if __name__ == "__main__":
    main()
