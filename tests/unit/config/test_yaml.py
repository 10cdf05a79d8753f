"""YAML as a fleet reads it. The numbers are those of the list of bad inputs (9.1)."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.config.yaml import reader as yaml_parser
from reconciler.config.yaml.reader import parse_yaml
from reconciler.config.yaml.scalars import number, scalar, unsafe_name
from reconciler.config.yaml.tree import OpenList, OpenMap, Parsed, YamlLimits


def tree(text: str, **options: Any) -> Any:
    parsed = parse_yaml(text, **options)
    assert parsed.problems == []
    return parsed.root


def only(text: str, **options: Any) -> tuple[str, int, int]:
    """The rule, line and column (from 1) of the one problem of a text."""
    [problem] = parse_yaml(text, **options).problems
    assert problem.where is not None
    return problem.rule, problem.where.line, problem.where.column


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1", 1), ("-7", -7), ("0", 0), ("1.5", 1.5), ("-0.25", -0.25), ("1e3", 1000.0), ("2E-2", 0.02)),
        *(("true", True), ("false", False), ("null", None), ("~", None), ("", None)),
        *((str(2**64 - 1), 2**64 - 1), (str(-(2**63)), -(2**63))),
    ],
)
def test_typed_scalars(text: str, value: object) -> None:
    read = tree(f"a: {text}")["a"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "yes",
            "no",
            "on",
            "off",
            "NO",
            "True",
            "FALSE",
            "Null",
            "0123",
            "0o17",
            "0x1F",
            "1_000",
            "12:30",
            "+1",
        ),
        *(".5", "1.", "--1", ".nan", ".inf", "-.inf", "2001-01-01", "2001-01-01T00:00:00Z", "=", "1.2.3"),
    ],
)
def test_7_everything_else_is_text(text: str) -> None:
    assert tree(f"a: {text}") == {"a": text}


@given(st.text(alphabet=string.digits + "+-.eE_:x", max_size=12))
def test_numbers_are_those_of_json(text: str) -> None:
    try:
        value = scalar(text)
    except ValueError:
        return
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        assert value == yaml.safe_load(f"[{text}]")[0] or float(text) == value
        assert text.lstrip("-")[:2].rstrip(".eE0123456789") == ""
    else:
        assert value is None or value == text


def test_8_numbers_out_of_range() -> None:
    for text in ("1e999", "-1e999", str(2**64), str(-(2**63) - 1), "9" * 5000):
        assert only(f"a: {text}") == ("yaml-number", 1, 4)
        with pytest.raises(ValueError, match="number"):
            number(text)


def test_quoted_scalars_are_text() -> None:
    assert tree("a: '1'\nb: \"true\"\nc: |\n  2\n") == {"a": "1", "b": "true", "c": "2\n"}


def test_1_duplicate_keys_at_any_depth() -> None:
    assert only("a: 1\nb: {c: [{d: 1,\n  d: 2}]}") == ("duplicate-key", 3, 3)
    assert only('a: 1\n"a": 2') == ("duplicate-key", 2, 1)


def test_1_duplicate_keys_are_all_found() -> None:
    assert [each.where.line - 1 for each in parse_yaml("a: 1\na: 2\nb: 3\na: 4\nb: 5\n").problems] == [
        1,
        3,
        4,
    ]


def test_1_duplicates_across_merges() -> None:
    assert only("a: &a {x: 1}\nb: &b {x: 2}\nc: {<<: [*a, *b]}") == ("duplicate-key", 3, 9)
    assert ("duplicate-key", 4, 3) in [
        (each.rule, each.where.line, each.where.column)
        for each in parse_yaml("a: &a {x: 1}\nc:\n  <<: *a\n  <<: *a\n").problems
    ]


def test_a_written_key_wins_over_a_merged_one() -> None:
    text = "base: &base {x: 1, y: 2}\nc:\n  <<: *base\n  x: 3\n"
    assert tree(text)["c"] == {"x": 3, "y": 2}


def test_merged_keys_keep_their_place() -> None:
    parsed = parse_yaml("base: &base\n  y: 2\nc:\n  x: 3\n  <<: *base\n")
    assert parsed.place(parsed.root["c"], "y") == (1, 5)


def test_2_anchors_share_and_bombs_are_refused() -> None:
    shared = tree("a: &a {x: [1, 2]}\nb: *a\n")
    assert shared["b"] is shared["a"]
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    assert only("\n".join(lines))[0] == "yaml-expansion"


def test_2_merge_bombs_are_refused_quickly() -> None:
    lines = ["a0: &a0 {k0: 1}"] + [f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: *a{n - 1}}}" for n in range(1, 60)]
    assert "yaml-expansion" in {each.rule for each in parse_yaml("\n".join(lines)).problems}


def test_2_honest_anchors_pass() -> None:
    agents = "\n".join(f"  - {{<<: *base, name: a{n}}}" for n in range(3000))
    text = f"base: &base {{{', '.join(f'k{n}: {n}' for n in range(60))}}}\nagents:\n{agents}\n"
    assert len(tree(text)["agents"]) == 3000


def test_3_recursive_alias() -> None:
    assert only("a: &a {b: [*a]}") == ("yaml-alias", 1, 12)
    assert only("a: *a") == ("yaml-alias", 1, 4)


def test_4_depth_and_nodes() -> None:
    assert only("[" * 51 + "]" * 51)[0] == "yaml-depth"
    assert tree("[" * 50 + "]" * 50)
    assert only("a: [1, 2, 3]", limits=YamlLimits(nodes=3)) == ("yaml-size", 1, 4)


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 200_000, "- " * 200_000, "{" * 200_000])
def test_5_a_flood_of_brackets(text: str) -> None:
    [problem] = parse_yaml(text).problems
    assert problem.rule in ("yaml-depth", "unquoted-template")


def test_5_the_place_is_the_same_whoever_counts() -> None:
    """libyaml from 0.2.6 on counts levels itself, and comes to its bound before we have heard of ours."""
    across = parse_yaml("fleet: " + "[" * 200_000).problems[0]
    down = parse_yaml("fleet: " + "[\n" * 200_000).problems[0]
    inside = parse_yaml("a: {b: [" + "[" * 200_000).problems[0]
    assert (across.rule, across.where.line - 1, across.where.column - 1) == (
        "yaml-depth",
        0,
        len("fleet: ") + 49,
    )
    assert (down.rule, down.where.line - 1, down.where.column - 1) == ("yaml-depth", 49, 0)
    assert (inside.rule, inside.where.line - 1, inside.where.column - 1) == (
        "yaml-depth",
        0,
        len("a: {b: ") + 48,
    )


@pytest.mark.parametrize(
    "text",
    [
        *(
            "!!python/object/apply:os.system [id]",
            "!!binary aGk=",
            "!!set {a}",
            "!!timestamp 2001-01-01",
            "!own x",
        ),
        *("!!omap [a: 1]", "!!pairs [a: 1]", "! x", "!!int x", "!!bool yes", "!!null x", "!!float [1]"),
    ],
)
def test_6_tags(text: str) -> None:
    assert only(f"a: {text}")[0] == "yaml-tag"


def test_6_core_tags() -> None:
    text = "{a: !!str 1, b: !!int 1, c: !!float 1, d: !!bool true, e: !!null null, f: !!seq [], g: !!map {}, h: !!int '2'}"
    assert tree(text) == {"a": "1", "b": 1, "c": 1, "d": True, "e": None, "f": [], "g": {}, "h": 2}


@pytest.mark.parametrize("key", ["1", "1.5", "true", "null", "~", "[a]", "{a: b}", "? [a]\n"])
def test_9_keys_are_texts(key: str) -> None:
    assert only(f"{key}: x")[0] == "yaml-key"


def test_9_quoted_keys_and_words_of_old_are_texts() -> None:
    assert tree("'1': a\nyes: b\n\"true\": c\non: d\n") == {"1": "a", "yes": "b", "true": "c", "on": "d"}


def test_10_one_document() -> None:
    assert only("a: 1\n---\nb: 2\n") == ("yaml-documents", 2, 1)
    assert only("a: 1\n...\njunk\n")[0] == "yaml-syntax"
    assert tree("---\na: 1\n...\n") == {"a": 1}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "\n\n"])
def test_11_nothing(text: str) -> None:
    assert parse_yaml(text) == Parsed()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a:\n\tb: 1", (2, 1)),
        ('a: "b', (1, 6)),
        ("a: b: c", (1, 5)),
        ("a: [1", (2, 1)),
        ("a: @b", (1, 4)),
        ("a: 'b\nc: d", (2, 5)),
    ],
)
def test_12_syntax_has_a_column(text: str, place: tuple[int, int]) -> None:
    assert only(text) == ("yaml-syntax", *place)


@pytest.mark.parametrize(
    "text", ["a: {{ b }}", "a: {{b}}", "a: {{ b }}-c", "a: {% if b %}", "{% for a in b %}", "- {{ a }}"]
)
def test_13_unquoted_templates(text: str) -> None:
    assert only(text)[0] == "unquoted-template"


@pytest.mark.parametrize(
    "text",
    ["a: \x07", "a: \x00", "a: \x1b[0m", "a: \x7f", 'a: "\\0"', 'a: "\\x1b"', 'a: "\\x85"', 'a: "\\e"'],
)
def test_14_control_characters(text: str) -> None:
    assert only(text) == ("control-character", 1, 4)


def test_14_lone_surrogates() -> None:
    assert only('a: "\\ud800"')[0] == "yaml-syntax"


@pytest.mark.parametrize(
    "text", ["a\u202eb", "a\u200bb", "a\u2066b", "\ufeffa", "e\u0301", "a\u00adb", "a\ue000"]
)
def test_15_names_that_deceive(text: str) -> None:
    assert unsafe_name(text)
    assert unsafe_name("zürich-東京") is None


def test_what_is_left_to_do_is_marked() -> None:
    root = tree("a: {b: '{{ c }}'}\nd: {e: 1}\nf: [{g: null}]\nh: {i: null}\n")
    assert type(root) is OpenMap and type(root["a"]) is OpenMap and type(root["d"]) is dict
    assert type(root["f"]) is OpenList and type(root["h"]) is OpenMap
    inert = tree("a: {b: '{{ c }}', d: null}", inert=True)
    assert type(inert) is dict and type(inert["a"]["b"]) is str


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(
        st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\u2028\u2029\ufeff\ufffe\uffff"),
        max_size=10,
    ),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.text("abc-_", max_size=5), below, max_size=4)
    ),
    max_leaves=20,
)


@given(json_like)
def test_json_is_read_as_json(value: Any) -> None:
    assert tree(f"a: {json.dumps(value, ensure_ascii=False)}", inert=True) == {"a": value}


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from(["x", "'y z'", '"é"', "10", "[a, b]", "{c: d}"])),
        min_size=1,
        max_size=8,
    )
)
def test_every_place_leads_to_its_value(rows: list[tuple[int, str]]) -> None:
    text = "".join(f"key{n}:{' ' * (pad + 1)}{value}\n" for n, (pad, value) in enumerate(rows))
    parsed = parse_yaml(text)
    lines = text.split("\n")
    for n, (_, value) in enumerate(rows):
        line, column = parsed.place(parsed.root, f"key{n}")
        assert lines[line][column:] == value
        line, column = parsed.key_place(parsed.root, f"key{n}")
        assert lines[line][column:].startswith(f"key{n}:")


def test_the_parser_without_libyaml_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        "a: {b: [1, '2', *x]}",
        "a: &a {b: 1}\nc: {<<: *a}\n",
        "a: |\n  b\n  c\nd: >-\n  e\n  f\n",
        "a: 1\na: 2\n",
        "? [a]\n: b",
    ]
    fast = [parse_yaml(text) for text in texts]
    monkeypatch.setattr(yaml_parser.yaml, "__with_libyaml__", False)
    slow = [parse_yaml(text) for text in texts]
    assert [each.root for each in slow] == [each.root for each in fast]
    assert [[t.rule for t in each.problems] for each in slow] == [
        [t.rule for t in each.problems] for each in fast
    ]
