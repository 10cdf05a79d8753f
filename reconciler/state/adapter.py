"""Read and write dataclasses as JSON with pydantic-core alone: to import pydantic takes longer than a small plan."""

from __future__ import annotations

import types
from collections.abc import Mapping
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

    def of_tree(self, tree: object) -> T:
        """Return the value of a JSON text that is parsed already; raises as `read` does."""
        found: T = self._validator.validate_python(tree, extra="forbid")
        return found

    def write(self, value: T) -> str:
        """Return a value as JSON text."""
        return self._serializer.to_json(value).decode()

    def changed(self, value: T) -> dict[str, Any]:
        """Return the fields of a value that do not have their default, by name."""
        return {name: found for name, default in self._defaults if (found := getattr(value, name)) != default}

    @cached_property
    def _defaults(self) -> list[tuple[str, object]]:
        return [
            (each.name, each.default if each.default_factory is MISSING else each.default_factory())
            for each in fields(self.kind)  # type: ignore[arg-type]  # a dataclass
        ]


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
    return _PLAIN[hint]


# Strict here and not only in `read`: a tree holds a dict where a dataclass is wanted, which a strict reading refuses.
_PLAIN: Mapping[type, core_schema.CoreSchema] = {
    str: core_schema.str_schema(strict=True),
    int: core_schema.int_schema(strict=True),
    float: core_schema.float_schema(strict=True),
    bool: core_schema.bool_schema(strict=True),
}
