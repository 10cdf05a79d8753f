"""The registry of formats: what a line says is what its module has, and a line is all that a command needs."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import types
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from reconciler.apply.events import Finished, Ledger, Result
from reconciler.cli import options
from reconciler.model.fleet import Limit, Limits
from reconciler.plan.change import Action
from reconciler.report import formats
from reconciler.report.formats import FORMATS, Format, RenderOptions, ReportKind, formats_for, named
from reconciler.report.ledger import Finish
from tests.unit.report.plans import World, rich_world

FOLDER = Path(formats.__file__).parent


def functions(name: str) -> dict[str, list[str]]:
    """The public functions of a module of reports that are called as renderers are, with their parameters."""
    module = importlib.import_module(f"reconciler.report.{name}")
    return {
        f"{name}.{each}": list(inspect.signature(function).parameters)
        for each, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and (each.startswith(("render_", "to_")) or each == "tree")
    }


def test_every_renderer_is_in_a_line_and_is_called_in_one_way() -> None:
    there = {name: given for path in FOLDER.glob("*.py") for name, given in functions(path.stem).items()}
    listed = {name for form in FORMATS for name in form.kinds.values()}
    assert listed == there.keys() - {"problems.render_error"}  # an error is no report
    for name in listed:
        assert there[name][1:] == ([] if name.endswith(".tree") else ["options"]), name


@pytest.mark.parametrize("kind", ReportKind)
def test_every_kind_can_be_read_by_people_or_says_that_it_is_a_stream(kind: ReportKind) -> None:
    assert formats_for(kind)[0].name in ("text", "yaml") or kind is ReportKind.EVENT
    assert "json" in [each.name for each in formats_for(kind)]


def test_help_lists_what_the_registry_has() -> None:
    listed = {kind: [each.name for each in formats_for(kind)] for kind in ReportKind}
    hosts = ["github", "sarif", "junit", "codequality"]
    assert listed[ReportKind.PLAN] == ["text", "json", "markdown", "html", *hosts, "terraform"]
    assert listed[ReportKind.DRIFT] == ["text", "json", "markdown", "html", "github", "junit"]
    assert listed[ReportKind.LEDGER] == ["text", "json", "markdown", "html"]
    assert listed[ReportKind.PROBLEMS] == ["text", "json", "markdown", "html", *hosts]
    assert listed[ReportKind.STATUS] == ["text", "json"]
    assert listed[ReportKind.TREE] == listed[ReportKind.TRACE] == ["yaml", "json"]


def test_a_format_is_added_by_a_module_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("reconciler.report.tally")
    module.render_plan = lambda value, options: f"{len(value.pending)} pending"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(
        formats, "FORMATS", (*FORMATS, Format("tally", {ReportKind.PLAN: "tally.render_plan"}))
    )

    @click.command()
    @options.format_option(ReportKind.PLAN)
    def command(form: Format) -> None:
        click.echo(form.render(ReportKind.PLAN, rich_world().plan()))

    assert "|terraform|tally]" in "".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert CliRunner().invoke(command, ["--format", "tally"]).output.endswith(" pending\n")
    assert "'terraform', 'tally'" in " ".join(CliRunner().invoke(command, ["--format", "pdf"]).output.split())


def test_options_are_for_whom_they_concern() -> None:
    plan = rich_world().plan()
    explained, coloured = RenderOptions(explain=True), RenderOptions(colour=True)
    assert "1. " in named("text").render(ReportKind.PLAN, plan, explained)
    assert "\033[" in named("text").render(ReportKind.PLAN, plan, coloured)
    assert named("json").render(ReportKind.PLAN, plan, coloured) == named("json").render(
        ReportKind.PLAN, plan, explained
    )


def test_counts_of_thousands_have_one_form_in_what_people_read() -> None:
    world = World(limits=Limits(quota=1000, join=Limit(number=1001)))
    for number in range(1200):
        world.wants(f"lobby/desk{number}x")
    plan = world.plan()
    shown = [named(form).render(ReportKind.PLAN, plan) for form in ("text", "markdown", "html", "github")]
    ledger = Ledger()
    for each in plan.acts:
        ledger.note(Finished(each.address, Action.JOIN, Result.DONE, "", ""))
    finish = Finish(ledger)
    shown += [named(form).render(ReportKind.LEDGER, finish) for form in ("text", "markdown", "html")]
    for text in shown:
        assert "1,200" in text
        # Neither a name, nor the line of a file, nor the value of an option.
        assert (
            re.findall(
                r"(?<![\w.,:/=-])[0-9]{4,}(?!\w)", re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
            )
            == []
        )
