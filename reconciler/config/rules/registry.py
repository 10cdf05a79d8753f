"""The registry of rules, and the one pass over a fleet that runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from itertools import compress
from operator import is_not
from typing import Any, Final, NamedTuple

from reconciler.config.rules.texts import NOTHING, TextTrait, examine
from reconciler.contract.literals import names_a_credential
from reconciler.diagnostics import Problem
from reconciler.model.address import Address, Owner
from reconciler.model.fleet import Area
from reconciler.model.spec import AgentSpec
from reconciler.model.tree import MISSING, Path
from reconciler.values import dataclass

AgentRule = Callable[["Subject"], Iterable[Problem]]
TextRule = Callable[["Subject", Path, str], Iterable[Problem]]
ValueRule = Callable[["Subject", Path, Any], Iterable[Problem]]
FleetRule = Callable[["Fleet"], Iterable[tuple[Address, Problem]]]


@dataclass(frozen=True, slots=True)
class Subject:
    """The agent that a rule checks."""

    spec: AgentSpec
    properties: Mapping[str, Any]
    area: Area | None
    more_schemes: frozenset[str] = frozenset()

    def part(self, name: str) -> Mapping[str, Any]:
        """Return a part of the properties that is a mapping; an empty one otherwise."""
        value = self.properties.get(name)
        return value if isinstance(value, dict) else {}

    def flag(self, part: str, name: str) -> bool:
        return self.part(part).get(name) is True


@dataclass(frozen=True, slots=True)
class Fleet:
    """All agents, for a rule about the fleet."""

    owner: Owner
    agents: Mapping[Address, AgentSpec]


@dataclass(slots=True)
class _Watch:
    """A node in the tree of watched paths: nodes below it, by key or for any key, and the rules for this path.

    `readers` are the agent rules that read the value, a bit each.
    """

    below: dict[str | int, _Watch] = field(default_factory=dict)
    any: _Watch | None = None
    rules: list[ValueRule] = field(default_factory=list)
    readers: int = 0

    def at(self, path: Path) -> _Watch:
        """Return the node for a path below this one, created if necessary; `*` is any key or index."""
        node = self
        for part in path:
            if part == "*":
                node.any = node.any or _Watch()
                node = node.any
            else:
                node = node.below.setdefault(part, _Watch())
        return node


# (parts that the rule concerns, its bit, the rule)
_AGENT: list[tuple[frozenset[str], int, AgentRule]] = []
_FLEET: list[FleetRule] = []
_TEXT: list[tuple[int, TextRule]] = []
_NAMED: list[ValueRule] = []
_WATCHED = _Watch()

_EVERY_RULE: Final = -1  # all bits
_CONTAINERS: Final = frozenset({dict, list})
# More shapes than any fleet of like agents has; they bound the memory of a fleet whose agents have nothing in common.
_MOST_SHAPES: Final = 1000


def agent_rule(*parts: str, reads: Iterable[Path] | None = None) -> Callable[[AgentRule], AgentRule]:
    """Register a rule about one agent; with parts, only for agents that write one of them in `properties`.

    `reads` are the paths of `properties` whose values the rule reads, `*` for any key or index: where only other values
    differ from an earlier agent's, the rule is not run again. Which keys are written, the type of each value, and all
    that is not in `properties` may always be read. Without `reads` the rule is run for every agent.
    """

    def register(rule: AgentRule) -> AgentRule:
        bit = 1 << len(_AGENT)
        _AGENT.append((frozenset(parts), bit, rule))
        for path in ((),) if reads is None else reads:
            _WATCHED.at(path).readers |= bit
        return rule

    return register


def value_rule(paths: Iterable[Path]) -> Callable[[ValueRule], ValueRule]:
    """Register a rule about the values at some paths of `properties`; `*` is any key or index."""

    def register(rule: ValueRule) -> ValueRule:
        for path in paths:
            _WATCHED.at(path).rules.append(rule)
        return rule

    return register


def text_rule(holds: TextTrait) -> Callable[[TextRule], TextRule]:
    """Register a rule about every text with one of these traits."""

    def register(rule: TextRule) -> TextRule:
        _TEXT.append((int(holds), rule))
        return rule

    return register


def credential_name_rule(rule: ValueRule) -> ValueRule:
    """Register a rule about every value whose key has the name of a credential."""
    _NAMED.append(rule)
    return rule


def fleet_rule(rule: FleetRule) -> FleetRule:
    """Register a rule about all agents together."""
    _FLEET.append(rule)
    return rule


class _WatchedPlace(NamedTuple):
    """One place in a shape: its path, the rules for its value, and the agent rules that read it, a bit each."""

    path: Path
    watch: _Watch | None
    rules: tuple[ValueRule, ...]
    readers: int

    def below(self, key: str | int) -> _WatchedPlace:
        """Return the place of a key or an index of the container here."""
        watch = None if self.watch is None else self.watch.below.get(key, self.watch.any)
        rules, readers = ((), 0) if watch is None else (tuple(watch.rules), watch.readers)
        named = tuple(_NAMED) if isinstance(key, str) and names_a_credential(key) else ()
        return _WatchedPlace((*self.path, key), watch, rules + named, readers | self.readers)


# What agents have in common that differ only in values of the same types, no containers; else empty.
_Group = tuple[object, ...]
# A container's place by number, its type, and its keys or its length.
_Container = tuple[int, type, "tuple[str, ...] | int"]


@dataclass(slots=True)
class _AgentShape:
    """All places of agents with the same keys and the same types of values, level by level; the first is `properties`.

    `rules` are the agent rules for such agents, with their bits. `spec` is the last such agent whose values had no problem,
    `values` are its values in the order of the places, and `noisy` the agent rules that reported it, a bit each. `group` is
    its group, and `positions` the number and the position of each value that is open in it, once that is asked for.
    """

    containers: tuple[_Container, ...]
    types: list[type]
    places: list[_WatchedPlace]
    rules: list[tuple[int, AgentRule]]
    values: list[Any]
    spec: AgentSpec | None = None
    noisy: int = 0
    group: _Group = ()
    positions: list[tuple[int, int]] | None = None

    def refilled(self, group: _Group, paths: Sequence[Path], open: Sequence[Any]) -> list[Any] | None:
        """Return what `fit` does for an agent of the same group as the last, from its open values; None for others."""
        if not group or group != self.group:
            return None
        if self.positions is None:
            self.positions = self._positions(paths)
        values = self.values.copy()
        for number, position in self.positions:
            values[position] = open[number]
        return values if self.positions else None

    def _positions(self, paths: Sequence[Path]) -> list[tuple[int, int]]:
        """Return number and position of each open value; none if a rule concerns what contains one."""
        positions = {("properties", *place.path): position for position, place in enumerate(self.places)}
        above = {path[:length] for path in paths for length in range(1, len(path))} & positions.keys()
        if any(self.places[positions[path]].rules for path in above):
            return []
        return [(number, positions[path]) for number, path in enumerate(paths) if path in positions]

    def fit(self, properties: Mapping[str, Any]) -> list[Any] | None:
        """Return the values of `properties` in the order of the places, or None if they have another shape."""
        values: list[Any] = [properties]
        for position, kind, keys in self.containers:
            node = values[position]
            found: type = node.__class__
            if found is not kind or (tuple(node) if kind is dict else len(node)) != keys:
                return None
            values += node.values() if kind is dict else node
        return values if [*map(type, values)] == self.types else None


def _opened(properties: Mapping[str, Any]) -> tuple[list[Any], tuple[_Container, ...]]:
    """Return all values of `properties`, level by level, and the containers among them."""
    values: list[Any] = [properties]
    containers: list[_Container] = []
    for position, node in enumerate(values):  # it grows
        if node.__class__ is dict:
            containers.append((position, dict, tuple(node)))
            values += node.values()
        elif node.__class__ is list:
            containers.append((position, list, len(node)))
            values += node
    return values, tuple(containers)


def _places(containers: Iterable[_Container]) -> list[_WatchedPlace]:
    """Return the places of a shape with these containers."""
    places = [_WatchedPlace((), _WATCHED, (), _WATCHED.readers)]
    for position, _, keys in containers:
        places += map(places[position].below, range(keys) if isinstance(keys, int) else keys)
    return places


class Rules:
    """Runs the registered rules over one fleet; `more_schemes` of secrets are those that the operator allows.

    The agents of a fleet are mostly alike. So each is compared with the last agent of the same shape whose values had no
    problem: an equal value at the same place has none either, and a rule whose values are all equal is not run again.
    """

    def __init__(self, owner: Owner, area: Area | None, more_schemes: frozenset[str] = frozenset()) -> None:
        self._owner = owner
        self._area = area
        self._more_schemes = more_schemes
        self._texts: dict[str, int] = {}
        self._shapes: dict[tuple[object, ...], _AgentShape] = {}
        self._latest: dict[tuple[str, ...], _AgentShape] = {}  # by the parts of the agents

    def agent(self, spec: AgentSpec, paths: Sequence[Path] = (), open: Sequence[Any] = ()) -> list[Problem]:
        """Return the problems of one agent. Agents with one object as `paths` differ only in the `open` values there."""
        properties = spec.body.properties
        kinds = (id(paths), *map(type, open))
        group = kinds if open and _CONTAINERS.isdisjoint(kinds) else ()
        values, shape = self._shape(properties, group, paths, open)
        subject = Subject(spec, properties, self._area, self._more_schemes)
        run = (
            _EVERY_RULE
            if shape.spec is None or _is_other(spec, shape.spec)
            else shape.noisy | _WATCHED.readers
        )
        of_values: list[Problem] = []
        # Agents of one block share the objects that do not vary: these are passed over without a look.
        others = map(is_not, values, shape.values)
        for place, value, old in compress(zip(shape.places, values, shape.values, strict=True), others):
            if value.__class__ not in _CONTAINERS:
                if value == old:
                    continue
                run |= place.readers
            holds = self._traits(value) if value.__class__ is str else NOTHING
            if holds or place.rules:
                of_values += _of_value(subject, place, value, holds)
        found: list[Problem] = []
        noisy = 0
        for bit, check in shape.rules:
            if run & bit:
                before = len(found)
                found.extend(check(subject))
                noisy |= bit if len(found) > before else 0
        if not of_values:
            shape.spec, shape.values, shape.noisy = spec, values, noisy
            if shape.group != group:
                shape.group, shape.positions = group, None
        return found + of_values

    def values(self, spec: AgentSpec) -> list[Problem]:
        """Return the problems of single values of an agent of which some are not known: no rule compares values."""
        properties = spec.body.properties
        subject = Subject(spec, properties, self._area, self._more_schemes)
        values, containers = _opened(properties)
        found: list[Problem] = []
        for place, value in zip(_places(containers), values, strict=True):
            holds = self._traits(value) if value.__class__ is str else NOTHING
            found += _of_value(subject, place, value, holds)
        return found

    def _traits(self, text: str) -> int:
        """Return the traits of a text, which is examined once."""
        holds = self._texts.get(text)
        if holds is None:
            holds = self._texts[text] = examine(text, self._more_schemes)
        return holds

    def fleet(self, agents: Mapping[Address, AgentSpec]) -> Iterator[tuple[Address, Problem]]:
        """Yield the problems of the agents together, each with the address that it concerns."""
        fleet = Fleet(self._owner, agents)
        for rule in _FLEET:
            yield from rule(fleet)

    def _shape(
        self, properties: Mapping[str, Any], group: _Group, paths: Sequence[Path], open: Sequence[Any]
    ) -> tuple[list[Any], _AgentShape]:
        """Return all values of `properties`, level by level, and the shape of agents with such values."""
        parts = tuple(properties)
        latest = self._latest.get(parts)
        if latest is not None and (known := latest.refilled(group, paths, open) or latest.fit(properties)):
            return known, latest
        values, containers = _opened(properties)
        types = [*map(type, values)]
        key = (containers, *types)
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            rules = [
                (bit, rule) for concerns, bit, rule in _AGENT if not concerns or concerns.intersection(parts)
            ]
            unseen: list[Any] = [MISSING] * len(types)
            shape = self._shapes[key] = _AgentShape(containers, types, _places(containers), rules, unseen)
        self._latest[parts] = shape
        return values, shape


def _of_value(subject: Subject, place: _WatchedPlace, value: Any, holds: int) -> Iterator[Problem]:
    """Yield the problems of one value; of a text, `holds` are its traits."""
    for rule in place.rules:
        yield from rule(subject, place.path, value)
    for concerns, text_rule in _TEXT if holds else ():
        if concerns & holds:
            yield from text_rule(subject, place.path, value)


def _is_other(spec: AgentSpec, last: AgentSpec) -> bool:
    """Return whether two agents differ in what a rule may read outside of `properties`."""
    return (
        spec.body.preset != last.body.preset
        or spec.body.pipeline_id != last.body.pipeline_id
        or spec.lifecycle != last.lifecycle
        or spec.adopt != last.adopt
    )
