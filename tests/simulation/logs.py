"""The log under `LogStore`, with several writers on one drawer that loses answers, is late, hides, cuts and refuses.

One life is one seed: machines that read and commit in turns, the turn of one falling into any call of another, all of them
believing that they hold the lease. What the drawer really holds is known here, and every read and every ending of a
commit is compared with it. Nothing of what decides there is used to judge: entries are folded one by one, without snapshots.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from reconciler.driver.committing import make_durable
from reconciler.errors import StateError, StateLocked
from reconciler.model.address import Address, AgentName
from reconciler.model.record import Entry, Record, State
from reconciler.model.spec import Body
from reconciler.model.writes import Append, DropRecord, PutGeneration, PutRecord, SetLineage, StateView, Write
from reconciler.ports import StateStore
from reconciler.state.blocking import behind_ports
from reconciler.state.document import RowReader
from reconciler.state.log import replay, store
from reconciler.state.log.drawer import Creation, entry_key, is_entry
from reconciler.state.log.entries import decoded
from reconciler.state.log.store import LogStore

from .world import OWNER

T = TypeVar("T")

_MACHINES, _TURNS, _DEEPEST = 3, 12, 2
# Snapshots come so often that every life meets some.
_SNAPSHOT_EVERY = 5
_ROOMS = tuple(Address("lobby", f"desk-{number}") for number in range(4))
# What may befall a call, with the share of calls that it befalls in a life that has it at all.
FATES = {
    "answer lost after the effect": 0.15,
    "lost before the effect": 0.15,
    "effect late": 0.15,
    "sent twice by what lies below": 0.15,
    "list behind create": 0.4,
    "torn body": 0.1,
    "storm of refusals": 0.05,
    "killed": 0.03,
    "another's turn": 0.12,
}
# Beyond the fates, what a life must have met for its silence to mean anything.
PATHS = (
    "two writers at one serial",
    "acknowledged",
    "refused",
    "unknown",
    "read",
    "snapshot",
    "goes on as another",
)


class _Killed(BaseException):
    """The machine has died in a call."""


@dataclass(slots=True)
class Shelf:
    """What a drawer really holds, and what is on its way to it."""

    keys: dict[str, bytes] = field(default_factory=dict)
    late: list[tuple[int, str, bytes]] = field(default_factory=list)
    made_at: dict[str, int] = field(default_factory=dict)
    now: int = 0

    def tick(self, calls: int = 1) -> None:
        """Let time go by, counted in calls: what was late arrives."""
        self.now += calls
        due = [each for each in self.late if each[0] <= self.now]
        self.late = [each for each in self.late if each[0] > self.now]
        for _, key, data in due:
            self.put(key, data)

    def put(self, key: str, data: bytes) -> bool:
        """Make a key; False where it is there."""
        if key in self.keys:
            return False
        self.keys[key] = data
        self.made_at[key] = self.now
        return True


class Lease:
    """A lease that everybody is given: it was stolen, or somebody's clock is ten minutes off."""

    seconds = 60.0
    is_held = True

    def holder(self) -> str | None:
        return None

    def take(self, holder: str) -> None:
        """Everybody has it."""

    def renew(self) -> None:
        """Nobody notices."""

    def check(self) -> None:
        """Nobody notices."""

    def release(self) -> None:
        """Nobody notices."""


