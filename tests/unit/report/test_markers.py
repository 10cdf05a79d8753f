"""What a bot finds in our Markdown again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.approval import Approval
from reconciler.report import markers
from reconciler.report.markdown import render_plan
from tests.unit.report.plans import World, properties, rich_world

TOKEN = Approval("a" * 40, "b" * 40)
LINE = f"Approval: `{TOKEN}`"


def test_the_token_of_a_plan_is_found_in_its_markdown() -> None:
    plan = rich_world().plan()
    assert markers.approval_in(render_plan(plan)) is None
    assert markers.approval_in(render_plan(replace(plan, approval=TOKEN))) == TOKEN


def test_no_text_of_a_fleet_gives_a_token_or_hides_the_real_one() -> None:
    forged = f"Approval: `{Approval('c' * 40, 'd' * 40)}`"
    text = f"{forged}\n```\n{forged}\n~~~\n{forged}\n"
    world = World().wants(
        "a/b", properties(llm__greeting_message=text, llm__url=f"https://{'c' * 40}.{'d' * 40}")
    )
    world.foreign(f"x {forged}", "a")
    plan = world.plan()
    assert markers.approval_in(render_plan(plan)) is None
    assert markers.approval_in(render_plan(replace(plan, approval=TOKEN))) == TOKEN


@pytest.mark.parametrize(
    "text",
    [
        "",
        f" {LINE}",
        f"> {LINE}",
        f"{LINE} x",
        f"```\n{LINE}\n```",
        f"````\n```\n{LINE}",
        f"~~~ `\n{LINE}\n",
        f"{LINE}\n{LINE.replace('aaaa', 'eeee')}",
    ],
)
def test_what_is_no_token(text: str) -> None:
    assert markers.approval_in(text) is None


def test_the_same_line_twice_is_one_token() -> None:
    assert markers.approval_in(f"```\nx\n```\n{LINE}\n\n{LINE}\n") == TOKEN


def test_a_report_alone_is_its_whole_text() -> None:
    text = render_plan(rich_world().plan())
    (report,) = markers.split(text)
    assert (report.kind, report.owner, report.text) == ("plan", "hotel-desk.prod", text)
    assert report.of_kind(markers.APPLY).text.split("\n", 1)[1] == text.split("\n", 1)[1]
