"""What can be written to the state, as values, and what each write makes of a state.

Stores translate writes into their own form; whoever holds a state in memory folds them in with `absorb`, so that
memory and disk cannot disagree about what a write means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from typing import TypeAlias, assert_never

from reconciler.model.address import Address
from reconciler.model.record import Entry, Foreign, Intent, Pins, Record, State
from reconciler.values import dataclass


@dataclass(frozen=True, slots=True)
class PutRecord:
    """Remember an applied agent, in place of what the address had."""

    record: Record


@dataclass(frozen=True, slots=True)
class DropRecord:
    """Forget what an address had."""

    address: Address


@dataclass(frozen=True, slots=True)
class PutIntent:
    """Note a call that is about to be made."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class DropIntent:
    """The call's outcome is known."""

    key: str


@dataclass(frozen=True, slots=True)
class PutGeneration:
    """Remember the highest generation that an address has ever used."""

    address: Address
    generation: int


@dataclass(frozen=True, slots=True)
class PutForeign:
    """Remember a foreign agent, whose name never changes."""

    foreign: Foreign


@dataclass(frozen=True, slots=True)
class DropForeign:
    """A foreign agent is gone, or became ours."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class PutReleased:
    """Remember that `forget` released this agent: its name does not bring it back."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class DropReleased:
    """A released agent is gone, or was adopted again."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class PutPins:
    """What the state belongs to."""

    pins: Pins


@dataclass(frozen=True, slots=True)
class PutApplying:
    """The digest of the saved plan whose apply begins, or None where it has ended."""

    digest: str | None


@dataclass(frozen=True, slots=True)
class PutMoved:
    """Where the state has moved to, or None where it is here (again)."""

    place: str | None


@dataclass(frozen=True, slots=True)
class GoOnAs:
    """From this commit on it is another state that goes on here: its lineage, and by how much its versions are ahead."""

    lineage: str
    offset: int


@dataclass(frozen=True, slots=True)
class Append:
    """A line for the history."""

    entry: Entry


Write: TypeAlias = (
    PutRecord
    | DropRecord
    | PutIntent
    | DropIntent
    | PutGeneration
    | PutForeign
    | DropForeign
    | PutReleased
    | DropReleased
    | PutPins
    | PutApplying
    | PutMoved
    | GoOnAs
    | Append
)


def all_of(state: State) -> Iterator[Write]:
    """The writes that make an empty state of the same lineage and serial equal to this one."""
    yield from map(PutRecord, state.records.values())
    yield from map(PutIntent, state.intents)
    yield from (PutGeneration(address, number) for address, number in state.generations.items())
    yield from map(PutForeign, state.foreign.values())
    yield from map(PutReleased, sorted(state.released))
    if state.pins is not None:
        yield PutPins(state.pins)
    if state.applying is not None:
        yield PutApplying(state.applying)
    if state.moved_to is not None:
        yield PutMoved(state.moved_to)
    if state.offset:
        yield GoOnAs(state.lineage, state.offset)


def changes(before: State, after: State) -> Iterator[Write]:
    """The writes that make a state equal to another one, lineage and version apart; a generation never goes back."""
    for write in all_of(replace(after, offset=0)):
        if not isinstance(write, PutRecord) or before.records.get(write.record.address) != write.record:
            yield write
    yield from (DropRecord(each) for each in before.records if each not in after.records)
    wanted = {each.key for each in after.intents}
    yield from (DropIntent(each.key) for each in before.intents if each.key not in wanted)
    yield from (DropForeign(each) for each in before.foreign if each not in after.foreign)
    yield from map(DropReleased, sorted(before.released - after.released))
    if before.applying is not None and after.applying is None:
        yield PutApplying(None)
    if before.moved_to is not None and after.moved_to is None:
        yield PutMoved(None)


@dataclass(slots=True)
class StateView:
    """A state that is being written: the same parts as `State`, open to change."""

    lineage: str
    serial: int
    secret_key: bytes
    pins: Pins | None = None
    records: dict[Address, Record] = field(default_factory=dict)
    intents: dict[str, Intent] = field(default_factory=dict)
    generations: dict[Address, int] = field(default_factory=dict)
    foreign: dict[str, Foreign] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    applying: str | None = None
    moved_to: str | None = None
    offset: int = 0
    history: list[Entry] = field(default_factory=list)

    @classmethod
    def of(cls, state: State) -> StateView:
        return cls(
            lineage=state.lineage,
            serial=state.serial,
            secret_key=state.secret_key,
            pins=state.pins,
            records=dict(state.records),
            intents={each.key: each for each in state.intents},
            generations=dict(state.generations),
            foreign=dict(state.foreign),
            released=set(state.released),
            applying=state.applying,
            moved_to=state.moved_to,
            offset=state.offset,
        )

    def frozen(self) -> State:
        return State(
            lineage=self.lineage,
            serial=self.serial,
            secret_key=self.secret_key,
            pins=self.pins,
            records=dict(self.records),
            intents=tuple(self.intents[key] for key in sorted(self.intents)),
            generations=dict(self.generations),
            foreign=dict(self.foreign),
            released=frozenset(self.released),
            applying=self.applying,
            moved_to=self.moved_to,
            offset=self.offset,
        )

    def absorb(self, writes: Iterable[Write]) -> None:
        """Fold writes in; the serial is the store's business."""
        for write in writes:
            match write:
                case PutRecord(record):
                    self.records[record.address] = record
                case DropRecord(address):
                    self.records.pop(address, None)
                case PutIntent(intent):
                    self.intents[intent.key] = intent
                case DropIntent(key):
                    self.intents.pop(key, None)
                case PutGeneration(address, generation):
                    self.generations[address] = max(generation, self.generations.get(address, 0))
                case PutForeign(foreign):
                    self.foreign[foreign.agent_id] = foreign
                case DropForeign(agent_id):
                    self.foreign.pop(agent_id, None)
                case PutReleased(agent_id):
                    self.released.add(agent_id)
                case DropReleased(agent_id):
                    self.released.discard(agent_id)
                case PutPins(pins):
                    self.pins = pins
                case PutApplying(digest):
                    self.applying = digest
                case PutMoved(place):
                    self.moved_to = place
                case GoOnAs(lineage, offset):
                    self.lineage, self.offset = lineage, offset
                case Append(entry):
                    self.history.append(entry)
                case _:
                    assert_never(write)