class FaultyDrawer:
    """One machine's way to the shelf."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._refuses_until = 0

    def _befalls(self, fate: str) -> bool:
        return self._life.befalls(fate)

    def _begin(self) -> Shelf:
        shelf = self._life.shelf
        shelf.tick()
        if self._befalls("another's turn"):
            self._life.another()
        if self._befalls("storm of refusals"):
            self._refuses_until = shelf.now + self._life.chance.randrange(2, 12)
        if self._refuses_until > shelf.now:
            raise StateError("503, slow down")
        if self._befalls("killed"):
            raise _Killed
        return shelf

    def create(self, key: str, data: bytes) -> Creation:
        shelf = self._begin()
        if key in shelf.keys and is_entry(key):
            self._life.seen["two writers at one serial"] += 1
        if self._befalls("lost before the effect"):
            return Creation.UNKNOWN
        if self._befalls("effect late"):
            shelf.late.append((shelf.now + self._life.chance.randrange(1, 25), key, data))
            return Creation.UNKNOWN
        made = shelf.put(key, data)
        if made and not is_entry(key):
            self._life.seen["snapshot"] += 1
        if self._befalls("killed"):
            raise _Killed
        if self._befalls("answer lost after the effect"):
            return Creation.UNKNOWN
        if made and self._befalls("sent twice by what lies below"):
            return Creation.EXISTS
        return Creation.MADE if made else Creation.EXISTS

    def get(self, key: str) -> bytes | None:
        data = self._begin().keys.get(key)
        if data is not None and self._befalls("torn body"):
            return data[: self._life.chance.randrange(len(data))]
        return data

    def list(self, after: str) -> Sequence[str]:
        shelf = self._begin()
        keys = sorted(each for each in shelf.keys if each > after)
        if self._befalls("list behind create"):
            keys = [
                each for each in keys if shelf.made_at[each] < shelf.now - self._life.chance.randrange(1, 30)
            ]
        return keys


def folded(keys: dict[str, bytes], serial: int) -> State:
    """The state that the first entries make, one after the other; nothing is taken from a snapshot."""
    view = StateView("", 0, b"")
    texts: dict[str, str] = {}
    for number in range(1, serial + 1):
        found = decoded(keys[entry_key(number)], entry_key(number), "the log")
        texts |= found.texts
        view.lineage, view.serial = found.header.lineage, number
        view.absorb(found.writes(RowReader(texts)))
    return view.frozen()


class Life:
    """One seed: its machines, its faults, and all that they were told."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.shelf = Shelf()
        self.seen: Counter[str] = Counter()
        self.problems: list[str] = []
        self._rates = {each: share * self.chance.choice((0, 0, 1, 1, 2)) for each, share in FATES.items()}
        self._stores: list[LogStore | None] = [None] * _MACHINES
        self._running: list[int] = []
        self._nonces = 0
        self._acknowledged: dict[str, int] = {}
        self._refused: dict[str, int] = {}

    def befalls(self, fate: str) -> bool:
        """Whether it befalls the present call."""
        if self.chance.random() >= self._rates[fate]:
            return False
        self.seen[fate] += 1
        return True

    def run(self) -> list[str]:
        """Live, become quiet, and be judged; what was wrong is the result."""
        for _ in range(_TURNS):
            self._turn(self.chance.randrange(_MACHINES))
        self._rates = dict.fromkeys(FATES, 0.0)
        self.shelf.tick(1_000)
        self._judge()
        return self.problems

    def another(self) -> None:
        """Let another machine have its turn, in the middle of a call of this one."""
        idle = [each for each in range(_MACHINES) if each not in self._running]
        if idle and len(self._running) < _DEEPEST:
            self._turn(self.chance.choice(idle))

    def _turn(self, machine: int) -> None:
        """One run of a machine: a read, and a few commits. Some go on with what they know, others are new processes."""
        self._running.append(machine)
        found = self._stores[machine] if self.chance.random() < 0.5 else None
        self._stores[machine] = found = found or LogStore(FaultyDrawer(self), Lease(), name="the log")
        try:
            self._work(found, behind_ports(found, _at_once))
        except _Killed:
            self._stores[machine] = None
        finally:
            self._running.remove(machine)

    def _work(self, found: LogStore, ports: StateStore) -> None:
        known, hidden = max(self._acknowledged.values(), default=0), self.seen["list behind create"]
        try:
            found.prepare()
            state = found.read()
        except StateError:
            return
        self._compare(state, known if hidden == self.seen["list behind create"] else 0)
        serial = state.serial
        for _ in range(self.chance.randrange(1, 4)):
            self._nonces += 1
            nonce = f"nonce-{self._nonces}"
            try:
                serial = _ended(
                    make_durable(ports.ledger, self._writes(state, serial), expected=serial, nonce=nonce)
                )
            except StateLocked:
                self.seen["refused"] += 1
                self._refused[nonce] = serial
                return
            except StateError:
                self.seen["unknown"] += 1
                return
            self.seen["acknowledged"] += 1
            self._acknowledged[nonce] = serial

    def _writes(self, state: State, serial: int) -> tuple[Write, ...]:
        address = self.chance.choice(_ROOMS)
        number = self.chance.randrange(1, 9)
        text = f"prompt {number} " * 20  # long enough to be stored once, under its digest
        name = str(AgentName.make(OWNER, address, "1abcdefgh", number))
        body = Body({"llm": {"system_messages": [{"content": text}]}})
        agent_id = f"A{address.name[-1]}{number}"
        put = PutRecord(Record(address, agent_id, name, number, "7", body, float(number)))
        told = Append(Entry(float(self._nonces), address, "join", "done", agent_id))
        if self.chance.random() < 0.05:
            self.seen["goes on as another"] += 1
            lineage = state.lineage if self.chance.random() < 0.5 else f"lineage-{self._nonces}"
            return SetLineage(lineage, self.chance.randrange(50)), put
        other: Write = self.chance.choice(
            (DropRecord(self.chance.choice(_ROOMS)), PutGeneration(address, number))
        )
        return other, put, told

    # --- what must hold

    def _compare(self, state: State, known: int) -> None:
        """A read is the fold of the log up to its serial, and has come as far as `known`: what was acknowledged before.

        What a list that is behind hides is not read, and the next commit finds out.
        """
        self.seen["read"] += 1
        if state.serial < known:
            self.problems.append(f"a read gave serial {state.serial}, and {known} was acknowledged before")
        try:
            is_fold = not state.serial or state == folded(self.shelf.keys, state.serial)
        except (StateError, KeyError) as problem:
            self.problems.append(f"serial {state.serial} was read, and the log has no such state: {problem}")
            return
        if not is_fold:
            self.problems.append(
                f"the state that was read at serial {state.serial} is not the fold of the log"
            )

    def _judge(self) -> None:
        keys = sorted(each for each in self.shelf.keys if is_entry(each))
        if keys != [entry_key(number) for number in range(1, len(keys) + 1)]:
            self.problems.append(f"the serials do not rise by one: {keys}")
            return
        headers = [decoded(self.shelf.keys[each], each, "the log").header for each in keys]
        if [each.serial for each in headers] != list(range(1, len(keys) + 1)):
            self.problems.append("an entry stands under the key of another one")
        told = Counter(each.nonce for each in headers)
        self.problems += [f"{nonce} is there {count} times" for nonce, count in told.items() if count > 1]
        places = {each.nonce: each.serial for each in headers}
        for nonce, serial in self._acknowledged.items():
            if places.get(nonce) != serial:
                self.problems.append(f"{nonce} was acknowledged at {serial}, and is at {places.get(nonce)}")
        for nonce in self._refused:
            if nonce in places:
                self.problems.append(f"{nonce} was called lost, and is at {places[nonce]}")
        for reader in (LogStore(FaultyDrawer(self), Lease(), name="the log"), *filter(None, self._stores)):
            try:
                self._compare(reader.read(), len(keys))
            except StateError as problem:
                self.problems.append(f"unreadable: {problem.message}")


def _ended(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # typed by the coroutine
    raise AssertionError("it waits for something")


async def _at_once(action: Callable[[], T], /) -> T:
    return action()


@contextmanager
def _many_snapshots() -> Iterator[None]:
    usual = replay.SNAPSHOT_EVERY
    replay.SNAPSHOT_EVERY = store.SNAPSHOT_EVERY = _SNAPSHOT_EVERY  # type: ignore[misc]  # for the time of a life
    try:
        yield
    finally:
        replay.SNAPSHOT_EVERY = store.SNAPSHOT_EVERY = usual  # type: ignore[misc]


def lived(first: int, count: int) -> tuple[list[str], Counter[str]]:
    """The problems of some seeds, and what all of them have met together."""
    problems: list[str] = []
    seen: Counter[str] = Counter()
    with _many_snapshots():
        for seed in range(first, first + count):
            life = Life(seed)
            problems += [f"seed {seed}: {each}" for each in life.run()]
            seen += life.seen
    return problems, seen


def check() -> str | None:
    """The directed check of the log: the first problem of some lives."""
    for seed in range(0, 1000, 50):
        problems, _ = lived(seed, 50)
        if problems:
            return problems[0]
    return None
