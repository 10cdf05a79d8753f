"""The types of fields: how a value is checked, what an editor shows, whether it is a credential or a URL.

A service's tables (`contract.<service>`) consist only of these types. Validation, the JSON Schema, the masking of
credentials and the check of hosts all read the type, so no field needs an entry in a second table. Only data: pydantic
is not imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from reconciler.values import dataclass

# As pydantic-core names them.
Shape = Literal["str", "int", "float", "bool", "any", "literal", "list", "dict", "typed-dict", "tagged-union"]


class Holds(Enum):
    """The meaning of a text, in addition to its shape."""

    PLAIN = "plain"
    CREDENTIAL = "credential"
    ADDRESS = "address"
    FETCHED = "fetched"  # the URL of a recording or picture; no credential is sent there
    HEADER = "header"  # a credential or not, depending on the header's name
    ID = "id"  # the vendor's id of a voice or model: it may look as random as a key, but is not one
    PROSE = "prose"  # a text for users or models: it may contain anything


class Unfit(ValueError):
    """A value that a field's own check refuses, with the kind of error and a message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class FieldType:
    """The type of one field.

    `limits` are those of pydantic-core (`ge`, `max_length`, `pattern`, `expected`), `about` is what JSON Schema adds
    (`description`, `examples`). A `required` field must be given in every group of this type; what a particular vendor
    requires is in the vendor's row (`needs`).
    """

    shape: Shape
    holds: Holds = Holds.PLAIN
    about: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    required: bool = False
    inner: FieldType | None = None  # of each item of a list, or of each value of a mapping
    fields: Mapping[str, FieldType] = field(default_factory=dict)  # of a group
    name: str = ""  # of a group that has a definition of its own in the JSON Schema
    variants: Mapping[str, FieldType] = field(default_factory=dict)  # of a tagged union, by tag
    tag: Callable[[Any], str | None] | None = None  # returns which variant a value is
    check: Callable[[Any], None] | None = None  # what limits cannot express; raises `Unfit`


Fields = Mapping[str, FieldType]
Path: TypeAlias = tuple[str | int, ...]  # the same as `model.tree.Path`, in a higher layer

_ABOUT: Final = frozenset({"deprecated", "examples", "anyOf", "const", "enumDescriptions"})


def _made(shape: Shape, says: str, more: Mapping[str, Any], **rest: Any) -> FieldType:
    about = {"description": says} if says else {}
    about |= {key: value for key, value in more.items() if key in _ABOUT}
    limits = {key: value for key, value in more.items() if key not in _ABOUT}
    return FieldType(shape, about=about, limits=limits, **rest)


def text(says: str = "", **more: Any) -> FieldType:
    """Return the type of a text; `more` holds limits and what JSON Schema adds, here and below."""
    return _made("str", says, more)


def key(says: str) -> FieldType:
    """Return the type of a credential: masked, refused as a literal, compared by digest."""
    return _made("str", says, {}, holds=Holds.CREDENTIAL)


def address(says: str, **more: Any) -> FieldType:
    """Return the type of a URL to which the service sends data: its host is a destination of the part's secrets."""
    return _made("str", says, more, holds=Holds.ADDRESS)


def fetched(says: str, **more: Any) -> FieldType:
    """Return the type of a URL from which the service fetches a recording or picture; no secrets are sent there."""
    return _made("str", says, more, holds=Holds.FETCHED)


def identifier(says: str, **more: Any) -> FieldType:
    """Return the type of a vendor's id, as of a voice or model; it may look random but is not a credential."""
    return _made("str", says, more, holds=Holds.ID)


def prose(says: str = "", **more: Any) -> FieldType:
    """Return the type of a text for users or models."""
    return _made("str", says, more, holds=Holds.PROSE)


def whole(says: str = "", **more: Any) -> FieldType:
    """Return the type of a whole number."""
    return _made("int", says, more)


def number(says: str = "", **more: Any) -> FieldType:
    """Return the type of a number."""
    return _made("float", says, more)


def switch(says: str, **more: Any) -> FieldType:
    """Return the type of true or false, never a text."""
    return _made("bool", says, more)


def words(says: str, *expected: str, **more: Any) -> FieldType:
    """Return the type of one word of a closed list."""
    return _made("literal", says, {"expected": list(expected), **more})


def explained(says: str, means: Mapping[str, str], **more: Any) -> FieldType:
    """Return the type of one word of a closed list; `means` has each word with its explanation, for editors."""
    return words(says, *means, **more, enumDescriptions=list(means.values()))


def anything(says: str = "") -> FieldType:
    """Return the type of a value that only the vendor can check."""
    return _made("any", says, {})


def many(inner: FieldType, says: str, **more: Any) -> FieldType:
    """Return the type of a list."""
    return _made("list", says, more, inner=inner)


def mapping(inner: FieldType, says: str, **more: Any) -> FieldType:
    """Return the type of a mapping with keys of the user's choice."""
    return _made("dict", says, more, inner=inner)


def free(says: str) -> FieldType:
    """Return the type of a mapping with any keys and values."""
    return mapping(anything(), says)


def headers(says: str) -> FieldType:
    """Return the type of HTTP headers by name."""
    return mapping(FieldType("str", Holds.HEADER), says)


def headers_as_text(says: str) -> FieldType:
    """Return the type of HTTP headers as JSON in one text."""
    return _made("str", says, {}, holds=Holds.HEADER)


def headers_either_way(says: str) -> FieldType:
    """Return the type of HTTP headers, by name or as JSON in one text."""
    return FieldType(
        "tagged-union",
        Holds.HEADER,
        about={"description": says},
        variants={"mapping": headers(""), "text": headers_as_text("")},
        tag=lambda value: "text" if isinstance(value, str) else "mapping",
    )


def group(says: str, fields: Fields, *, name: str = "", **more: Any) -> FieldType:
    """Return the type of a mapping whose keys the service defines."""
    return _made("typed-dict", says, more, fields=fields, name=name)


def required(kind: FieldType) -> FieldType:
    """Return the type, required."""
    return replace(kind, required=True)


def checked(kind: FieldType, check: Callable[[Any], None]) -> FieldType:
    """Return the type with a check that raises `Unfit`."""
    return replace(kind, check=check)
