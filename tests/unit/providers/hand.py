"""Performs the effects of a provider by hand, in virtual time: a driver small enough to be read in a minute.

What answers the requests is a callable, so a script, a function or the simulator serve alike. Several tasks
run side by side in one deterministic order, which is enough to see what they do to each other.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import orjson

from reconciler.ports import (
    Elapsed,
    Emit,
    Gather,
    Http,
    HttpFailure,
    HttpReply,
    HttpRequest,
    HttpTrouble,
    Now,
    Random,
    Resolve,
    Sleep,
    Steps,
    Stopping,
)
from reconciler.secrets import Secret, SecretRef
from reconciler.simulator import Outage, OutageKind, Request, Simulator

T = TypeVar("T")
Answer = Callable[[HttpRequest], HttpReply | HttpFailure]

START = 1_790_000_000.0
LATENCY = 0.05


class Hand:
    """One run: `answer` is asked at the moment a request arrives."""

    def __init__(
        self,
        answer: Answer,
        *,
        secrets: Mapping[str, str] | None = None,
        resolve: Callable[[frozenset[SecretRef]], Mapping[SecretRef, Secret]] | None = None,
        chance: float = 0.5,
        skew: float = 0.0,
        latency: Callable[[Hand], float] = lambda _: LATENCY,
    ) -> None:
        self.answer = answer
        self.requests: list[HttpRequest] = []
        self.sent_at: list[float] = []
        self.slept: list[float] = []
        self.events: list[object] = []
        self.stopping = False
        self.elapsed = 0.0
        self.chance = chance
        self.skew = skew
        self.latency = latency
        self._resolve = resolve
        self._secrets = {SecretRef(ref): Secret(value) for ref, value in (secrets or {}).items()}

    @property
    def now(self) -> float:
        """The service's clock; ours is `skew` behind it."""
        return START + self.elapsed

    def run(self, steps: Steps[T]) -> T:
        """Perform one task; what it raises is raised."""
        result = self.run_all([steps])[0]
        if isinstance(result, BaseException):
            raise result
        return result

    def run_all(self, tasks: Sequence[Steps[T]]) -> list[T | BaseException]:
        """Perform tasks side by side; an exception takes the place of a result."""
        results: list[Any] = [None] * len(tasks)
        ready: list[tuple[float, int, int, Any]] = [
            (self.elapsed, place, place, None) for place in range(len(tasks))
        ]
        order = len(tasks)
        while ready:
            self.elapsed, _, place, value = heapq.heappop(ready)
            try:
                while True:
                    effect = tasks[place].send(value)
                    pause, value = self._perform(effect)
                    if pause > 0:
                        heapq.heappush(ready, (self.elapsed + pause, order, place, value))
                        order += 1
                        break
            except StopIteration as end:
                results[place] = end.value
            except Exception as raised:
                results[place] = raised
        return results

    def _gather(self, tasks: Sequence[Callable[[], Steps[Any]]], limit: int) -> list[Any]:
        """What the tasks give; workers take them in order."""
        results: list[Any] = [None] * len(tasks)
        places = iter(range(len(tasks)))

        def work() -> Iterator[Any]:
            for place in places:
                try:
                    results[place] = yield from tasks[place]()
                except Exception as raised:
                    results[place] = raised

        for problem in self.run_all([work() for _ in range(min(limit, len(tasks)))]):
            if problem is not None:
                raise problem
        return results

    def _perform(self, effect: object) -> tuple[float, Any]:
        """How long an effect takes, and what comes of it."""
        match effect:
            case Http(request):
                self.requests.append(request)
                self.sent_at.append(self.elapsed)
                got = self.answer(request)
                timed_out = isinstance(got, HttpFailure) and got.trouble is HttpTrouble.TIMEOUT
                return (request.deadline if timed_out else self.latency(self)), got
            case Sleep(seconds):
                self.slept.append(seconds)
                return (0.0 if self.stopping else seconds), None
            case Now():
                return 0.0, self.now - self.skew
            case Elapsed():
                return 0.0, self.elapsed
            case Random():
                return 0.0, self.chance
            case Stopping():
                return 0.0, self.stopping
            case Emit(event):
                self.events.append(event)
                return 0.0, None
            case Resolve(references):
                if self._resolve is not None:
                    return 0.0, self._resolve(references)
                return 0.0, {ref: self._secrets[ref] for ref in references}
            case Gather(tasks, limit):
                return 0.0, self._gather(tasks, limit)
            case _:
                raise AssertionError(f"an effect that no provider should have: {effect}")


def script(*answers: HttpReply | HttpFailure) -> Answer:
    """Answer with these, one after the other, and then with the last one for ever."""
    left = list(answers)

    def answer(_: HttpRequest) -> HttpReply | HttpFailure:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def reply(status: int, body: bytes | str = b"", **headers: str) -> HttpReply:
    """A reply; header names with underscores for dashes."""
    return HttpReply(
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        body.encode() if isinstance(body, str) else body,
    )


def failure(trouble: HttpTrouble, *, sent: bool = True, detail: str = "") -> HttpFailure:
    return HttpFailure(trouble, sent, detail)


def encode(request: HttpRequest) -> Request:
    """A request as the simulator takes it: bytes, with the secrets revealed."""
    headers = {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in request.headers.items()
    }
    body = b"" if request.body is None else orjson.dumps(request.body, default=reveal)
    query = urlencode(request.query, quote_via=quote)
    return Request(request.method, urlsplit(request.url).path, query, headers, body)


def reveal(value: object) -> str:
    assert isinstance(value, Secret)
    return value.reveal()


def served_by(simulator: Simulator) -> Answer:
    """The simulator as what answers, its outages as failures."""

    def answer(request: HttpRequest) -> HttpReply | HttpFailure:
        outcome = simulator.handle(encode(request))
        if isinstance(outcome, Outage) and outcome.kind in (OutageKind.SLOW, OutageKind.DRIP):
            assert outcome.response is not None
            times = len(outcome.response.body) if outcome.kind is OutageKind.DRIP else 1
            if times * outcome.seconds >= request.deadline:
                return HttpFailure(HttpTrouble.TIMEOUT, sent=True)
            outcome = outcome.response
        if isinstance(outcome, Outage):
            trouble = _TROUBLES[outcome.kind]
            return HttpFailure(trouble, trouble is not HttpTrouble.CONNECT, outcome.kind.value)
        if len(outcome.body) > request.max_body:
            return HttpFailure(HttpTrouble.TOO_LARGE, sent=True)
        return HttpReply(
            outcome.status, {name.lower(): value for name, value in outcome.headers}, outcome.body
        )

    return answer


_TROUBLES = {
    OutageKind.UNREACHABLE: HttpTrouble.CONNECT,
    OutageKind.SILENCE: HttpTrouble.TIMEOUT,
    OutageKind.RESET: HttpTrouble.BROKEN,
    OutageKind.CUT: HttpTrouble.BROKEN,
}
