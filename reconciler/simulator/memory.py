"""The store in memory: fast, for one process, gone with it."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from reconciler.simulator.agent import ENDED, Agent
from reconciler.simulator.messages import Request
from reconciler.simulator.store import (
    LOG_LENGTH,
    Deferred,
    Listed,
    LogEntry,
    Note,
    Selected,
    Selection,
    Settings,
)

_Key = TypeVar("_Key")


@dataclass(slots=True)
class _Match:
    """The agents that matched a selection, valid while nothing is written and no status changes by itself."""

    question: Selection
    revision: int
    since: float
    until: float
    numbers: list[int]


class MemoryStore:
    """A world in this process's memory. It is its own shelf; nothing is undone, since no request fails
    half-way.

    `forget_ended_after` drops agents that ended so many seconds ago, for worlds that run for long.
    """

    def __init__(
        self, *, seed: str = "0", log_length: int = LOG_LENGTH, forget_ended_after: float | None = None
    ) -> None:
        self.seed = seed
        self._forget_ended_after = forget_ended_after
        self._log_length = log_length
        self.clear()

    def open(self) -> MemoryStore:
        """Begins a request."""
        return self

    def close(self) -> None:
        """There is nothing to let go of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def clear(self) -> None:
        """Forgets everything but the seed."""
        self._settings = Settings()
        self._position: tuple[int, ...] = ()
        self._number = 0
        self._revision = 0
        self._gate = 0.0
        self._agents: dict[int, Agent] = {}
        self._numbers: dict[str, int] = {}
        self._by_name: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._by_channel: defaultdict[str, list[int]] = defaultdict(list)
        self._live: defaultdict[str, set[int]] = defaultdict(set)
        self._ends: list[tuple[float, int]] = []
        self._ended: deque[int] = deque()
        self._retired_at = float("-inf")
        self._notes: defaultdict[str, list[Note]] = defaultdict(list)
        self._deferrals = 0
        self._deferred: list[tuple[float, int, Request]] = []
        self._log: deque[LogEntry] = deque(maxlen=self._log_length)
        self._tally: Counter[str] = Counter()
        self._match: _Match | None = None

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    def save_settings(self, settings: Settings) -> None:
        """Puts other settings in force."""
        if settings.script is not self._settings.script:
            self._position = ()
        self._settings = settings

    def script_position(self) -> tuple[int, ...]:
        """How many calls each rule has seen."""
        return self._position

    def save_script_position(self, position: tuple[int, ...]) -> None:
        """Remembers how far the script has come."""
        self._position = position

    def take_number(self) -> int:
        """The next number."""
        self._number += 1
        return self._number

    def add(self, agent: Agent) -> None:
        """Keeps a new agent."""
        self._numbers[agent.agent_id] = agent.number
        self._by_name[agent.project, agent.name].append(agent.number)
        self._by_channel[agent.channel].append(agent.number)
        self._live[agent.project].add(agent.number)
        self.put(agent)

    def put(self, agent: Agent, *, rewritten: bool = False) -> None:
        """Keeps a new version of an agent."""
        self._revision += 1
        self._agents[agent.number] = agent
        heapq.heappush(self._ends, (agent.end.at, agent.number))

    def find(self, project: str, agent_id: str) -> Agent | None:
        """The agent with that id."""
        agent = self.find_anywhere(agent_id)
        return agent if agent is not None and agent.project == project else None

    def find_anywhere(self, agent_id: str) -> Agent | None:
        """The agent with that id, whatever its project."""
        number = self._numbers.get(agent_id)
        return None if number is None else self._agents[number]

    def named(self, project: str, name: str) -> Sequence[Agent]:
        """All agents that bear or bore that name."""
        return [self._agents[number] for number in self._by_name.get((project, name), ())]

    def seated(self, project: str, channel: str, uid: str, at: float) -> Sequence[Agent]:
        """Agents alive in that channel under that uid."""
        return [
            agent for agent in self.in_channel(channel, at) if (agent.project, agent.uid) == (project, uid)
        ]

    def in_channel(self, channel: str, at: float) -> Sequence[Agent]:
        """Agents alive in that channel."""
        agents = (self._agents[number] for number in self._by_channel.get(channel, ()))
        return [agent for agent in agents if agent.live_at(at)]

    def is_full(self, project: str, at: float, quota: int) -> bool:
        """Whether the project has its quota of live agents."""
        self._retire(at)
        return len(self._live[project]) >= quota

    def _retire(self, at: float) -> None:
        # an agent is on the heap once for every version; only the entry of its present end counts
        self._retired_at = max(at, self._retired_at)
        while self._ends and self._ends[0][0] <= at:
            end, number = heapq.heappop(self._ends)
            agent = self._agents.get(number)
            if agent is not None and agent.end.at == end and number in self._live[agent.project]:
                self._live[agent.project].remove(number)
                self._ended.append(number)
        if self._forget_ended_after is not None:
            self._forget(at - self._forget_ended_after)

    def _forget(self, before: float) -> None:
        while self._ended and self._agents[self._ended[0]].end.at < before:
            agent = self._agents.pop(self._ended.popleft())
            self._revision += 1
            del self._numbers[agent.agent_id]
            _drop(self._by_name, (agent.project, agent.name), agent.number)
            _drop(self._by_channel, agent.channel, agent.number)
            self._notes.pop(agent.agent_id, None)

    def select(self, selection: Selection) -> Selected:
        """A page of a list."""
        numbers = self._matching(selection)
        if selection.newest_first:
            stop = len(numbers)
            if selection.start is not None:
                cut = bisect_right if selection.include_start else bisect_left
                stop = cut(numbers, selection.start)
            page = numbers[max(0, stop - selection.limit) : stop][::-1]
            before = len(numbers) - stop
        else:
            before = 0
            if selection.start is not None:
                cut = bisect_left if selection.include_start else bisect_right
                before = cut(numbers, selection.start)
            page = numbers[before : before + selection.limit]
        shown = [
            Listed(number, agent.agent_id, agent.created_at, agent.status_at(selection.seen_at))
            for number, agent in ((number, self._agents[number]) for number in page)
        ]
        return Selected(shown, len(numbers), before)

    def _matching(self, selection: Selection) -> list[int]:
        # every page of one list asks the same question: the answer is kept until the world changes
        question = selection._replace(seen_at=0.0, start=None, include_start=False, limit=0)
        memo, at = self._match, selection.seen_at
        if (
            memo
            and (memo.question, memo.revision) == (question, self._revision)
            and memo.since <= at < memo.until
        ):
            return memo.numbers
        pool = [self._agents[number] for number in self._pool(selection)]
        until = min((agent.next_change(at) for agent in pool), default=float("inf"))
        numbers = [agent.number for agent in pool if _matches(agent, selection)]
        self._match = _Match(question, self._revision, at, until, numbers)
        return numbers

    def _pool(self, selection: Selection) -> Iterable[int]:
        if selection.channel is not None:
            return self._by_channel.get(selection.channel, ())
        if selection.seen_at >= self._retired_at and ENDED.isdisjoint(selection.statuses):
            return sorted(self._live[selection.project])
        return self._agents

    def every(self) -> Sequence[Agent]:
        """All agents."""
        return list(self._agents.values())

    def note(self, agent_id: str, note: Note) -> None:
        """Appends to an agent's notes."""
        self._notes[agent_id].append(note)

    def notes(self, agent_id: str) -> Sequence[Note]:
        """An agent's notes."""
        return list(self._notes.get(agent_id, ()))

    def defer(self, deferred: Deferred) -> None:
        """Keeps a request for later."""
        self._deferrals += 1
        heapq.heappush(self._deferred, (deferred.due, self._deferrals, deferred.request))

    def take_due(self, now: float) -> Deferred | None:
        """Removes and returns the earliest request that is due."""
        if not self._deferred or self._deferred[0][0] > now:
            return None
        due, _, request = heapq.heappop(self._deferred)
        return Deferred(due, request)

    def next_due(self) -> float | None:
        """When the next deferred request is due."""
        return self._deferred[0][0] if self._deferred else None

    def gate(self) -> float:
        """The rate limiter's mark."""
        return self._gate

    def save_gate(self, mark: float) -> None:
        """Moves the rate limiter's mark."""
        self._gate = mark

    def log(self, entry: LogEntry) -> None:
        """Appends to the log."""
        self._log.append(entry)
        self._tally[entry.operation] += 1

    def entries(self) -> Sequence[LogEntry]:
        """The log."""
        return list(self._log)

    def tally(self) -> dict[str, int]:
        """Requests by operation."""
        return dict(self._tally)


def _drop(index: dict[_Key, list[int]], key: _Key, number: int) -> None:
    index[key].remove(number)
    if not index[key]:
        del index[key]


def _matches(agent: Agent, wanted: Selection) -> bool:
    return (
        agent.project == wanted.project
        and (wanted.channel is None or agent.channel == wanted.channel)
        and wanted.created[0] <= agent.created_at <= min(wanted.created[1], wanted.seen_at)
        and agent.created_at <= wanted.alive[1]
        and agent.end.at >= wanted.alive[0]
        and agent.status_at(wanted.seen_at) in wanted.statuses
    )
