"""Select the agents of a list: the filter, its evaluation by SQLite, and the pages of the result."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from reconciler.simulator.agent import Status


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
            stop = total if start is None else cut(listed, start, key=_number)
            return Selected(listed[max(0, stop - selection.limit) : stop][::-1], total, total - stop)
        cut = bisect_left if selection.include_start else bisect_right
        before = 0 if start is None else cut(listed, start, key=_number)
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


def _number(listed: Listed) -> int:
    return listed.number


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
