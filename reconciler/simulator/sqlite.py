"""The store in one SQLite file: for several processes at once, and for those that are killed.

Each request is one immediate transaction. Nothing is synced to the disk: a killed process loses nothing, a
power cut may lose the last seconds of a pretended world.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from os import PathLike, fspath

import orjson

from reconciler.simulator.agent import Agent, Status
from reconciler.simulator.diary import SqliteDiary
from reconciler.simulator.script import FaultScript
from reconciler.simulator.store import LOG_LENGTH, Listed, Selected, Selection, Settings
from reconciler.simulator.switches import SwitchError, Switches, declarations
from reconciler.simulator.tables import (
    INSERT_AGENT,
    LAYOUT,
    REPLACE_AGENT,
    SELECT_AGENTS,
    agent_of,
    agent_row,
    page_queries,
)

FORMAT = 1
"""The version of the file's layout; a file of another one is refused."""

_WAIT_SECONDS = 60.0


class UnreadableWorld(ValueError):
    """The file is no world of this version; the message says what to do."""


class SqliteStore(SqliteDiary):
    """A world in the file `path`, made when it is missing. `seed` counts for a new file only.

    What may be a credential is masked before it is written, unless `keep_credentials` is set; late requests
    alone are kept as they came until they are due. Raises `UnreadableWorld` for a file that is something
    else, and `sqlite3.OperationalError` where no file can be.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        seed: str = "0",
        log_length: int = LOG_LENGTH,
        keep_credentials: bool = False,
    ) -> None:
        self._path = fspath(path)
        self._settings: tuple[int, Settings] | None = None
        if self._path != ":memory:":
            # what it holds is masked, and still nobody else's business
            with suppress(OSError):  # SQLite says it better
                os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        # the simulator's lock keeps threads apart
        database = sqlite3.connect(
            self._path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        super().__init__(database, log_length, keep_credentials=keep_credentials)
        try:
            self._prepare(seed)
        except sqlite3.DatabaseError as error:
            self._db.close()
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise UnreadableWorld(
                f"{self._path} is not a world of the simulator: {error}; remove it"
            ) from None

    def _prepare(self, seed: str) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("BEGIN IMMEDIATE")
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if found == 0 and tables == 0:
            for statement in LAYOUT.split(";\n"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {FORMAT}")
            self._begin_world(seed, 1)
        elif found != FORMAT:
            self._db.execute("ROLLBACK")
            raise sqlite3.DatabaseError(f"its format is {found}, this is {FORMAT}")
        (self.seed,) = self._db.execute("SELECT seed FROM world").fetchone()
        self._db.execute("COMMIT")

    def _begin_world(self, seed: str, revision: int) -> None:
        blank = (revision, b"{}", b"[]", b"[]", seed)
        self._db.execute("INSERT INTO world VALUES (1, ?, 0.0, ?, ?, ?, 0, 0.0, ?)", blank)

    @contextmanager
    def open(self) -> Iterator[SqliteStore]:
        """Begins a transaction and waits for those of other processes."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self
        except BaseException:
            self._db.execute("ROLLBACK")
            self._settings = None
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def clear(self) -> None:
        """Forgets everything but the seed."""
        (revision,) = self._db.execute("SELECT revision FROM world").fetchone()
        for table in ("agents", "bodies", "notes", "deferred", "log", "tally", "projects", "world"):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608  names of our own
        self._begin_world(self.seed, revision + 1)  # other processes must see that it changed
        self._settings = None

    # --- settings

    @property
    def settings(self) -> Settings:
        """The settings in force; parsed anew only when somebody has changed them."""
        (revision,) = self._db.execute("SELECT revision FROM world").fetchone()
        if self._settings is None or self._settings[0] != revision:
            offset, switches, script = self._db.execute(
                "SELECT clock_offset, switches, script FROM world"
            ).fetchone()
            settings = Settings(offset, _read_switches(switches), FaultScript.parse(orjson.loads(script)))
            self._settings = (revision, settings)
        return self._settings[1]

    def save_settings(self, settings: Settings) -> None:
        """Puts other settings in force."""
        if settings.script != self.settings.script:
            self.save_script_position(())
        changed = {
            name: value
            for name, value in settings.switches.as_dict().items()
            if value != declarations()[name].default
        }
        self._db.execute(
            "UPDATE world SET revision = revision + 1, clock_offset = ?, switches = ?, script = ?",
            (settings.offset, orjson.dumps(changed), orjson.dumps(settings.script.as_json())),
        )

    def script_position(self) -> tuple[int, ...]:
        """How many calls each rule has seen."""
        (position,) = self._db.execute("SELECT position FROM world").fetchone()
        return tuple(orjson.loads(position))

    def save_script_position(self, position: tuple[int, ...]) -> None:
        """Remembers how far the script has come."""
        self._db.execute("UPDATE world SET position = ?", (orjson.dumps(position),))

    def take_number(self) -> int:
        """The next number."""
        number: int
        (number,) = self._db.execute("UPDATE world SET number = number + 1 RETURNING number").fetchone()
        return number

    def gate(self) -> float:
        """The rate limiter's mark."""
        mark: float
        (mark,) = self._db.execute("SELECT gate FROM world").fetchone()
        return mark

    def save_gate(self, mark: float) -> None:
        """Moves the rate limiter's mark."""
        self._db.execute("UPDATE world SET gate = ?", (mark,))

    # --- agents

    def add(self, agent: Agent) -> None:
        """Keeps a new agent."""
        self._db.execute(INSERT_AGENT, agent_row(agent))
        self._db.execute("INSERT INTO bodies VALUES (?, ?)", (agent.number, self.kept(agent.body)))
        self._db.execute(
            "INSERT INTO projects VALUES (?, 1) ON CONFLICT DO UPDATE SET at_most = at_most + 1",
            (agent.project,),
        )

    def put(self, agent: Agent, *, rewritten: bool = False) -> None:
        """Keeps a new version of an agent."""
        self._db.execute(REPLACE_AGENT, agent_row(agent))
        if rewritten:
            body = self.kept(agent.body)
            self._db.execute("UPDATE bodies SET body = ? WHERE number = ?", (body, agent.number))

    def find(self, project: str, agent_id: str) -> Agent | None:
        """The agent with that id."""
        agent = self.find_anywhere(agent_id)
        return agent if agent is not None and agent.project == project else None

    def find_anywhere(self, agent_id: str) -> Agent | None:
        """The agent with that id, whatever its project."""
        return next(iter(self._read("agent_id = ?", (agent_id,))), None)

    def named(self, project: str, name: str) -> Sequence[Agent]:
        """All agents that bear or bore that name."""
        return self._read("project = ? AND name = ? ORDER BY number", (project, name))

    def seated(self, project: str, channel: str, uid: str, at: float) -> Sequence[Agent]:
        """Agents alive in that channel under that uid."""
        where = "channel = ? AND uid = ? AND project = ? AND created_at <= ? AND end_at > ? ORDER BY number"
        return self._read(where, (channel, uid, project, at, at))

    def in_channel(self, channel: str, at: float) -> Sequence[Agent]:
        """Agents alive in that channel."""
        return self._read("channel = ? AND created_at <= ? AND end_at > ? ORDER BY number", (channel, at, at))

    def is_full(self, project: str, at: float, quota: int) -> bool:
        """Whether the project has its quota of live agents.

        Counting costs what there is to count, so an upper bound is kept, and counted anew only when it says
        full.
        """
        row = self._db.execute("SELECT at_most FROM projects WHERE project = ?", (project,)).fetchone()
        if (row[0] if row else 0) < quota:
            return False
        count = "SELECT count(*) FROM agents WHERE project = ? AND end_at > ?"
        (live,) = self._db.execute(count, (project, at)).fetchone()
        self._db.execute("UPDATE projects SET at_most = ? WHERE project = ?", (live, project))
        return bool(live >= quota)

    def every(self) -> Sequence[Agent]:
        """All agents."""
        return self._read("1 ORDER BY number", ())

    def _read(self, where: str, values: Iterable[object]) -> list[Agent]:
        rows = self._db.execute(SELECT_AGENTS + where, tuple(values))
        return [agent_of(row) for row in rows]

    def select(self, selection: Selection) -> Selected:
        """A page of a list."""
        count, page, values = page_queries(selection)
        total, before = self._db.execute(count, values).fetchone()
        rows = self._db.execute(page, values)
        listed = [
            Listed(number, agent_id, created_at, Status(status))
            for number, agent_id, created_at, status in rows
        ]
        return Selected(listed, total, before)


def _read_switches(text: bytes) -> Switches:
    try:
        return Switches().with_settings(orjson.loads(text))
    except SwitchError as error:
        raise UnreadableWorld(f"the file was written by another version: {error}; remove it") from None
