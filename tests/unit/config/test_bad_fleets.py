"""Every bad fleet of `tests/bad_fleets` gets exactly the diagnostics that stand beside it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

import reconciler.config
from reconciler.config import load
from reconciler.config.rules.catalogue import RULES
from reconciler.diagnostics import Problem
from reconciler.errors import InvalidConfig

CASES = Path(__file__).parents[2] / "bad_fleets"
NAMES = sorted(each.name for each in CASES.iterdir() if each.is_dir())

# What cannot stand in a repository as a file, or only by the gigabyte; each has a test of its own.
NOT_AS_FILES = {"file-kind", "file-size", "include-size", "yaml-size", "too-many-agents"}


def told(diagnostics: tuple[Problem, ...]) -> str:
    """Diagnostics as text, complete."""
    lines = []
    for each in diagnostics:
        lines.append(
            f"{each.severity} {each.where or '-'} {each.rule}" + (f" ({each.path})" if each.path else "")
        )
        lines.append(f"    {each.summary}")
        lines += [f"    {name}: {text}" for name, text in (("why", each.why), ("help", each.help)) if text]
        lines += [f"    {where}: {words}" for where, words in each.related]
    return "\n".join(lines) + "\n"


def diagnose(case: Path) -> tuple[Problem, ...]:
    """All that a load has to say."""
    path = case / "options.yaml"
    options = yaml.safe_load(path.read_text()) if path.exists() else {}
    try:
        fleet = load(case, environment=options.get("environment"), variables=options.get("variables", {}))
    except InvalidConfig as error:
        return error.diagnostics
    return (*fleet.warnings, *fleet.unused)


@pytest.mark.parametrize("name", NAMES)
def test_diagnostics(name: str, request: pytest.FixtureRequest) -> None:
    found = diagnose(CASES / name)
    text = told(found).replace(str(CASES), "…")
    expected = CASES / name / "expected.txt"
    if request.config.getoption("--update-golden"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    assert name.split("--")[0] in {each.rule for each in found}
    assert all(each.where is not None for each in found if each.rule not in ("no-fleet", "unknown-variable"))


def rules_in_code() -> set[str]:
    """Every kebab-case constant of the room: they are rule ids, and nothing else."""
    folder = Path(reconciler.config.__file__).parent
    constants = {
        node.value
        for path in folder.rglob("*.py")
        if path.name != "catalogue.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {each for each in constants if re.fullmatch(r"[a-z]+(-[a-z]+)+", each)}


def test_every_rule_is_in_the_catalogue() -> None:
    assert rules_in_code() == set(RULES)


def test_every_rule_has_a_bad_fleet_and_every_bad_fleet_a_rule() -> None:
    assert {name.split("--")[0] for name in NAMES} | NOT_AS_FILES == set(RULES)


def test_the_catalogue_says_something_about_every_rule() -> None:
    assert all(text and not text.endswith(".") for text in RULES.values())
    assert list(RULES) == sorted(RULES)
