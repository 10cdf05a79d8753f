"""The part of the SQLite store that remembers what was done and asked, and what is still to come."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import orjson

from reconciler.simulator.masking import masked
from reconciler.simulator.messages import Request
from reconciler.simulator.store import Deferred, LogEntry, Note

_PRUNE_EVERY = 256


class SqliteDiary:
    """Notes on agents, late requests and the log, in the tables of an open database."""

    def __init__(self, database: sqlite3.Connection, log_length: int, *, keep_credentials: bool) -> None:
        self._db = database
        self._log_length = log_length
        self._keep_credentials = keep_credentials

    def kept(self, content: bytes) -> bytes:
        """JSON as it may lie on a disk."""
        return content if self._keep_credentials else orjson.dumps(masked(orjson.loads(content)))

    def note(self, agent_id: str, note: Note) -> None:
        """Appends to an agent's notes."""
        self._db.execute(
            "INSERT INTO notes VALUES (?, ?, ?, ?)", (agent_id, note.at, note.kind, self.kept(note.payload))
        )

    def notes(self, agent_id: str) -> Sequence[Note]:
        """An agent's notes."""
        rows = self._db.execute(
            "SELECT at, kind, payload FROM notes WHERE agent_id = ? ORDER BY rowid", (agent_id,)
        )
        return [Note(*row) for row in rows]

    def defer(self, deferred: Deferred) -> None:
        """Keeps a request for later."""
        due, request = deferred
        headers = orjson.dumps(dict(request.headers))
        self._db.execute(
            "INSERT INTO deferred (due, method, path, query, headers, body) VALUES (?, ?, ?, ?, ?, ?)",
            (due, request.method, request.path, request.query, headers, request.body),
        )

    def take_due(self, now: float) -> Deferred | None:
        """Removes and returns the earliest request that is due."""
        row = self._db.execute(
            "SELECT * FROM deferred WHERE due <= ? ORDER BY due, id LIMIT 1", (now,)
        ).fetchone()
        if row is None:
            return None
        number, due, method, path, query, headers, body = row
        self._db.execute("DELETE FROM deferred WHERE id = ?", (number,))
        return Deferred(due, Request(method, path, query, orjson.loads(headers), body))

    def next_due(self) -> float | None:
        """When the next deferred request is due."""
        due: float | None
        (due,) = self._db.execute("SELECT min(due) FROM deferred").fetchone()
        return due

    def log(self, entry: LogEntry) -> None:
        """Appends to the log."""
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
        """The log."""
        rows = self._db.execute(
            "SELECT at, operation, method, path, agent, outcome FROM log ORDER BY id DESC LIMIT ?",
            (self._log_length,),
        )
        return [LogEntry(*row) for row in rows][::-1]

    def tally(self) -> dict[str, int]:
        """Requests by operation."""
        return dict(self._db.execute("SELECT operation, requests FROM tally ORDER BY operation").fetchall())
