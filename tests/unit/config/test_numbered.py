"""The list of bad inputs, item by item: which bad fleets and tests hold it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = HERE.parents[1] / "bad_fleets"

# 9.1, as far as it is about files: item -> bad fleets that are refused (or warned about, where the item says so).
FILES = {
    1: "duplicate-key duplicate-key--deep duplicate-key--across-merge",
    2: "yaml-expansion",
    3: "yaml-alias",
    4: "yaml-depth",
    6: "yaml-tag",
    7: "wrong-type--properties",
    8: "yaml-number",
    9: "yaml-key yaml-key--list",
    10: "yaml-documents yaml-syntax--junk",
    11: "yaml-empty wrong-type--root",
    12: "yaml-syntax yaml-syntax--tab yaml-syntax--quote yaml-syntax--bracket",
    13: "unquoted-template unquoted-template--tail unquoted-template--block",
    14: "control-character control-character--raw control-character--bom file-encoding file-encoding--utf16",
    15: "invisible-character url-malformed",
    16: "unknown-key unknown-property unknown-word unknown-vendor wrong-type deprecated-property removed-property",
    17: "fleet-name environment-name agent-name channel-name channel-name--long",
    18: "duplicate-address uid-clash uid-zero uid-not-numeric uid-range uid-range--zero",
    19: "invalid-property remote-uids-missing remote-uids-many",
    20: "invalid-property bad-duration bad-duration--unit",
    21: "bad-duration bad-limit",
    22: "literal-secret url-userinfo secret-like",
    23: "secret-malformed secret-reserved secret-scheme secret-server secret-file secret-misplaced",
    24: "url-scheme url-private url-userinfo url-malformed",
    26: "file-outside file-outside--link file-hidden include-link file-name file-name--odd",
    27: "template-include template-include--cycle include-nothing file-unreadable profile-cycle",
    28: "app-id",
    29: "partial-llm-params ignored-path",
}
# 9.2, item by item: undefined, syntax, attributes, operators and range, recursion, size, time and memory, includes,
# helpers, invalid YAML, structure, secrets, file names.
TEMPLATES = {
    1: "undefined-variable undefined-variable--file",
    2: "template-syntax template-syntax--included",
    3: "template-forbidden",
    4: "template-forbidden",
    5: "template-size template-include--cycle variable-cycle",
    6: "template-size",
    7: "template-time",
    8: "template-include",
    9: "template-forbidden",
    10: "yaml-syntax--rendered",
    11: "template-forbidden--structure",
    12: "template-secret",
    13: "file-name--odd",
}
# Items that cannot be a file in a repository have a test here instead.
NUMBERED = {2, 3, 4, 5, 14, 26}
# What else shows an item, where no number stands in its name.
BESIDES = {
    "1.4": ["test_load.py::test_too_many_agents", "test_load.py::test_limits_of_files"],
    "1.16": ["test_schema.py::test_what_nobody_should_write"],
    "2.4": ["test_templates.py::test_what_a_template_may_not_do"],
    "2.7": ["test_worker.py::test_memory_is_bounded"],
    "2.8": ["test_templates.py::test_includes_are_static_and_inside"],
    "2.9": ["test_templates.py::test_helpers_that_do_not_exist"],
    "2.10": ["test_load.py::test_both_places_of_an_error_in_a_rendered_file"],
    "2.11": ["test_load.py::test_a_value_cannot_bring_structure_along"],
}


@pytest.mark.parametrize(
    "cases",
    [*FILES.values(), *TEMPLATES.values()],
    ids=[*(f"9.1.{each}" for each in FILES), *(f"9.2.{each}" for each in TEMPLATES)],
)
def test_every_item_has_its_bad_fleets(cases: str) -> None:
    for name in cases.split():
        assert f" {name.split('--')[0]}" in (CASES / name / "expected.txt").read_text()


def test_every_item_has_its_test() -> None:
    tests = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    assert {int(number) for number in re.findall(r"def test_(\d+)_", tests)} >= NUMBERED
    # 25 and 30 compare with what runs: `tests/numbered/test_files.py`.
    assert set(FILES) | NUMBERED == set(range(1, 30)) - {25}
    assert set(TEMPLATES) == set(range(1, 14))


def test_what_shows_it_besides_exists() -> None:
    for test in (each for tests in BESIDES.values() for each in tests):
        file, _, name = test.partition("::")
        assert f"def {name}(" in (HERE / file).read_text(), test
