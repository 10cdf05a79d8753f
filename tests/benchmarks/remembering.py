"""The state: what a durable change costs, whether that grows, and how large the file is."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from statistics import median

from reconciler import config
from reconciler.model.record import Entry, Intent, Operation
from reconciler.model.writes import Append, DropIntent, PutGeneration, PutIntent, PutRecord
from tests.benchmarks import fleets
from tests.benchmarks.goals import Figure
from tests.benchmarks.measure import clock_seconds, in_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.settled import record_of, settle, store_of

_LINE = "You are at {{ desk.name }}."
_FEW = 100
# So many in a row make a turn: two files that are synced alternately disturb each other.
_ROW = 20


def durable_rows(scale: Scale) -> Iterator[Figure]:
    """The two commits of a join, one after the other, against one commit of one row."""
    many, few = (_changer(scale, agents) for agents in (scale.agents, min(_FEW, scale.agents)))
    turns = 5 * scale.turns
    pair = in_turns(many, _bare_commit(scale.directory / "floor.sqlite"), turns)
    ours, floor = f"{pair.work * 1000:.2f} ms", f"{pair.floor * 1000:.2f} ms"
    yield Figure("durable", ours, floor, pair.ratio, pair.ratio <= 2, f"{scale.agents:,} agents")
    pair = in_turns(many, few, turns)
    ours, floor = f"{pair.work * 1000:.2f} ms", f"{pair.floor * 1000:.2f} ms"
    yield Figure("flat", ours, floor, pair.ratio, pair.ratio <= 1.25, f"{scale.agents:,} agents")


def size_row(scale: Scale) -> Iterator[Figure]:
    """A whole fleet as an apply leaves it: records, generations and history. Everything but the prompt differs."""
    directory = _one_prompt(scale, scale.agents)
    size = sum(each.stat().st_size for each in (directory / ".reconciler").iterdir()) / scale.agents
    yield Figure("size", f"{size:,.0f} bytes", "–", None, size <= 2048, f"{scale.agents:,} agents")


def _one_prompt(scale: Scale, agents: int) -> Path:
    directory = scale.directory / f"one-prompt-{agents}"
    if not directory.exists():
        fleets.write_for_each(directory, agents)
        desks = directory / "agents" / "desks.yaml"
        padding = "x" * (4096 - len(fleets.PROMPT))
        desks.write_text(desks.read_text().replace(_LINE, f"You are at a desk. {padding}"))
        settle(directory)
    return directory


def _changer(scale: Scale, agents: int) -> Callable[[], float]:
    """What makes one change durable in the state of a fleet, and says how long it took."""
    directory = scale.directory / f"changing-{agents}"
    if not directory.exists():
        shutil.copytree(_one_prompt(scale, agents), directory)
    fleet = config.load(directory)
    specs = list(fleet.agents.values())
    store = store_of(directory)
    serial = store.read().serial
    numbers = count(1)

    def change() -> float:
        number = next(numbers)
        record = record_of(fleet, specs[number * 7 % len(specs)], number, 1.7e9 + number)
        intent = Intent(
            Operation.JOIN, record.address, record.name, 1.7e9, generation=1, uid=record.uid, body=record.body
        )
        entry = Entry(1.7e9, record.address, "join", "done", record.agent_id)

        def both() -> None:
            nonlocal serial
            serial = store.commit([PutIntent(intent), PutGeneration(record.address, 1)], expected=serial)
            serial = store.commit([PutRecord(record), DropIntent(intent.key), Append(entry)], expected=serial)

        return clock_seconds(both)

    return lambda: median(change() for _ in range(_ROW))


def _bare_commit(path: Path) -> Callable[[], float]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "pragma journal_mode = wal; pragma synchronous = full; create table if not exists rows (key integer, row blob)"
    )
    numbers = count(1)

    def commit() -> float:
        def write() -> None:
            connection.execute("begin immediate")
            connection.execute("insert into rows values (?, ?)", [next(numbers), bytes(300)])
            connection.execute("commit")

        return clock_seconds(write)

    return lambda: median(commit() for _ in range(_ROW))
