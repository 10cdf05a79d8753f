"""Store a world between requests, in SQLite: in one file for several processes, or in this process's memory.

In a file each request is one immediate transaction, and nothing is synced to the disk: a killed process loses nothing,
a power cut may lose the last seconds, which is acceptable for a simulation. The store knows timestamps and keys, but no
rules of the service: those are in `world.py` and `listing.py`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any

import orjson

from reconciler.simulator.agent import Agent
from reconciler.simulator.faults import FaultScript
from reconciler.simulator.history import ConversationLog
from reconciler.simulator.switches import SwitchError, Switches, declarations
from reconciler.simulator.tables import (
    LAYOUT,
    PUT_AGENT,
    SELECT_AGENTS,
    ListFilter,
    Pages,
    Selected,
    agent_of,
    agent_row,
)

FORMAT = 1
"""The version of the file's layout; a file of another one is refused."""

LOG_LENGTH = 10_000
"""How many requests a store remembers, unless it is told otherwise."""

_WAIT_SECONDS = 60.0
_TABLES = ("agents", "bodies", "notes", "deferred", "log", "tally", "projects", "world")


class UnreadableWorld(ValueError):
    """The file is not a world of this version; the message says what to do."""


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """The settings of a world: how far its clock was advanced, the switches, the fault script."""

    offset: float = 0.0
    switches: Switches = field(default_factory=Switches)
    script: FaultScript = field(default_factory=FaultScript)


