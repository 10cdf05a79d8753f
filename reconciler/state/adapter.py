"""A dataclass as JSON, and back: pydantic-core alone, from the fields, since all of pydantic costs more than a small plan."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cached_property
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from pydantic_core import SchemaSerializer, SchemaValidator, core_schema

T = TypeVar("T")


class Adapter(Generic[T]):
    """Reads and writes the JSON of a dataclass; made of its fields when it is first used."""

    def __init__(self, kind: type[T]) -> None:
        self.kind = kind

    @cached_property
    def _schema(self) -> core_schema.CoreSchema:
        return _of_class(self.kind)

    @cached_property
    def _validator(self) -> SchemaValidator:
        return SchemaValidator(self._schema)

    @cached_property
    def _serializer(self) -> SchemaSerializer:
        return SchemaSerializer(self._schema)

    def read(self, text: str | bytes) -> T:
        """The value in a JSON text: nothing is coerced, no key is unknown; pydantic's `ValidationError` otherwise."""
        found: T = self._validator.validate_json(text, strict=True, extra="forbid")
        return found

    def write(self, value: T, *, exclude_defaults: bool = False) -> str:
        """The JSON text of a value."""
        return self._serializer.to_json(value, exclude_defaults=exclude_defaults).decode()


def _of_class(kind: type[Any]) -> core_schema.CoreSchema:
    # The service's own properties are whatever JSON they are; whoever reads them has looked at them.
    hints = get_type_hints(kind, localns={"Tree": Any})
    arguments = [
        core_schema.dataclass_field(each.name, _with_default(_of(hints[each.name]), each))
        for each in fields(kind)
    ]
    return core_schema.dataclass_schema(
        kind,
        core_schema.dataclass_args_schema(kind.__name__, arguments),
        [each.name for each in fields(kind)],
        slots=True,
    )


def _with_default(schema: core_schema.CoreSchema, field: Field[Any]) -> core_schema.CoreSchema:
    if field.default_factory is not MISSING:
        return core_schema.with_default_schema(schema, default_factory=field.default_factory)
    if field.default is not MISSING:
        return core_schema.with_default_schema(schema, default=field.default)
    return schema


def _of(hint: Any) -> core_schema.CoreSchema:
    parts = get_args(hint)
    if hint is Any:
        return core_schema.any_schema()
    if get_origin(hint) is types.UnionType:
        [one] = [each for each in parts if each is not types.NoneType]
        return core_schema.nullable_schema(_of(one))
    if get_origin(hint) is Mapping:
        return core_schema.dict_schema(*map(_of, parts), strict=False)
    if get_origin(hint) is tuple:
        return core_schema.tuple_schema([_of(parts[0])], variadic_item_index=0)
    if is_dataclass(hint):
        return _of_class(hint)  # type: ignore[arg-type]  # a hint is a class, no instance
    if issubclass(hint, Enum):
        return core_schema.enum_schema(hint, list(hint), sub_type="str")
    return _PLAIN[hint]()


_PLAIN: Mapping[type, Callable[[], core_schema.CoreSchema]] = {
    str: core_schema.str_schema,
    int: core_schema.int_schema,
    float: core_schema.float_schema,
    bool: core_schema.bool_schema,
}
