"""Check a tree of `properties` against the types of its fields, and translate an error's place to the user's path.

The validator is built from the tables when a combination of vendors first occurs, since most fleets use few of them. It
only checks: it fills in nothing, and its result is not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from reconciler.contract.agora.properties import PROPERTIES, SLOTS
from reconciler.contract.kinds import FieldType, Unfit

if TYPE_CHECKING:
    from pydantic_core import SchemaValidator

Loc = tuple[int | str, ...]

# Types of pydantic's errors that callers treat separately.
UNKNOWN_KEY: Final = "extra_forbidden"
UNKNOWN_VENDOR: Final = "union_tag_invalid"
VENDOR_NOT_TEXT: Final = "union_tag_not_found"

_PLACES: Final = tuple(SLOTS)
_TAGS: Final = tuple((name, slot.kind.tag) for name, slot in SLOTS.items())


def check(tree: Any) -> None:
    """Raise pydantic's `ValidationError` with every problem of the tree; its text never quotes values."""
    if tree.__class__ is not dict:
        chosen: tuple[str | None, ...] = ()
    else:
        chosen = tuple([tag(tree[name]) if name in tree else None for name, tag in _TAGS if tag is not None])
    _validator(chosen).validate_python(tree)


@lru_cache(256)
def _validator(chosen: tuple[str | None, ...]) -> SchemaValidator:
    """Return the validator for agents that use these variants, one for each slot."""
    from pydantic_core import SchemaValidator

    only = dict(zip(_PLACES, chosen, strict=False))
    config: Any = {"title": "Properties", "hide_input_in_errors": True}
    return SchemaValidator(_core(PROPERTIES, only), config)


def _core(kind: FieldType, only: Mapping[str, str | None]) -> Any:
    """Return pydantic-core's schema for a field; each slot in `only` has only the variant that is named there."""
    made: dict[str, Any] = {"type": kind.shape, **kind.limits}
    if kind.shape not in ("any", "literal", "tagged-union"):
        made["strict"] = True  # "5" is no number, and 1 is not true
    if kind.shape == "typed-dict":
        made["extra_behavior"] = "forbid"
        made["fields"] = {name: _field(each, only.get(name, "")) for name, each in kind.fields.items()}
    elif kind.shape == "tagged-union":
        made["discriminator"] = kind.tag
        made["choices"] = {tag: _core(each, {}) for tag, each in kind.variants.items()}
    elif kind.shape == "list" and kind.inner is not None:
        made["items_schema"] = _core(kind.inner, {})
    elif kind.shape == "dict" and kind.inner is not None:
        made |= {"keys_schema": {"type": "str"}, "values_schema": _core(kind.inner, {})}
    return made if kind.check is None else _checked(made, kind)


def _field(kind: FieldType, tag: str | None) -> Any:
    if kind.shape == "tagged-union" and kind.variants.keys() - {"mapping", "text"}:
        # A union without choices cannot be built: if no variant is asked for, the first one is used.
        chosen = tag if tag in kind.variants else next(iter(kind.variants))
        assert chosen is not None
        kind = FieldType("tagged-union", variants={chosen: kind.variants[chosen]}, tag=kind.tag)
    return {"type": "typed-dict-field", "schema": _core(kind, {}), "required": kind.required}


def _checked(made: dict[str, Any], kind: FieldType) -> dict[str, Any]:
    from pydantic_core import PydanticCustomError

    def run(value: Any) -> Any:
        assert kind.check is not None
        try:
            kind.check(value)
        except Unfit as unfit:
            raise PydanticCustomError(unfit.kind, str(unfit)) from None
        return value

    return {"type": "function-after", "function": {"type": "no-info", "function": run}, "schema": made}


def user_path(loc: Loc) -> Loc:
    """Return the path in the user's tree for an error's `loc`, which also contains the tags of variants."""
    if loc[-1:] == ("[key]",):
        loc = loc[:-1]
    path: list[int | str] = []
    kind: FieldType | None = PROPERTIES
    for part in loc:
        if kind is not None and kind.shape == "tagged-union":
            kind = kind.variants.get(str(part))
            continue
        path.append(part)
        kind = below(kind, part)
    return tuple(path)


def known_keys(loc: Loc) -> tuple[str, ...]:
    """Return the known keys of the group that the last key of an error's `loc` is in, for a did-you-mean."""
    kind = _group(loc)
    return tuple(kind.fields) if kind is not None else ()


def _group(loc: Loc) -> FieldType | None:
    kind: FieldType | None = PROPERTIES
    for part in loc[:-1]:
        is_union = kind is not None and kind.shape == "tagged-union"
        kind = kind.variants.get(str(part)) if is_union and kind is not None else below(kind, part)
    return kind


def below(kind: FieldType | None, part: int | str) -> FieldType | None:
    """Return the type of the value under a key or an index; None where it is not known."""
    if kind is None:
        return None
    return kind.inner if kind.shape in ("list", "dict") else kind.fields.get(str(part))
