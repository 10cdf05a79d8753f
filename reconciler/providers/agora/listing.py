"""List the agents of an App ID: a complete list, or an error.

By default the service lists twenty running agents of the last two hours (v2 API reference: list), so time window,
states and page size are always given. Which of these it refuses is not documented for every region: a run finds out
once and keeps the answer. That an agent is missing from the list does not prove that it is gone; that it is listed does
not prove that it is ours.
"""

from __future__ import annotations

from reconciler.diagnostics import plural
from reconciler.durations import spelled
from reconciler.errors import IncompleteRead, ServiceError
from reconciler.model.observed import ListedAgent
from reconciler.ports import Elapsed, Emit, HttpReply, Reading, Steps
from reconciler.providers.agora import errors, replies
from reconciler.providers.agora.client import AgoraClient
from reconciler.providers.agora.clock import WARN_BEYOND
from reconciler.values import dataclass

HOUR = 3600
# The window ends a little in the future, so that an agent that was just started is not missed by a second.
AHEAD = 60
MAX_PAGES = 1000
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
_FIRST_WITHOUT_COMMAS = next(rung for rung, dialect in enumerate(LADDER) if not dialect.commas)


class _Refused(Exception):
    """The service refuses this dialect: a 400 to the first page."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(str(error))
        self.error = error


class Lister:
    """Lists the agents of an App ID; keeps which dialect the service accepts."""

    __slots__ = ("_client", "_rung")

    def __init__(self, client: AgoraClient) -> None:
        self._client = client
        self._rung = _FIRST_WITHOUT_COMMAS if client.settings.is_mainland_china else 0

    def agents(self, subject: ListQuery, channel: str | None = None) -> Steps[tuple[ListedAgent, ...]]:
        """Return every agent of the subject, oldest first.

        An inconsistent list is read once more. Raises `IncompleteRead` when it is inconsistent again, or does not end
        in its time, and `ServiceError` when the service cannot be asked.
        """
        problem: IncompleteRead | None = None
        begun: float = yield Elapsed()
        until = begun + self._client.pressure.limits.listing_seconds
        for _ in range(3):
            asked_by = self._client.clock.skew or 0.0
            try:
                found = yield from self._in_some_dialect(subject, channel, until, settled=problem is None)
            except IncompleteRead as error:
                late: bool = (yield Elapsed()) >= until
                if late or problem is not None or not self._client.pressure.spend_retry():
                    raise
                problem = error
                continue
            # The replies may have shown that our clock, and with it the window, was wrong.
            if abs((self._client.clock.skew or 0.0) - asked_by) <= WARN_BEYOND:
                yield from self._client.pressure.has_succeeded()
                return tuple(sorted(found.values(), key=lambda agent: (agent.started_at, agent.agent_id)))
        raise IncompleteRead(
            f"{subject.what} failed: the service's clock cannot be made out", hint="run again"
        )

    def _in_some_dialect(
        self, subject: ListQuery, channel: str | None, until: float, *, settled: bool
    ) -> Steps[_Agents]:
        first: ServiceError | None = None
        for rung in range(self._rung, len(LADDER)):
            try:
                found = yield from self._all(subject, LADDER[rung], channel, until, settled=settled)
            except _Refused as refusal:
                first = first or refusal.error
            else:
                self._rung = rung
                return found
        assert first is not None, "the ladder is not empty"
        raise first

    def _all(
        self, subject: ListQuery, dialect: Dialect, channel: str | None, until: float, *, settled: bool
    ) -> Steps[_Agents]:
        now = int((yield from self._client.now()))
        window = (("from_time", str(now - subject.window)), ("to_time", str(now + AHEAD)))
        where = (("channel", channel),) if channel is not None else ()
        found: _Agents = {}
        for state in dialect.filters(subject.states):
            query = (*where, *window, ("state", state), ("limit", str(dialect.limit)))
            part = yield from self._pages(subject.what, query, until, settled=settled)
            for agent in part.values():
                if found.get(agent.agent_id, agent).started_at != agent.started_at:
                    raise IncompleteRead(
                        f"{subject.what} failed: agent {agent.agent_id} is listed with two starts",
                        hint=replies.AGAIN,
                    )
            found.update(part)
        return found

    def _pages(
        self, what: str, query: tuple[tuple[str, str], ...], until: float, *, settled: bool
    ) -> Steps[_Agents]:
        rows: _Agents = {}
        totals: list[int] = []
        shown: list[int] = []
        cursors: set[str] = {""}
        cursor = ""
        while True:
            if (yield Elapsed()) >= until:
                raise self._endless(what, len(totals))
            page = yield from self._page(what, query, cursor, until)
            if page is None:
                raise self._endless(what, len(totals))
            for row in page.rows:
                if rows.setdefault(row.agent_id, row) != row:
                    raise IncompleteRead(
                        f"{what} failed: agent {row.agent_id} is listed twice, differently",
                        hint=replies.AGAIN,
                    )
            totals.append(page.total)
            shown.append(len(page.rows))
            cursor = page.cursor
            if not cursor:
                break
            if cursor in cursors:
                raise IncompleteRead(
                    f"{what} failed: the service leads round in a circle after {plural(len(totals), 'page', 'pages')}",
                    hint=replies.AGAIN,
                )
            if len(totals) >= MAX_PAGES:
                raise IncompleteRead(
                    f"{what} failed: there are more than {MAX_PAGES} pages", hint=replies.AGAIN
                )
            cursors.add(cursor)
            asked = len(totals) + 1
            yield Emit(Reading(asked, max(asked, -(-totals[0] // max(shown[0], 1)))))
        _require_complete(what, len(rows), totals, shown, settled=settled)
        return rows

    def _endless(self, what: str, pages: int) -> IncompleteRead:
        waited = spelled(self._client.pressure.limits.listing_seconds)
        return IncompleteRead(
            f"{what} failed: it has not ended after {plural(pages, 'page', 'pages')} and {waited}",
            hint=f"{replies.AGAIN}; a service that is slow, and well, may be given longer: RECONCILER_READ_TIMEOUT=2m",
        )

    def _page(
        self, what: str, query: tuple[tuple[str, str], ...], cursor: str, until: float
    ) -> Steps[replies.Page | None]:
        """Return the page at a cursor; None when it did not come by `until`, though earlier pages did."""
        asked = (*query, ("cursor", cursor)) if cursor else query
        request = yield from self._client.request("GET", "agents", query=asked)
        result = yield from self._client.fetch(request, until)
        if isinstance(result, HttpReply) and result.status == errors.OK:
            try:
                now = yield from self._client.now()
                return replies.page(replies.content(result), now, self._client.secrets(request))
            except IncompleteRead as error:
                raise IncompleteRead(
                    f"{what} failed: {error.message}", hint=error.hint or replies.AGAIN
                ) from None
        if isinstance(result, HttpReply) and result.status == errors.BAD_REQUEST:
            problem = errors.call_failed(what, result, self._client.secrets(request))
            if cursor:  # it accepts the request and refuses its own cursor: the list is incomplete
                raise IncompleteRead(problem.message, hint=problem.hint)
            raise _Refused(problem)
        if cursor and (yield Elapsed()) >= until:
            return None
        self._client.fail(what, result, request)


_Agents = dict[str, ListedAgent]


def _require_complete(what: str, found: int, totals: list[int], shown: list[int], *, settled: bool) -> None:
    """Raise `IncompleteRead` if the number of collected agents differs from the service's count.

    The first reading must agree exactly with every page. In the second one a few agents may come and go between pages,
    as they do in a busy App ID: then the number must be between the lowest and the highest total. What `total` counts
    is undocumented (v2 API reference: list): if each of several pages correctly counts only itself, the list is
    accepted too.
    """
    low, high = min(totals), max(totals)
    few = high - low <= max(2, high // 20)
    if (
        found == low == high
        or (few and not settled and low <= found <= high)
        or (len(totals) > 1 and totals == shown)
    ):
        return
    counted = str(low) if low == high else f"{low} to {high}"
    raise IncompleteRead(
        f"{what} failed: the service counts {counted} but shows {found}",
        hint=replies.AGAIN,
    )
