"""One report from those of several fleets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.report.formats import RenderOptions
from reconciler.report.markdown import BUDGET, PAGE, render_plan
from reconciler.report.several import FleetPart, as_markdown
from tests.unit.report.plans import World, properties


def part(number: int, prompt: str) -> FleetPart:
    """A fleet with a change that has much to say, as a part that can say less."""
    world = World().wants(f"fleet{number}/desk", properties(llm__greeting_message=prompt))
    plan = (
        world.wants(f"fleet{number}/key", properties(llm__url="https://evil.example/v1"))
        .runs(f"fleet{number}/key")
        .plan()
    )
    return FleetPart(
        f"fleets/{number}",
        "prod",
        "2 changes",
        2,
        text=render_plan(plan),
        within=lambda room: render_plan(plan, RenderOptions(budget=room)),
    )


@pytest.mark.parametrize("count", [2, 12])
def test_several_fleets_share_the_room_of_one_comment(count: int) -> None:
    parts = [part(number, f"{number} " + "word " * 20_000) for number in range(count)]
    small = part(99, "Hello.")
    fine = [FleetPart(f"calm/{number}", None, "no changes", 0, True, "#" * 700) for number in range(100)]
    text = as_markdown([*parts, small, *fine])
    assert 0.8 * BUDGET < len(text) <= BUDGET
    for number in (*range(count), 99):
        assert f"<b>fleet{number}/desk</b>" in text
    assert text.count("DANGER") == count + 1
    assert text.count("This comment is cut.") == count
    assert all(f"| calm/{number} | no changes |" in text for number in range(100))


def test_what_fits_is_left_as_it_is() -> None:
    parts = [part(1, "Hello."), FleetPart("calm", None, "no changes", 0, True, "All is well.\n")]
    assert all(each.text in as_markdown(parts) for each in parts)


def test_what_no_comment_holds_is_a_page_that_says_all() -> None:
    parts = [replace(part(number, "word " * 20), text="x" * 900, within=None) for number in range(100)]
    text = as_markdown(parts)
    assert BUDGET < len(text) <= PAGE
    assert text.count("x" * 900) == 100
