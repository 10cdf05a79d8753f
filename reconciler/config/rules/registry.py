"""The registry of rules, and the one pass over a fleet that runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

from reconciler.config.rules.texts import TextTrait, examine
from reconciler.contract.literals import names_a_credential
from reconciler.diagnostics import Problem
from reconciler.model.address import Address, Owner
from reconciler.model.fleet import Area
from reconciler.model.spec import AgentSpec
from reconciler.model.tree import Path
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
    """A node in the tree of watched paths: nodes below it, by key or for any key, and the rules for this path."""

    below: dict[str | int, _Watch] = field(default_factory=dict)
    any: _Watch | None = None
    rules: list[ValueRule] = field(default_factory=list)

    def make(self, part: str | int) -> _Watch:
        """Return the node below for a key, created if necessary."""
        if part != "*":
            return self.below.setdefault(part, _Watch())
        self.any = self.any or _Watch()
        return self.any


# A key or index of a container, the node of the watched paths below it (None: none), and the rules for its value.
_Watched = tuple[str | int, _Watch | None, tuple[ValueRule, ...]]

# The most containers without a rule that are remembered. Agents that share one are checked one after the other.
_MOST_IDLE = 4096

_AGENT: list[tuple[frozenset[str], AgentRule]] = []
_FLEET: list[FleetRule] = []
_TEXT: list[tuple[int, TextRule]] = []
_NAMED: list[ValueRule] = []
_WATCHED = _Watch()


def agent_rule(*parts: str) -> Callable[[AgentRule], AgentRule]:
    """Register a rule about one agent; with parts, only for agents that write one of them in `properties`."""

    def register(rule: AgentRule) -> AgentRule:
        _AGENT.append((frozenset(parts), rule))
        return rule

    return register


def value_rule(paths: Iterable[Path]) -> Callable[[ValueRule], ValueRule]:
    """Register a rule about the values at some paths of `properties`; `*` is any key or index."""

    def register(rule: ValueRule) -> ValueRule:
        for path in paths:
            node = _WATCHED
            for part in path:
                node = node.make(part)
            node.rules.append(rule)
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


class Rules:
    """Runs the registered rules over one fleet; `more_schemes` of secrets are those that the operator allows."""

    def __init__(self, owner: Owner, area: Area | None, more_schemes: frozenset[str] = frozenset()) -> None:
        self._owner = owner
        self._area = area
        self._more_schemes = more_schemes
        self._texts: dict[str, int] = {}
        self._chosen: dict[tuple[str, ...], tuple[AgentRule, ...]] = {}
        self._watchers_of: dict[tuple[int, tuple[str, ...] | range], tuple[_Watched, ...]] = {}
        # Containers to which no rule applied, by the ids of container and node; kept, so that no other gets the id.
        self._idle: dict[tuple[int, int], Any] = {}

    def agent(self, spec: AgentSpec) -> list[Problem]:
        """Return the problems of one agent."""
        properties = spec.body.properties
        subject = Subject(spec, properties, self._area, self._more_schemes)
        found: list[Problem] = []
        for rule in self._rules_for(tuple(properties)):
            found.extend(rule(subject))
        self._walk(subject, (), properties, _WATCHED, found)
        return found

    def fleet(self, agents: Mapping[Address, AgentSpec]) -> Iterator[tuple[Address, Problem]]:
        """Yield the problems of the agents together, each with the address that it concerns."""
        fleet = Fleet(self._owner, agents)
        for rule in _FLEET:
            yield from rule(fleet)

    def _rules_for(self, written: tuple[str, ...]) -> tuple[AgentRule, ...]:
        """Return the rules for an agent with these parts; they are cached, since most agents have the same parts."""
        chosen = self._chosen.get(written)
        if chosen is None:
            parts = frozenset(written)
            chosen = tuple(rule for concerns, rule in _AGENT if not concerns or concerns & parts)
            self._chosen[written] = chosen
        return chosen

    def _walk(
        self, subject: Subject, path: Path, node: Any, watch: _Watch | None, found: list[Problem]
    ) -> bool:
        """Visit every value below a container once: apply the rules for its path, and those for its text's traits.

        Return True if no rule was applied. Agents of one block share what does not vary, and a shared container to which no
        rule applied is not walked again.
        """
        texts, idle, is_idle = self._texts, self._idle, True
        values = node.values() if node.__class__ is dict else node
        for (key, here, rules), value in zip(self._watchers(node, watch), values, strict=True):
            for rule in rules:
                is_idle = False
                found.extend(rule(subject, (*path, key), value))
            kind = value.__class__
            if kind is str:
                holds = texts.get(value)
                if holds is None:
                    holds = texts[value] = examine(value, self._more_schemes)
                if holds:
                    is_idle = False
                    for concerns, text_rule in _TEXT:
                        if concerns & holds:
                            found.extend(text_rule(subject, (*path, key), value))
            elif (kind is dict or kind is list) and (place := (id(value), id(here))) not in idle:
                if self._walk(subject, (*path, key), value, here, found):
                    if len(idle) == _MOST_IDLE:
                        idle.clear()
                    idle[place] = value
                else:
                    is_idle = False
        return is_idle

    def _watchers(self, node: Any, watch: _Watch | None) -> tuple[_Watched, ...]:
        """Return node and rules for each key or index of a container; cached, since most have the same keys."""
        keys = tuple(node) if node.__class__ is dict else range(len(node))
        known = self._watchers_of.get((id(watch), keys))
        if known is None:
            known = self._watchers_of[id(watch), keys] = tuple(_watched(watch, key) for key in keys)
        return known


def _watched(watch: _Watch | None, key: str | int) -> _Watched:
    here = None if watch is None else watch.below.get(key, watch.any)
    rules = () if here is None else tuple(here.rules)
    named = tuple(_NAMED) if isinstance(key, str) and names_a_credential(key) else ()
    return key, here, rules + named
