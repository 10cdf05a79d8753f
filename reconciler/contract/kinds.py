"""The types of fields: how a value is checked, what an editor is told, and whether it is a credential or an address.

A service's tables (`contract.<service>`) are made of these types and nothing else. Validation, the JSON Schema, the
masking of credentials and the guard of hosts all read the type, so a field needs no second table to be safe. Only
data: pydantic is not imported here.
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
    """What a text means to us, beside its shape."""

    PLAIN = "plain"
    CREDENTIAL = "credential"
    ADDRESS = "address"
    FETCHED = "fetched"  # an address of a recording or picture, to which no credential beside it is sent
    HEADER = "header"  # a credential or something harmless, as the header's name says
    ID = "id"  # the vendor's name of something: may look as random as a key, and is none
    PROSE = "prose"  # written by people for people: anything may stand in it


class Unfit(ValueError):
    """A value that a field's own check refuses: the kind of error, and what is wrong."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class FieldType:
    """What one field may hold.

    `limits` are those of pydantic-core (`ge`, `max_length`, `pattern`, `expected`), `about` is what JSON Schema adds
    (`description`, `examples`). `required` fields are missed by the shape itself wherever their group is written;
    what one vendor must be given stands in the vendor's row (`needs`).
    """

    shape: Shape
    holds: Holds = Holds.PLAIN
    about: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    required: bool = False
    inner: FieldType | None = None  # of each item of a list, or of each value of a mapping
    fields: Mapping[str, FieldType] = field(default_factory=dict)  # of a group
    passes_on: bool = False  # a group whose unknown keys the service hands to the vendor
    name: str = ""  # of a group that has a definition of its own in the JSON Schema
    variants: Mapping[str, FieldType] = field(default_factory=dict)  # of a tagged union, by tag
    tag: Callable[[Any], str | None] | None = None  # which variant a value is
    check: Callable[[Any], None] | None = None  # what limits cannot say; raises `Unfit`


Fields = Mapping[str, FieldType]
Path: TypeAlias = tuple[str | int, ...]  # the same as `model.tree.Path`, which stands above

_ABOUT: Final = frozenset({"deprecated", "examples", "anyOf", "const", "enumDescriptions"})


def _made(shape: Shape, says: str, more: Mapping[str, Any], **rest: Any) -> FieldType:
    about = {"description": says} if says else {}
    about |= {key: value for key, value in more.items() if key in _ABOUT}
    limits = {key: value for key, value in more.items() if key not in _ABOUT}
    return FieldType(shape, about=about, limits=limits, **rest)


def text(says: str = "", **more: Any) -> FieldType:
    """A text; `more` holds limits and what JSON Schema adds, here and below."""
    return _made("str", says, more)


def key(says: str) -> FieldType:
    """A credential: masked, never taken as a literal, compared by digest."""
    return _made("str", says, {}, holds=Holds.CREDENTIAL)


def address(says: str, **more: Any) -> FieldType:
    """Where the service sends something: its host counts as a destination of the secrets beside it."""
    return _made("str", says, more, holds=Holds.ADDRESS)


def fetched(says: str, **more: Any) -> FieldType:
    """From where the service fetches a recording or picture; no destination of the secrets beside it."""
    return _made("str", says, more, holds=Holds.FETCHED)


def identifier(says: str, **more: Any) -> FieldType:
    """The vendor's name of a voice, model or other thing; it may look random and is no credential."""
    return _made("str", says, more, holds=Holds.ID)


def prose(says: str = "", **more: Any) -> FieldType:
    """A text that people write for people or models."""
    return _made("str", says, more, holds=Holds.PROSE)


def whole(says: str = "", **more: Any) -> FieldType:
    """A whole number."""
    return _made("int", says, more)


def number(says: str = "", **more: Any) -> FieldType:
    """A number."""
    return _made("float", says, more)


def switch(says: str, **more: Any) -> FieldType:
    """True or false, never a text."""
    return _made("bool", says, more)


def words(says: str, *expected: str, means: tuple[str, ...] = (), **more: Any) -> FieldType:
    """One word of a closed list; `means` says of each word what it stands for, for editors."""
    if means:
        assert len(means) == len(expected), says
        more["enumDescriptions"] = list(means)
    return _made("literal", says, {"expected": list(expected), **more})


def anything(says: str = "") -> FieldType:
    """A value that the vendor alone can judge."""
    return _made("any", says, {})


def many(inner: FieldType, says: str, **more: Any) -> FieldType:
    """A list."""
    return _made("list", says, more, inner=inner)


def mapping(inner: FieldType, says: str, **more: Any) -> FieldType:
    """A mapping with keys of the user's choice."""
    return _made("dict", says, more, inner=inner)


def free(says: str) -> FieldType:
    """A mapping of anything."""
    return mapping(anything(), says)


def headers(says: str) -> FieldType:
    """HTTP headers by name."""
    return mapping(FieldType("str", Holds.HEADER), says)


def headers_as_text(says: str) -> FieldType:
    """HTTP headers as JSON in one text."""
    return _made("str", says, {}, holds=Holds.HEADER)


def headers_either_way(says: str) -> FieldType:
    """HTTP headers, by name or as JSON in one text."""
    return FieldType(
        "tagged-union",
        Holds.HEADER,
        about={"description": says},
        variants={"mapping": headers(""), "text": headers_as_text("")},
        tag=lambda value: "text" if isinstance(value, str) else "mapping",
    )


def group(says: str, fields: Fields, *, name: str = "", passes_on: bool = False, **more: Any) -> FieldType:
    """A mapping whose keys the service fixes."""
    return _made("typed-dict", says, more, fields=fields, name=name, passes_on=passes_on)


def settings(says: str, fields: Fields) -> FieldType:
    """A group that goes on to a vendor: keys that are not listed are handed on, too, with a warning."""
    return group(says, fields, passes_on=True)


def required(kind: FieldType) -> FieldType:
    """The same, and missed where it is left out."""
    return replace(kind, required=True)


def checked(kind: FieldType, check: Callable[[Any], None]) -> FieldType:
    """The same, with a check that raises `Unfit`."""
    return replace(kind, check=check)
