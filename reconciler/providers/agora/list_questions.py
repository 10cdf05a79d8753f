"""What a list of agents is asked for: the states, the form of the request, and the windows of creation time.

By default the service lists twenty running agents of the last two hours (v2 API reference: list), so time window,
states and page size are always given. Which of these it refuses is not documented for every region. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.observed import ListedAgent
from reconciler.values import dataclass

HOUR = 3600
# The window ends a little in the future, so that an agent that was just started is not missed by a second.
AHEAD = 60
MAX_PAGES = 1000
# A list of more pages is read in windows of creation time, which are asked for side by side.
LONG = 10
# The number of pages that a window has when the agents were created evenly over the time.
WINDOW_PAGES = 5
# No window is shorter (seconds): neighbours share two seconds, whose agents are read twice.
SHORTEST_WINDOW = 10
RECOVERING = "5"


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A query for agents in some states, started within the last `window` seconds.

    States are in the order of a life, so that an agent that changes its state between two requests is listed twice
    rather than never.
    """

    what: str
    states: tuple[str, ...]
    window: int


# No agent lives longer than 72 h (v2 API reference: lifecycle); the rest is margin for clocks and late starts.
LIVE = ListQuery("listing the live agents", ("1", RECOVERING, "2", "0", "3"), 80 * HOUR)
# The longest time that mainland China's service lists: 7 days, less a margin for clocks.
ENDED = ListQuery("listing the ended agents", ("4", "6"), 7 * 24 * HOUR - HOUR)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One form of the request: all states at once or one by one, with or without state 5, and the page size."""

    commas: bool
    recovering: bool
    limit: int

    def filters(self, states: tuple[str, ...]) -> tuple[str, ...]:
        """Return the `state` filters to ask for, one after the other."""
        known = tuple(state for state in states if self.recovering or state != RECOVERING)
        return (",".join(sorted(known)),) if self.commas else known


# From the best to the most limited. State 5 (RECOVERING) is no longer documented, but agents may be in it. The largest
# page size is undocumented: 100 is what other clients use, 20 the default.
LADDER = tuple(
    Dialect(commas, recovering, limit)
    for commas in (True, False)
    for limit in (100, 20)
    for recovering in (True, False)
)
# Mainland China's service takes one state at a time (v2 API reference: list).
FIRST_WITHOUT_COMMAS = next(rung for rung, dialect in enumerate(LADDER) if not dialect.commas)


@dataclass(frozen=True, slots=True)
class Question:
    """One filter of a list, with the window of creation times that it asks for (epoch seconds).

    `what` names the list in messages. It must be answered by `ends`, a time of `Elapsed`. `settled` means that the
    answer must agree exactly with the service's counts.
    """

    what: str
    channel: str | None
    since: int
    until: int
    state: str
    limit: int
    ends: float
    settled: bool

    def fields(self, cursor: str) -> tuple[tuple[str, str], ...]:
        """Return the query of the request for the page at a cursor."""
        channel = (("channel", self.channel),) if self.channel is not None else ()
        window = (("from_time", str(self.since)), ("to_time", str(self.until)))
        page = (("cursor", cursor),) if cursor else ()
        return (*channel, *window, ("state", self.state), ("limit", str(self.limit)), *page)

    def windows(self, pages: int) -> list[Question]:
        """Return the windows in which a question of so many pages is asked; none where it is asked as a whole.

        Each window ends one second after the next one begins. So each agent is in at least one of them, whether or not
        the service includes a window's ends, and whether it compares whole seconds or fractions of them.
        """
        seconds = self.until - self.since
        if not LONG < pages <= MAX_PAGES or seconds < 2 * SHORTEST_WINDOW:
            return []
        length = max(SHORTEST_WINDOW, -(-seconds * WINDOW_PAGES // pages))
        return [
            replace(self, since=since, until=min(since + length + 1, self.until))
            for since in range(self.since, self.until, length)
        ]

    def covers(self, agent: ListedAgent) -> bool:
        """Return whether an agent was created in the window; one second more is allowed, since times are rounded."""
        return self.since - 1 <= agent.started_at <= self.until + 1
