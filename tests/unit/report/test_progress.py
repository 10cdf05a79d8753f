"""An apply while it runs, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from reconciler.apply.events import Event, Finished, Ledger, Notice, Progress, Result, Started
from reconciler.errors import ReadAbandoned, ServiceError
from reconciler.model.address import Address
from reconciler.plan.change import Action, Because
from reconciler.report import folding, ledger, live, progress
from reconciler.report.documents import as_json_line
from reconciler.report.formats import RenderOptions, ReportKind, named
from reconciler.report.ledger import Finish
from reconciler.workflow import Planned
from tests.unit.report.plans import World, plan_tree, rich_world, risky_world

Golden = Callable[[str, str], None]

PARIS, OSLO, ROME, BONN = (Address(city, "desk") for city in ("paris", "oslo", "rome", "bonn"))
EVENTS: tuple[Event, ...] = (
    Started(PARIS, Action.REPLACE),
    Progress(PARIS, "waiting until A1 has ended"),
    Started(OSLO, Action.JOIN),
    Finished(PARIS, Action.REPLACE, Result.DONE, agent_id="A7"),
    Finished(OSLO, Action.JOIN, Result.FAILED, "409: the name is taken"),
    Finished(ROME, Action.LEAVE, Result.UNKNOWN, "the reply was lost", "A3"),
    Finished(BONN, Action.UPDATE, Result.HELD, "it is protected", "A4"),
    Finished(Address("ulm", "desk"), Action.JOIN, Result.SKIPPED, "the run was stopped"),
    Finished(Address("lima", "desk"), Action.JOIN, Result.DONE, agent_id="A8"),
    Notice("the lock was lost and taken again"),
)


def folded(*events: Event) -> Ledger:
    found = Ledger()
    for event in events or EVENTS:
        found.note(event)
    return found


def test_lines_for_a_log(golden: Golden) -> None:
    golden("report/progress.txt", "".join(f"{progress.line(each)}\n" for each in EVENTS))


def test_lines_for_programs(golden: Golden) -> None:
    lines = [progress.render_json(each) for each in EVENTS]
    golden("report/progress.jsonl", "".join(f"{each}\n" for each in lines))
    assert {json.loads(each)["type"] for each in lines} == {
        "change_started",
        "change_progress",
        "change_finished",
        "notice",
    }


@pytest.mark.parametrize("world", [rich_world(), risky_world(), World().wants("a/b")])
def test_the_plan_of_an_apply_is_one_line_that_comes_change_by_change(world: World) -> None:
    plan = world.plan()
    tree = {"format_version": progress.FORMAT_VERSION, "type": "planned", "plan": plan_tree(plan)}
    pieces = [*named("json").pieces(ReportKind.EVENT, Planned(plan))]
    assert "".join(pieces) == as_json_line(tree)
    assert len(pieces) == len(plan.changes) + 2


def test_the_ledger_lists_what_is_open_and_how_to_go_on(golden: Golden) -> None:
    golden("report/ledger.txt", ledger.render_text(Finish(folded(), "reconciler apply hotels -e prod")))


def test_a_notice_that_was_printed_when_it_came_is_not_printed_again() -> None:
    told = {
        quiet: ledger.render_text(Finish(folded()), RenderOptions(quiet=quiet)) for quiet in (False, True)
    }
    assert ("notice:" in told[False], "notice:" in told[True]) == (False, True)


def test_the_ledger_in_colour(golden: Golden) -> None:
    golden(
        "report/ledger-colour.txt",
        ledger.render_text(Finish(folded(), "reconciler apply"), RenderOptions(colour=True)),
    )


def test_the_ledger_as_markdown(golden: Golden) -> None:
    golden(
        "report/ledger.md",
        ledger.render_markdown(Finish(folded(), "reconciler apply hotels -e prod")),
    )


def test_the_ledger_as_a_tree() -> None:
    tree = ledger.ledger_tree(folded())
    assert tree["summary"] == {
        "done": 2,
        "failed": 1,
        "skipped": 1,
        "held": 1,
        "deferred": 0,
        "unknown": 1,
    }
    assert tree["complete"] is False
    assert [each["address"] for each in tree["changes"]] == sorted(
        each["address"] for each in tree["changes"]
    )
    json.dumps(tree)


def test_a_complete_apply_is_one_line() -> None:
    found = folded(
        Finished(PARIS, Action.JOIN, Result.DONE),
        Finished(OSLO, Action.JOIN, Result.DONE),
        Finished(ROME, Action.UPDATE, Result.DONE),
    )
    assert ledger.render_text(Finish(found, "x")) == "Apply complete: 2 joined, 1 updated.\n"


def test_an_apply_without_changes_is_complete() -> None:
    assert ledger.render_text(Finish(Ledger(), "x")) == "Apply complete: nothing was done.\n"


def test_an_interrupted_or_broken_apply_says_so() -> None:
    found = folded(Finished(PARIS, Action.JOIN, Result.DONE))
    found.interrupted = True
    assert (
        "Apply interrupted: 1 joined.\nCalls in flight were finished or are recorded.\nTo go on: reconciler apply"
        in ledger.render_text(Finish(found, "reconciler apply"))
    )
    broken = Ledger(broken=ServiceError("the service is away", hint="try again"))
    text = ledger.render_text(Finish(broken, "reconciler apply"))
    assert text.startswith("error: the service is away [service]\n    try again\n")
    assert "Apply incomplete: nothing was done." in text


def test_the_live_view_shows_what_runs_and_leaves_what_ended(golden: Golden) -> None:
    now = [100.0]
    written = StringIO()
    console = Console(file=written, width=60, force_terminal=False, color_system=None)
    with live.LiveProgress(console, total=6, clock=lambda: now[0]) as view:
        for event in EVENTS[:3]:
            view.handle(event)
        now[0] += 75
        frame = StringIO()
        Console(file=frame, width=60, color_system=None).print(view.renderable())
        for event in EVENTS[3:]:
            view.handle(event)
    golden("report/live-frame.txt", frame.getvalue())
    assert "paris/desk: replaced (agent A7) after 1m15s" in written.getvalue()
    assert view.counts() == "2 of 6 done, 1 failed, 1 skipped, 1 held, 1 unknown, checking that all run"


def test_the_live_view_fits_a_narrow_terminal() -> None:
    view = live.LiveProgress(Console(file=StringIO()), total=20, clock=lambda: 0.0)
    for number in range(30):
        view.handle(Started(Address("a-channel-with-a-long-name", f"desk-{number}"), Action.JOIN))
    frame = StringIO()
    Console(file=frame, width=24, color_system=None).print(view.renderable())
    lines = frame.getvalue().splitlines()
    assert max(map(len, lines)) <= 24
    assert len(lines) < 14


def test_the_end_of_a_destroy_is_called_so() -> None:
    found = folded(Finished(PARIS, Action.LEAVE, Result.DONE))
    text = ledger.render_text(Finish(found, "x", verb="Destroy"))
    assert text == "Destroy complete: 1 left.\n"


def test_a_read_that_was_cut_short_is_no_outage() -> None:
    found = folded(
        Finished(PARIS, Action.JOIN, Result.DONE), Notice("stopped: interrupted while listing (…)")
    )
    found.interrupted, found.broken = True, ReadAbandoned("interrupted while listing", hint="…")
    for text in (
        ledger.render_text(Finish(found)),
        ledger.render_markdown(Finish(found)),
    ):
        assert "error:" not in text
        assert "WARNING" not in text
        assert "Calls in flight were finished or are recorded." in text


def test_holds_are_lifted_by_what_is_said_about_them() -> None:
    found = folded(Finished(PARIS, Action.HOLD, Result.HELD, "it is protected"))
    text = ledger.render_text(Finish(found, "", ("protected: write `protect: false`",)))
    assert text.endswith("1 held.\nTo lift a hold: protected: write `protect: false`\n")
    assert "To go on" not in text


def test_every_kind_of_hold_says_how_it_is_lifted() -> None:
    held = (
        Because.PROTECTED,
        Because.UNRECORDED,
        Because.BACKING_OFF,
        Because.DEFERRED,
        Because.FROZEN,
        Because.UNREVIEWED,
        Because.NOT_IN_ONLY,
        Because.KEPT_ENDING,
        Because.OTHER_VERSION,
    )
    assert tuple(ledger._LIFTS) == held


def test_done_is_counted_in_changes_and_not_in_kinds() -> None:
    rows = [Finished(each, Action.JOIN, Result.DONE) for each in (PARIS, OSLO, ROME)]
    assert "<summary>3 done</summary>" in ledger.render_markdown(Finish(folded(*rows)))


def test_what_was_not_made_took_no_time() -> None:
    written = StringIO()
    with live.LiveProgress(Console(file=written, width=80), total=1, clock=lambda: 0.0) as view:
        view.handle(Started(PARIS, Action.JOIN))
        view.handle(Finished(PARIS, Action.JOIN, Result.SKIPPED, "the run was interrupted"))
    assert "interrupted\n" in written.getvalue()
    assert "after" not in written.getvalue()


def test_a_long_line_of_progress_is_continued_after_an_arrow() -> None:
    written = StringIO()
    with live.LiveProgress(Console(file=written, width=80), total=1, clock=lambda: 0.0) as view:
        view.handle(Finished(PARIS, Action.JOIN, Result.FAILED, "the service said no, and said why " * 5))
        view.handle(Notice("something that is told in very many words " * 5))
    lines = [line for line in written.getvalue().splitlines() if "done" not in line and line.strip()]
    assert max(map(len, lines)) <= 80
    assert [line.startswith("    ↳ ") for line in lines] == [False, True, True, False, True, True]


def test_what_is_held_is_no_progress() -> None:
    written = StringIO()
    with live.LiveProgress(Console(file=written, width=80), total=1, clock=lambda: 0.0) as view:
        view.handle(Finished(PARIS, Action.HOLD, Result.HELD, "it is protected"))
        assert view.counts() == "0 of 1 done, 1 held, checking that all run"
    assert "protected" not in written.getvalue()


@pytest.mark.parametrize("before", range(20, 110, 7))
def test_a_command_in_backticks_is_not_folded(before: int) -> None:
    line = f"{'word ' * (before // 5)}take it over (`reconciler adopt lobby/desk A42`), or do some other thing there"
    text = folding.folded(line, 80)
    assert "`reconciler adopt lobby/desk A42`" in text
    assert max(map(len, text.split("\n"))) <= 80
    assert " ".join(text.replace("↳", " ").split()) == line
