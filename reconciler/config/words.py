"""Readers for the values of our own keys (durations, limits, words), and the form of values in messages.

Each reader returns the parsed value, or raises `InvalidValue` with what is wrong and what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

from reconciler import durations, instants
from reconciler.config.yaml.scalars import NUMBER
from reconciler.contract.literals import KEY_LIKE
from reconciler.diagnostics import Problem, ProblemError, did_you_mean
from reconciler.model.fleet import Limit
from reconciler.model.observed import AGENT_ID

_APP_ID = re.compile(r"[0-9A-Fa-f]{32}")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?) ?%")
# Words that YAML 1.1 read as true or false, and that are text now.
_SPOKEN = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_GIVEN = 'a template must give it: "{{ hotel.vip }}"'
_CELLS = """CSV cells are text: compare, as in "{{ dept.urgent == 'true' }}\""""
_PADDED = re.compile(r"-?0[0-9]{1,18}")
_Word = TypeVar("_Word", bound=StrEnum)


class InvalidValue(ProblemError):
    """The value of one of our keys is not valid; the caller adds the key and the place."""

    def __init__(self, rule: str, summary: str, help: str | None = None) -> None:
        super().__init__(Problem(rule, summary, help=help))


def duration(value: object, least: float, most: float) -> float:
    """Return the seconds of a text such as `60h`, `90m` or `1d12h`."""
    try:
        seconds = durations.parse(value if isinstance(value, str) else "")
    except ValueError:
        raise InvalidValue(
            "bad-duration", f"{shown(value)} is not a duration", "write 90m, 60h or 2d: a number and its unit"
        ) from None
    if not least <= seconds <= most:
        bounds = f"{durations.spelled(least)} and {durations.spelled(most)}"
        raise InvalidValue("bad-duration", f"{value} is not between {bounds}")
    return seconds


def instant(value: object) -> float:
    """Return the epoch seconds of a text such as `2027-01-02T08:00:00Z`."""
    try:
        return instants.parse(value if isinstance(value, str) else "")
    except ValueError:
        raise InvalidValue(
            "bad-time",
            f"{shown(value)} is not a date and time with a zone",
            "write 2027-01-02T08:00:00Z, or 2027-01-02T09:00:00+01:00",
        ) from None


def inside(value: object) -> str:
    """Return a directory below the fleet's, from a relative path of plain names."""
    text = value if isinstance(value, str) else ""
    parts = text.removesuffix("/").split("/")
    if text.isprintable() and not any(
        part in ("", ".", "..") or "\\" in part or ":" in part for part in parts
    ):
        return "/".join(parts)
    raise InvalidValue(
        "file-outside",
        f"{shown(value)} is no directory below the fleet's",
        "write a relative path of plain names, such as transcripts",
    )


def some_of(value: object, known: Sequence[str]) -> frozenset[str]:
    """Return the words of a value that is one word of a closed list, or a list of them."""
    several = value if isinstance(value, list) else [value]
    if not several:
        raise InvalidValue(
            "unknown-word", "names nothing", f"write some of {', '.join(known)}, or leave it out"
        )
    return frozenset(one_of(each, known) for each in several)


def boolean(value: object) -> bool:
    """Return true or false; a text is refused, also if it looks like one of them."""
    if isinstance(value, bool):
        return value
    raise InvalidValue("not-boolean", f"must be true or false, not {shown(value)}", switch_help(value))


def switch_help(value: object) -> str:
    """Return what to write instead of a value that is not true or false, such as a text or the cell of a table."""
    text = value.lower() if isinstance(value, str) else ""
    if text in _SPOKEN:
        return f"write {_SPOKEN[text]}"
    if text in ("true", "false"):
        return f"{_CELLS}; written by hand, {text} is in lower case and without quotes"
    return f"{_GIVEN}; {_CELLS}" if isinstance(value, str) else _GIVEN


def quotes_help(value: object) -> str:
    """Return what to write instead of a value where a text is expected."""
    if isinstance(value, float):
        return "quote it, as it is written: 1.10 without quotes is the number 1.1"
    return f'quote it: "{shown(value).removeprefix("the number ")}"'


def template_help(template: str) -> str:
    """Return how a template gives a text instead of a number."""
    inner = re.sub(r"^\{\{[-+]?|[-+]?\}\}$", "", template.strip()).strip()
    shown = inner if inner.isprintable() and len(inner) <= 60 and not KEY_LIKE.search(inner) else "…"
    given = shown if shown.isidentifier() else f"({shown})"
    return f"a template gives a text with `| string`: {{{{ {given} | string }}}}"


def number_help(text: str) -> str:
    """Return what to write instead of a text where a number is expected."""
    if NUMBER.fullmatch(text):
        return "remove the quotes; a template keeps its type when it is one {{ expression }} and nothing else"
    if _PADDED.fullmatch(text):
        return f"write it without the zero in front: {int(text)}"
    return "write a number, such as 10"


def word(value: object, words: type[_Word]) -> _Word:
    """Return the member of an enumeration for its word."""
    return words(one_of(value, [each.value for each in words]))


def one_of(value: object, known: Sequence[str]) -> str:
    """Return a value that is one of the known names."""
    if isinstance(value, str) and value in known:
        return value
    hint = did_you_mean(value, known) if isinstance(value, str) else None
    raise InvalidValue("unknown-word", f"{shown(value)} is not one of {', '.join(known)}", hint)


def share(value: object) -> Limit:
    """Return a limit from a number, or from a share such as `30%`."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Limit(number=value)
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is not None and float(match[1]) <= 100:
        return Limit(percent=float(match[1]))
    raise InvalidValue(
        "bad-limit", f"{shown(value)} is not a limit", "write a number, or a share such as 30%"
    )


def whole(value: object) -> int:
    """Return a whole number that is not negative."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise InvalidValue("bad-limit", f"{shown(value)} is not a whole number", "write a number such as 20")


def app_id(value: object) -> str:
    """Return an App ID of Agora."""
    if isinstance(value, str) and _APP_ID.fullmatch(value):
        return value
    raise InvalidValue(
        "app-id",
        f"{shown(value)} is not an App ID",
        "an App ID is 32 hexadecimal digits, from the Agora console",
    )


def agent_id(value: object) -> str:
    """Return an agent's id, in the service's form."""
    if isinstance(value, str) and re.fullmatch(AGENT_ID, value):
        return value
    raise InvalidValue(
        "agent-id",
        f"{shown(value)} is not the id of an agent",
        "`reconciler status` lists the ids of running agents",
    )


def amount(value: object) -> float:
    """Return a number that is not negative."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise InvalidValue("bad-limit", f"{shown(value)} is not an amount", "write a number such as 3000")


def shown(value: object) -> str:
    """Return a value's text for a message: short, on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if KEY_LIKE.search(value) is not None:
            return "a text that looks like a key"  # a key is never printed
        text = value if len(value) <= 60 else f"{value[:57]}…"
        return f'"{text.encode("unicode_escape").decode() if not text.isprintable() else text}"'
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else f"the number {value}"
