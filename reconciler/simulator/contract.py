"""Check bodies by the vendor's published contract: `schemas/agora/*.json`, compiled into plain functions.

Those files are written by hand from the vendor's pages. Conditions between fields are in `bodies.py`. A body
that breaks the contract is answered with the documented 400 (v2 API reference: errors).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from reconciler.simulator.messages import ErrorReason


class ContractBreach(NamedTuple):
    """The first problem of a body, with its path."""

    reason: ErrorReason
    where: str
    text: str

    def inside(self, key: str) -> ContractBreach:
        """Return the same problem with its path one level further out."""
        where = f"{key}.{self.where}" if self.where else key
        return ContractBreach(self.reason, where, self.text)

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


Check = Callable[[Any], ContractBreach | None]


class Strictness(NamedTuple):
    """What a compiled schema refuses: by the area, and the switches unknown_fields, unknown_enums, strict_vendors."""

    area: str
    refuse_unknown_fields: bool
    refuse_unknown_enums: bool
    refuse_unknown_vendors: bool = False

    def allowed(self, node: Mapping[str, Any]) -> frozenset[Any]:
        """Return the only values that a node may have; empty if all are allowed."""
        is_vendor = node.get("x-vendor", False)
        strict = self.refuse_unknown_vendors if is_vendor else self.refuse_unknown_enums
        return frozenset(node.get("enum", ())) if strict else frozenset()


def wrong(text: str, where: str = "") -> ContractBreach:
    """Return the breach of a field whose value is not allowed."""
    return ContractBreach(ErrorReason.INVALID_FIELD_VALUE, where, text)


def missing(field: str, where: str) -> ContractBreach:
    """Return the breach of a required field that is missing, in the words of the documented example."""
    return ContractBreach(ErrorReason.MISSING_REQUIRED_FIELD, where, f"{field} not found")


def check_body(document: str, body: object, strictness: Strictness) -> ContractBreach | None:
    """Return the first problem of `body` by `schemas/agora/<document>.json`, or None."""
    if not isinstance(body, dict):
        return ContractBreach(ErrorReason.INVALID_REQUEST_BODY, "", "the body must be a JSON object")
    return compiled(document, strictness)(body)


def without_nulls(document: str, body: object) -> object:
    """Return `body` without nulls for documented fields: the SDK's sessions send null for an absent field.

    What the contract leaves free, such as a model's parameters, keeps its nulls.
    """
    return _pruned(schema(document), body)


def unknown_vendors(properties: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the blocks of a valid join whose vendor no page lists, each with that vendor."""
    given = ((block, properties.get(block, {}).get("vendor"), known) for block, known in _vendors().items())
    return [(block, vendor) for block, vendor, known in given if vendor and vendor not in known]


@cache
def _vendors() -> Mapping[str, frozenset[str]]:
    """Return the listed vendors of each block of a join that has a vendor."""
    blocks = schema("join")["properties"]["properties"]["properties"]
    fields = {block: node.get("properties", {}).get("vendor", {}) for block, node in blocks.items()}
    return {block: frozenset(field["enum"]) for block, field in fields.items() if field.get("x-vendor")}


def _pruned(node: Mapping[str, Any], value: object) -> object:
    if isinstance(value, list) and "items" in node:
        return [_pruned(node["items"], item) for item in value]
    if not isinstance(value, dict):
        return value
    known = node.get("properties", {})
    return {
        name: _pruned(known.get(name, {}), item)
        for name, item in value.items()
        if item is not None or name not in known
    }


@cache
def compiled(document: str, strictness: Strictness) -> Check:
    """Return the check of one document."""
    return _compile(schema(document), strictness)


@cache
def schema(document: str) -> dict[str, Any]:
    """Return one of the hand-written documents: from the installed package, else from the repository."""
    here = Path(__file__).parent
    places = (here / "schemas", here.parent.parent / "schemas" / "agora")
    place = next(place for place in places if place.is_dir())
    content: dict[str, Any] = orjson.loads((place / f"{document}.json").read_bytes())
    return content


def _compile(node: Mapping[str, Any], strictness: Strictness) -> Check:
    return _COMPILERS[node["type"]](node, strictness)


