"""The fault script: which call gets which fate. Data and matching only.

A script is an ordered list of rules without randomness: the same calls get the same fates. A rule in JSON is `{"on":
"join", "name": "hotel.*", "nth": 2, "count": 3, "fate": "lose_response"}`, with the parameters of its fate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from reconciler.simulator.faults import PARAMETERS, Fate, FaultError, ServiceCall, fate


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a script: from the `nth` matching call on, `count` of them (0: all) get `fate`."""

    fate: Fate
    on: tuple[str, ...] = ("*",)
    name: str = "*"
    channel: str = "*"
    agent_id: str = "*"
    page: str = "any"
    nth: int = 1
    count: int = 1

    def fires(self, seen: int) -> bool:
        """Return whether the matching call number `seen`, counted from 1, gets the fate."""
        return seen >= self.nth and (self.count == 0 or seen < self.nth + self.count)

    def as_json(self) -> dict[str, object]:
        """Return the rule in the JSON form of a script."""
        own = {
            item.name: getattr(self, item.name) for item in fields(self) if item.name not in {"fate", "on"}
        }
        chosen = {name: getattr(self.fate, name) for name in PARAMETERS[self.fate.kind]}
        if "patch" in chosen:
            chosen["patch"] = dict(chosen["patch"])
        return {"on": ",".join(self.on), "fate": str(self.fate.kind), **own, **chosen}


class ObservedCall(NamedTuple):
    """The fields of a call that rules are matched with."""

    operation: ServiceCall
    name: str
    channel: str
    agent_id: str
    page: str

    def matches(self, rule: Rule) -> bool:
        """Return whether a rule matches this call."""
        return (
            ("*" in rule.on or self.operation in rule.on)
            and rule.page in {"any", self.page}
            and all(
                pattern == "*" or fnmatchcase(value, pattern)
                for value, pattern in (
                    (self.name, rule.name),
                    (self.channel, rule.channel),
                    (self.agent_id, rule.agent_id),
                )
            )
        )


@dataclass(frozen=True, slots=True)
class FaultScript:
    """The rules in order. The first that fires decides; later rules do not count that call."""

    rules: tuple[Rule, ...] = ()

    def choose(self, subject: ObservedCall, seen: Sequence[int]) -> tuple[Fate | None, tuple[int, ...]]:
        """Return the fate of a call, given how many calls each rule has counted, and the counts after it."""
        counts = list(seen) + [0] * (len(self.rules) - len(seen))
        for position, rule in enumerate(self.rules):
            if subject.matches(rule):
                counts[position] += 1
                if rule.fires(counts[position]):
                    return rule.fate, tuple(counts)
        return None, tuple(counts)

    @classmethod
    def parse(cls, rules: object) -> FaultScript:
        """Return a script from its JSON form, a list of rules. Raises `FaultError`."""
        if not isinstance(rules, list | tuple):
            raise FaultError("a fault script is a list of rules")
        return cls(tuple(_parse_rule(number, rule) for number, rule in enumerate(rules, 1)))

    def as_json(self) -> list[dict[str, object]]:
        """Return the script in the form that `parse` reads."""
        return [rule.as_json() for rule in self.rules]


_TEXT_MATCHERS = ("name", "channel", "agent_id")
_COUNTERS = {"nth": 1, "count": 0}
_MATCHERS = (*_TEXT_MATCHERS, *_COUNTERS, "page")


def _parse_rule(number: int, rule: object) -> Rule:
    try:
        settings = _settings(rule)
        kind = settings.pop("fate")
        matchers = {name: settings.pop(name) for name in _MATCHERS if name in settings}
        operations = _parse_operations(settings.pop("on", "*"))
        _check_matchers(matchers)
        return Rule(fate=fate(kind, **settings), on=operations, **matchers)
    except FaultError as error:
        raise FaultError(f"rule {number}: {error}") from None


def _settings(rule: object) -> dict[str, Any]:
    if not isinstance(rule, Mapping) or "fate" not in rule:
        raise FaultError('a rule is an object with a "fate"')
    return dict(rule)


def _parse_operations(on: object) -> tuple[str, ...]:
    texts: Iterable[object] = on.split(",") if isinstance(on, str) else on if isinstance(on, list) else [on]
    operations = tuple(text.strip() if isinstance(text, str) else "" for text in texts)
    known = {"*", *ServiceCall}
    if not operations or not known.issuperset(operations):
        raise FaultError(f'"on" takes * or operations ({", ".join(ServiceCall)}), not {on!r}')
    return operations


def _check_matchers(matchers: Mapping[str, object]) -> None:
    for name, value in matchers.items():
        if name in _TEXT_MATCHERS and not isinstance(value, str):
            raise FaultError(f"{name} takes a glob, not {value!r}")
        if name in _COUNTERS and (type(value) is not int or value < _COUNTERS[name]):
            raise FaultError(f"{name} takes a whole number of at least {_COUNTERS[name]}, not {value!r}")
        if name == "page" and value not in ("any", "first", "next"):
            raise FaultError(f"page takes any, first or next, not {value!r}")
