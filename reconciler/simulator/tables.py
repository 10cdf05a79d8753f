"""The tables of a world in SQLite, the rows of agents, and lists of them: the filter, its evaluation, and the pages.

The other statements are in `store.py` and `history.py`.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from reconciler.simulator.agent import Agent, End, Status

LAYOUT = """
CREATE TABLE world (
  one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER, clock_offset REAL, switches BLOB, script BLOB,
  position BLOB, number INTEGER, gate REAL, seed TEXT
);
CREATE TABLE agents (
  number INTEGER PRIMARY KEY, agent_id TEXT, project TEXT, name TEXT, channel TEXT, uid TEXT, created_at REAL,
  running_at REAL, lifetime_until REAL, end_at REAL, end_status INTEGER, end_message TEXT, left_at REAL,
  stopping_at REAL, token_until REAL, idle_at REAL, doom_at REAL, doom_status INTEGER, doom_message TEXT,
  shown INTEGER
);
CREATE UNIQUE INDEX by_id ON agents (agent_id);
CREATE INDEX by_name ON agents (project, name);
CREATE INDEX by_channel ON agents (channel, uid);
CREATE INDEX by_end ON agents (project, end_at);
CREATE TABLE bodies (number INTEGER PRIMARY KEY, body BLOB);
CREATE TABLE notes (agent_id TEXT, at REAL, kind TEXT, payload BLOB);
CREATE INDEX by_agent ON notes (agent_id);
CREATE TABLE deferred (
  id INTEGER PRIMARY KEY, due REAL, method TEXT, path TEXT, query TEXT, headers BLOB, body BLOB
);
CREATE TABLE log (
  id INTEGER PRIMARY KEY, at REAL, operation TEXT, method TEXT, path TEXT, agent TEXT, outcome TEXT
);
CREATE TABLE tally (operation TEXT PRIMARY KEY, requests INTEGER);
CREATE TABLE projects (project TEXT PRIMARY KEY, at_most INTEGER);
"""

PUT_AGENT = f"REPLACE INTO agents VALUES ({', '.join('?' * 20)})"  # noqa: S608  question marks
SELECT_AGENTS = "SELECT agents.*, body FROM agents JOIN bodies USING (number) WHERE "

# The fields of an agent that are columns of these names, before and after the three columns of its end.
_BEFORE_END = attrgetter(
    "number",
    "agent_id",
    "project",
    "name",
    "channel",
    "uid",
    "created_at",
    "running_at",
    "lifetime_until",
)
_AFTER_END = attrgetter("left_at", "stopping_at", "token_until", "idle_at")


def agent_row(agent: Agent) -> tuple[object, ...]:
    """Return an agent without its body, in the order of the table's columns."""
    doom = agent.doom or (None, None, None)
    return (*_BEFORE_END(agent), *agent.end, *_AFTER_END(agent), *doom, agent.shown)


def agent_of(row: tuple[Any, ...]) -> Agent:
    """Return the agent of a row that `SELECT_AGENTS` has read."""
    *before_end, end_at, end_status, end_message = row[:12]
    *after_end, doom_at, doom_status, doom_message, shown, body = row[12:]
    end = End(end_at, Status(end_status), end_message)
    doom = None if doom_at is None else End(doom_at, Status(doom_status), doom_message)
    fields = (*before_end, end, body, *after_end, doom, None if shown is None else Status(shown))
    return Agent(*fields)


# --- lists of agents


class ListFilter(NamedTuple):
    """The filter of a list: agents of a project whose status at `seen_at` is one of `statuses`.

    `created` and `alive` are inclusive spans of time. `start` is the number of the agent where the page begins,
    included or not.
    """

    project: str
    seen_at: float
    statuses: frozenset[Status]
    channel: str | None
    created: tuple[float, float]
    alive: tuple[float, float]
    newest_first: bool
    start: int | None
    include_start: bool
    limit: int


class Listed(NamedTuple):
    """One agent in a list; its number is its place in the order of creation."""

    number: int
    agent_id: str
    created_at: float
    status: Status


class Selected(NamedTuple):
    """A page of a list, the number of all matching agents, and the number of those before this page."""

    agents: Sequence[Listed]
    total: int
    before: int


_NEVER = float("inf")

_STATUS_AT = (
    "CASE WHEN end_at <= :at THEN end_status WHEN stopping_at <= :at THEN 3 WHEN left_at <= :at THEN 0 "
    "WHEN shown IS NOT NULL THEN shown WHEN running_at > :at THEN 1 ELSE 2 END"
)
"""`Agent.status_at` in SQL, with the instant as `:at`: a comparison with NULL is not true."""

_NEXT_CHANGE = """
SELECT min(min(
  iif(created_at > :at, created_at, 9e999), iif(running_at > :at, running_at, 9e999),
  iif(left_at > :at, left_at, 9e999), iif(stopping_at > :at, stopping_at, 9e999), iif(end_at > :at, end_at, 9e999)
)) FROM agents WHERE project = :project
"""
"""The first instant after `:at` at which the status of one of the project's agents may differ."""


class Pages:
    """The pages of the last list. They share one filter and one result, which is valid until agents are written
    (`forget`) or a status changes with time."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database
        self.forget()

    def forget(self) -> None:
        """Drop the result, because agents were written."""
        self._question: ListFilter | None = None
        self._since, self._until = _NEVER, -_NEVER
        self._listed: Sequence[Listed] = ()

    def page(self, selection: ListFilter) -> Selected:
        """Return one page."""
        listed = self._matching(selection)
        total, start = len(listed), selection.start
        if selection.newest_first:
            cut = bisect_right if selection.include_start else bisect_left
            stop = total if start is None else cut(listed, start, key=attrgetter("number"))
            return Selected(listed[max(0, stop - selection.limit) : stop][::-1], total, total - stop)
        cut = bisect_left if selection.include_start else bisect_right
        before = 0 if start is None else cut(listed, start, key=attrgetter("number"))
        return Selected(listed[before : before + selection.limit], total, before)

    def _matching(self, selection: ListFilter) -> Sequence[Listed]:
        question = selection._replace(seen_at=0.0, start=None, include_start=False, limit=0)
        at = selection.seen_at
        if question != self._question or not self._since <= at < self._until:
            where, values = _conditions(selection)
            query = (
                f"SELECT number, agent_id, created_at, {_STATUS_AT} FROM agents WHERE {where} ORDER BY number"  # noqa: S608  ours
            )
            self._listed = [
                Listed(number, agent_id, created_at, Status(status))
                for number, agent_id, created_at, status in self._db.execute(query, values)
            ]
            (until,) = self._db.execute(_NEXT_CHANGE, {"at": at, "project": selection.project}).fetchone()
            self._question, self._since, self._until = question, at, _NEVER if until is None else until
        return self._listed


def _conditions(wanted: ListFilter) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {
        "project": wanted.project,
        "at": wanted.seen_at,
        "since": wanted.created[0],
        "until": min(wanted.created[1], wanted.seen_at, wanted.alive[1]),
        "end": wanted.alive[0],
        "channel": wanted.channel,
    }
    statuses = ", ".join(str(status.value) for status in sorted(wanted.statuses))
    where = (
        "project = :project AND created_at BETWEEN :since AND :until AND end_at >= :end "
        f"AND {_STATUS_AT} IN ({statuses})"
    )
    return (where if wanted.channel is None else f"{where} AND channel = :channel"), values
