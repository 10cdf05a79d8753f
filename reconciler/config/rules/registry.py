"""The registry of rules, and the one pass over a fleet that runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from itertools import compress
from operator import is_not
from typing import Any, Final

from reconciler.config.rules.texts import TextTrait, examine
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


# A key or index of a container, the node of the watched paths below it (None: none), the rules for its value, and its
# readers.
_Watched = tuple[str | int, _Watch | None, tuple[ValueRule, ...], int]

# (parts that the rule concerns, its bit, the rule)
_AGENT: list[tuple[frozenset[str], int, AgentRule]] = []
_FLEET: list[FleetRule] = []
_TEXT: list[tuple[int, TextRule]] = []
_NAMED: list[ValueRule] = []
_WATCHED = _Watch()

_EVERY_RULE: Final = -1  # all bits


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


class _Visit:
    """One agent that is checked: the problems of its values, and the agent rules to run."""

    __slots__ = ("found", "run", "subject")

    def __init__(self, subject: Subject, run: int) -> None:
        self.subject = subject
        self.run = run
        self.found: list[Problem] = []


class Rules:
    """Runs the registered rules over one fleet; `more_schemes` of secrets are those that the operator allows.

    The agents of a block are mostly alike. So each is compared with the last agent with the same parts whose values had
    no problem: an equal value at the same path has none either, and a rule whose values are all equal is not run again.
    """

    def __init__(self, owner: Owner, area: Area | None, more_schemes: frozenset[str] = frozenset()) -> None:
        self._owner = owner
        self._area = area
        self._more_schemes = more_schemes
        self._texts: dict[str, int] = {}
        self._chosen: dict[tuple[str, ...], tuple[tuple[int, AgentRule], ...]] = {}
        self._watchers_of: dict[tuple[int, tuple[str, ...] | range], tuple[_Watched, ...]] = {}
        # By the parts of an agent: the last agent whose values had no problem, and the agent rules that reported it.
        self._last: dict[tuple[str, ...], tuple[AgentSpec, int]] = {}

    def agent(self, spec: AgentSpec) -> list[Problem]:
        """Return the problems of one agent."""
        properties = spec.body.properties
        parts = tuple(properties)
        last, run = self._last.get(parts, (None, _EVERY_RULE))
        if last is None or _is_other(spec, last):
            run = _EVERY_RULE
        visit = _Visit(Subject(spec, properties, self._area, self._more_schemes), run | _WATCHED.readers)
        self._walk(visit, (), properties, last.body.properties if last is not None else MISSING, _WATCHED, 0)
        found: list[Problem] = []
        noisy = 0
        for bit, rule in self._rules_for(parts):
            if visit.run & bit:
                before = len(found)
                found.extend(rule(visit.subject))
                noisy |= bit if len(found) > before else 0
        if not visit.found:
            self._last[parts] = spec, noisy
        return found + visit.found

    def values(self, spec: AgentSpec) -> list[Problem]:
        """Return the problems of single values of an agent of which some are not known: no rule compares values."""
        visit = _Visit(Subject(spec, spec.body.properties, self._area, self._more_schemes), 0)
        self._walk(visit, (), spec.body.properties, MISSING, _WATCHED, 0)
        return visit.found

    def fleet(self, agents: Mapping[Address, AgentSpec]) -> Iterator[tuple[Address, Problem]]:
        """Yield the problems of the agents together, each with the address that it concerns."""
        fleet = Fleet(self._owner, agents)
        for rule in _FLEET:
            yield from rule(fleet)

    def _rules_for(self, written: tuple[str, ...]) -> tuple[tuple[int, AgentRule], ...]:
        """Return the rules for an agent with these parts; they are cached, since most agents have the same parts."""
        chosen = self._chosen.get(written)
        if chosen is None:
            parts = frozenset(written)
            chosen = tuple((bit, rule) for concerns, bit, rule in _AGENT if not concerns or concerns & parts)
            self._chosen[written] = chosen
        return chosen

    def _walk(
        self, visit: _Visit, path: Path, node: Any, before: Any, watch: _Watch | None, readers: int
    ) -> None:
        """Check every value below a container that differs from `before`: by the rules for its path, and by its text.

        Also notes which agent rules read such a value; `readers` are those that read the whole container.
        """
        is_dict = node.__class__ is dict
        keys = tuple(node) if is_dict else range(len(node))
        values = node.values() if is_dict else node
        if before.__class__ is node.__class__ and (tuple(before) if is_dict else range(len(before))) == keys:
            old_values = before.values() if is_dict else before
        else:
            visit.run = _EVERY_RULE
            old_values = (MISSING,) * len(node)
        watched = self._watchers(keys, watch)
        # Agents of one block share the objects that do not vary: these are passed over without a look.
        others = compress(zip(watched, values, old_values, strict=True), map(is_not, values, old_values))
        for (key, here, rules, read), value, old in others:
            kind = value.__class__
            is_container = kind is dict or kind is list
            if kind is not old.__class__:
                visit.run = _EVERY_RULE
            elif not is_container:
                if value == old:
                    continue
                visit.run |= readers | read
            for rule in rules:
                visit.found.extend(rule(visit.subject, (*path, key), value))
            if kind is str:
                self._check_text(visit, path, key, value)
            elif is_container:
                self._walk(visit, (*path, key), value, old, here, readers | read)

    def _check_text(self, visit: _Visit, path: Path, key: str | int, text: str) -> None:
        holds = self._texts.get(text)
        if holds is None:
            holds = self._texts[text] = examine(text, self._more_schemes)
        if holds:
            for concerns, rule in _TEXT:
                if concerns & holds:
                    visit.found.extend(rule(visit.subject, (*path, key), text))

    def _watchers(self, keys: tuple[str, ...] | range, watch: _Watch | None) -> tuple[_Watched, ...]:
        """Return node, rules and readers for each key or index of a container; cached, since most have the same keys."""
        known = self._watchers_of.get((id(watch), keys))
        if known is None:
            known = self._watchers_of[id(watch), keys] = tuple(_watched(watch, key) for key in keys)
        return known


def _is_other(spec: AgentSpec, last: AgentSpec) -> bool:
    """Return whether two agents differ in what a rule may read outside of `properties`."""
    return (
        spec.body.preset != last.body.preset
        or spec.body.pipeline_id != last.body.pipeline_id
        or spec.lifecycle != last.lifecycle
        or spec.adopt != last.adopt
    )


def _watched(watch: _Watch | None, key: str | int) -> _Watched:
    here = None if watch is None else watch.below.get(key, watch.any)
    rules, readers = ((), 0) if here is None else (tuple(here.rules), here.readers)
    named = tuple(_NAMED) if isinstance(key, str) and names_a_credential(key) else ()
    return key, here, rules + named, readers
