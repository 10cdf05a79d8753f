"""The writes to the state, as values, and their effect on a state.

Stores translate writes into their own form; a state in memory applies them with `absorb`, so that memory and disk
cannot disagree about what a write means.
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
    """Record an applied agent, in place of the address's earlier record."""

    record: Record


@dataclass(frozen=True, slots=True)
class DropRecord:
    """Drop the record of an address."""

    address: Address


@dataclass(frozen=True, slots=True)
class PutIntent:
    """Note a call that is about to be sent."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class DropIntent:
    """Drop an intent, because the outcome of its call is known."""

    key: str


@dataclass(frozen=True, slots=True)
class PutGeneration:
    """Note the highest generation that an address has ever used."""

    address: Address
    generation: int


@dataclass(frozen=True, slots=True)
class PutForeign:
    """Note a foreign agent, whose name never changes."""

    foreign: Foreign


@dataclass(frozen=True, slots=True)
class DropForeign:
    """Drop a foreign agent that has ended or became ours."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class PutReleased:
    """Note that `forget` released this agent: its name alone does not make it ours again."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class DropReleased:
    """Drop a released agent that has ended or was adopted again."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class PutPins:
    """Set the fleet, environment, service and App ID of the state."""

    pins: Pins


@dataclass(frozen=True, slots=True)
class PutApplying:
    """Set the digest of the saved plan whose apply begins, or None when it has ended."""

    digest: str | None


@dataclass(frozen=True, slots=True)
class PutMoved:
    """Set the place to which the state has moved, or None when it is here (again)."""

    place: str | None


@dataclass(frozen=True, slots=True)
class SetLineage:
    """Set lineage and offset: from this commit on another state's history goes on here."""

    lineage: str
    offset: int


@dataclass(frozen=True, slots=True)
class Append:
    """Add a line to the history."""

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
    | SetLineage
    | Append
)


def all_of(state: State) -> Iterator[Write]:
    """Yield the writes that make an empty state of the same lineage and serial equal to this one."""
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
        yield SetLineage(state.lineage, state.offset)


def changes(before: State, after: State) -> Iterator[Write]:
    """Yield the writes that make `before` equal to `after`, except lineage and version; generations never decrease."""
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
    """A state that is being written: the same parts as `State`, mutable."""

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
        """Apply writes to this view; the serial is set by the store."""
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
                case SetLineage(lineage, offset):
                    self.lineage, self.offset = lineage, offset
                case Append(entry):
                    self.history.append(entry)
                case _:
                    assert_never(write)