def _compile_object(node: Mapping[str, Any], strictness: Strictness) -> Check:
    checks = {
        name: _compile(child, strictness)
        for name, child in node.get("properties", {}).items()
        if strictness.area in child.get("x-areas", (strictness.area,))
    }
    required = tuple(node.get("required", ()))
    extra = node.get("additionalProperties")
    check_extra = _compile(extra, strictness) if extra else None
    if check_extra is None and checks and strictness.refuse_unknown_fields:
        check_extra = _refuse_unknown
    find = checks.get

    def check(value: Any) -> ContractBreach | None:
        if type(value) is not dict:
            return wrong(f"object expected, {_kind(value)} given")
        for name in required:
            if name not in value:
                return missing(name, "")
        for name, item in value.items():
            check_item = find(name, check_extra)
            if check_item is not None:
                problem = check_item(item)
                if problem is not None:
                    return problem.inside(name)
        return None

    return check


def _refuse_unknown(_: Any) -> ContractBreach:
    return wrong("unknown field")


def _compile_array(node: Mapping[str, Any], strictness: Strictness) -> Check:
    check_item = _compile(node["items"], strictness)
    longest = node.get("maxItems")

    def check(value: Any) -> ContractBreach | None:
        if type(value) is not list:
            return wrong(f"array expected, {_kind(value)} given")
        if longest is not None and len(value) > longest:
            return wrong(f"at most {longest} items")
        for position, item in enumerate(value):
            problem = check_item(item)
            if problem is not None:
                return problem.inside(str(position))
        return None

    return check


def _compile_string(node: Mapping[str, Any], strictness: Strictness) -> Check:
    allowed = strictness.allowed(node)
    limits = _text_limits(node)

    def check(value: Any) -> ContractBreach | None:
        if type(value) is not str:
            return wrong(f"string expected, {_kind(value)} given")
        if allowed and value not in allowed:
            return wrong(f"must be one of {', '.join(sorted(allowed))}")
        for broken, text in limits:
            if broken(value):
                return wrong(text)
        return None

    return check


def _text_limits(node: Mapping[str, Any]) -> list[tuple[Callable[[str], bool], str]]:
    limits: list[tuple[Callable[[str], bool], str]] = []
    if (shortest := node.get("minLength")) is not None:
        limits.append((lambda text: len(text) < shortest, "must not be empty"))
    if (longest := node.get("maxLength")) is not None:
        limits.append((lambda text: len(text) > longest, f"at most {longest} characters"))
    if (most := node.get("x-maxBytes")) is not None:
        limits.append((lambda text: len(text.encode()) > most, f"at most {most} bytes"))
    if "pattern" in node:
        # JSON Schema's $ is the end of the text; Python's would let a newline follow
        match = re.compile(re.sub(r"\$$", r"\\Z", node["pattern"])).search
        limits.append((lambda text: match(text) is None, "has a form that is not allowed"))
    return limits


def _compile_number(node: Mapping[str, Any], strictness: Strictness) -> Check:
    types = (int,) if node["type"] == "integer" else (int, float)
    low, high = node.get("minimum", float("-inf")), node.get("maximum", float("inf"))
    above, below = node.get("exclusiveMinimum", float("-inf")), node.get("exclusiveMaximum", float("inf"))
    allowed = strictness.allowed(node)

    def check(value: Any) -> ContractBreach | None:
        if type(value) not in types:
            return wrong(f"{node['type']} expected, {_kind(value)} given")
        if not (low <= value <= high and above < value < below):
            return wrong(f"{value} is out of range")
        if allowed and value not in allowed:
            return wrong(f"must be one of {', '.join(map(str, sorted(allowed)))}")
        return None

    return check


def _compile_boolean(_node: Mapping[str, Any], _strictness: Strictness) -> Check:
    def check(value: Any) -> ContractBreach | None:
        return None if type(value) is bool else wrong(f"boolean expected, {_kind(value)} given")

    return check


_COMPILERS: Mapping[str, Callable[[Mapping[str, Any], Strictness], Check]] = {
    "object": _compile_object,
    "array": _compile_array,
    "string": _compile_string,
    "integer": _compile_number,
    "number": _compile_number,
    "boolean": _compile_boolean,
}

_KINDS = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "null")
