"""The tables of a world in SQLite, and their rows. The statements are in `store.py`, `history.py`, `selection.py`."""

from __future__ import annotations

from typing import Any

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

_COLUMNS = (
    "number, agent_id, project, name, channel, uid, created_at, running_at, lifetime_until, end_at, "
    "end_status, end_message, left_at, stopping_at, token_until, idle_at, doom_at, doom_status, "
    "doom_message, shown"
)
_PLACES = ", ".join("?" * 20)
INSERT_AGENT = f"INSERT INTO agents VALUES ({_PLACES})"  # noqa: S608  question marks
REPLACE_AGENT = f"REPLACE INTO agents VALUES ({_PLACES})"  # noqa: S608  question marks
SELECT_AGENTS = f"SELECT {_COLUMNS}, body FROM agents JOIN bodies USING (number) WHERE "  # noqa: S608  ours


def agent_row(agent: Agent) -> tuple[object, ...]:
    """Return an agent without its body, in the order of the table's columns."""
    doom = agent.doom or (None, None, None)
    return (
        agent.number,
        agent.agent_id,
        agent.project,
        agent.name,
        agent.channel,
        agent.uid,
        agent.created_at,
        agent.running_at,
        agent.lifetime_until,
        *agent.end,
        agent.left_at,
        agent.stopping_at,
        agent.token_until,
        agent.idle_at,
        *doom,
        agent.shown,
    )


def agent_of(row: tuple[Any, ...]) -> Agent:
    """Return the agent of a row that `SELECT_AGENTS` has read."""
    number, agent_id, project, name, channel, uid, created_at, running_at, lifetime_until, *rest = row
    end_at, end_status, end_message, left_at, stopping_at, token_until, idle_at, *rest = rest
    doom_at, doom_status, doom_message, shown, body = rest
    return Agent(
        number,
        agent_id,
        project,
        name,
        channel,
        uid,
        created_at,
        running_at,
        lifetime_until,
        End(end_at, Status(end_status), end_message),
        body,
        left_at,
        stopping_at,
        token_until,
        idle_at,
        None if doom_at is None else End(doom_at, Status(doom_status), doom_message),
        None if shown is None else Status(shown),
    )
