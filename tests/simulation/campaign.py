"""The campaign: pieces of work over all cores, added up into one report. Nothing here decides what is right.

A piece is a few seeds, the crash points of a scenario, some crash pairs, rows of the fault matrix, or one planted bug.
Pieces run in processes of their own; what comes back are counts and failures with the command that replays each.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from reconciler.simulator import Fate, ServiceCall

from . import days as standing
from . import mutants
from .driver import Crash, Point
from .faults import KINDS
from .lives import live as lives_live
from .rows import BY_ROW, ROWS
from .scenarios import (
    BY_NAME,
    SCENARIOS,
    Scenario,
    calls_of,
    crash_points,
    crashed,
    resumed,
    sampled_pairs,
    second_crashes,
    troubled,
)
from .seeds import live
from .sometimes import Seen
from .witness.judgement import Violation
from .world import Universe

REGRESSIONS = Path(__file__).with_name("regressions.txt")
ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Tally:
    """What came of some work: how much of each kind, what was seen in lives and elsewhere, and what failed."""

    done: Counter[str] = field(default_factory=Counter)
    lived: Seen = field(default_factory=Seen)
    seen: Seen = field(default_factory=Seen)
    failures: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.done.update(other.done)
        self.lived.update(other.lived)
        self.seen.update(other.seen)
        self.failures += other.failures

    def failed(self, what: str, problem: object, replay: str) -> None:
        self.failures.append(f"{what}: {problem}\n    replay: python -m tests.simulation {replay}")


# --- pieces ------------------------------------------------------------------------------------------------------


def lives(first: int, count: int) -> Tally:
    """Random lives in weather. One of a hundred is lived twice, and must leave the same history."""
    tally = Tally()
    for seed in range(first, first + count):
        outcome, _world = lives_live(seed)
        tally.lived.update(outcome.seen)
        tally.done.update({"lives": 1, "runs": outcome.runs, "events": outcome.events})
        tally.done["lives with several writers"] += outcome.writers > 1
        tally.done["lives in which a changing call met a fault"] += outcome.seen.is_hurt
        if outcome.problem is not None:
            tally.failed(f"life {seed}", outcome.problem, f"life {seed} --trace")
        if seed % 100 == 0:
            tally.done["lives lived twice"] += 1
            if lives_live(seed)[0].fingerprint != outcome.fingerprint:
                tally.failed(f"life {seed}", "two lives of one seed differ", f"life {seed}")
    return tally


def seeds(first: int, count: int) -> Tally:
    """Short lives in light weather, as the first campaigns had them: many of them are quick."""
    tally = Tally()
    for seed in range(first, first + count):
        outcome, _world = live(seed)
        tally.lived.update(outcome.seen)
        tally.done.update({"short lives": 1, "runs of short lives": outcome.runs, "events": outcome.events})
        if outcome.problem is not None:
            tally.failed(f"seed {seed}", outcome.problem, f"seed {seed} --trace")
    return tally


def days(seed: int, shape: standing.Shape = standing.SHORT) -> Tally:
    """Days in which controllers keep a fleet standing."""
    words = (
        f"days --seed {seed} --days {shape.days:g} --agents {shape.agents} --controllers {shape.controllers}"
    )
    return _stood(seed, shape, "days of controllers", f"{words} --interval {shape.interval:g}")


def ages(first: int, count: int) -> Tally:
    """Fleets whose agents are 59 to 71 hours old when the controllers start."""
    tally = Tally()
    for seed in range(first, first + count):
        tally.add(_stood(seed, standing.of_ages(seed), "fleets of 59 to 71 hours", f"ages {seed}"))
    return tally


def _stood(seed: int, shape: standing.Shape, kind: str, words: str) -> Tally:
    tally = Tally()
    lived, world = standing.live(seed, shape)
    tally.seen.update(world.seen)
    tally.done.update({kind: 1, "events": lived.events})
    tally.done.update(
        {f"{kind}: {name}": count for name, count in lived.counts.items() if name in _TOLD_OF_DAYS}
    )
    if lived.problem is not None:
        tally.failed(words, lived.problem, words)
    return tally


_TOLD_OF_DAYS = frozenset(
    {*(f"ended: {each}" for each in standing.WAYS), "ended: rotated", "controllers started"}
)


def _attempt(tally: Tally, kind: str, what: str, replay: str, run: Callable[[], Universe]) -> None:
    tally.done[kind] += 1
    try:
        world = run()
        tally.seen.update(world.seen)
        tally.seen.update({f"asked: {name}": count for name, count in world.checker.asked.items()})
    except Exception as problem:
        tally.failed(what, problem if isinstance(problem, Violation) else repr(problem), replay)


def points(name: str) -> Tally:
    """Every single crash point of a scenario."""
    tally, scenario = Tally(), BY_NAME[name]
    for crash in crash_points(scenario):
        where = f'crash "{name}" {crash.effect}:{crash.point}'
        _attempt(tally, "crash points", where, where, partial(crashed, scenario, (crash,)))
    return tally


def saved_plans(name: str) -> Tally:
    """Every single crash point of the apply of a saved plan, which must be resumed."""
    tally, scenario = Tally(), BY_NAME[name]
    for crash in crash_points(scenario):
        where = f'saved "{name}" {crash.effect}:{crash.point}'
        _attempt(tally, "crashes of saved plans", where, where, partial(resumed, scenario, crash))
    return tally


def pairs(count: int, seed: int) -> Tally:
    """Crash pairs, by chance."""
    tally = Tally()
    for scenario, both in sampled_pairs(count, seed):
        where = f'crash "{scenario.name}" ' + " ".join(f"{each.effect}:{each.point}" for each in both)
        _attempt(tally, "crash pairs", where, where, partial(crashed, scenario, both))
    return tally


def all_pairs(name: str, first: Crash) -> Tally:
    """Every second crash after a first one."""
    tally, scenario = Tally(), BY_NAME[name]
    for second in second_crashes(scenario, first):
        where = f'crash "{name}" {first.effect}:{first.point} {second.effect}:{second.point}'
        _attempt(tally, "crash pairs", where, where, partial(crashed, scenario, (first, second)))
    return tally


def all_rows() -> Tally:
    """Every directed row of the fault matrix."""
    tally = Tally()
    for row in ROWS:
        _attempt(tally, "fault rows", f"row {row.name}", f'row "{row.name}"', row.run)
    return tally


def fates(name: str, share: float, seed: int) -> Tally:
    """Every fate at every call of a scenario, or a share of them by chance."""
    tally, scenario, chance = Tally(), BY_NAME[name], random.Random(f"{seed}{name}")
    for number, call in enumerate(calls_of(scenario)):
        for kind in KINDS[call.operation]:
            if chance.random() < share:
                where = f'fate "{name}" {number} {kind}'
                _attempt(tally, "fates at calls", where, where, partial(one_fate, scenario, number, kind))
    return tally


def one_fate(scenario: Scenario, number: int, kind: str, crash: Crash | None = None) -> Universe:
    """One fate at one call, and perhaps a crash besides; its parameters follow from the first three."""
    return troubled(scenario, number, kind, _chosen(scenario, number, kind), crash=crash)[0]


@cache
def _operation(name: str, number: int) -> ServiceCall:
    return calls_of(BY_NAME[name])[number].operation


def _chosen(scenario: Scenario, number: int, kind: str) -> Fate:
    operation = _operation(scenario.name, number)
    return KINDS[operation][kind](random.Random(f"{scenario.name}{number}{kind}"))


def fates_and_crashes(name: str, number: int) -> Tally:
    """Every fate at one call of a scenario, with every crash point of the run that met it."""
    tally, scenario = Tally(), BY_NAME[name]
    for kind in KINDS[calls_of(scenario)[number].operation]:
        _, met = troubled(scenario, number, kind, _chosen(scenario, number, kind))
        for effect in range(met.effects):
            for point in Point:
                where = f'fate "{name}" {number} {kind} {effect}:{point}'
                run = partial(one_fate, scenario, number, kind, Crash(effect, point))
                _attempt(tally, "fates with crashes", where, where, run)
    return tally


def planted(key: str) -> Tally:
    """One planted bug, in a process of its own: it must be caught."""
    tally = Tally()
    command = [sys.executable, "-m", "tests.simulation", "mutant", key]
    answer = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=_environment()
    )
    lines = answer.stdout.strip().splitlines()
    told = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {"error": answer.stderr[-600:]}
    tally.done["planted bugs"] += 1
    if told.get("caught"):
        tally.done["planted bugs caught"] += 1
        tally.done[f"{key} caught by {told['by']}"] += 1
    elif told.get("pending"):
        tally.done[f"{key} pending: {told['pending']}"] += 1
    else:
        tally.failed(
            f"{key} ({mutants.BY_KEY[key].title})", told.get("error") or "not caught", f"mutant {key}"
        )
    return tally


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def regressions() -> Tally:
    """What has failed once, first and for ever."""
    tally = Tally()
    for line in REGRESSIONS.read_text().splitlines():
        words = line.split("#")[0].strip()
        if words:
            tally.add(replay(words))
            tally.done["regressions"] += 1
    return tally


def replay(words: str) -> Tally:
    """One line of the regression list: `life N`, `seed N`, `days N` (short ones), `ages N`, `crash "scenario" 3:torn`, `fate "scenario" 4 late`, `row "name"`."""
    import shlex

    verb, *rest = shlex.split(words)
    tally = Tally()
    match verb:
        case "life":
            return lives(int(rest[0]), 1)
        case "seed":
            return seeds(int(rest[0]), 1)
        case "ages":
            return ages(int(rest[0]), 1)
        case "days":
            return days(int(rest[0]))
        case "crash":
            both = tuple(parse_crash(each) for each in rest[1:])
            _attempt(tally, "crash points", words, words, lambda: crashed(BY_NAME[rest[0]], both))
        case "fate":
            _attempt(
                tally,
                "fates at calls",
                words,
                words,
                lambda: one_fate(BY_NAME[rest[0]], int(rest[1]), rest[2], *map(parse_crash, rest[3:])),
            )
        case "saved":
            crash = parse_crash(rest[1])
            _attempt(tally, "crashes of saved plans", words, words, lambda: resumed(BY_NAME[rest[0]], crash))
        case "row":
            _attempt(tally, "fault rows", words, words, BY_ROW[rest[0]].run)
        case _:
            raise ValueError(f"regressions.txt: {words!r}")
    return tally


def parse_crash(text: str) -> Crash:
    """A crash point as it is printed: `17:torn`."""
    effect, _, point = text.partition(":")
    return Crash(int(effect), Point(point))


# --- all of it -----------------------------------------------------------------------------------------------------

Piece = tuple[Callable[..., Tally], tuple[object, ...]]


def pull_request(life_count: int = 3000, seed_count: int = 1000, pair_count: int = 2000) -> Iterator[Piece]:
    """The numbers of a pull request."""
    yield regressions, ()
    yield all_rows, ()
    for seed in range(2):
        yield days, (seed,)
    for first in range(0, 12, 3):
        yield ages, (first, 3)
    for mutant in mutants.MUTANTS:
        yield planted, (mutant.key,)
    for scenario in SCENARIOS:
        yield points, (scenario.name,)
        yield saved_plans, (scenario.name,)
        yield fates, (scenario.name, 0.5, 1)
    for number in range(0, pair_count, 200):
        yield pairs, (200, number)
    for first in range(0, seed_count, 100):
        yield seeds, (first, 100)
    for first in range(0, life_count, 50):
        yield lives, (first, 50)


def long_haul(first_seed: int) -> Iterator[Piece]:
    """Everything once and in full, then new lives and pairs until the time is up."""
    yield from pull_request(life_count=0)
    for scenario in SCENARIOS:
        yield fates, (scenario.name, 1.0, 2)
    number = 0
    while True:
        yield lives, (first_seed + number * 100, 100)
        yield seeds, (first_seed + number * 20, 20)
        yield pairs, (20, 1_000_000 + first_seed + number)
        number += 1


def everything() -> Iterator[Piece]:
    """Every crash pair of every scenario, and every fate at every call with every crash point."""
    for scenario in SCENARIOS:
        for first in crash_points(scenario):
            yield all_pairs, (scenario.name, first)
    for scenario in SCENARIOS:
        for number in range(len(calls_of(scenario))):
            yield fates_and_crashes, (scenario.name, number)


def run(
    pieces: Iterable[Piece], *, workers: int, minutes: float | None = None, say: Callable[[str], None] = print
) -> Tally:
    """Run pieces side by side until they or the time are used up."""
    total, started = Tally(), time.monotonic()
    waiting = iter(pieces)
    with ProcessPoolExecutor(workers) as pool:
        running: set[Future[Tally]] = set()
        told = started
        while True:
            late = minutes is not None and time.monotonic() - started > minutes * 60
            while len(running) < workers * 2 and not late and (piece := next(waiting, None)) is not None:
                running.add(pool.submit(piece[0], *piece[1]))
            if not running:
                break
            done = {each for each in running if each.done()}
            running -= done
            for each in done:
                tally = each.result()
                total.add(tally)
                for failure in tally.failures:  # at once: a long campaign is not waited for
                    say(failure)
            if not done:
                time.sleep(0.02)
            if time.monotonic() - told > 15:
                told = time.monotonic()
                say(f"{told - started:5.0f} s: {_brief(total)}")
    total.done["seconds"] = round(time.monotonic() - started)
    return total


def _brief(total: Tally) -> str:
    names = (
        "lives",
        "runs",
        "crash points",
        "crash pairs",
        "fates with crashes",
        "fault rows",
        "fates at calls",
    )
    told = ", ".join(f"{total.done[name]:,} {name}" for name in (*names, "planted bugs caught"))
    return f"{told}; {len(total.failures)} failures"
