"""Warnings that were read are accepted in the files: by rule, by path, with a reason; errors never are."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.validating import check
from reconciler.report import problems
from reconciler.report.problem_formats import render_json

from .conftest import Load, Problems, Write

AGENT = """
channels:
  - channel: lobby
    agents:
      - name: greeter
        properties: {parameters: {brand_new: 1, other: 2}, llm: {params: {brand_new: 1}}}
"""
REASON = "reason: the vendor's support asked for it"


def shown(directory: Path) -> str:
    checked = check(directory, None, {})
    return problems.render_text(checked)


def test_a_warning_is_accepted_by_its_rule(loaded: Load) -> None:
    fleet = loaded(f"ignore: [{{rule: unknown-property, {REASON}}}]{AGENT}")
    assert fleet.warnings == ()
    assert [each.path for each in fleet.accepted] == [
        "parameters.brand_new", "parameters.other", "llm.params.brand_new",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("parameters.brand_new", ["parameters.other", "llm.params.brand_new"]),
        ("properties.parameters.brand_new", ["parameters.other", "llm.params.brand_new"]),
        ("parameters", ["llm.params.brand_new"]),
    ],
)
def test_and_by_its_path_and_what_is_below(loaded: Load, path: str, left: list[str]) -> None:
    fleet = loaded(f"ignore: [{{rule: unknown-property, path: {path}, {REASON}}}]{AGENT}")
    assert sorted(str(each.path) for each in fleet.warnings) == sorted(left)


def test_half_a_key_is_no_path(loaded: Load) -> None:
    fleet = loaded(f"ignore: [{{rule: unknown-property, path: parameters.brand, {REASON}}}]{AGENT}")
    assert len(fleet.warnings) == 3


def test_an_error_is_never_accepted(problems: Problems) -> None:
    found = problems(
        f"ignore: [{{rule: uid-range, {REASON}}}]\n"
        'channels: [{channel: lobby, agents: [{name: a, properties: {agent_rtc_uid: "01"}}]}]'
    )
    assert [each.rule for each in found if each.is_error] == ["uid-range"]


def test_what_validate_says_of_them_is_one_line(write: Write) -> None:
    directory = write(f"ignore: [{{rule: unknown-property, {REASON}}}]{AGENT}")
    assert shown(directory) == (
        "test is valid: 1 agent in 1 channel.\n3 warnings are ignored by the files: unknown-property (3).\n"
    )


def test_json_counts_them(write: Write) -> None:
    checked = check(write(f"ignore: [{{rule: unknown-property, {REASON}}}]{AGENT}"), None, {})
    assert '"ignored_count": 3' in render_json(checked)


def test_what_nothing_needs_is_a_warning(write: Write) -> None:
    found = check(write(f"ignore: [{{rule: remote-uids-many, {REASON}}}]{AGENT}"), None, {}).diagnostics
    [unused] = [each for each in found if each.rule == "ignore-unused"]
    assert not unused.is_error
    assert unused.where is not None


def test_what_one_environment_needs_is_needed(write: Write) -> None:
    directory = write(
        f"ignore: [{{rule: unknown-property, {REASON}}}]\n"
        "environments: {test: null, prod: {overrides: {properties: {parameters: {brand_new: 1}}}}}\n"
        "channels: [{channel: lobby, agents: [{name: a}]}]"
    )
    assert check(directory, None, {}).diagnostics == ()
    assert [each.rule for each in check(directory, "test", {}).diagnostics] == []


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        (f"{{rule: unknown-propery, {REASON}}}", "ignore-rule"),
        ("{rule: unknown-property}", "missing-key"),
        ('{rule: unknown-property, reason: " "}', "missing-key"),
        (f"{{path: parameters, {REASON}}}", "missing-key"),
        ("unknown-property", "wrong-type"),
        (f"{{rule: unknown-property, paths: parameters, {REASON}}}", "unknown-key"),
        ('{rule: "{{ x }}", reason: r}', "template-not-allowed"),
    ],
)
def test_an_entry_that_is_none_is_an_error(problems: Problems, entry: str, rule: str) -> None:
    assert rule in {each.rule for each in problems(f"ignore: [{entry}]{AGENT}") if each.is_error}
