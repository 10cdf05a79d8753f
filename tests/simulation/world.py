"""One simulated world: the service, the network to it, what is durable, the runs, and what watches them all."""

from __future__ import annotations

import random
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import TypeVar
from urllib.parse import quote, urlsplit

import orjson

from reconciler import workflow
from reconciler.errors import StateError
from reconciler.model.address import Owner
from reconciler.model.record import State
from reconciler.model.spec import Body
from reconciler.model.writes import Write
from reconciler.ports import HttpFailure, HttpReply, HttpRequest, HttpTrouble, Steps, Version
from reconciler.providers.agora.provider import AgoraProvider
from reconciler.providers.agora.settings import AgoraSettings
from reconciler.providers.agora.tokens import mint
from reconciler.secrets import Secret, foreign_text
from reconciler.simulator import (
    Agent,
    Credentials,
    Fate,
    Outage,
    OutageKind,
    Request,
    Response,
    ServiceCall,
    Simulator,
    Switches,
)
from reconciler.simulator import (
    Store as WorldStore,
)
from reconciler.state.blocking import BlockingStore, behind_ports
from reconciler.state.checks import check
from reconciler.state.document import intent_json, record_json
from reconciler.state.memory import MemoryStore

from .clock import Timeline
from .driver import Clocks, Crash, Fiber, Locks, Process
from .faults import Weather
from .sometimes import Seen
from .translate import known_of, terms_of
from .witness import names
from .witness.checker import Checker
from .witness.words import Approval, Known

APP_ID = "0123456789abcdef0123456789abcdef"
CERTIFICATE = "fedcba9876543210fedcba9876543210"
CUSTOMER = ("customer", "canary-customer-secret")
SETTINGS = AgoraSettings(
    app_id=APP_ID,
    certificate=Secret(CERTIFICATE),
    customer_id=Secret(CUSTOMER[0]),
    customer_secret=Secret(CUSTOMER[1]),
)
# Read here with eyes of our own: what arrives is not compared with what the client thinks it sends.
_REFERENCE = re.compile(r"ref\+env://([A-Z_]+)\+?")
OWNER = Owner("sim", "test")
STRANGER = Body(
    {
        "remote_rtc_uids": ["*"],
        "idle_timeout": 0,
        "tts": {"vendor": "microsoft", "params": {"key": "k", "region": "eastus", "voice_name": "x"}},
        "llm": {"url": "https://llm.example.com/"},
    }
)
_CREDENTIALS = Credentials(APP_ID, CERTIFICATE, *CUSTOMER)


@lru_cache(maxsize=20_000)
def _redacted(text: str, secrets: frozenset[str]) -> str:
    return _redact(text, map(Secret, sorted(secrets)))


_redact = foreign_text.redact
# The same words are heard again and again, and to learn the secrets takes half the time of a life: what was redacted
# once is remembered. The function itself is the package's own.
foreign_text.redact = lambda text, secrets: _redacted(text, frozenset(each.reveal() for each in secrets))


