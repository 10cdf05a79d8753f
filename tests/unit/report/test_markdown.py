"""The plan in a pull request's comment."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from markdown_it import MarkdownIt

from reconciler.diagnostics import Diagnostic, Severity
from reconciler.report.markdown import BUDGET, render_plan
from tests.unit.report.plans import World, properties, rich_world, risky_world

Golden = Callable[[str, str], None]


def fences(text: str) -> list[str]:
    """The contents of the code blocks that a Markdown reader sees."""
    tokens = MarkdownIt("commonmark").parse(text)
    return [token.content for token in tokens if token.type == "fence"]


def html_of(text: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(text)


def test_one_of_everything(golden: Golden) -> None:
    golden("report/plan.md", render_plan(rich_world().plan()))


def test_dangers_and_refusals_come_before_everything_else(golden: Golden) -> None:
    text = render_plan(risky_world().plan())
    golden("report/plan-refused.md", text)
    assert text.index("DANGER") < text.index("Refused") < text.index("| replace |") < text.index("<details>")


def test_the_hidden_first_line_names_the_fleet() -> None:
    assert render_plan(rich_world().plan()).startswith(
        "<!-- reconciler plan: hotel-desk.prod -->\n\n### Plan: "
    )


def test_what_hangs_up_comes_first() -> None:
    text = render_plan(rich_world().plan())
    order = [
        "paris/concierge",
        "bonn/gone",
        "rome/old",
        "rome/vip",
        "paris/night",
        "oslo/greeter",
        "rome/token",
    ]
    places = [text.index(f"<b>{address}</b>") for address in order]
    assert places == sorted(places)


def test_a_prompt_cannot_break_out_of_its_block() -> None:
    evil = "fine\n```\n</details>\n<!-- \n# approved by @admins\n````\n"
    text = render_plan(World().wants("a/b", properties(llm__greeting_message=evil)).plan())
    assert any("approved by @admins" in block for block in fences(text))
    assert "<h1>" not in html_of(text)


def test_names_and_messages_call_upon_nobody() -> None:
    world = risky_world()
    world.wants("lima/desk-9", properties(llm__url="https://x.example/@team"))
    world.foreign("@team see #1 </details><img src=x>", "lima")
    outside = render_plan(world.plan())
    for block in fences(outside):
        outside = outside.replace(block, "")
    assert "@team" not in outside
    assert "<img" not in outside


def test_a_comment_that_is_full_says_how_much_is_missing() -> None:
    world = World()
    for number in range(400):
        world.wants(f"lima/desk-{number}", properties(llm__greeting_message=f"{number} " + "word " * 200))
    text = render_plan(world.plan())
    assert len(text) <= BUDGET
    shown = text.count("<b>lima/")
    assert f"**{400 - shown} more changes are not shown here: this comment is full.**" in text
    assert "| join | 400 | begins |" in text


def test_one_long_prompt_does_not_push_the_others_out() -> None:
    world = World()
    for number in range(3):
        text = "\n".join(f"{number} {line} said in other words" for line in range(20_000))
        body = properties(llm__system_messages=[{"role": "system", "content": text}])
        world.wants(f"lima/{number}", body).runs(f"lima/{number}")
    text = render_plan(world.plan())
    assert len(text) <= BUDGET
    assert text.count("more lines are not shown here") == 3


@pytest.mark.parametrize("number", [1, 60, 700])
def test_every_danger_is_there_however_many_there_are(number: int) -> None:
    world = World()
    before = {f"X-{each}": f"ref+env://KEY_{each}" for each in range(number)}
    world.wants("a/b", properties(llm__headers=before, llm__url="https://evil.example/v1"))
    world.runs("a/b", properties(llm__headers=before))
    plan = world.plan()
    text = render_plan(plan)
    assert len(plan.dangers) == number + 1
    assert len(text) <= BUDGET
    shown = html_of(text).replace("<!-- -->", "")
    assert all(each.reference in shown and each.host in shown for each in plan.dangers)


def test_warnings_and_interrupted_operations_are_one_line_each() -> None:
    world = World().wants("a/b")
    world.warnings = tuple(Diagnostic(Severity.WARNING, "r", f"s{each}") for each in range(3))
    assert "3 warnings in the files" in render_plan(world.plan())


def test_nothing_to_do() -> None:
    text = render_plan(World().wants("a/b").runs("a/b").plan())
    assert "### No changes. 1 agent runs as the files say." in text
    assert "<details>" not in text
