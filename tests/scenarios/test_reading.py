"""Two hundred copies of one agent, read by the commands that people use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.fleets import write_for_each
from tests.scenarios.test_cli import run

COPIES = 200
ADDRESSES = [f"desk-{number:06d}/concierge" for number in range(COPIES)]


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A fleet from one `for_each`."""
    write_for_each(tmp_path / "fleet", COPIES)
    return tmp_path / "fleet"


def test_copies_are_one_group_and_full_shows_each(copies: Path) -> None:
    shown = run("plan", copies).stdout
    assert "  # 200 agents will join\n" in shown
    assert "desk-000000/concierge … desk-000199/concierge (200)" in shown
    assert max(map(len, shown.splitlines())) <= 240
    full = run("plan", copies, "--full").stdout
    assert all(f"  # {each} will join\n" in full for each in ADDRESSES)
    comment, page = (run("plan", copies, "--format", form).stdout for form in ("markdown", "html"))
    assert all(each in comment and each in page for each in ADDRESSES)
    assert comment.count("\n") <= 260
    changes = json.loads(run("plan", copies, "--format", "json").stdout)["resource_changes"]
    assert [each["address"] for each in changes] == ADDRESSES


def test_a_quiet_apply_prints_no_plan(copies: Path) -> None:
    chosen = ("--target", "desk-00000*/*", "--auto-approve")
    quiet = run("apply", copies, "-q", *chosen)
    assert quiet.stdout == "Apply complete: 10 joined.\n"
    assert quiet.returncode == 0, quiet.stderr


def test_an_apply_is_one_page_and_code_hosts_are_told_from_the_checkout(copies: Path) -> None:
    chosen = ("--target", "desk-00000*/*")
    page = run("apply", copies, "--format", "html", "--auto-approve", *chosen).stdout
    assert page.count("<!doctype html>") == 1
    assert (
        page.index("Apply complete: 10 joined")
        < page.index("Plan: 10 to join")
        < page.rindex("desk-000009/concierge")
    )
    desks = copies / "agents" / "desks.yaml"
    desks.write_text(desks.read_text(encoding="utf-8").replace("volume: 70", "volume: 71"), encoding="utf-8")
    told = run("plan", copies, "--format", "github", *chosen, GITHUB_WORKSPACE=str(copies.parent)).stdout
    [notice, *refused, warning] = told.splitlines()
    assert all(each.startswith("::error file=fleet/fleet.yaml") for each in refused)
    assert "10 running conversations end: 10 to replace." in notice
    assert warning.startswith("::warning file=fleet/agents/desks.yaml,line=")
    counts = json.loads(run("plan", copies, "--format", "terraform", *chosen).stdout)
    assert counts == {"create": 10, "update": 0, "delete": 10}


def test_drift_of_copies_is_one_group(copies: Path) -> None:
    assert run("apply", copies, "--auto-approve").returncode == 0
    desks = copies / "agents" / "desks.yaml"
    desks.write_text(desks.read_text(encoding="utf-8").replace("be brief", "be warm"), encoding="utf-8")
    planned = run("plan", copies).stdout
    assert "  # 200 agents will be updated in place (the conversations go on)\n" in planned
    assert planned.count("{-brief-}{+warm+}") == 24
    for form in ("text", "markdown"):
        assert "No drift." in run("drift", copies, "--full", "--format", form).stdout