class Universe:
    """Everything that there is for one seed. `note` writes the history, by which two runs are compared."""

    def __init__(
        self,
        seed: int,
        *,
        switches: Mapping[str, object] | None = None,
        weather: Weather | None = None,
        trace: bool = False,
    ) -> None:
        self.chance = random.Random(seed)
        self.time = Timeline(self.chance)
        self.nonces = 0
        self.agents = WorldStore(seed="simulation", log_length=1)
        self.simulator = Simulator(
            self.agents,
            clock=lambda: self.time.now,
            credentials=_CREDENTIALS,
            switches=Switches().with_settings(switches or {}),
        )
        self.weather = weather or Weather()
        self.seen = Seen()
        self.neighbours: list[Universe] = []
        self.store = Durable(self)
        self.locks = Locks(self)
        self.network = Network(self)
        self.processes: list[Process] = []
        self.history: list[str] | None = [] if trace else None
        self._digest = blake2b(digest_size=16)
        self.mark = str(OWNER)
        self.renewed: Counter[str] = Counter()
        self.checker = Checker(self)

    def filled(self, properties: Mapping[str, object]) -> dict[str, object]:
        """Properties as they arrive at the service, secrets in place."""
        text = orjson.dumps(properties).decode()
        filled = orjson.loads(_REFERENCE.sub(lambda found: self.secret(found[1]), text))
        filled.pop("agent_rtc_uid", None)
        return filled  # type: ignore[no-any-return]  # an object, since properties are

    def note(self, text: str) -> None:
        """Add a line to the history."""
        line = f"{self.time.now:.6f} {text}\n"
        self._digest.update(line.encode())
        if self.history is not None:
            self.history.append(line)

    @property
    def fingerprint(self) -> str:
        """The digest of the history: the same for the same seed, or something is not deterministic."""
        return self._digest.hexdigest()

    def secret(self, reference: str) -> str:
        """The value behind a reference; unmistakable wherever it turns up, and another one once it was renewed."""
        name = reference.rsplit("/", 1)[-1]
        return f"canary-{name}~{self.renewed[name]}" if self.renewed[name] else f"canary-{name}"

    def forget_before(self, instant: float) -> None:
        """What ended before an instant is forgotten by the service, and our history by the state: lives of weeks go on."""
        for table in ("bodies", "notes"):
            column = "number" if table == "bodies" else "agent_id"
            ended = f"SELECT {column} FROM agents WHERE end_at < ?"
            self.agents._db.execute(f"DELETE FROM {table} WHERE {column} IN ({ended})", (instant,))
        self.agents._db.execute("DELETE FROM agents WHERE end_at < ?", (instant,))
        self.agents._forget_agents()
        self.store.forget_history()

    def lose_state(self) -> None:
        """The state is lost, and the checker knows.

        A service whose list is behind, or that still has calls of ours to execute, cannot be told apart from one in which
        nothing runs, once we have forgotten everything.
        """
        if self.checker.lagging or self.simulator.next_due() is not None or self.weather.rates:
            self.checker.strict = False
        self.store.lose()
        self.checker.state_lost()

    def join_stranger(self, name: str, channel: str, uid: str) -> str:
        """Somebody else's agent, started behind our back; returns its id."""
        agent_id = self.invited(name, channel, uid)
        assert agent_id, f"{name} was refused"
        return agent_id

    def invited(self, name: str, channel: str, uid: str) -> str:
        """The id of somebody else's agent that was started behind our back; empty where the service refuses it."""
        token = mint(
            APP_ID, Secret(CERTIFICATE), channel, uid, ttl=86_400, issued_at=int(self.time.now), salt=1
        )
        properties = self.filled(STRANGER.properties) | {
            "channel": channel,
            "agent_rtc_uid": uid,
            "token": token.reveal(),
        }
        body = orjson.dumps({"name": name, "properties": properties})
        basic = b64encode(":".join(CUSTOMER).encode()).decode()
        path = f"/api/conversational-ai-agent/v2/projects/{APP_ID}/join"
        told = self.simulator.handle(Request("POST", path, "", {"authorization": f"Basic {basic}"}, body))
        answer = told.response if isinstance(told, Outage) else told
        if answer is None or answer.status != 200:
            return ""
        return str(orjson.loads(answer.body)["agent_id"])

    def beside(self, owner: Owner) -> Universe:
        """Another fleet of the same project: the same service, network and time; a state, lock and checker of its own."""
        other = copy(self)
        other.mark = str(owner)
        other.store, other.locks, other.checker = Durable(other), Locks(other), Checker(other)
        other.network = Network(other)
        self.neighbours.append(other)
        return other

    # --- runs

    def launch(
        self,
        verb: str,
        job: workflow.Job,
        *,
        clocks: Clocks | None = None,
        crash: Crash | None = None,
        crash_rate: float = 0.0,
        poor: bool = False,
        approved: workflow.Approved | None = None,
        claim: Callable[[AgoraProvider], Steps[object]] | None = None,
        approval: Approval | None = None,
        about: frozenset[str] | None = None,
        beside: frozenset[str] = frozenset(),
    ) -> Process:
        """Start a run of a verb on a machine of its own: nothing is shared with other runs but what is durable."""
        process = Process(self, f"{verb}{len(self.processes)}", clocks or Clocks(), crash, crash_rate, poor)
        self.processes.append(process)
        provider = AgoraProvider(SETTINGS)
        self.note(f"{process.label} started")
        self.checker.began(process, verb, terms_of(job, approval=approval, about=about, beside=beside))
        match verb:
            case "apply":
                process.start(workflow.apply(job, provider, approved=approved))
            case "plan":
                process.start(workflow.plan(job, provider))
            case "drift":
                process.start(workflow.drift(job, provider))
            case _ if claim is not None:
                process.start(claim(provider))
            case _:
                raise ValueError(f"there is no verb {verb}")
        return process

    def finish(self) -> None:
        """Let every run come to its end."""
        self.time.run(lambda: not any(each.alive for each in self.processes))
        self.processes.clear()

    def run(self, verb: str, job: workflow.Job, **how: object) -> Process:
        """Start a run, and let everything come to its end."""
        process = self.launch(verb, job, **how)  # type: ignore[arg-type]  # passed through
        self.finish()
        return process


