"""Read and write dataclasses as JSON with pydantic-core alone: to import pydantic takes longer than a small plan."""

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
    """Reads and writes the JSON of a dataclass, by a schema of its fields that is built at the first use."""

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
        """Return the value of a JSON text; raise pydantic's `ValidationError` for a wrong type or an unknown key."""
        found: T = self._validator.validate_json(text, strict=True, extra="forbid")
        return found

    def write(self, value: T, *, exclude_defaults: bool = False) -> str:
        """Return a value as JSON text."""
        return self._serializer.to_json(value, exclude_defaults=exclude_defaults).decode()


def _of_class(kind: type[Any]) -> core_schema.CoreSchema:
    # The service's properties are any JSON; size and depth of the text were checked before (`document.loads`).
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
