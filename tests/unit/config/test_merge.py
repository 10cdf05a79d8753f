"""The laws of merging, and which layer decided a value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.config.expand.layers import Layer, Stack, deciding, merged, without_nulls
from reconciler.config.files.documents import Document
from reconciler.config.yaml.reader import parse_yaml
from reconciler.config.yaml.scalars import Templated
from reconciler.config.yaml.tree import OpenMap

values = st.recursive(
    st.none() | st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2),
    lambda below: st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=8,
)
maps = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


def reference(lower: Any, upper: Any) -> Any:
    """JSON merge patch (RFC 7386): what "mappings merge, the rest replaces, null removes" means."""
    if not isinstance(upper, dict):
        return upper
    result = dict(lower) if isinstance(lower, dict) else {}
    for key, value in upper.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = reference(result.get(key), value)
    return result


@given(maps, maps)
def test_merging_is_merge_patch(lower: dict[str, Any], upper: dict[str, Any]) -> None:
    assert without_nulls(merged(lower, upper)) == reference(without_nulls(lower), upper)


@given(st.lists(maps, min_size=1, max_size=4))
def test_layers_from_the_lowest_up(layers: list[dict[str, Any]]) -> None:
    ours: Any = {}
    theirs: Any = {}
    for layer in layers:
        ours, theirs = merged(ours, layer), reference(theirs, layer)
    assert without_nulls(ours) == theirs


@given(maps)
def test_nothing_above_or_below_changes_nothing(layer: dict[str, Any]) -> None:
    assert merged(layer, {}) is layer
    assert merged({}, layer) == layer
    assert merged(layer, layer) == layer


@given(maps, maps)
def test_merging_changes_neither_side(lower: dict[str, Any], upper: dict[str, Any]) -> None:
    before = repr((lower, upper))
    merged(lower, upper)
    assert repr((lower, upper)) == before


def test_what_one_layer_has_is_shared() -> None:
    lower, upper = {"a": {"x": 1}, "b": {}}, {"c": {"y": 2}}
    both = merged(lower, upper)
    assert both["a"] is lower["a"]
    assert both["c"] is upper["c"]


def test_an_expression_that_may_be_a_mapping_waits() -> None:
    expression = Templated("{{ x }}")
    assert merged({"a": {"b": 1}}, OpenMap(a=expression))["a"] == Stack(({"b": 1}, expression))
    assert merged(OpenMap(a=expression), {"a": {"b": 1}})["a"] == Stack((expression, {"b": 1}))
    assert merged({"a": 1}, OpenMap(a=expression))["a"] == expression
    assert merged({"a": {"b": 1}}, OpenMap(a=Templated("x {{ x }}")))["a"] == "x {{ x }}"


def layer(name: str, text: str) -> Layer:
    document = Document(f"{name}.yaml", parse_yaml(text))
    return Layer(name, document, document.root)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("a", "x"), "upper.yaml:2:3"),
        (("a", "y"), "lower.yaml:3:3"),
        (("a",), "upper.yaml:1:1"),
        (("b", 0, "c"), "lower.yaml:5:6"),
        (("d", "anything"), "upper.yaml:3:1"),
        (("a", "x", "deeper"), "upper.yaml:2:3"),
        ((), "upper.yaml:1:1"),
    ],
)
def test_the_layer_that_decided(path: tuple[str | int, ...], place: str) -> None:
    lower = layer("lower", "a:\n  x: 1\n  y: 2\nb:\n  - {c: 1}\nd: {e: 1}\n")
    upper = layer("upper", "a:\n  x: 3\nd: '{{ z }}'\n")
    found = deciding([lower, upper], path)
    assert found is not None and str(found.span) == place


def test_what_no_layer_says() -> None:
    assert deciding([layer("only", "a: {b: 1}")], ("a", "c")) is None
