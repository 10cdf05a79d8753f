"""The plan for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reconciler.cli.schemas import SCHEMAS
from reconciler.report.documents import to_json
from reconciler.report.json_plan import plan_tree, render_plan
from tests.unit.report.plans import World, properties, rich_world, risky_world

Golden = Callable[[str, str], None]
SCHEMA = Path(__file__).parents[3] / "schemas" / "plan.schema.json"


def parsed(world: World) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(render_plan(world.plan()))
    return tree


def change(world: World, address: str) -> dict[str, Any]:
    (row,) = [each for each in parsed(world)["resource_changes"] if each["address"] == address]
    result: dict[str, Any] = row
    return result


def test_one_of_everything(golden: Golden) -> None:
    golden("report/plan.json", render_plan(rich_world().plan()))


def test_dangers_and_refusals(golden: Golden) -> None:
    golden("report/plan-refused.json", render_plan(risky_world().plan()))


def test_the_schema_is_fresh(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        SCHEMA.write_text(to_json(SCHEMAS["plan"]()))
    assert SCHEMA.read_text() == to_json(SCHEMAS["plan"]())


@pytest.mark.parametrize("world", [rich_world(), risky_world(), World().wants("a/b")])
def test_plans_fit_the_schema(world: World) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(parsed(world), schema)


def test_the_words_of_terraform() -> None:
    rows = parsed(rich_world())["resource_changes"]
    words = {row["action"]: row["change"]["actions"] for row in rows}
    assert words == {
        "join": ["create"],
        "update": ["update"],
        "renew": ["update"],
        "replace": ["delete", "create"],
        "rotate": ["delete", "create"],
        "leave": ["delete"],
        "adopt": ["no-op"],
        "forget": ["forget"],
        "hold": ["no-op"],
        "none": ["no-op"],
    }


def test_what_forces_a_replacement_is_a_path_below_the_body() -> None:
    row = change(rich_world(), "paris/concierge")
    assert row["change"]["replace_paths"] == [["properties", "tts", "params", "voice_name"]]
    assert row["location"] == {"file": "agents/desks.yaml", "line": 12, "column": 30}


def test_a_hold_says_what_is_held_and_why() -> None:
    row = change(rich_world(), "rome/vip")
    assert row["action"] == "hold"
    assert row["reason"]["because"] == "fields"
    assert (row["held"]["action"], row["held"]["because"]) == ("replace", "protected")


def test_a_literal_credential_is_null_and_marked() -> None:
    world = World().wants("a/b", properties(llm__api_key="sk-after"))
    row = change(world, "a/b")["change"]
    assert row["after"]["properties"]["llm"]["api_key"] is None
    assert row["after_sensitive"] == {"properties": {"llm": {"api_key": True}}}
    assert row["before_sensitive"] is False
    assert "sk-after" not in render_plan(world.plan())


def test_a_credential_in_a_list_keeps_its_place() -> None:
    servers = [{"name": "a"}, {"name": "b", "headers": {"Authorization": "hunter2"}}]
    row = change(World().wants("a/b", properties(llm__mcp_servers=servers)), "a/b")["change"]
    marked = row["after_sensitive"]["properties"]["llm"]["mcp_servers"]
    assert marked == [{}, {"headers": {"Authorization": True}}]


def test_what_is_not_in_the_state_is_unknown_before() -> None:
    row = change(rich_world(), "bonn/found")["change"]
    assert row["before"] is None
    assert row["before_unknown"] is True


def test_complete_and_applyable_are_two_questions() -> None:
    joins, held, refused, nothing = (
        World().wants("a/b"),
        rich_world(),
        risky_world(),
        World().wants("a/b").runs("a/b"),
    )
    answers = [
        (plan_tree(each.plan())["complete"], plan_tree(each.plan())["applyable"])
        for each in (joins, held, refused, nothing)
    ]
    assert answers == [(True, True), (False, True), (False, False), (True, False)]