T = TypeVar("T")


async def _at_once(action: Callable[[], T], /) -> T:
    return action()


class Durable(MemoryStore):
    """What survives: the engine's own store in memory, behind a disk that can fail.

    A failing commit either came to nothing or is durable although its writer was told that it failed (an fsync
    that reports an error says nothing about the bytes).
    """

    def __init__(self, world: Universe) -> None:
        super().__init__()
        self._world = world
        self.fail_next = 0
        self.fail_at = -1
        self.failed = 0
        self.damaged = False
        self.failure_rate = 0.0
        self.commits = 0
        # A real store, which then does the same and is read in the place of memory.
        self.real: BlockingStore | None = None
        # Commits that nobody answered for although the store is well, and slow ones: apart from the other dice.
        self.mishaps = random.Random("store")
        self.unknown_rate = 0.0
        self.slow_rate = 0.0
        self._broken = False
        self._known: tuple[int, dict[str, Known], dict[str, Known]] = (-1, {}, {})
        self.ports = behind_ports(self, _at_once)

    def commit(self, writes: Sequence[Write], *, expected: int, nonce: str = "") -> int:
        self.commits += 1
        if self.failure_rate and self._world.chance.random() < self.failure_rate:
            self.fail_next = 1
        if self.commits == self.fail_at:
            self.fail_next = 1
        if self.fail_next and expected == self._view.serial:
            self.fail_next -= 1
            self.failed += 1
            self._broken = True
            landed = self._world.chance.random() < 0.5
            if landed:
                self._make(writes, expected, nonce)
            self._world.seen.hit(f"disk: the write failed, {'durable' if landed else 'lost'}")
            raise StateError("the state cannot be written: no space left on device")
        if self.unknown_rate and self.mishaps.random() < self.unknown_rate and expected == self._view.serial:
            made = self.mishaps.random() < 0.5
            if made:
                self._make(writes, expected, nonce)
            self._world.seen.hit(f"store: an answer was lost, the commit {'made' if made else 'not made'}")
            raise StateError("the answer was lost")
        return self._make(writes, expected, nonce)

    def _make(self, writes: Sequence[Write], expected: int, nonce: str) -> int:
        if self.real is not None:
            self.real.commit(writes, expected=expected, nonce=nonce)
        return super().commit(writes, expected=expected, nonce=nonce)

    def version(self) -> Version:
        """The latest commit; a disk that has just failed cannot be asked."""
        if self._broken:
            self._broken = False
            raise StateError("the state cannot be read: input/output error")
        return super().version()

    def seconds(self) -> float:
        """How long the commit that was just made took."""
        if self.slow_rate and self.mishaps.random() < self.slow_rate:
            self._world.seen.hit("store: a slow commit")
            return self.mishaps.uniform(0.3, 8.0)
        return 0.002

    def read(self, likely: Mapping[str, Body] | None = None) -> State:
        if self.damaged:
            raise StateError("the state is damaged: the row of a record does not match its checksum")
        state = super().read(likely)
        if self.real is not None:
            stored = replace(self.real.read(likely), lineage=state.lineage, secret_key=state.secret_key)
            assert state_bytes(stored) == state_bytes(state), (
                "the real store reads something else than was written"
            )
            self._world.seen.hit("store: of files")
            state = stored
        check(state)  # as the store of files does: what it would call damaged must never come about
        return state

    def lose(self) -> None:
        """The state file is gone."""
        super().__init__()
        self._known = (-1, {}, {})

    def forget_history(self) -> None:
        """Drop the lines of the history, which nothing reads here."""
        self._view.history.clear()

    def rekey(self, key: bytes) -> None:
        """Start an empty state under another key for digests."""
        super().__init__(State(lineage="memory", serial=0, secret_key=key))

    # --- looking, without copying the whole state

    @property
    def serial(self) -> int:
        return self._view.serial

    def by_id(self) -> Mapping[str, Known]:
        """What is recorded, by the agent's id."""
        if self._known[0] != self.serial:
            known = {each.agent_id: known_of(each) for each in self._view.records.values()}
            self._known = (self.serial, known, {each.address: each for each in known.values()})
        return self._known[1]

    def at(self, address: str) -> Known | None:
        """What is recorded at an address."""
        self.by_id()
        return self._known[2].get(address)

    def notes(self) -> Collection[str]:
        """The keys of the open intents."""
        return self._view.intents.keys()

    def protected_names(self) -> dict[str, bool]:
        """The names of open joins, and whether what they start is protected."""
        return {each.name: each.protect for each in self._view.intents.values() if each.is_of_a_join}

    def refused(self) -> Collection[str]:
        """The addresses whose open join was refused as taken."""
        intents = self._view.intents.values()
        return {str(each.address) for each in intents if each.refused_since is not None}

    def released(self) -> Collection[str]:
        return self._view.released

    def used(self) -> Collection[str]:
        """The addresses at which something was ever started under this state."""
        return [str(each) for each in self._view.generations]

    def covers(self, agent: Agent) -> bool:
        """Whether an agent is recorded by its id, or an intent holds its id or its exact name."""
        intents = self._view.intents
        return (
            agent.agent_id in self.by_id()
            or f"join:{agent.name}" in intents
            or f"echo:{agent.name}" in intents
            or f"leave:{agent.agent_id}" in intents
            or agent.agent_id in self._view.released
        )

    def slot(self, agent: Agent) -> str:
        """The address that an agent is at: that of its record, else the one in its name; as a digest."""
        known = self.by_id().get(agent.agent_id)
        name = names.read(agent.name)
        return names.place_of(known.address) if known else name.place if name else agent.name

    def bytes(self) -> bytes:
        """The whole state as bytes, as far as anybody could tell two states apart."""
        return state_bytes(super().read())


