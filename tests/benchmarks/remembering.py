"""The state: what a durable change costs, whether that grows, and how large the file is."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import TypeAlias

from reconciler import config
from reconciler.driver.holding import Holding
from reconciler.model.record import Entry, Intent, Operation
from reconciler.model.writes import Append, DropIntent, PutGeneration, PutIntent, PutRecord, Write
from reconciler.state.blocking import behind_ports
from tests.benchmarks import fleets
from tests.benchmarks.goals import Figure
from tests.benchmarks.measure import clock_seconds, in_turns
from tests.benchmarks.scale import Scale
from tests.benchmarks.settled import record_of, settle, store_of

_LINE = "You are at {{ desk.name }}."
_FEW = 100
# So many in a row make a turn: two files that are synced alternately disturb each other.
_ROW = 20
# The changes that an apply makes at once, by default.
_AT_ONCE = 10

# The writes of a change, by commit.
_Writes: TypeAlias = tuple[Sequence[Write], ...]


def durable_rows(scale: Scale) -> Iterator[Figure]:
    """The two commits of a join against one commit of one row: of one change alone, and of ten at once, each of them."""
    many, few = (_Changes(scale, agents) for agents in (scale.agents, min(_FEW, scale.agents)))
    floor = _bare_commit(scale.directory / "floor.sqlite")
    size, turns = f"{scale.agents:,} agents", 5 * scale.turns
    for key, pair, goal, case in (
        ("durable", in_turns(many.one_after_another, floor, turns), 2, size),
        (
            "durable",
            in_turns(many.at_once, floor, turns),
            2,
            f"{size}, {_AT_ONCE} changes at once, each of them",
        ),
        ("flat", in_turns(many.one_after_another, few.one_after_another, turns), 1.25, size),
    ):
        ours, theirs = f"{pair.work * 1000:.2f} ms", f"{pair.floor * 1000:.2f} ms"
        yield Figure(key, ours, theirs, pair.ratio, pair.ratio <= goal, case)


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


class _Changes:
    """Makes changes durable in the state of a fleet: each as the two commits of a join."""

    def __init__(self, scale: Scale, agents: int) -> None:
        directory = scale.directory / f"changing-{agents}"
        if not directory.exists():
            shutil.copytree(_one_prompt(scale, agents), directory)
        self._fleet = config.load(directory)
        self._specs = list(self._fleet.agents.values())
        self._store = store_of(directory)
        self._store.read()  # the texts that are stored already are not written again
        self._holding = Holding(behind_ports(self._store), lambda: None)
        self._numbers = count(1)

    def one_after_another(self) -> float:
        """The seconds that one change takes when it is alone; the median of a row."""
        serial = self._store.version().serial

        def both(change: _Writes) -> None:
            nonlocal serial
            for writes in change:
                serial = self._store.commit(writes, expected=serial)

        changes = [self._change() for _ in range(_ROW)]
        return median(clock_seconds(partial(both, each)) for each in changes)

    def at_once(self) -> float:
        """The seconds for each change when ten are made at once, by the tasks and threads of an apply; the median."""
        return asyncio.run(self._at_once())

    async def _at_once(self) -> float:
        await self._holding.read()

        async def both(change: _Writes) -> None:
            for writes in change:
                await self._holding.commit(writes)

        seconds: list[float] = []
        for _ in range(_ROW):
            changes = [self._change() for _ in range(_AT_ONCE)]
            began = time.perf_counter()
            await asyncio.gather(*map(both, changes))
            seconds.append((time.perf_counter() - began) / _AT_ONCE)
        return median(seconds)

    def _change(self) -> _Writes:
        number = next(self._numbers)
        spec = self._specs[number * 7 % len(self._specs)]
        record = record_of(self._fleet, spec, number + len(self._specs), 1.7e9 + number)
        intent = Intent(
            Operation.JOIN, record.address, record.name, 1.7e9, generation=1, uid=record.uid, body=record.body
        )
        entry = Entry(1.7e9, record.address, "join", "done", record.agent_id)
        return (
            (PutIntent(intent), PutGeneration(record.address, 1)),
            (PutRecord(record), DropIntent(intent.key), Append(entry)),
        )


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
