"""The types of our own keys' values: their name, JSON Schema and shape, and how they are read and printed.

The `shape` is checked before templates are rendered; `read` converts the final value to the model's, or raises
`InvalidValue`; `written` converts it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from reconciler import durations, instants
from reconciler.config.words import (
    InvalidValue,
    agent_id,
    amount,
    app_id,
    boolean,
    duration,
    inside,
    instant,
    quotes_help,
    share,
    shown,
    some_of,
    whole,
    word,
)
from reconciler.config.words import one_of as known_word
from reconciler.model.observed import AGENT_ID
from reconciler.model.tree import Path, Tree, dotted, parse_dotted
from reconciler.values import dataclass

Schema = dict[str, Any]


class Shape(StrEnum):
    """The shape of a value before anything is rendered; the value of each is its text in messages."""

    MAPPING = "a mapping"
    LIST = "a list"
    TEXT = "a text"
    NAMES = "a name or a list of names"
    ANY = "anything"

    def fits(self, value: object) -> bool:
        """Return whether a value has this shape."""
        match self:
            case Shape.MAPPING:
                return isinstance(value, dict)
            case Shape.LIST:
                return isinstance(value, list)
            case Shape.TEXT:
                return isinstance(value, str)
            case Shape.NAMES:
                several = value if isinstance(value, list) else [value]
                return all(isinstance(each, str) for each in several)
            case Shape.ANY:
                return True

    def refusal(self, name: str, value: object) -> tuple[str, str | None]:
        """Return the summary and the help for a value without this shape; a scalar in the place of a text wants quotes."""
        odd = value
        if self is Shape.NAMES and isinstance(value, list):
            odd = next(each for each in value if not isinstance(each, str))
        found = "a text" if isinstance(odd, str) else shown(odd)
        wants_quotes = self in (Shape.TEXT, Shape.NAMES) and isinstance(odd, (int, float))
        return f"{name} must be {self}, not {found}", quotes_help(odd) if wants_quotes else None


def _unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class ValueType:
    """One type of value. `name` is for the tables of FLEET.md; `schema` lacks the key's description."""

    name: str
    schema: Schema
    shape: Shape = Shape.ANY
    read: Callable[[Any], Any] = _unchanged
    written: Callable[[Any], Tree] = _unchanged


def text(name: str = "text", pattern: str | None = None) -> ValueType:
    """Return the type of a text; `pattern` must match all of it."""
    schema: Schema = {"type": "string"}
    return ValueType(
        name, schema if pattern is None else {**schema, "pattern": f"^(?:{pattern})$"}, Shape.TEXT
    )


def template(name: str) -> ValueType:
    """Return the type of any value; a template may produce it."""
    return ValueType(name, {})


def names(name: str) -> ValueType:
    """Return the type of a name, or a list of names."""
    schema: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    return ValueType(name, schema, Shape.NAMES)


def part(definition: str, name: str = "mapping", shape: Shape = Shape.MAPPING) -> ValueType:
    """Return the type of a value that has its own definition in the schema."""
    return ValueType(name, {"$ref": f"#/$defs/{definition}"}, shape)


def mapping(values: Schema, name: str = "mapping", keys: str | None = None) -> ValueType:
    """Return the type of a mapping from names, which match `keys`, to values."""
    schema: Schema = {"type": "object", "additionalProperties": values}
    if keys is not None:
        schema["propertyNames"] = {"pattern": f"^(?:{keys})$"}
    return ValueType(name, schema, Shape.MAPPING)


def listing(items: Schema, name: str = "list", shape: Shape = Shape.LIST) -> ValueType:
    """Return the type of a list of items."""
    return ValueType(name, {"type": "array", "items": items}, shape)


