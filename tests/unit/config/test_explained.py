"""Every rule is explained: its meaning, an example that is one of the bad fleets, and the cure."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.config.load import read_source
from reconciler.config.rules.catalogue import CURES, EXAMPLES, RULES, explain, written
from reconciler.plan.plan_warnings import WARNINGS_OF_PLANS
from reconciler.report.formats import RenderOptions
from reconciler.report.problems import problem_lines
from tests.unit.config.test_bad_fleets import CASES, NOT_AS_FILES, diagnose


def shown() -> dict[str, str]:
    """What `validate` says of each rule's own bad fleets: the first problem that says what to do, with its lines."""
    made = {}
    for rule in sorted(set(RULES) - NOT_AS_FILES):
        own = [
            (each, fleet)
            for fleet in (CASES / rule, *sorted(CASES.glob(f"{rule}--*")))
            for each in diagnose(fleet)
            if each.rule == rule
        ]
        problem, fleet = next((each for each in own if each[0].help), own[0])
        text = problem_lines([problem], RenderOptions(read_source=partial(read_source, fleet)))
        made[rule] = text.rsplit("\n\n", 1)[0].replace(str(CASES), "…")
    return made


def test_the_examples_are_those_of_the_bad_fleets(request: pytest.FixtureRequest) -> None:
    text = written(shown())
    if request.config.getoption("--update-golden"):
        EXAMPLES.write_text(text, encoding="utf-8")
    assert EXAMPLES.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_a_meaning_an_example_and_a_cure(rule: str) -> None:
    text = explain(rule)
    assert text.startswith(f"{rule}: {RULES[rule]}\n")
    assert rule in NOT_AS_FILES or f"[{rule}]" in text
    assert ("    help: " in text) != (rule in CURES), "either the message has the cure, or the table"


def test_explain_lists_and_finds_rules() -> None:
    runner = CliRunner(env={"COLUMNS": ""})  # as wide as it is
    listed = runner.invoke(cli, ["explain"])
    assert [line.split()[0] for line in listed.output.splitlines()] == list(RULES)
    for rule in WARNINGS_OF_PLANS:
        assert runner.invoke(cli, ["explain", rule]).output.startswith(f"{rule}: ")
    assert runner.invoke(cli, ["explain", "uid-clash"]).output == explain("uid-clash")
    assert runner.invoke(cli, ["explain", "[uid-clash]"]).output == explain("uid-clash")


def test_sarif_has_the_same_text() -> None:
    done = CliRunner().invoke(cli, ["validate", str(CASES / "uid-clash"), "--format", "sarif"])
    [run] = json.loads(done.output)["runs"]
    [rule] = [each for each in run["tool"]["driver"]["rules"] if each["id"] == "uid-clash"]
    assert rule["shortDescription"]["text"] == RULES["uid-clash"]
    assert rule["help"]["text"] == explain("uid-clash")


def test_no_example_shows_a_secret() -> None:
    text = EXAMPLES.read_text(encoding="utf-8")
    assert "sk-1234567890abcdefghijkl" not in text
    assert str(Path.cwd()) not in text
