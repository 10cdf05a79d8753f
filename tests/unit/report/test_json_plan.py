"""The plan for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.cli.schemas import SCHEMAS
from reconciler.model.tree import Tree
from reconciler.plan.build import Plan
from reconciler.report.documents import as_ascii_json, to_json
from reconciler.report.json_plan import render_json
from tests.unit.report.plans import World, plan_tree, properties, rich_world, risky_world

Golden = Callable[[str, str], None]
SCHEMA = Path(__file__).parents[3] / "schemas" / "plan.schema.json"


def render_plan(plan: Plan) -> str:
    return "".join(render_json(plan))


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


# What is written in several ways, hidden at some places, or refused by the quick way to write JSON.
_LEAVES = [
    *("", "plain", "ref+env://KEY", "Bearer abcdefghijkl", "sk-proj-0123456789abcdefghijklmnopqrst"),
    *("https://api.example/v1", "https://me:hunter2@api.example/v1?token=abcdefghijklmnop"),
    *("é 中 \U0001f600 \u200b", '{"x-api-key": "abcdefghijklmnop"}', 0, 7, 0.5, 1e-7, 1e22, True, None),
]
_KEYS = "llm labels url api_key key headers x-api-key params content system_messages é a".split()
_TREES = st.recursive(
    st.sampled_from(_LEAVES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(_TREES, st.lists(st.dictionaries(st.sampled_from(_KEYS), _TREES, max_size=3), min_size=1, max_size=4))
@example({"x": "sk-proj-0123456789abcdefghijklmnopqrst"}, [{"labels": 1}, {"a": 2}])
@example("hunter2-hunter2", [{"a": 1}, {"llm": {"api_key": 1}}, {"api_key": 1}])
@example(None, [{"llm": {"api_key": each}} for each in (0.5, 7, True, None, "(sensitive)")])
@example({"1": [1e-7]}, [{"a": 1}, {"a": 2}])
def test_the_text_of_a_plan_is_that_of_its_tree(shared: Tree, bodies: list[dict[str, Any]]) -> None:
    """Also where bodies share a part, at places of one or of several kinds, and where some are like what runs."""
    world = World()
    for number, body in enumerate(bodies):
        for kind, tree in (("new", body), ("same", body), ("edited", {**body, "idle_timeout": number})):
            world.wants(f"{kind}/{number}", _with_everywhere(tree, shared))
            if kind != "new":
                world.runs(f"{kind}/{number}", _with_everywhere(body, shared))
    plan = world.plan()
    assert render_plan(plan) == f"{as_ascii_json(plan_tree(plan))}\n"


def _with_everywhere(tree: Any, shared: Tree) -> Any:
    """A copy of a tree in which the same object is at the place of every number 1 and 2, and of every key `params`."""
    if isinstance(tree, dict):
        return {
            key: shared if key == "params" else _with_everywhere(each, shared) for key, each in tree.items()
        }
    if isinstance(tree, list):
        return [_with_everywhere(each, shared) for each in tree]
    return shared if tree in (1, 2) and tree is not True else tree


@pytest.mark.parametrize("value", ["\ud800", 2**70, float("nan")])
def test_what_orjson_does_not_write_is_written_like_the_rest(value: Any) -> None:
    plan = World().wants("a/b", properties(llm__greeting_message=value)).wants("a/c").plan()
    assert render_plan(plan) == f"{as_ascii_json(plan_tree(plan))}\n"


def test_a_plan_is_rendered_change_by_change() -> None:
    world = World()
    for number in range(300):
        world.wants(f"desk-{number}/a", properties(llm__greeting_message=f"{number}" * 100))
    pieces = list(render_json(world.plan()))
    assert len(pieces) == 302
    assert all(each.endswith("\n") for each in pieces)
    assert max(map(len, pieces)) < 20_000
