"""The JSON Schema of `properties`, built from the types of its fields.

It refuses what `check` reports as an error, and accepts what is only a warning: an unknown key or vendor is sent as it
is. Editors show every refusal as an error.
"""

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
# The field that may hold words outside its list: the service may know more vendors than this table.
_OPEN: Final = "vendor"
_RANGE: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def properties_schema() -> dict[str, Any]:
    """Return the JSON Schema of a whole tree, with the definitions that it refers to under `$defs`."""
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
            return {**_choice(kind, shared), **about}
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


def _choice(kind: FieldType, shared: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a union; if a word of the value names the variant, only that variant's schema applies."""
    variants = list(kind.variants.values())
    told = [
        {name: _words(each) for name, each in one.fields.items() if each.shape == "literal"}
        for one in variants
    ]
    telling = next((name for name, made in told[-1].items() if "const" in made), None)
    if telling is None:
        return {"oneOf": [_schema(each, shared) for each in variants]}
    parts, known = [], {}
    for one, words in zip(variants, told, strict=True):
        shape = _schema(one, shared)
        if telling in words:
            word = words[telling]["const"]
            known[word] = words[telling].get("description", word)
            is_it: dict[str, Any] = {"required": [telling], "properties": {telling: {"const": word}}}
            parts.append({"if": is_it, "then": shape})
        if telling not in words or not one.fields[telling].required:
            parts.append({"if": {"not": {"required": [telling]}}, "then": shape})
    made = {"type": "string", "enum": list(known), "enumDescriptions": list(known.values())}
    return {"type": "object", "properties": {telling: _opened(telling, made)}, "allOf": parts}


def _opened(name: str, made: dict[str, Any]) -> dict[str, Any]:
    """Return a list of words as it is, or open to other words for the field that may hold them."""
    if name != _OPEN or "enum" not in made:
        return made
    listed = {key: value for key, value in made.items() if key.startswith("enum")}
    rest = {key: value for key, value in made.items() if key not in (*listed, "type")}
    return {**rest, "anyOf": [listed, {"type": "string"}]}


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
        "properties": {
            name: {**_opened(name, _schema(each, shared)), "title": name}
            for name, each in kind.fields.items()
        },
        **kind.about,
    }
    return {**made, "required": needed} if needed else made
