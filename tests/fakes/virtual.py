"""A driver in virtual time: one run at a time against a simulator of this process, without sockets or waiting.

For tests that assert the world after a verb. Faults, crashes and interleavings belong to `tests/simulation`.
"""

from __future__ import annotations

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
    Lock,
    Now,
    Preserve,
    Random,
    ReadState,
    Resolve,
    Sleep,
    Steps,
    Stopping,
    TranscriptArchive,
    Unlock,
)
from reconciler.providers.agora.gates import CallLimits
from reconciler.providers.agora.provider import AgoraProvider
from reconciler.providers.agora.settings import AgoraSettings
from reconciler.secrets import Secret, SecretRef
from reconciler.simulator import Outage, Request, Simulator
from reconciler.simulator import Store as World
from reconciler.state.blocking import BlockingStore
from reconciler.state.memory import MemoryStore
from reconciler.workflow import Job

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
            case ReadState():
                state = self.state.read()
                self._serial = state.serial
                return state
            case Lock(timeout):
                self.state.acquire("a test", timeout)
            case Unlock():
                self.state.release()
            case Now() | Elapsed():
                return self.now
            case Sleep(seconds):
                self.now += max(seconds, 0.01)
            case Random():
                return 0.5
            case Stopping():
                return False
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

    def _result(self, task: Callable[[], Steps[Any]]) -> Any:
        try:
            return self.run(task())
        except ReconcilerError as problem:
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
