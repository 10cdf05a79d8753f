"""Fates: what can happen to a call instead of normal execution and answer; and which call gets which. Values only.

A fault script is an ordered list of rules without randomness: the same calls get the same fates. A rule in JSON is
`{"on": "join", "name": "hotel.*", "nth": 2, "count": 3, "fate": "lose_response"}`, with the parameters of its fate.
The effects of fates are in `outcomes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, NamedTuple


class FaultError(ValueError):
    """A fault script that is not valid; the message says which rule and why."""


class ServiceCall(StrEnum):
    """The calls of the v2 API that the simulator knows (v2 API reference: endpoints)."""

    JOIN = "join"
    LEAVE = "leave"
    UPDATE = "update"
    QUERY = "query"
    LIST = "list"
    SPEAK = "speak"
    INTERRUPT = "interrupt"
    THINK = "think"
    HISTORY = "history"
    TURNS = "turns"
    TELEPHONY = "telephony"
    UNKNOWN = "unknown"


class FateKind(StrEnum):
    """The kinds of fates of a call."""

    REFUSE = "refuse"  # an error status; `executed: true` makes it an error after the fact
    RATE_LIMIT = "rate_limit"  # 429 with a Retry-After of the given form
    DROP_REQUEST = "drop_request"  # never arrives, never answered
    LOSE_RESPONSE = "lose_response"  # executed, never answered
    LATE = "late"  # never answered, executed `seconds` later
    TWICE = "twice"  # executed again, at once or `seconds` later
    UNREACHABLE = "unreachable"  # no connection
    RESET = "reset"  # connection reset, before or after the execution
    SLOW = "slow"  # executed, answered after `seconds`
    DRIP = "drip"  # executed, answered one byte every `seconds`
    CUT = "cut"  # executed, the connection closes in the middle of the body
    MALFORMED = "malformed"  # executed, 200 with a body of the given `form`
    NO_CONTENT = "no_content"  # executed, 204
    REDIRECT = "redirect"  # 301 to `location`
    OVERSIZE = "oversize"  # executed, 200 with a body of `size` bytes
    LIST_DEFECT = "list_defect"  # a list answer with the given `defect`
    MERGE = "merge"  # executed, the answer changed by the JSON merge patch `patch`
    DOOM = "doom"  # a join that succeeds, and whose agent is FAILED after `seconds`


RETRY_AFTER_FORMS = ("none", "seconds", "date", "garbage", "negative", "huge")
MALFORMED_FORMS = ("html", "empty", "empty_object", "null", "array", "cut", "wrong_types", "not_utf8", "deep")
LIST_DEFECTS = (
    "short",
    "omission",
    "wrong_total",
    "cursor_loop",
    "duplicates",
    "data_null",
    "empty",
    "no_meta",
)


@dataclass(frozen=True, slots=True)
class Fate:
    """The fate of one call. Only the parameters in `PARAMETERS` for its kind have a meaning."""

    kind: FateKind
    executed: bool = True
    status: int = 503
    reason: str = ""
    detail: str = "a scripted fault"
    seconds: float = 0.0
    retry_after: str = "none"
    answer: str = "first"
    form: str = "html"
    location: str = "https://elsewhere.invalid/"
    size: int = 16 * 1024 * 1024
    defect: str = "short"
    patch: Mapping[str, Any] = field(default_factory=dict)
    message: str = "Connecting for too long"


PARAMETERS: Mapping[FateKind, tuple[str, ...]] = {
    FateKind.REFUSE: ("status", "reason", "detail", "executed"),
    FateKind.RATE_LIMIT: ("retry_after", "seconds", "executed"),
    FateKind.DROP_REQUEST: (),
    FateKind.LOSE_RESPONSE: (),
    FateKind.LATE: ("seconds",),
    FateKind.TWICE: ("seconds", "answer"),
    FateKind.UNREACHABLE: (),
    FateKind.RESET: ("executed",),
    FateKind.SLOW: ("seconds",),
    FateKind.DRIP: ("seconds",),
    FateKind.CUT: (),
    FateKind.MALFORMED: ("form", "executed"),
    FateKind.NO_CONTENT: ("executed",),
    FateKind.REDIRECT: ("location", "status", "executed"),
    FateKind.OVERSIZE: ("size", "executed"),
    FateKind.LIST_DEFECT: ("defect",),
    FateKind.MERGE: ("patch",),
    FateKind.DOOM: ("seconds", "message"),
}
"""The parameters of each fate."""

DEFAULTS: Mapping[FateKind, Mapping[str, object]] = {
    FateKind.REFUSE: {"executed": False},
    FateKind.RATE_LIMIT: {"executed": False, "status": 429},
    FateKind.RESET: {"executed": False},
    FateKind.REDIRECT: {"executed": False, "status": 301},
    FateKind.LATE: {"seconds": 5.0},
    FateKind.SLOW: {"seconds": 5.0},
    FateKind.DRIP: {"seconds": 1.0},
}
"""Where a kind's default differs from the one above."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "retry_after": RETRY_AFTER_FORMS,
    "form": MALFORMED_FORMS,
    "defect": LIST_DEFECTS,
    "answer": ("first", "second"),
}


def fate(kind: FateKind | str, **parameters: object) -> Fate:
    """Return a fate with its kind's defaults. Raises `FaultError` for a wrong kind, parameter or value."""
    try:
        known = FateKind(kind)
    except ValueError:
        raise FaultError(f"unknown fate {kind!r}; the fates are {', '.join(FateKind)}") from None
    for name, value in parameters.items():
        _check_parameter(known, name, value)
    return Fate(kind=known, **{**DEFAULTS.get(known, {}), **parameters})  # type: ignore[arg-type]


def _check_parameter(kind: FateKind, name: str, value: object) -> None:
    if name not in PARAMETERS[kind]:
        takes = ", ".join(PARAMETERS[kind]) or "no parameters"
        raise FaultError(f"{kind} takes {takes}, not {name!r}")
    if name in CHOICES and value not in CHOICES[name]:
        raise FaultError(f"{name} takes {', '.join(CHOICES[name])}, not {value!r}")
    if not _TYPES[name](value):
        raise FaultError(f"{name} cannot be {value!r}")


def _is_header(value: object) -> bool:
    """Return whether a value can stand in a header of HTTP."""
    return isinstance(value, str) and value == value.strip() and value.isprintable() and value.isascii()


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "executed": lambda value: isinstance(value, bool),
    "status": lambda value: type(value) is int and 200 <= value <= 599,
    "seconds": lambda value: type(value) in (int, float) and 0 <= value < float("inf"),
    "size": lambda value: type(value) is int and value >= 0,
    "patch": lambda value: isinstance(value, Mapping),
    "location": _is_header,
    "retry_after": _is_header,
} | dict.fromkeys(
    ("reason", "detail", "answer", "form", "defect", "message"),
    lambda value: isinstance(value, str),
)


# --- the script


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
