"""Trees as YAML and JSON."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.report.documents import as_ascii_json, as_json, as_json_line, to_json, to_yaml
from reconciler.report.escape import json_text


def test_prompts_are_blocks_in_the_order_of_the_tree() -> None:
    tree = {"z": "You are kind.\n\nBe brief.\n", "a": [{"role": "system", "content": "one\n  two"}]}
    assert to_yaml(tree) == (
        "z: |\n  You are kind.\n\n  Be brief.\na:\n  - role: system\n    content: |-\n      one\n        two\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "no",
        "on",
        "0123",
        "1_000",
        "12:30",
        "1.10",
        "0x10",
        "2001-01-01",
        "null",
        "~",
        "",
        "=",
        ".inf",
        "-1",
        "+1",
        "1e3",
        "<<",
        "true",
        "Off",
        "0o17",
    ],
)
def test_text_that_looks_like_something_else_is_quoted(text: str) -> None:
    assert to_yaml({"key": text}) == f'key: "{text}"\n'


@pytest.mark.parametrize(
    "text", ["a\u202eb", "a\nb \nc", "\u200b", "x\x85y\nz", " lead\nx", "\n", "a\tb\nc", "\U000e0041"]
)
def test_what_cannot_be_seen_is_escaped_and_comes_back(text: str) -> None:
    written = to_yaml({"key": [text]})
    assert written.replace("\n", "").isprintable()
    assert yaml.safe_load(written) == {"key": [text]}


def test_equal_parts_are_written_out_and_not_referred_to() -> None:
    shared = {"x": ["same"]}
    assert "&" not in to_yaml({"a": shared, "b": shared})


def test_json_survives_what_fast_encoders_refuse() -> None:
    assert json.loads(as_json({"half": "\ud800", "big": 2**70})) == {"half": "\ud800", "big": 2**70}
    assert as_json_line(["\u202e\u2028"]) == '["\\u202e\\u2028"]'
    assert to_json({"b": 1, "a": 2}) == '{\n  "b": 1,\n  "a": 2\n}\n'


_PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)


@example([1e-05, -0.00009, 0.0001, 1e16, 10.00001, 1.5e300])
@given(
    st.recursive(
        _PLAIN, lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4)
    )
)
def test_ascii_json_is_what_the_standard_library_writes(tree: object) -> None:
    assert as_ascii_json(tree) == json_text(json.dumps(tree, indent=2))
