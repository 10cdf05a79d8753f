"""What runs, and what the world changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from reconciler.plan.change import Keep
from reconciler.report import documents, drift
from reconciler.report.formats import RenderOptions
from reconciler.report.status import StatusReport, StatusRow, UnmanagedRow, render_text, tree
from reconciler.workflow import Drift
from tests.unit.report.plans import World, properties

Golden = Callable[[str, str], None]

STATUS = StatusReport(
    fleet="hotel-desk",
    environment="prod",
    rows=(
        StatusRow("paris/concierge", "A1", "n1", "RUNNING", 11_543.0, 247_657.0, 40_000.0, "in sync"),
        StatusRow("lobby/greeter", "", "", "absent", None, None, None, "join", "it is new"),
        StatusRow("oslo/desk", "A2", "n2", "RUNNING", 200_000.0, 59_200.0, 59.0, "rotate", "evil\x1b[2J"),
    ),
    unmanaged=(UnmanagedRow("paris", "F1", "", "RUNNING", 61.0),),
    elsewhere=2,
    running=5,
    quota=20,
    usd_per_day=720.0,
)


def test_status_as_a_table(golden: Golden) -> None:
    golden("report/status.txt", render_text(STATUS))


def test_status_as_a_tree(golden: Golden) -> None:
    golden("report/status.json", documents.to_json(tree(STATUS)))


def absent(number: int, sync: str, detail: str) -> StatusRow:
    return StatusRow(f"house-{number:03d}/desk", "", "", "absent", None, None, None, sync, detail)


def test_a_reason_of_many_agents_is_said_once_with_their_addresses() -> None:
    beside = "agent F{0:03d}ABCDEFGH runs in channel house-{0:03d} and is not this fleet's"
    rows = [absent(at, "join", "it is new") for at in range(200)]
    rows += [absent(at, "hold", beside.format(at)) for at in range(200, 400)]
    text = render_text(replace(STATUS, rows=(*rows, STATUS.rows[2])), RenderOptions(quiet=True))
    assert text.count("they are new") == text.count("and is not this fleet's") == 1
    assert "200 agents  join  they are new\n        house-000/desk … house-199/desk (200)\n" in text
    assert "house-200/desk … house-399/desk (200)\n" in text
    assert max(map(len, text.splitlines())) <= 240
    assert len(text.splitlines()) < 12
    narrow = render_text(replace(STATUS, rows=tuple(rows[:4])), RenderOptions(width=40))
    assert max(map(len, narrow.partition("\n\n")[2].partition("\n\n")[0].splitlines())) <= 40


def test_an_empty_status() -> None:
    empty = StatusReport("hotel-desk", None, ())
    assert render_text(empty) == "hotel-desk: no agents. Running: 0. About 0.00 USD a day.\n"


def drifted() -> Drift:
    """One agent vanished, one was changed by hand; the files ask for something else besides."""
    world = (
        World()
        .wants("paris/gone")
        .runs("paris/gone")
        .wants("oslo/same")
        .runs("oslo/same")
        .foreign("bot", "oslo")
    )
    world.wants("rome/other", properties(asr__language="it-IT")).runs("rome/other")
    world.live.pop(0)
    plan = world.plan()
    moved = tuple(each for each in plan.changes if each.address.channel == "paris")
    return Drift(replace(plan, changes=moved), 1)


def test_drift_as_text(golden: Golden) -> None:
    golden("report/drift.txt", drift.render_text(drifted()))


def test_drift_as_markdown(golden: Golden) -> None:
    golden("report/drift.md", drift.render_markdown(drifted()))


def test_drift_as_json() -> None:
    text = "".join(drift.render_json(drifted()))
    found = json.loads(text)
    assert text == documents.to_json(found), "indented as the other documents"
    assert (found["drifted"], found["file_changes"], found["summary"]["join"]) == (True, 1, 1)
    assert [each["address"] for each in found["resource_drift"]] == ["paris/gone"]
    assert list(found)[-3:] == ["file_changes", "unmanaged", "unmanaged_elsewhere"]


def test_drift_as_json_comes_change_by_change() -> None:
    world = World()
    for number in range(3):
        world.wants(f"paris/desk-{number}").runs(f"paris/desk-{number}")
    world.live.clear()
    plan = world.plan()
    pieces = list(drift.render_json(Drift(plan, 0)))
    assert len(pieces) == len(plan.changes) + 2
    text = "".join(pieces)
    assert text == documents.to_json(json.loads(text))
    none = "".join(drift.render_json(Drift(replace(plan, changes=()), 0)))
    assert none == documents.to_json(json.loads(none)) and json.loads(none)["resource_drift"] == []


def test_no_drift() -> None:
    plan = World().wants("oslo/same").runs("oslo/same").plan()
    quiet = replace(plan, changes=tuple(each for each in plan.changes if not isinstance(each, Keep)))
    assert drift.render_text(Drift(quiet, 0)) == "No drift.\n"
    assert drift.render_text(Drift(quiet, 2)) == (
        "No drift. 2 changes in the files are not drift; see plan.\n"
    )