def choice(words: type[StrEnum], *means: str, shape: Shape = Shape.ANY) -> ValueType:
    """Return the type of one word of a closed list; `means` explains each word, for editors."""
    return ValueType(
        ", ".join(f"`{each.value}`" for each in words),
        {"enum": [each.value for each in words], "enumDescriptions": list(means)},
        shape,
        lambda value: word(value, words),
        str,
    )


def one_of(allowed: Callable[[], Sequence[str]], *means: str) -> ValueType:
    """Return the type of one word of a list that may grow (a registry); it is read before anything is rendered."""
    return ValueType(
        ", ".join(f"`{each}`" for each in allowed()),
        {"enum": list(allowed()), "enumDescriptions": list(means)},
        Shape.TEXT,
        lambda value: known_word(value, allowed()),
    )


def between(least: float, most: float) -> ValueType:
    """Return the type of a duration within bounds, in seconds."""
    return ValueType(
        f"duration, {durations.spelled(least)} to {durations.spelled(most)}",
        {"type": "string", "pattern": f"^(?:{durations.PATTERN})$"},
        read=lambda value: duration(value, least, most),
        written=durations.spelled,
    )


def several_of(words: Mapping[str, str]) -> ValueType:
    """Return the type of one or several words of a closed list, each with its meaning; read before rendering."""
    one: Schema = {"enum": list(words), "enumDescriptions": list(words.values())}
    return ValueType(
        "list of " + ", ".join(f"`{each}`" for each in words),
        {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]},
        Shape.NAMES,
        lambda value: some_of(value, list(words)),
    )


def _paths(value: Any) -> tuple[Path, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidValue(
            "wrong-type", "must be a list of paths", "write ignore_changes: [llm.greeting_message]"
        )
    return tuple(_parsed_paths(value))


def _parsed_paths(texts: Sequence[str]) -> Iterator[Path]:
    for each in texts:
        try:
            yield parse_dotted(each.removeprefix("properties."))
        except ValueError as error:
            help = "write it as llm.params or tts.params.voice_name"
            raise InvalidValue("ignored-path", str(error), help) from None


SWITCH: Final = ValueType("boolean", {"type": "boolean"}, read=boolean, written=bool)
CONDITION: Final = template("boolean")
LOOP_ITEMS: Final = template("list or mapping")
PATHS: Final = ValueType(
    "list of paths",
    {"type": "array", "items": {"type": "string", "description": "A path such as llm.greeting_message."}},
    read=_paths,
    written=lambda paths: [dotted(path) for path in paths],
)
ADDRESSES: Final = listing(
    {"type": "string", "description": "An address, <channel>/<name>."}, "list of addresses", Shape.ANY
)
DIRECTORY: Final = ValueType("relative path", {"type": "string"}, Shape.TEXT, inside)
INSTANT: Final = ValueType(
    "date and time with a zone",
    {"type": "string", "pattern": f"^(?:{instants.PATTERN})$", "examples": ["2027-01-02T08:00:00Z"]},
    Shape.TEXT,
    instant,
)
RUNNING_AGENT: Final = ValueType(
    "agent id", {"type": "string", "pattern": f"^(?:{AGENT_ID})$"}, read=agent_id, written=str
)
APP_ID: Final = ValueType(
    "32 hexadecimal digits", {"type": "string", "pattern": "^(?:[0-9A-Fa-f]{32})$"}, Shape.TEXT, app_id
)
_PERCENT: Mapping[str, str] = {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,3})? ?%$"}
SHARE: Final = ValueType(
    "number or share",
    {"anyOf": [{"type": "integer", "minimum": 0}, _PERCENT], "examples": [5, "30%"]},
    read=share,
)
COUNT: Final = ValueType("number", {"type": "integer", "minimum": 0}, read=whole)
AMOUNT: Final = ValueType("number", {"type": "number", "minimum": 0}, read=amount)
VARIABLES: Final = mapping(
    {"description": "Any value; templates in it are rendered when something needs it."},
    keys="[A-Za-z][A-Za-z0-9_]*",
)