def state_bytes(state: State) -> bytes:
    """A state as bytes: rows in their stored form, in order."""
    texts: dict[str, str] = {}
    parts = [f"{state.lineage} {state.serial} {state.pins} {state.applying}".encode()]
    parts += [record_json(state.records[each], texts).encode() for each in sorted(state.records)]
    parts += [intent_json(each, texts).encode() for each in state.intents]
    parts += [f"{each}={state.generations[each]}".encode() for each in sorted(state.generations)]
    parts += [repr(state.foreign[each]).encode() for each in sorted(state.foreign)]
    parts += [each.encode() for each in sorted(state.released)]
    parts += [texts[each].encode() for each in sorted(texts)]
    return b"\n".join(parts)


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way, as far as the checks care."""

    process: Process
    operation: ServiceCall
    agent_id: str
    name: str
    url: str
    body: bytes


class Network:
    """Between a process and the service: time, loss, and whatever fate the weather sends."""

    def __init__(self, world: Universe) -> None:
        self._world = world
        self.script: Callable[[Call], tuple[str, Fate] | None] | None = None
        self.sent_names: set[str] = set()

    def send(
        self,
        process: Process,
        fiber: Fiber,
        request: HttpRequest,
        answer: Callable[[HttpReply | HttpFailure], None],
    ) -> None:
        """Carry a request there and its answer back. It arrives whether or not its sender still lives."""
        world = self._world
        call = _call(process, request)
        world.checker.sent(call, fiber)
        if call.name:
            self.sent_names.add(call.name)
        sent_at = world.time.now
        there, back = world.chance.uniform(0.005, 0.08), world.chance.uniform(0.005, 0.08)

        def arrive() -> None:
            befallen = self.script(call) if self.script else world.weather.fate(call.operation, world.chance)
            name, chosen = befallen or ("ok", None)
            outcome = world.simulator.handle(_wire(request, call.body), fate=chosen)
            told = _told(outcome)
            world.note(f"{process.label} {call.operation} {call.name or call.agent_id} {name} -> {told}")
            world.seen.fate(call.operation, name)
            if name == "late":
                self._await_late(call)
            if call.operation is ServiceCall.LIST and b"cursor=" in _wire(request, b"").query.encode():
                world.seen.hit("list: several pages")
            world.checker.arrived(call, name)
            seconds, reply = _reply(outcome, request)
            seconds = max(seconds, there + back)
            if seconds >= request.deadline:
                seconds, reply = request.deadline, HttpFailure(HttpTrouble.TIMEOUT, sent=True)
            world.time.at(sent_at + seconds, lambda: answer(reply))

        world.time.after(there, arrive)

    def _await_late(self, call: Call) -> None:
        due = self._world.simulator.next_due()

        def execute() -> None:
            self._world.simulator.settle()
            self._world.note(f"late {call.operation} {call.name or call.agent_id}")
            self._world.checker.arrived(call, "executed late")

        if due is not None:
            self._world.time.at(due, execute)


def _call(process: Process, request: HttpRequest) -> Call:
    steps = urlsplit(request.url).path.split("/")
    body = b"" if request.body is None else orjson.dumps(request.body, default=_revealed)
    if steps[-1] == "join":
        return Call(process, ServiceCall.JOIN, "", orjson.loads(body)["name"], request.url, body)
    if steps[-1] in ("leave", "update"):
        return Call(process, ServiceCall(steps[-1]), steps[-2], "", request.url, body)
    if steps[-1] == "agents":
        return Call(process, ServiceCall.LIST, "", "", request.url, body)
    return Call(process, ServiceCall.QUERY, steps[-1], "", request.url, body)


def _wire(request: HttpRequest, body: bytes) -> Request:
    query = "&".join(f"{quote(key)}={quote(value, safe='')}" for key, value in request.query)
    headers = {key.lower(): _revealed(value) for key, value in request.headers.items()}
    return Request(request.method, urlsplit(request.url).path, query, headers, body)


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, str):
        return value
    raise TypeError(f"a request cannot hold a {type(value).__name__}")


def _told(outcome: Response | Outage) -> str:
    return str(outcome.status) if isinstance(outcome, Response) else outcome.kind.value


def _reply(outcome: Response | Outage, request: HttpRequest) -> tuple[float, HttpReply | HttpFailure]:
    """What the client gets to see, and after how many seconds."""
    if isinstance(outcome, Response):
        if len(outcome.body) > request.max_body:
            return 0.0, HttpFailure(HttpTrouble.TOO_LARGE, sent=True)
        return 0.0, HttpReply(
            outcome.status, {name.lower(): value for name, value in outcome.headers}, outcome.body
        )
    answer = outcome.response
    match outcome.kind:
        case OutageKind.UNREACHABLE:
            return 0.0, HttpFailure(HttpTrouble.CONNECT, sent=False)
        case OutageKind.SLOW if answer is not None:
            return outcome.seconds, _reply(answer, request)[1]
        case OutageKind.DRIP if answer is not None:
            return outcome.seconds * max(1, len(answer.body)), _reply(answer, request)[1]
        case OutageKind.SILENCE:
            return request.deadline, HttpFailure(HttpTrouble.TIMEOUT, sent=True)
        case _:
            return 0.0, HttpFailure(HttpTrouble.BROKEN, sent=True)
