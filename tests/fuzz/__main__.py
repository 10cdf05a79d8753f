"""`python -m tests.fuzz`: the numbers of a pull request, new ones for as long as there is time, or one again."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from pprint import pprint

from . import campaign
from .target import chance_of


def main() -> int:
    """Parse the command line and run it; 0 when nothing failed."""
    arguments = _parser().parse_args()
    if arguments.command == "one":
        return _one(arguments.target, arguments.number)
    began = time.monotonic()
    if arguments.command == "pr":
        total = campaign.run(
            campaign.pull_request(arguments.share, arguments.only), workers=arguments.workers
        )
    else:
        pieces = campaign.long_haul(arguments.first)
        total = campaign.run(pieces, workers=arguments.workers, minutes=arguments.minutes)
    text = campaign.report(total, time.monotonic() - began)
    if arguments.report is not None:
        arguments.report.write_text(text, encoding="utf-8")
    print(text.split("\n## Reasons")[0])
    return 1 if total.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    pr = commands.add_parser("pr", help="the numbers of a pull request")
    pr.add_argument("--share", type=float, default=1.0, help="of these numbers; 1 is all of them")
    pr.add_argument("--only", choices=campaign.TARGETS, help="one target")
    long = commands.add_parser("long", help="new numbers until the time is up")
    long.add_argument("--minutes", type=float, required=True)
    long.add_argument("--first", type=int, default=10_000, help="the number to begin with")
    for each in (pr, long):
        each.add_argument("--workers", type=int, default=os.cpu_count() or 2)
        each.add_argument("--report", type=Path, metavar="FILE", help="write it here, as Markdown")
    one = commands.add_parser("one", help="one input again: what it is, and what becomes of it")
    one.add_argument("target", choices=campaign.TARGETS)
    one.add_argument("number", type=int)
    return parser


def _one(name: str, number: int) -> int:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, campaign.clean_home(Path(folder) / "home"):
        target = campaign.TARGETS[name](Path(folder) / "home" / "target")
        made = target.make(chance_of(name, number))
        pprint(made, width=120, sort_dicts=False)
        began = time.monotonic()
        print(f"{target.check(made)} in {time.monotonic() - began:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
