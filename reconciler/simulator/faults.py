"""Fates: the things that can happen to a call beside being executed and answered. Values only.

Which call meets which fate is said in `fault_script.py`; what comes of it, in `outcomes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from reconciler.values import dataclass


class FaultError(ValueError):
    """A fault script that cannot be understood; the message says which rule and why."""


class Operation(StrEnum):
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
    """What can happen to a call, beside being executed and answered."""

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
    """What happens to one call. Only the parameters that `PARAMETERS` lists for its kind have a meaning."""

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
    patch: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
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
    """A fate with the defaults of its kind. Raises `FaultError` for a wrong kind, parameter or value."""
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


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _is_status(value: object) -> bool:
    return type(value) is int and 200 <= value <= 599


def _is_size(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_truth(value: object) -> bool:
    return isinstance(value, bool)


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping)


_TYPES: Mapping[str, Callable[[object], bool]] = {
    "executed": _is_truth,
    "status": _is_status,
    "seconds": _is_amount,
    "size": _is_size,
    "patch": _is_object,
} | dict.fromkeys(
    ("reason", "detail", "retry_after", "answer", "form", "location", "defect", "message"), _is_text
)
