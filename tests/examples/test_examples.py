"""Every example validates, plans as its golden file says, applies, and then has nothing left to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
import yaml

from reconciler.cli import main
from reconciler.config.keys import KEYS

from .harness import EXAMPLES, FLEETS, NAMES, PAGES, Command, commands, copied

Golden = Callable[[str, str], None]

DOCUMENTS = tuple(sorted(str(each.relative_to(EXAMPLES)) for each in EXAMPLES.glob("*/*.md")))


def _environments(fleet: Path) -> list[str]:
    return list(yaml.safe_load((fleet / "fleet.yaml").read_text(encoding="utf-8")).get("environments", {}))


@pytest.fixture(params=NAMES)
def example(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An example's name; a copy of its fleet is the working directory."""
    copied(request.param, tmp_path)
    monkeypatch.chdir(tmp_path / FLEETS[request.param])
    return str(request.param)


@pytest.mark.usefixtures("example")
def test_it_is_valid_in_every_environment(reconciler: Command) -> None:
    for environment in [None, *_environments(Path.cwd())]:
        chosen = () if environment is None else ("-e", environment)
        done = reconciler("validate", *chosen)
        assert done.code == 0, done.err
        assert "warning" not in done.out + done.err
        assert reconciler("render", *chosen).code == 0


def test_it_plans_as_its_page_says(example: str, reconciler: Command, golden: Golden) -> None:
    plan = reconciler.well("plan", "--format", "markdown")
    golden(str(EXAMPLES / example / "expected-plan.md"), plan)
    assert not Path(".reconciler").exists(), "a plan writes nothing"


@pytest.mark.usefixtures("example")
def test_it_applies_and_then_nothing_is_left_to_do(reconciler: Command) -> None:
    assert reconciler("plan", "--detailed-exitcode").code == 2
    applied = reconciler("apply", "--auto-approve")
    assert applied.code == 0, applied.out + applied.err
    assert "Apply complete" in applied.out
    assert reconciler("plan", "--detailed-exitcode").code == 0
    assert reconciler("drift").code == 0


@pytest.mark.usefixtures("example")
def test_every_environment_on_the_simulator_plans(reconciler: Command) -> None:
    for environment in _environments(Path.cwd()):
        done = reconciler("plan", "-e", environment)
        assert done.code == (1 if environment == "prod" else 0), done.err
        assert environment != "prod" or "AGORA_APP_ID" in done.err


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_commands_of_a_page_exist(document: str) -> None:
    for name, *arguments in commands(EXAMPLES / document):
        context = click.Context(main.cli)
        command = main.cli.get_command(context, name)
        assert command is not None, f"{document}: no command {name}"
        command.make_context(name, list(arguments), parent=context)


def test_every_example_is_listed_and_has_a_page() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for name in PAGES:
        assert f"[{name}]({name}/)" in listed
        assert list(commands(EXAMPLES / name / "README.md")), f"{name}: a page without a command"


def test_nothing_here_names_a_home_or_holds_a_key() -> None:
    for path in EXAMPLES.rglob("*"):
        if path.is_file() and ".reconciler" not in path.parts:
            text = path.read_text(encoding="utf-8")
            assert not any(each in text for each in ("/home/", "sk-")), path


@pytest.mark.parametrize("section", KEYS)
def test_every_key_of_the_files_has_its_place_in_the_reference(section: str) -> None:
    page = (EXAMPLES / "FLEET.md").read_text(encoding="utf-8")
    assert [each for each in KEYS[section] if f"`{each}`" not in page] == []


def test_the_fleet_of_the_reference_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reconciler: Command
) -> None:
    page = (EXAMPLES / "FLEET.md").read_text(encoding="utf-8")
    (tmp_path / "fleet.yaml").write_text(page.split("```")[1].removeprefix("yaml"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert "clinic (prod) is valid: 1 agent in 1 channel." in reconciler.well("validate")
