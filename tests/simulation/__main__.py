"""`python -m tests.simulation`: the campaign of a pull request, a long one, or one thing replayed."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path


def main() -> int:
    """Parse the command line and run it; 0 when every invariant held and every path was taken."""
    arguments = _parser().parse_args()
    if arguments.command == "mutant":
        return _mutant(arguments.key)
    # imported late: a mutant must be planted before anything of the package is imported
    from . import campaign
    from .report import report, shortfalls

    match arguments.command:
        case "pr":
            total = campaign.run(campaign.pull_request(arguments.lives), workers=arguments.workers)
        case "long":
            pieces = campaign.long_haul(arguments.first_seed)
            total = campaign.run(pieces, workers=arguments.workers, minutes=arguments.minutes)
        case "all":
            total = campaign.run(campaign.everything(), workers=arguments.workers)
        case "life" | "seed":
            return _life(arguments.command, arguments.number, trace=arguments.trace)
        case "ages":
            total = campaign.ages(arguments.first, arguments.count)
            print("\n".join(total.failures) or f"{arguments.count} fleets of 59 to 71 hours: it holds")
            return 1 if total.failures else 0
        case "days":
            return _days(arguments)
        case "crash" | "fate" | "row" | "saved":
            words = " ".join([arguments.command, f'"{arguments.name}"', *arguments.rest])
            total = campaign.replay(words)
            print("\n".join(total.failures) or "it holds")
            return 1 if total.failures else 0
        case other:
            raise ValueError(f"there is no command {other}")
    is_partial = arguments.command == "all"  # scenarios alone do not take every path
    text = report(total, coverage=not is_partial)
    if arguments.report is not None:
        arguments.report.write_text(text)
    missing = [] if is_partial else shortfalls(total)
    print(text.split("\n## Paths taken")[0])
    return 1 if total.failures or missing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    pr = commands.add_parser("pr", help="the numbers of a pull request")
    pr.add_argument("--lives", type=int, default=3000)
    long = commands.add_parser("long", help="until the time is up")
    long.add_argument("--minutes", type=float, required=True)
    long.add_argument("--first-seed", type=int, default=1_000_000)
    everything = commands.add_parser(
        "all", help="every crash pair, and every fate with every crash: an hour or so"
    )
    for each in (pr, long, everything):
        each.add_argument("--workers", type=int, default=os.cpu_count() or 2)
        each.add_argument("--report", type=Path)
    for name, what in (("life", "one life again"), ("seed", "one of the first campaigns' short lives again")):
        one = commands.add_parser(name, help=what)
        one.add_argument("number", type=int)
        one.add_argument("--trace", action="store_true", help="print its history")
    days = commands.add_parser("days", help="controllers keep a fleet for some days")
    days.add_argument("--days", type=float, default=30.0)
    days.add_argument("--agents", type=int, default=1000)
    days.add_argument("--controllers", type=int, default=3)
    days.add_argument("--interval", type=float, default=600.0, help="between two rolls, seconds")
    days.add_argument("--seed", type=int, default=1)
    days.add_argument("--report", type=Path)
    days.add_argument("--trace", action="store_true", help="print its history")
    ages = commands.add_parser("ages", help="fleets of 59 to 71 hours when the controllers start")
    ages.add_argument("first", type=int)
    ages.add_argument("count", type=int, nargs="?", default=1)
    for name in ("crash", "fate", "row", "saved"):
        one = commands.add_parser(name, help=f"one {name} again, as a failure prints it")
        one.add_argument("name")
        one.add_argument("rest", nargs="*")
    commands.add_parser("mutant", help="one planted bug").add_argument("key")
    return parser


def _life(kind: str, number: int, *, trace: bool) -> int:
    from . import lives, seeds

    live = lives.live if kind == "life" else seeds.live
    outcome, world = live(number, trace=trace)
    sys.stdout.writelines(world.history or ())
    verdict = outcome.problem or "it holds"
    print(f"{kind} {number}: {verdict} ({outcome.runs} runs, history {outcome.fingerprint})")
    return 1 if outcome.problem else 0


def _days(arguments: argparse.Namespace) -> int:
    from .days import Shape, live
    from .days_report import report

    shape = Shape(arguments.days, arguments.agents, arguments.controllers, arguments.interval)
    lived, world = live(
        arguments.seed,
        shape,
        trace=arguments.trace,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    sys.stdout.writelines(world.history or ())
    text = report(lived, world)
    if arguments.report is not None:
        arguments.report.write_text(text)
    print(text)
    return 1 if lived.problem else 0


def _mutant(key: str) -> int:
    """Plant one bug, and say as JSON what has caught it: a directed check, or a seed."""
    from . import mutants

    mutant = mutants.plant(key)
    caught = None if mutant.pending else _caught_by(mutant.check, mutants.BUDGET)
    print(json.dumps({"key": key, "caught": caught is not None, "by": caught, "pending": mutant.pending}))
    return 0 if caught is not None or mutant.pending else 1


def _caught_by(check: str, budget: int) -> str | None:
    from .checks import CHECKS
    from .lives import live as live_in_weather
    from .seeds import live

    if check:
        problem = CHECKS[check]()
        return f"check {check}: {problem[:120]}" if problem is not None else None
    for number in range(budget):
        for kind, way in (("life", live_in_weather), ("seed", live)):
            problem = way(number)[0].problem
            if problem is not None and "NameError" in problem:
                raise AssertionError(f"the mutant does not run: {problem}")
            if problem is not None:
                return f"{kind} {number} ({number + 1} needed): {problem[:120]}"
    return _caught_by_rows()


def _caught_by_rows() -> str | None:
    from .rows import ROWS

    for row in ROWS:
        try:
            row.run()
        except Exception as problem:
            return f"row {row.name}: {problem}"[:160]
    return None


if __name__ == "__main__":
    sys.exit(main())
