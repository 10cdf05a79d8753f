"""A driver in virtual time: one run at a time against a simulator of this process, without sockets or waiting.

For tests that assert the world after a verb. Faults, crashes and interleavings belong to `tests/simulation`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import orjson

from reconciler.errors import ReconcilerError, SecretUnavailable
from reconciler.model.fleet import DesiredFleet
from reconciler.ports import (
    Commit,
    Effect,
    Elapsed,
    Emit,
    Gather,
    Http,
    HttpFailure,
    HttpReply,
    HttpRequest,
    HttpTrouble,
    Knocked,
    Lead,
    Lock,
    Now,
    Preserve,
    Random,
    ReadFiles,
    ReadState,
    Resolve,
    Run,
    Sleep,
    Steps,
    Stopping,
    TranscriptArchive,
    Unlock,
    WaitUntilWoken,
)
from reconciler.providers.agora.call_limits import CallLimits
from reconciler.providers.agora.provider import AgoraProvider
from reconciler.providers.agora.settings import AgoraSettings
from reconciler.secrets import Secret, SecretRef
from reconciler.simulator import Outage, OutageKind, Request, Simulator
from reconciler.simulator import Store as World
from reconciler.state.blocking import BlockingStore
from reconciler.state.memory import MemoryStore
from reconciler.workflow import Job
from tests.fakes.stores import acquire

T = TypeVar("T")

SETTINGS = AgoraSettings(
    app_id="0123456789abcdef0123456789abcdef",
    certificate=Secret("fedcba9876543210fedcba9876543210"),
    customer_id=Secret("customer"),
    customer_secret=Secret("secret"),
)
START = 1_780_000_000.0


@dataclass
class Virtual:
    """A service, a state and a clock. `sent` counts mutating requests by their verb; `unset` references have no value."""

    state: BlockingStore = field(default_factory=MemoryStore)
    now: float = START
    events: list[Any] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    unset: frozenset[str] = frozenset()
    on_request: Callable[[HttpRequest], None] | None = None
    settings: AgoraSettings = SETTINGS
    archive: TranscriptArchive | None = None
    # By how many seconds this machine's clock is ahead of the service's.
    ahead: float = 0.0
    # A controller runs until `ends_at`; what `happens` to the world has a time each. `files` are what a change of the
    # files gives: a fleet, or the error of its load.
    ends_at: float = math.inf
    happens: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    files: list[DesiredFleet | ReconcilerError] = field(default_factory=list)
    leads: bool = True
    knocked: bool = False
    # What chance gives each time.
    share: float = 0.5
    woken: Counter[str] = field(default_factory=Counter)
    # For how long the lock was held each time.
    locked_for: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.service = Simulator(World(), clock=lambda: self.now)
        self.service.set_switches(quota=10_000)
        self._serial = 0

    # --- running

    def run(self, steps: Steps[T]) -> T:
        """Perform every effect at once; waiting only moves the clock."""
        value: Any = None
        problem: ReconcilerError | None = None
        while True:
            try:
                effect = steps.send(value) if problem is None else steps.throw(problem)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            value, problem = None, None
            try:
                value = self._perform(effect)
            except ReconcilerError as raised:
                problem = raised

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Http(request):
                return self._send(request)
            case Commit(writes):
                self._serial = self.state.commit(writes, expected=self._serial)
            case ReadState(likely):
                state = self.state.read(likely)
                self._serial = state.serial
                return state
            case Lock(timeout):
                acquire(self.state, "a test", timeout)
                self._locked_at = self.now
            case Unlock():
                self.state.release()
                self.locked_for.append(self.now - self._locked_at)
            case Now():
                return self.now + self.ahead
            case Elapsed():
                return self.now
            case Sleep(seconds):
                self._pass(max(seconds, 0.01))
            case Random():
                return self.share
            case Stopping():
                return self.now >= self.ends_at
            case Knocked():
                return self.knocked
            case WaitUntilWoken(seconds):
                self._pass_until_woken(max(seconds, 0.01))
                woken, self.woken = dict(self.woken), Counter()
                return woken
            case ReadFiles():
                found = self.files.pop(0) if self.files else None
                if isinstance(found, ReconcilerError):
                    raise found
                return found
            case Lead():
                return self.leads
            case Run(run_steps):
                return self.run(run_steps())
            case Resolve(references):
                if missing := {ref.text: "not set" for ref in references if ref.text in self.unset}:
                    raise SecretUnavailable("secrets without a value", missing=missing)
                return {ref: self._secret(ref) for ref in references}
            case Preserve(transcript):
                assert self.archive is not None, "the fleet archives nothing"
                self.archive.preserve(transcript)
            case Emit(event):
                self.events.append(event)
            case Gather(tasks, _):
                return [self._result(task) for task in tasks]
        return None

    def _pass(self, seconds: float) -> None:
        """Let time pass, and happen what is to happen meanwhile, each at its own time."""
        until = self.now + seconds
        while due := sorted((each for each in self.happens if each[0] <= until), key=lambda each: each[0]):
            self.happens.remove(due[0])
            self.now = max(self.now, due[0][0])
            due[0][1]()
        self.now = until

    def _pass_until_woken(self, seconds: float) -> None:
        until = self.now + seconds
        while not self.woken and self.now < until:
            first = min((each[0] for each in self.happens), default=until)
            self._pass(min(until, max(first, self.now)) - self.now)

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen so many seconds from now."""
        self.happens.append((self.now + seconds, action))

    def _result(self, task: Callable[[], Steps[Any]]) -> Any:
        try:
            return self.run(task())
        except Exception as problem:
            return problem

    def _secret(self, ref: SecretRef) -> Secret:
        return Secret(self.values.get(ref.text, f"value of {ref.text}"))

    def _send(self, request: HttpRequest) -> HttpReply | HttpFailure:
        if self.on_request is not None:
            self.on_request(request)
        self.now += 0.01
        if request.method == "POST":
            verb = request.url.rsplit("/", 1)[-1]
            self.sent[verb] = self.sent.get(verb, 0) + 1
        query = "&".join(f"{quote(key)}={quote(value, safe='')}" for key, value in request.query)
        headers = {key.lower(): _reveal(value) for key, value in request.headers.items()}
        body = b"" if request.body is None else orjson.dumps(request.body, default=_reveal)
        answer = self.service.handle(
            Request(request.method, urlsplit(request.url).path, query, headers, body)
        )
        if isinstance(answer, Outage) and answer.kind is OutageKind.UNREACHABLE:
            return HttpFailure(HttpTrouble.CONNECT, sent=False)
        if isinstance(answer, Outage):
            return HttpFailure(HttpTrouble.BROKEN, sent=True)
        return HttpReply(answer.status, {name.lower(): value for name, value in answer.headers}, answer.body)

    # --- the usual verbs

    def provider(self) -> AgoraProvider:
        """A provider as a new process would have it."""
        return AgoraProvider(self.settings, CallLimits(calls_per_second=1e9, burst=1e9))

    def job(self, fleet: DesiredFleet, **settings: Any) -> Job:
        return Job(fleet, app_id=SETTINGS.app_id, **settings)

    def live(self) -> list[Any]:
        """The agents that run, by the service's own account."""
        return list(self.service.world.live())


def _reveal(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    assert isinstance(value, str)
    return value
