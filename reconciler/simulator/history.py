"""The history of a world and its pending requests: notes on agents, the log of requests, late requests."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from reconciler.simulator.masking import masked
from reconciler.simulator.messages import Request

_PRUNE_EVERY = 256
_NEVER = float("inf")


class Note(NamedTuple):
    """An event of an agent: an update, or something said. `payload` is JSON."""

    at: float
    kind: str
    payload: bytes


class Deferred(NamedTuple):
    """A request that will be executed at its time."""

    due: float
    request: Request


class LogEntry(NamedTuple):
    """One request in the log. `outcome` is a status, or the name of an outage."""

    at: float
    operation: str
    method: str
    path: str
    agent: str
    outcome: str


class ConversationLog:
    """Notes, log and late requests in the tables of an open database.

    A file holds no credentials except those of late requests, which are kept unchanged until they are due.
    """

    def __init__(self, database: sqlite3.Connection, log_length: int, *, in_file: bool) -> None:
        self._db = database
        self._log_length = log_length
        self._in_file = in_file
        self.forget()

    def forget(self) -> None:
        """Drop what was read, because another process has written."""
        self._next_due: float | None = None

    def note(self, agent_id: str, note: Note) -> None:
        """Add a note to an agent."""
        values = (agent_id, note.at, note.kind, self.kept(note.payload))
        self._db.execute("INSERT INTO notes VALUES (?, ?, ?, ?)", values)

    def kept(self, content: bytes) -> bytes:
        """Return JSON as it is stored: in a file, values that may be credentials are masked."""
        return orjson.dumps(masked(orjson.loads(content))) if self._in_file else content

    def notes(self, agent_id: str) -> Sequence[Note]:
        """Return an agent's notes in order."""
        query = "SELECT at, kind, payload FROM notes WHERE agent_id = ? ORDER BY rowid"
        return [Note(*row) for row in self._db.execute(query, (agent_id,))]

    def defer(self, deferred: Deferred) -> None:
        """Keep a request for later."""
        due, request = deferred
        headers = orjson.dumps(dict(request.headers))
        self._db.execute(
            "INSERT INTO deferred (due, method, path, query, headers, body) VALUES (?, ?, ?, ?, ?, ?)",
            (due, request.method, request.path, request.query, headers, request.body),
        )
        self._next_due = None

    def take_due(self, now: float) -> Deferred | None:
        """Remove and return the earliest deferred request that is due, or None."""
        next_due = self.next_due()
        if next_due is None or next_due > now:
            return None
        number, due, method, path, query, headers, body = self._db.execute(
            "SELECT * FROM deferred ORDER BY due, id LIMIT 1"
        ).fetchone()
        self._db.execute("DELETE FROM deferred WHERE id = ?", (number,))
        self._next_due = None
        return Deferred(due, Request(method, path, query, orjson.loads(headers), body))

    def next_due(self) -> float | None:
        """Return when the next deferred request is due, or None."""
        if self._next_due is None:
            (due,) = self._db.execute("SELECT min(due) FROM deferred").fetchone()
            self._next_due = _NEVER if due is None else due
        return None if self._next_due == _NEVER else self._next_due

    def log(self, entry: LogEntry) -> None:
        """Add an entry to the log, which is bounded, and count its operation."""
        added = self._db.execute(
            "INSERT INTO log (at, operation, method, path, agent, outcome) VALUES (?, ?, ?, ?, ?, ?)", entry
        )
        self._db.execute(
            "INSERT INTO tally VALUES (?, 1) ON CONFLICT DO UPDATE SET requests = requests + 1",
            (entry.operation,),
        )
        last = added.lastrowid or 0
        if last % _PRUNE_EVERY == 0:
            self._db.execute("DELETE FROM log WHERE id <= ?", (last - self._log_length,))

    def entries(self) -> Sequence[LogEntry]:
        """Return the log, oldest first."""
        query = "SELECT at, operation, method, path, agent, outcome FROM log ORDER BY id DESC LIMIT ?"
        return [LogEntry(*row) for row in self._db.execute(query, (self._log_length,))][::-1]

    def tally(self) -> dict[str, int]:
        """Return the number of requests for each operation since the beginning."""
        return dict(self._db.execute("SELECT operation, requests FROM tally ORDER BY operation").fetchall())
