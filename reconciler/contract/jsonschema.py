"""The JSON Schema of `properties`, made from the types of its fields."""

from __future__ import annotations

from typing import Any, Final

from reconciler.contract.agora.properties import PROPERTIES
from reconciler.contract.kinds import FieldType

_TYPES: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array"}
_LIMITS: Final = {
    "str": {"pattern": "pattern", "min_length": "minLength", "max_length": "maxLength"},
    "list": {"min_length": "minItems", "max_length": "maxItems"},
    "dict": {"min_length": "minProperties", "max_length": "maxProperties"},
}
_RANGE: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def properties_schema() -> dict[str, Any]:
    """The JSON Schema of a whole tree, with the definitions that it refers to under `$defs`."""
    shared: dict[str, Any] = {}
    whole = _schema(PROPERTIES, shared)
    return {**whole, "title": "Properties", "$defs": shared}


def _schema(kind: FieldType, shared: dict[str, Any]) -> dict[str, Any]:
    if kind.name:
        if kind.name not in shared:
            shared[kind.name] = {}
            shared[kind.name] = {**_group(kind, shared), "title": kind.name}
        return {"$ref": f"#/$defs/{kind.name}", **kind.about}
    about = dict(kind.about)
    match kind.shape:
        case "typed-dict":
            return _group(kind, shared)
        case "tagged-union":
            return {"oneOf": [_schema(each, shared) for each in kind.variants.values()], **about}
        case "any":
            return about
        case "literal":
            return _words(kind)
        case "dict":
            assert kind.inner is not None
            made = {"type": "object", "additionalProperties": _schema(kind.inner, shared) or True}
        case "list":
            assert kind.inner is not None
            made = {"type": "array", "items": _schema(kind.inner, shared)}
        case _:
            made = {"type": _TYPES[kind.shape]}
    names = _LIMITS.get(kind.shape, _RANGE)
    return {**made, **{names[key]: limit for key, limit in kind.limits.items()}, **about}


def _words(kind: FieldType) -> dict[str, Any]:
    expected = kind.limits["expected"]
    if "const" in kind.about:
        return dict(kind.about)
    choice = {"const": expected[0]} if len(expected) == 1 else {"enum": list(expected)}
    return {"type": "string", **choice, **kind.about}


def _group(kind: FieldType, shared: dict[str, Any]) -> dict[str, Any]:
    needed = [name for name, each in kind.fields.items() if each.required]
    made = {
        "type": "object",
        "additionalProperties": kind.passes_on,
        "properties": {name: {**_schema(each, shared), "title": name} for name, each in kind.fields.items()},
        **kind.about,
    }
    return {**made, "required": needed} if needed else made