class Store:
    """A world in the file `path`, which is created if it is missing, or in memory without a path.

    `seed` counts for a new world only. In a file, values that may be credentials are masked before they are written
    (late requests excepted). Raises `UnreadableWorld` for a file that is something else, and `sqlite3.OperationalError`
    if the file cannot be created.
    """

    def __init__(
        self, path: str | PathLike[str] | None = None, *, seed: str = "0", log_length: int = LOG_LENGTH
    ) -> None:
        self._in_file = path is not None
        self._version = -1
        name = ":memory:" if path is None else fspath(path)
        if self._in_file:
            # its contents are masked, but still private
            with suppress(OSError):  # SQLite's own error is clearer
                os.close(os.open(name, os.O_CREAT | os.O_RDWR, 0o600))
        # the simulator's lock keeps threads apart
        self._db = sqlite3.connect(name, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        self.history = ConversationLog(self._db, log_length, in_file=self._in_file)
        self._pages = Pages(self._db)
        self._forget()
        try:
            self._prepare(seed)
        except sqlite3.DatabaseError as error:
            self._db.close()
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise UnreadableWorld(f"{name} is not a world of the simulator: {error}; remove it") from None

    def _prepare(self, seed: str) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("BEGIN IMMEDIATE")
        found = self._value("PRAGMA user_version")
        if found == 0 and self._value("SELECT count(*) FROM sqlite_master") == 0:
            for statement in LAYOUT.split(";\n"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {FORMAT}")
            self._begin_world(seed)
        elif found != FORMAT:
            self._db.execute("ROLLBACK")
            raise sqlite3.DatabaseError(f"its format is {found}, this is {FORMAT}")
        self.seed: str = self._value("SELECT seed FROM world")
        self._db.execute("COMMIT")

    def _value(self, statement: str, *values: object) -> Any:
        """Execute a statement and return the only value of its only row."""
        return self._db.execute(statement, values).fetchone()[0]

    def _begin_world(self, seed: str) -> None:
        blank = (1, 1, 0.0, b"{}", b"[]", b"[]", 0, 0.0, seed)
        self._db.execute("INSERT INTO world VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", blank)

    def open(self) -> AbstractContextManager[Store]:
        """Begin a transaction, which is committed at the end of the block, or rolled back if the block raises.

        It waits for those of other processes. In memory nothing is rolled back, since no request fails half-way.
        """
        return self._transaction() if self._in_file else nullcontext(self)

    @contextmanager
    def _transaction(self) -> Iterator[Store]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._notice_others()
            yield self
        except BaseException:
            self._db.execute("ROLLBACK")
            self._forget()
            raise
        self._db.execute("COMMIT")

    def _notice_others(self) -> None:
        # SQLite's data_version changes when another connection commits, but not by our own commits
        version = self._value("PRAGMA data_version")
        if version != self._version:
            self._version = version
            self._forget()

    def _forget(self) -> None:
        # drop what was read, which was valid until another process wrote
        self._settings: WorldSettings | None = None
        self.history.forget()
        self._forget_agents()

    def _forget_agents(self) -> None:
        self._every: Sequence[Agent] | None = None
        self._pages.forget()

    def close(self) -> None:
        """Close the database; the store must not be used afterwards."""
        self._db.close()

    def clear(self) -> None:
        """Delete everything but the seed: agents, settings, log."""
        for table in _TABLES:
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608  names of our own
        self._begin_world(self.seed)
        self._forget()

    # --- settings

    @property
    def settings(self) -> WorldSettings:
        """The present settings."""
        if self._settings is None:
            offset, switches, script = self._db.execute(
                "SELECT clock_offset, switches, script FROM world"
            ).fetchone()
            self._settings = WorldSettings(
                offset, _read_switches(switches), FaultScript.parse(orjson.loads(script))
            )
        return self._settings

    def save_settings(self, settings: WorldSettings) -> None:
        """Write new settings."""
        changed = {
            name: value
            for name, value in settings.switches.as_dict().items()
            if value != declarations()[name].default
        }
        self._db.execute(
            "UPDATE world SET clock_offset = ?, switches = ?, script = ?",
            (settings.offset, orjson.dumps(changed), orjson.dumps(settings.script.as_json())),
        )
        self._settings = settings

    def script_position(self) -> tuple[int, ...]:
        """Return how many calls each rule of the script has counted."""
        return tuple(orjson.loads(self._value("SELECT position FROM world")))

    def save_script_position(self, position: tuple[int, ...]) -> None:
        """Write how many calls each rule of the script has counted."""
        self._db.execute("UPDATE world SET position = ?", (orjson.dumps(position),))

    def take_number(self) -> int:
        """Return the next number, from 1; each is returned only once."""
        return int(self._value("UPDATE world SET number = number + 1 RETURNING number"))

    def gate(self) -> float:
        """Return the rate limiter's mark: the time up to which the project's allowance is used."""
        return float(self._value("SELECT gate FROM world"))

    def save_gate(self, mark: float) -> None:
        """Write the rate limiter's mark."""
        self._db.execute("UPDATE world SET gate = ?", (mark,))

    # --- agents, oldest first unless said otherwise

    def add(self, agent: Agent) -> None:
        """Add a new agent."""
        self.put(agent, rewritten=True)
        self._db.execute(
            "INSERT INTO projects VALUES (?, 1) ON CONFLICT DO UPDATE SET at_most = at_most + 1",
            (agent.project,),
        )

    def put(self, agent: Agent, *, rewritten: bool = False) -> None:
        """Write a changed agent; `rewritten` means that its body has changed, too."""
        self._forget_agents()
        self._db.execute(PUT_AGENT, agent_row(agent))
        if rewritten:
            body = self.history.kept(agent.body)
            self._db.execute("REPLACE INTO bodies VALUES (?, ?)", (agent.number, body))

    def find(self, project: str, agent_id: str) -> Agent | None:
        """Return the agent with that id in the project, or None."""
        agent = self.find_anywhere(agent_id)
        return agent if agent is not None and agent.project == project else None

    def find_anywhere(self, agent_id: str) -> Agent | None:
        """Return the agent with that id in any project, or None."""
        return next(iter(self._read("agent_id = ?", (agent_id,))), None)

    def named(self, project: str, name: str) -> Sequence[Agent]:
        """Return all agents, live or ended, with that name."""
        return self._read("project = ? AND name = ? ORDER BY number", (project, name))

    def with_uid(self, project: str, channel: str, uid: str, at: float) -> Sequence[Agent]:
        """Return the agents that live at `at` in that channel with that uid."""
        where = "channel = ? AND uid = ? AND project = ? AND created_at <= ? AND end_at > ? ORDER BY number"
        return self._read(where, (channel, uid, project, at, at))

    def in_channel(self, channel: str, at: float) -> Sequence[Agent]:
        """Return the agents that live at `at` in that channel, in every project."""
        return self._read("channel = ? AND created_at <= ? AND end_at > ? ORDER BY number", (channel, at, at))

    def every(self) -> Sequence[Agent]:
        """Return all agents."""
        if self._every is None:
            self._every = self._read("1 ORDER BY number", ())
        return self._every

    def _read(self, where: str, values: Iterable[object]) -> list[Agent]:
        return [agent_of(row) for row in self._db.execute(SELECT_AGENTS + where, tuple(values))]

    def is_full(self, project: str, at: float, quota: int) -> bool:
        """Return whether at least `quota` agents of the project live at `at`, which never decreases between calls.

        Counting is slow with many agents, so an upper bound is kept, and agents are counted only when it reaches the
        quota.
        """
        row = self._db.execute("SELECT at_most FROM projects WHERE project = ?", (project,)).fetchone()
        if (row[0] if row else 0) < quota:
            return False
        count = "SELECT count(*) FROM agents WHERE project = ? AND end_at > ?"
        live = self._value(count, project, at)
        self._db.execute("UPDATE projects SET at_most = ? WHERE project = ?", (live, project))
        return bool(live >= quota)

    def select(self, selection: ListFilter) -> Selected:
        """Return a page of a list."""
        return self._pages.page(selection)


def _read_switches(text: bytes) -> Switches:
    try:
        return Switches().with_settings(orjson.loads(text))
    except SwitchError as error:
        raise UnreadableWorld(f"the file was written by another version: {error}; remove it") from None
