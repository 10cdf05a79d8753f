"""List the agents of an App ID: a complete list, or an error.

Which form of the request the service refuses is found out once in a run, and kept. That an agent is missing from the
list does not prove that it is gone; that it is listed does not prove that it is ours.

A long list is read in windows of creation time, side by side, because each page needs the cursor of the one before it.
Their agents are the list only if they are as many as the service counts without windows, before and after.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from reconciler.diagnostics import plural
from reconciler.durations import spelled
from reconciler.errors import IncompleteRead, ServiceError
from reconciler.model.observed import ListedAgent
from reconciler.ports import Elapsed, Emit, Gather, HttpReply, Reading, Steps
from reconciler.providers.agora import errors, replies
from reconciler.providers.agora.client import AgoraClient
from reconciler.providers.agora.clock import WARN_BEYOND
from reconciler.providers.agora.list_questions import (
    AHEAD,
    FIRST_WITHOUT_COMMAS,
    LADDER,
    MAX_PAGES,
    Dialect,
    ListQuery,
    Question,
)


class _Refused(Exception):
    """The service refuses this dialect: a 400 to the first page."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(str(error))
        self.error = error


class _NotInWindows(Exception):
    """The service does not select agents by their creation time, as windows need it."""


class _Progress:
    """The number of pages that one reading has asked for, of about how many; shared by its windows."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.asked = 1
        self.has_failed = False

    def next_page(self) -> Steps[int]:
        """Count one more page, tell the user, and return the number of those before it."""
        self.asked += 1
        yield Emit(Reading(self.asked, max(self.asked, self.pages)))
        return self.asked - 1


class Lister:
    """Lists the agents of an App ID; keeps which dialect the service accepts, and whether it can be read in windows."""

    __slots__ = ("_client", "_in_windows", "_rung")

    def __init__(self, client: AgoraClient) -> None:
        self._client = client
        self._rung = FIRST_WITHOUT_COMMAS if client.settings.is_mainland_china else 0
        self._in_windows = True

    def agents(
        self, subject: ListQuery, channel: str | None = None, parallelism: int = 1
    ) -> Steps[tuple[ListedAgent, ...]]:
        """Return every agent of the subject, oldest first, from up to `parallelism` calls at a time.

        An inconsistent list is read once more. Raises `IncompleteRead` when it is inconsistent again, or does not end
        in its time, and `ServiceError` when the service cannot be asked.
        """
        problem: IncompleteRead | None = None
        begun: float = yield Elapsed()
        until = begun + self._client.pressure.limits.listing_seconds
        for _ in range(3):
            asked_by = self._client.clock.skew or 0.0
            now = int((yield from self._client.now()))
            whole = Question(
                subject.what, channel, now - subject.window, now + AHEAD, "", 0, until, problem is None
            )
            try:
                found = yield from self._in_some_dialect(subject.states, whole, parallelism)
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

    def _in_some_dialect(self, states: tuple[str, ...], whole: Question, parallelism: int) -> Steps[_Agents]:
        first: ServiceError | None = None
        for rung in range(self._rung, len(LADDER)):
            try:
                found = yield from self._all(states, LADDER[rung], whole, parallelism)
            except _Refused as refusal:
                first = first or refusal.error
            else:
                self._rung = rung
                return found
        assert first is not None, "the ladder is not empty"
        raise first

    def _all(
        self, states: tuple[str, ...], dialect: Dialect, whole: Question, parallelism: int
    ) -> Steps[_Agents]:
        found: _Agents = {}
        for state in dialect.filters(states):
            question = replace(whole, state=state, limit=dialect.limit)
            _add(found, (yield from self._answer(question, parallelism)), whole.what)
        return found

    def _answer(self, question: Question, parallelism: int) -> Steps[_Agents]:
        """Return the agents of one question: in windows if it is long, else page by page.

        If the windows of a first reading do not add up, the list is read once more, like any inconsistent list; if they
        do not add up then, it is read page by page. So is every list of a service that does not select by creation time.
        """
        first = yield from self._page(question, "", 0)
        windows = question.windows(first.pages) if self._in_windows and parallelism > 1 else []
        if windows:
            try:
                return (yield from self._side_by_side(question, first, windows, parallelism))
            except (_NotInWindows, _Refused):
                self._in_windows = False
            except IncompleteRead:
                if question.settled:
                    raise
        return (yield from self._pages(question, first, _Progress(first.pages)))

    def _side_by_side(
        self, question: Question, first: replies.Page, windows: list[Question], parallelism: int
    ) -> Steps[_Agents]:
        """Return the agents of a question's windows; raise `IncompleteRead` if the service counts others without them.

        Each window is read as a list of its own, with all its checks.
        """
        found: _Agents = {}
        progress = _Progress(first.pages)
        while windows:
            tasks = [partial(self._window, each, progress) for each in windows]
            results: list[_Agents | list[Question] | BaseException] = yield Gather(tasks, parallelism)
            windows = []
            for result in results:
                if isinstance(result, BaseException):
                    raise result
                if isinstance(result, list):
                    windows += result
                else:
                    _add(found, result, question.what)
        # The service counts the whole list again, since agents may have come and gone meanwhile.
        last = yield from self._page(question, "", (yield from progress.next_page()))
        totals, shown = [first.total, last.total], [len(first.rows), len(last.rows)]
        _require_complete(question.what, len(found), totals, shown, settled=question.settled)
        return found

    def _window(self, window: Question, progress: _Progress) -> Steps[_Agents | list[Question]]:
        """Return the agents of one window, or windows of it if it is long. Once another has failed, no page is read."""
        if progress.has_failed:
            return {}
        try:
            if progress.asked > 2 * progress.pages + 100:
                raise _NotInWindows
            first = yield from self._page(window, "", (yield from progress.next_page()))
            if not all(map(window.covers, first.rows)):
                raise _NotInWindows
            if windows := window.windows(first.pages):
                return windows
            found = yield from self._pages(window, first, progress)
            if not all(map(window.covers, found.values())):
                raise _NotInWindows
        except Exception:
            progress.has_failed = True
            raise
        return found

    def _pages(self, question: Question, page: replies.Page, progress: _Progress) -> Steps[_Agents]:
        """Return the agents of a question page by page, beginning with its first page."""
        what = question.what
        rows: _Agents = {}
        totals: list[int] = []
        shown: list[int] = []
        cursors: set[str] = {""}
        while True:
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
            page = yield from self._page(question, cursor, (yield from progress.next_page()))
        _require_complete(what, len(rows), totals, shown, settled=question.settled)
        return rows

    def _endless(self, what: str, pages: int) -> IncompleteRead:
        waited = spelled(self._client.pressure.limits.listing_seconds)
        return IncompleteRead(
            f"{what} failed: it has not ended after {plural(pages, 'page', 'pages')} and {waited}",
            hint=f"{replies.AGAIN}; a service that is slow, and well, may be given longer: RECONCILER_READ_TIMEOUT=2m",
        )

    def _page(self, question: Question, cursor: str, earlier: int) -> Steps[replies.Page]:
        """Return the page at a cursor; `earlier` pages of the same reading were asked for before it."""
        what = question.what
        if (yield Elapsed()) >= question.ends:
            raise self._endless(what, earlier)
        request = yield from self._client.request("GET", "agents", query=question.fields(cursor))
        result = yield from self._client.fetch(request, question.ends)
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
        if earlier and (yield Elapsed()) >= question.ends:
            raise self._endless(what, earlier)
        self._client.fail(what, result, request)


_Agents = dict[str, ListedAgent]


def _add(found: _Agents, part: _Agents, what: str) -> None:
    """Add a part of a list to the others; an agent may be in several, with one start."""
    for agent in part.values():
        if found.get(agent.agent_id, agent).started_at != agent.started_at:
            raise IncompleteRead(
                f"{what} failed: agent {agent.agent_id} is listed with two starts", hint=replies.AGAIN
            )
    found.update(part)


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
