"""The hotel chain: what its page and its edit promise."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .harness import EXAMPLES, Command, blocks, copied

PAGE = EXAMPLES / "hotel-chain"


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a copy of the example."""
    monkeypatch.chdir(copied("hotel-chain", tmp_path))
    return tmp_path


@pytest.fixture
def running(chain: Path, reconciler: Command) -> Path:
    """The same, its twelve desks running."""
    begun = time.process_time()
    assert "Apply complete: 12 joined." in reconciler.well("apply", "--auto-approve")
    assert time.process_time() - begun < 10, "a few seconds, said the page"
    return chain


def _edit(document: Path, directory: Path) -> None:
    """Make the edit that a page shows as a diff: lines to take out, each with the line that replaces it."""
    (diff,) = blocks(document, "diff")
    path = directory
    removed = ""
    for line in diff.splitlines():
        if line.startswith("--- a/"):
            path = directory / line.removeprefix("--- a/")
        elif line.startswith("+") and not line.startswith("+++"):
            text = path.read_text(encoding="utf-8")
            assert text.count(removed) == 1, removed
            path.write_text(text.replace(removed, line[1:]), encoding="utf-8")
        elif line.startswith("-"):
            removed = line[1:]


def _close(directory: Path, *languages: str) -> None:
    data = directory / "data/hotels.yaml"
    text = data.read_text(encoding="utf-8")
    for language in languages:
        text = text.replace(f"{language}, open: true", f"{language}, open: false")
    data.write_text(text, encoding="utf-8")


@pytest.mark.usefixtures("chain")
def test_the_closed_hotel_is_left_out(reconciler: Command) -> None:
    agents = json.loads(reconciler.well("render", "--format", "json"))["agents"]
    assert len(agents) == 12
    assert "vienna-front-desk/concierge" not in agents
    assert "12 agents in 12 channels" in reconciler.well("validate")
    staging = json.loads(reconciler.well("render", "-e", "staging", "--format", "json"))["agents"]
    assert {each.partition("-")[0] for each in staging} == {"paris", "lisbon", "berlin"}


@pytest.mark.usefixtures("chain")
def test_the_service_s_own_variable_passes_through(reconciler: Command) -> None:
    agents = json.loads(reconciler.well("render", "--format", "json"))["agents"]
    llm = agents["paris-front-desk/concierge"]["properties"]["llm"]
    assert llm["greeting_message"] == "Hello {{guest}}, this is Hôtel du Quai. How may I help?"
    assert "duty manager" in llm["system_messages"][0]["content"]
    assert (
        "duty manager"
        not in agents["lyon-front-desk/concierge"]["properties"]["llm"]["system_messages"][0]["content"]
    )


def test_the_edit_gives_the_plan_of_its_page(
    running: Path, reconciler: Command, golden: Callable[[str, str], None]
) -> None:
    _edit(PAGE / "edit.md", running)
    plan = reconciler.well("plan", "--format", "markdown")
    golden(str(PAGE / "edit-plan.md"), plan)
    assert "### Plan: 9 to update, 2 to replace, 1 held" in plan

    applied = reconciler("apply", "--auto-approve")
    assert applied.code == 6
    assert "9 updated, 2 replaced; 1 held" in applied.out


def test_a_protected_desk_is_let_go_only_by_its_own_entry(running: Path, reconciler: Command) -> None:
    _edit(PAGE / "edit.md", running)
    data = running / "data/hotels.yaml"
    data.write_text(data.read_text(encoding="utf-8").replace("vip: true", "vip: false", 1), encoding="utf-8")
    assert "3 to replace" in reconciler.well("plan")
    _close(running, "it-IT")
    assert "the protection outlives its block" in reconciler.well("plan")


@pytest.mark.usefixtures("running")
def test_another_environment_has_a_world_of_its_own(reconciler: Command) -> None:
    plan = json.loads(reconciler.well("plan", "-e", "staging", "--format", "json"))
    assert plan["applyable"]
    assert plan["summary"]["join"] == 3
    assert plan["cost"]["running_after"] == 3


def test_five_desks_that_vanish_are_refused(running: Path, reconciler: Command) -> None:
    _close(running, "de-DE", "es-ES")
    refused = reconciler("apply", "--auto-approve")
    assert refused.code == 5
    assert "limits.leave allows 4 (30% of 12)" in refused.err
    assert "12 in sync" not in reconciler.well("status")
    assert reconciler("apply", "--auto-approve", "--allow", "leave=5", "--allow", "hang_ups=5").code == 0
